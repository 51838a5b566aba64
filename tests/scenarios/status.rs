//! How far behind: for people, for `jq`, for an alarm.

use serde_json::Value;

use crate::util::*;

fn status(scene: &Scene, files: &[&str], args: &[&str]) -> Finished {
    let state = [
        "--redis",
        &scene.redis.url(),
        "--state-dir",
        scene.state_dir().to_str().expect("UTF-8"),
    ]
    .map(String::from);
    scene
        .tailcast(&["status"])
        .args(files.iter().map(|f| scene.path(f)))
        .args(state)
        .args(args)
        .run()
}

/// The objects that `--json` prints, whether as an array or one after the other: `jq` takes both.
fn objects(finished: &Finished) -> Vec<Value> {
    let values = serde_json::Deserializer::from_slice(&finished.stdout).into_iter::<Value>();
    let values = values.map(|v| {
        v.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&finished.stdout)))
    });
    values
        .flat_map(|v| v.as_array().cloned().unwrap_or_else(|| vec![v]))
        .collect()
}

/// A file of ten lines, five of them published.
fn half_way(scene: &Scene, name: &str) {
    scene.append(name, text(0..5));
    scene.once(name);
    scene.append(name, text(5..10));
}

#[test]
fn status_is_a_table_with_a_row_per_file() {
    let scene = Scene::new();
    half_way(&scene, "app.log");
    half_way(&scene, "other.log");
    let run = status(&scene, &["app.log", "other.log"], &[]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let table = String::from_utf8(run.stdout).expect("UTF-8");
    assert_eq!(table.lines().count(), 3, "a head and two rows:\n{table}");
    for (row, name) in table.lines().skip(1).zip(["app.log", "other.log"]) {
        assert!(
            row.contains(scene.path(name).to_str().expect("UTF-8")),
            "{table}"
        );
        assert!(
            row.contains(&text(5..10).len().to_string()),
            "the lag:\n{table}"
        );
    }
}

#[test]
fn status_json_has_size_offset_lag_generation_and_age() {
    let scene = Scene::new();
    half_way(&scene, "app.log");
    let run = status(&scene, &["app.log"], &["--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let rows = objects(&run);
    assert_eq!(rows.len(), 1);
    let number = |name: &str| {
        rows[0][name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name} in {}", rows[0]))
    };
    let (half, whole) = (text(0..5).len() as u64, text(0..10).len() as u64);
    assert_eq!(
        (
            number("size"),
            number("offset"),
            number("lag"),
            number("generation")
        ),
        (whole, half, whole - half, 0)
    );
    let row = rows[0].as_object().expect("an object");
    assert!(
        row.keys().any(|k| k.contains("age")),
        "the checkpoint's age in {:?}",
        row
    );
    assert!(
        row.values()
            .any(|v| v.as_str() == scene.path("app.log").to_str()),
        "the path in {row:?}"
    );
}

#[test]
fn a_lag_over_the_limit_exits_1() {
    let scene = Scene::new();
    half_way(&scene, "app.log");
    let lag = text(5..10).len();
    assert_eq!(
        status(&scene, &["app.log"], &["--max-lag", &lag.to_string()]).code,
        0,
        "at the limit is not over it"
    );
    let over = status(&scene, &["app.log"], &["--max-lag", &(lag - 1).to_string()]);
    assert_eq!(over.code, 1);
    assert!(!over.stdout.is_empty(), "the table is printed all the same");
    assert_eq!(status(&scene, &["app.log"], &["--max-lag", "1KiB"]).code, 0);
    scene.once("app.log");
    assert_eq!(status(&scene, &["app.log"], &["--max-lag", "0"]).code, 0);
}

#[test]
fn a_file_that_was_never_watched_lags_by_all_of_it() {
    let scene = Scene::new();
    scene.append("app.log", text(0..10));
    let rows = objects(&status(&scene, &["app.log"], &["--json"]));
    assert_eq!(rows[0]["lag"].as_u64(), Some(text(0..10).len() as u64));
    assert_eq!(status(&scene, &["app.log"], &["--max-lag", "10"]).code, 1);
}

#[test]
fn status_counts_generations() {
    let scene = Scene::new();
    half_way(&scene, "app.log");
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(10..11));
    scene.once("app.log");
    let rows = objects(&status(&scene, &["app.log"], &["--json"]));
    assert_eq!(rows[0]["generation"].as_u64(), Some(1));
    assert_eq!(rows[0]["lag"].as_u64(), Some(0));
}

#[test]
fn status_works_beside_a_running_watcher_and_writes_nothing() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene
        .watch("app.log")
        .args(["--checkpoint-interval", "10ms"])
        .spawn();
    oracle.wait_for(10);
    wait_until("the checkpoint is written", || {
        !scene.checkpoint("app.log").is_empty()
    });
    assert_eq!(status(&scene, &["app.log"], &[]).code, 0);
    scene.append("app.log", text(10..11));
    scene.assert_arrives(watcher, &oracle, &lines(0..11));
}

#[test]
fn status_answers_without_redis() {
    let mut scene = Scene::new();
    half_way(&scene, "app.log");
    scene.redis.kill();
    let run = status(&scene, &["app.log"], &["--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(
        objects(&run)[0]["offset"].as_u64(),
        Some(text(0..5).len() as u64)
    );
}

#[test]
fn status_of_a_malformed_checkpoint_exits_1_naming_it() {
    let scene = Scene::new();
    scene.append("app.log", text(0..10));
    std::fs::write(scene.checkpoint_path("app.log"), "abc").expect("write");
    let checkpoint = scene.checkpoint_path("app.log");
    status(&scene, &["app.log"], &[]).assert_fails(1, &[checkpoint.to_str().expect("UTF-8")]);
}

/// Runs a program as a user who owns nothing.
const NOBODY: [&str; 7] = [
    "setpriv",
    "--reuid",
    "65534",
    "--regid",
    "65534",
    "--clear-groups",
    "--",
];

/// Whether the built binary can be run as nobody here: it lies in a folder that others may enter.
fn nobody_may_run_it(scene: &Scene) -> bool {
    use std::os::unix::fs::PermissionsExt;
    for folder in [
        scene.home().to_path_buf(),
        scene.path(""),
        scene.state_dir(),
    ] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    if !installed("setpriv") {
        return false;
    }
    let version = std::process::Command::new(NOBODY[0])
        .args(&NOBODY[1..])
        .arg(env!("CARGO_BIN_EXE_tailcast"))
        .arg("--version")
        .output();
    version.is_ok_and(|v| v.status.success())
}

#[test]
fn status_of_a_file_that_may_not_be_read_fails() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    half_way(&scene, "app.log");
    half_way(&scene, "other.log");
    if !nobody_may_run_it(&scene) {
        return skip("cannot run as another user here");
    }
    std::fs::set_permissions(
        scene.path("app.log"),
        std::fs::Permissions::from_mode(0o000),
    )
    .expect("chmod");
    for limit in [&[][..], &["--max-lag", "1GiB"], &["--json"]] {
        let run = scene
            .tailcast(&["status", "--redis", &scene.redis.url(), "--state-dir"])
            .arg(scene.state_dir())
            .args([scene.path("app.log"), scene.path("other.log")])
            .args(limit)
            .under(&NOBODY)
            .run();
        run.assert_fails(1, &[scene.path("app.log").to_str().expect("UTF-8")]);
        let out = String::from_utf8_lossy(&run.stdout);
        assert!(out.contains("other.log"), "the other one is shown: {out}");
    }
}

#[test]
fn status_of_a_file_in_a_folder_that_may_not_be_entered_fails() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    std::fs::create_dir(scene.path("closed")).expect("create a folder");
    scene.append("closed/app.log", text(0..10));
    if !nobody_may_run_it(&scene) {
        return skip("cannot run as another user here");
    }
    std::fs::set_permissions(scene.path("closed"), std::fs::Permissions::from_mode(0o000))
        .expect("chmod");
    let run = scene
        .tailcast(&["status", "--max-lag", "1GiB", "--redis", &scene.redis.url()])
        .arg("--state-dir")
        .arg(scene.state_dir())
        .arg(scene.path("closed/app.log"))
        .under(&NOBODY)
        .run();
    run.assert_fails(1, &[scene.path("closed/app.log").to_str().expect("UTF-8")]);
}

#[test]
fn status_counts_what_lies_unread_in_rotated_files() {
    let scene = Scene::new();
    half_way(&scene, "app.log");
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", text(10..11));
    let lag = (text(5..10).len() + text(10..11).len()).to_string();
    assert_eq!(status(&scene, &["app.log"], &["--max-lag", &lag]).code, 0);
    let less = (text(5..10).len() + text(10..11).len() - 1).to_string();
    assert_eq!(status(&scene, &["app.log"], &["--max-lag", &less]).code, 1);
}

#[test]
fn status_tells_how_much_lies_in_the_stream_or_list() {
    for mode in ["pubsub", "stream", "list"] {
        let scene = Scene::new();
        scene.append("app.log", text(0..5));
        let watch = |args: &[&str]| {
            let watch = scene.watch("app.log").args(["--once", "--mode", mode]);
            watch.args(args).run().assert_silent_success();
        };
        let backlog = |args: &[&str]| {
            let args = [&["--json"], args].concat();
            objects(&status(&scene, &["app.log"], &args))[0]["backlog"].as_u64()
        };
        watch(&[]);
        let want = (mode != "pubsub").then_some(5);
        assert_eq!(backlog(&[]), want, "{mode}");
        scene.append("app.log", text(5..7));
        watch(&["--target", "mine"]);
        let want = (mode != "pubsub").then_some(2);
        assert_eq!(backlog(&["--target", "mine"]), want, "{mode}");
        let rules = "reset on nopass ~* +get +client|setname";
        let user = ["ACL", "SETUSER", "default"].into_iter();
        let user: Vec<_> = user.chain(rules.split(' ')).collect();
        let _: String = scene.redis.ask(&user);
        assert_eq!(backlog(&[]), None, "{mode}: it may not ask");
    }
}

#[test]
fn the_record_of_a_source_that_is_gone_is_forgotten_by_name_and_its_numbers_never_come_again() {
    let scene = Scene::new();
    scene.append("app.log", text(0..5));
    let name = "web-9:/gone.log";
    let forget = || status(&scene, &[], &["--forget", name]);
    let once = |scene: &Scene| {
        let run = scene.watch("app.log").args(["--once", "--source", name]);
        let run = run.args(["--mode", "stream"]).run();
        assert_eq!(run.code, 0, "{}", run.stderr);
    };
    once(&scene);
    let (key, record) = scene.redis.record();
    // As if its clock had been ahead of ours.
    let (head, rest) = record.split_once('+').expect("a generation");
    let (offset, _) = head.split_once(' ').expect("an offset");
    let ahead = format!("{offset} 9999999999999+{rest}");
    let _: () = scene.redis.ask(&["SET", &key, &ahead]);
    let run = forget();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("forgot"), "{}", run.stderr);
    assert!(!scene.redis.record_is_there());
    let again = forget();
    assert_eq!(again.code, 1, "{}", again.stderr);
    assert!(
        again.stderr.contains("no commit record"),
        "{}",
        again.stderr
    );
    std::fs::remove_file(scene.checkpoint_path("app.log")).expect("remove");
    once(&scene);
    let (_, record) = scene.redis.record();
    assert!(record.contains(" 10000000000000+0 "), "{record}");
}

#[test]
fn the_record_of_a_source_that_is_watched_is_not_forgotten() {
    let scene = Scene::new();
    scene.append("app.log", text(0..5));
    let watcher = scene.watch("app.log").args(["--source", "db"]).spawn();
    wait_until("it has a record", || scene.redis.record_is_there());
    let run = status(&scene, &[], &["--forget", "db"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("watches it"), "{}", run.stderr);
    watcher.sigterm();
    assert!(scene.redis.record_is_there());
}

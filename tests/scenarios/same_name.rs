//! Different files under one source's name: whoever is wrong there is told so, and nothing is repeated for ever.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::util::*;

#[test]
fn a_record_of_another_path_is_an_error_that_names_the_way_out() {
    for delivery in ["exactly-once", "at-least-once"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append("one.log", text(0..10));
        scene.append("two.log", text(10..20));
        let named = ["--once", "--source", "web"];
        scene
            .watch("one.log")
            .args(named)
            .run()
            .assert_silent_success();
        let record = scene.redis.record();
        let two = || {
            let two = scene.watch("two.log").args(named);
            two.args(["--delivery", delivery])
        };
        let one = scene.path("one.log");
        let words = [
            "two.log",
            one.to_str().expect("UTF-8"),
            "--source",
            "--reset",
        ];
        two().run().assert_fails(1, &words);
        assert_eq!(scene.redis.record(), record, "it is left as it is");
        two().arg("--reset").run().assert_silent_success();
        assert_exactly(&lines(0..20), &oracle.settle());
    }
}

#[test]
fn a_record_of_another_path_stops_no_other_file() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("one.log", text(0..10));
    scene.once("one.log");
    oracle.wait_for(10);
    let (key, record) = scene.redis.record();
    let foreign = record.replace("one.log", "elsewhere.log");
    let _: String = scene.redis.ask(&["SET", &key, &foreign]);
    scene.append("one.log", text(10..20));
    scene.append("two.log", text(20..30));
    let watcher = scene.watch("one.log").arg(scene.path("two.log")).spawn();
    oracle.wait_for(20);
    let said = watcher.wait_says("elsewhere.log");
    assert!(said.contains("--source"), "{said}");
    scene.append("two.log", text(30..40));
    scene.assert_arrives(watcher, &oracle, &[lines(0..10), lines(20..40)].concat());
    let kept: String = scene.redis.ask(&["GET", &key]);
    assert_eq!(kept, foreign);
}

#[test]
fn two_names_that_look_alike_but_are_not_utf8_are_two_sources() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let names =
        [b"a\xfe.log", b"a\xff.log"].map(|name| scene.path("").join(OsStr::from_bytes(name)));
    for (n, name) in names.iter().enumerate() {
        fs::write(name, text(n..n + 1)).expect("write a log");
    }
    for _ in 0..2 {
        let run = scene.tailcast(&["watch", "--once", "--redis", &scene.redis.url()]);
        let run = run
            .args(["--state-dir"])
            .arg(scene.state_dir())
            .args(&names);
        run.run().assert_silent_success();
    }
    let records: Vec<String> = scene.redis.ask(&["KEYS", "tailcast:commit:*"]);
    assert_eq!(records.len(), 2, "{records:?}");
    let mut arrived = oracle.settle();
    arrived.sort();
    assert_exactly(&lines(0..2), &arrived);
}

/// A watcher of a path that is another file in each folder that it is started in, as on two hosts of one name.
fn host(scene: &Scene, name: &str, args: &[&str]) -> Tailcast {
    let folder = scene.home().join(name);
    fs::create_dir_all(&folder).expect("create a folder");
    let run = scene
        .tailcast(&["watch", "/proc/self/cwd/app.log"])
        .args(["--redis", &scene.redis.url(), "--state-dir"])
        .arg(folder.join("state"))
        .args(args);
    let folder = folder.to_str().expect("UTF-8");
    run.under(&["env", "-C", folder])
}

fn append(log: &Path, text: &str) {
    let file = fs::File::options().create(true).append(true).open(log);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.expect("append to a log");
}

fn has_two_hosts() -> bool {
    Path::new("/proc/self/cwd").exists()
}

const NO_HOSTS: &str = "there is no /proc here to give two files one path";
const TWINS: [&str; 3] = ["another host's", "--source", "/proc/self/cwd/app.log"];

#[test]
fn two_hosts_of_one_name_that_run_once_repeat_nothing_and_are_told_at_the_first_turn() {
    if !has_two_hosts() {
        return skip(NO_HOSTS);
    }
    for mode in ["pubsub", "list"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let once = |name| host(&scene, name, &["--once", "--mode", mode]);
        let write = |name: &str, text: String| {
            fs::create_dir_all(scene.home().join(name)).expect("create a folder");
            append(&scene.home().join(name).join("app.log"), &text);
        };
        write("one", text(0..10));
        write("two", text(10..20));
        once("one").run().assert_silent_success();
        // It has no state yet: the record may be its own, of files that are gone.
        assert_eq!(once("two").run().code, 0);
        write("one", text(20..30));
        once("one").run().assert_fails(1, &TWINS);
        write("two", text(30..40));
        once("two").run().assert_silent_success();
        let named = [once("one"), once("two")].map(|run| run.args(["--source", "web-1"]));
        let [one, _] = named;
        one.run().assert_silent_success();
        let (mut written, mut arrived) = (lines(0..40), scene.arrived(mode, &oracle));
        written.sort();
        arrived.sort();
        assert_exactly(&written, &arrived);
    }
}

#[test]
fn two_hosts_of_one_name_that_live_are_told_apart_at_the_first_turn() {
    if !has_two_hosts() {
        return skip(NO_HOSTS);
    }
    for mode in ["pubsub", "list"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let log = |name: &str| scene.home().join(name).join("app.log");
        let watch = |name| host(&scene, name, &["--mode", mode]).spawn();
        let arrived = || scene.arrived(mode, &oracle);
        for (name, lines) in [("one", text(0..10)), ("two", text(10..20))] {
            fs::create_dir_all(scene.home().join(name)).expect("create a folder");
            append(&log(name), &lines);
        }
        let one = watch("one");
        wait_until("the one's lines are there", || arrived().len() == 10);
        let two = watch("two");
        wait_until("the other's too", || arrived().len() == 20);
        append(&log("one"), &text(20..21));
        one.finish().assert_fails(1, &TWINS);
        append(&log("two"), &text(30..31));
        wait_until("the other goes on in peace", || arrived().len() == 21);
        two.sigterm();
        assert_exactly(&[lines(0..20), lines(30..31)].concat(), &arrived());
    }
}

#[test]
fn one_state_that_is_restored_lost_or_behind_is_not_taken_for_another_host() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let saved = scene.home().join("saved");
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    copy_folder(&scene.state_dir(), &saved);
    // Lost: the next state has another name.
    fs::remove_dir_all(scene.state_dir()).expect("remove");
    scene.append("app.log", text(10..20));
    scene.once("app.log");
    for n in 20..23 {
        scene.rotate("app.log");
        scene.append("app.log", text(n..n + 1));
        scene.once("app.log");
    }
    // Restored: it is behind by three files and has its old name.
    fs::remove_dir_all(scene.state_dir()).expect("remove");
    copy_folder(&saved, &scene.state_dir());
    scene.append("app.log", text(23..24));
    scene.once("app.log");
    // And what the record names may be packed by then.
    fs::remove_dir_all(scene.state_dir()).expect("remove");
    copy_folder(&saved, &scene.state_dir());
    scene.rotate("app.log");
    scene.pack("app.log.1", GZIP);
    scene.append("app.log", text(24..25));
    scene.once("app.log");
    assert_exactly(&lines(0..25), &oracle.settle());
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).expect("create a folder");
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).expect("chmod");
    for entry in fs::read_dir(from).expect("list").flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copy");
    }
}

#[test]
fn a_redis_that_fell_back_to_another_states_record_is_not_taken_for_another_host() {
    for mode in ["pubsub", "list"] {
        let scene = Scene::new();
        let once = || {
            let run = scene
                .watch("app.log")
                .args(["--once", "--mode", mode])
                .run();
            assert_eq!(run.code, 0, "{run:?}");
        };
        scene.append("app.log", text(0..10));
        once();
        let (key, record) = scene.redis.record();
        fs::remove_dir_all(scene.state_dir()).expect("remove");
        scene.rename("app.log", "app.log.1");
        scene.append("app.log", text(10..20));
        once();
        let _: String = scene.redis.ask(&["SET", &key, &record]);
        scene.remove("app.log.1");
        scene.append("app.log", text(20..30));
        once();
    }
}

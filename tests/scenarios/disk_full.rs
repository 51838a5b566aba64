//! No room for the checkpoint: publishing goes on, it is said, and written when there is room again.

use crate::util::*;

/// Sets the largest file a running process may write, as a full disk would.
fn limit_file_size(process: &Process, limit: &str) -> bool {
    let mut command = std::process::Command::new("prlimit");
    command.args([
        "--pid",
        &process.pid().to_string(),
        &format!("--fsize={limit}:unlimited"),
    ]);
    command.status().is_ok_and(|status| status.success())
}

/// Starts a program with SIGXFSZ ignored, so that a write beyond the limit fails as on a full disk instead of killing it.
const FAIL_INSTEAD: [&str; 4] = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];

#[test]
fn a_disk_full_while_running_does_not_stop_publishing() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let often = ["--checkpoint-lines", "1", "--checkpoint-interval", "20ms"];
    let watcher = scene
        .watch("app.log")
        .args(often)
        .under(&FAIL_INSTEAD)
        .spawn();
    oracle.wait_for(10);
    let end = |n: usize| text(0..n).len().to_string();
    wait_until("the first lines are checkpointed", || {
        scene.checkpoint("app.log").starts_with(&end(10))
    });
    if !limit_file_size(&watcher, "0") {
        return skip("prlimit (util-linux) is not installed");
    }
    for round in 1..10 {
        scene.append("app.log", text(round * 10..round * 10 + 10));
        oracle.wait_for(round * 10 + 10);
    }
    watcher.wait_complains();
    let complaints = watcher.complaints();
    assert!(
        complaints.iter().any(|l| l.contains("checkpoint")),
        "{complaints:?}"
    );
    assert_eq!(complaints.len(), 1, "said once: {complaints:?}");
    assert!(
        scene.checkpoint("app.log").starts_with(&end(10)),
        "the old one is whole: {}",
        scene.checkpoint("app.log")
    );
    assert!(limit_file_size(&watcher, "unlimited"));
    scene.append("app.log", text(100..101));
    wait_until("all lines are checkpointed", || {
        scene.checkpoint("app.log").starts_with(&end(101))
    });
    scene.assert_arrives(watcher, &oracle, &lines(0..101));
}

#[test]
fn a_disk_full_until_the_end_repeats_nothing_thanks_to_the_record() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").under(&FAIL_INSTEAD).spawn();
    oracle.wait_for(10);
    if !limit_file_size(&watcher, "0") {
        return skip("prlimit (util-linux) is not installed");
    }
    scene.append("app.log", text(10..100));
    oracle.wait_for(100);
    watcher.signal("TERM");
    let ended = watcher.finish();
    assert!([0, 1].contains(&ended.code), "{ended:?}");
    assert!(ended.stderr.contains("checkpoint"), "{}", ended.stderr);
    scene.once("app.log");
    assert_exactly(&lines(0..100), &oracle.settle());
}

/// Starts a program that can write nothing to any file from its beginning.
const NO_ROOM: [&str; 4] = ["sh", "-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"];

#[test]
fn a_disk_full_from_the_start_is_said_once_and_the_record_does() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    for part in [0..10, 10..20] {
        scene.append("app.log", text(part));
        let run = scene.watch("app.log").arg("--once").under(&NO_ROOM).run();
        assert_eq!(run.code, 0, "{}", run.stderr);
        let state = scene.state_dir();
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert!(run.stderr.contains(state.to_str().expect("UTF-8")));
    }
    assert_eq!(scene.checkpoint("app.log"), "");
    scene.append("app.log", text(20..30));
    scene.once("app.log");
    assert_exactly(&lines(0..30), &oracle.settle());
    assert_eq!(scene.offset("app.log"), text(0..30).len() as u64);
}

#[test]
fn a_disk_full_from_the_start_is_refused_where_redis_keeps_no_record() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let unsure = ["--once", "--delivery", "at-least-once"];
    let run = scene.watch("app.log").args(unsure).under(&NO_ROOM).run();
    run.assert_fails(
        1,
        &[scene.state_dir().to_str().expect("UTF-8"), "--state-dir"],
    );
    scene.once("app.log");
    assert_exactly(&lines(0..10), &oracle.settle());
}

#[test]
fn a_disk_full_at_first_gets_its_checkpoint_when_there_is_room() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let soft = [
        "sh",
        "-c",
        "trap '' XFSZ; ulimit -S -f 0; exec \"$@\"",
        "sh",
    ];
    let watcher = scene.watch("app.log").under(&soft).spawn();
    oracle.wait_for(10);
    if !limit_file_size(&watcher, "unlimited") {
        return skip("prlimit (util-linux) is not installed");
    }
    watcher.wait_says("checkpoints can be written again");
    assert_eq!(scene.offset("app.log"), text(0..10).len() as u64);
    scene.assert_arrives(watcher, &oracle, &lines(0..10));
}

#[test]
fn a_state_folder_removed_while_running_does_not_stop_publishing() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene
        .watch("app.log")
        .args(["--checkpoint-lines", "1"])
        .spawn();
    oracle.wait_for(10);
    wait_until("it is checkpointed", || {
        !scene.checkpoint("app.log").is_empty()
    });
    // Anew where a checkpoint comes in between.
    wait_until("the folder is removed", || {
        std::fs::remove_dir_all(scene.state_dir()).is_ok()
    });
    scene.append("app.log", text(10..20));
    oracle.wait_for(20);
    watcher.wait_complains();
    assert!(watcher.sigkill().stderr.contains("checkpoint"));
}

//! One watcher per file: the second one says so and leaves it to its caller to try later.

use std::time::Duration;

use crate::util::*;

/// A watcher that is at work.
fn watching(scene: &Scene, oracle: &Subscriber) -> Process {
    scene.append("app.log", text(0..1));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(1);
    watcher
}

#[test]
fn a_second_watcher_on_the_same_file_exits_75_at_once() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let first = watching(&scene, &oracle);
    for once in [&["--once"][..], &[]] {
        let second = scene
            .watch("app.log")
            .args(once)
            .spawn()
            .finish_within(Duration::from_secs(5));
        second.assert_fails(75, &[scene.path("app.log").to_str().expect("UTF-8")]);
    }
    scene.append("app.log", text(1..2));
    scene.assert_arrives(first, &oracle, &lines(0..2));
}

#[test]
fn a_killed_watcher_leaves_no_lock() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    watching(&scene, &oracle).sigkill();
    scene.append("app.log", text(1..2));
    scene.once("app.log");
    assert_exactly(&lines(0..2), &oracle.settle());
}

#[test]
fn two_files_with_one_state_folder_do_not_lock_each_other() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let first = watching(&scene, &oracle);
    scene.append("other.log", text(1..2));
    scene.once("other.log");
    scene.assert_arrives(first, &oracle, &lines(0..2));
}

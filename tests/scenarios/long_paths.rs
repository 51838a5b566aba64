//! Long names, as containers' logs have: their checkpoint's name cannot hold the whole path.

use std::fs;

use crate::util::*;

/// A path of so many bytes below the scene's logs, and its last component as long as a name may be.
fn long_name(scene: &Scene, letter: &str) -> String {
    let folder = format!("{}/{}", letter.repeat(200), "d".repeat(200));
    fs::create_dir_all(scene.path(&folder)).expect("create a folder");
    format!("{folder}/{}.log", "n".repeat(240))
}

#[test]
fn a_path_of_hundreds_of_bytes_is_watched_like_any_other() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let name = long_name(&scene, "a");
    scene.append(&name, text(0..10));
    scene.once(&name);
    scene.append(&name, text(10..20));
    let watcher = scene.watch(&name).spawn();
    oracle.wait_for(20);
    watcher.sigkill();
    scene.append(&name, text(20..30));
    scene.rotate(&name);
    scene.append(&name, text(30..40));
    let watcher = scene.watch(&name).spawn();
    scene.assert_arrives(watcher, &oracle, &lines(0..40));
}

#[test]
fn long_paths_that_end_alike_are_different_files() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let (one, two) = (long_name(&scene, "a"), long_name(&scene, "b"));
    scene.append(&one, text(0..10));
    scene.append(&two, text(10..30));
    for _ in 0..2 {
        scene
            .watch(&one)
            .arg(scene.path(&two))
            .arg("--once")
            .run()
            .assert_silent_success();
    }
    assert_eq!(oracle.settle().len(), 30);
    // And they are remembered without Redis, too.
    scene.redis.ask::<String>(&["FLUSHALL"]);
    scene.append(&one, text(30..31));
    scene.watch(&one).arg(scene.path(&two)).arg("--once").run();
    assert_eq!(oracle.settle().len(), 31);
}

#[test]
fn status_finds_the_checkpoint_of_a_long_path() {
    let scene = Scene::new();
    let name = long_name(&scene, "a");
    scene.append(&name, text(0..10));
    scene.once(&name);
    let run = scene
        .tailcast(&["status", "--max-lag", "0", "--redis", &scene.redis.url()])
        .arg("--state-dir")
        .arg(scene.state_dir())
        .arg(scene.path(&name))
        .run();
    assert_eq!(run.code, 0, "{}", run.stderr);
}

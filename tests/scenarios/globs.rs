//! Which files a pattern names: in every component, at any depth, some left out.

use std::fs;

use crate::util::*;

/// Appends to a log in a folder, which is made where there is none.
fn append_in(scene: &Scene, name: &str, bytes: String) {
    let folder = scene.path(name);
    fs::create_dir_all(folder.parent().expect("a folder")).expect("create a folder");
    scene.append(name, bytes);
}

#[test]
fn a_pattern_matches_at_any_depth_and_finds_new_folders_while_it_runs() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    append_in(&scene, "a.log", text(0..10));
    append_in(&scene, "x/y/b.log", text(10..20));
    append_in(&scene, "x/y/debug.log", "left out by its name\n".into());
    append_in(&scene, "old/c.log", "left out by its path\n".into());
    append_in(
        &scene,
        ".hidden/d.log",
        "a dot is matched by a dot only\n".into(),
    );
    let excluded = scene.path("old/**");
    let watcher = scene
        .watch("**/*.log")
        .args(["--exclude", "debug*", "--exclude"])
        .arg(excluded)
        .spawn();
    oracle.wait_for(20);
    append_in(&scene, "x/y/z/debug-2.log", "left out too\n".into());
    append_in(&scene, "x/y/z/e.log", text(20..30));
    oracle.wait_for(30);
    append_in(&scene, "x/y/b.log", text(30..31));
    oracle.wait_for(31);
    watcher.sigterm();
    let mut got = oracle.settle();
    got.sort();
    let mut want: Vec<_> = lines(0..31).into_iter().map(String::into_bytes).collect();
    want.sort();
    assert_exactly(&want, &got);
}

#[test]
fn status_takes_the_patterns_that_watch_takes() {
    let scene = Scene::new();
    append_in(&scene, "a/app.log", text(0..3));
    append_in(&scene, "b/app.log", text(3..6));
    append_in(&scene, "b/debug.log", text(6..9));
    let status = scene
        .tailcast(&["status", "--json", "--redis", &scene.redis.url()])
        .arg("--state-dir")
        .arg(scene.state_dir())
        .args(["--exclude", "debug*"])
        .arg(scene.path("?/*.log"))
        .run();
    let text = String::from_utf8(status.stdout).expect("UTF-8");
    assert_eq!(
        text.matches("app.log").count(),
        2,
        "{text}\n{}",
        status.stderr
    );
    assert!(!text.contains("debug.log"), "{text}");
}

#[test]
fn a_match_in_a_folder_that_cannot_be_listed_stops_no_other() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let folder = scene.path("loop");
    std::os::unix::fs::symlink(&folder, &folder).expect("link");
    append_in(&scene, "a/app.log", text(0..3));
    let watcher = scene.watch("a/*.log").arg(scene.path("loop/*.log")).spawn();
    watcher.wait_says(folder.to_str().expect("UTF-8"));
    scene.assert_arrives(watcher, &oracle, &lines(0..3));
}

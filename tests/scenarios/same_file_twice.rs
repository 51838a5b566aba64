//! One file under two names in one process is one source.

use std::fs;
use std::os::unix::fs::symlink;

use crate::util::*;

/// Plays twenty lines, a rotation, ten more, under a command that names one file twice; all are to arrive once.
#[track_caller]
fn once_only(prepare: impl Fn(&Scene), watch: impl Fn(&Scene) -> Tailcast) {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    prepare(&scene);
    watch(&scene).arg("--once").run();
    assert_exactly(&lines(0..10), &oracle.settle());
    let watcher = watch(&scene).spawn();
    scene.append("app.log", text(10..20));
    oracle.wait_for_line(line(19));
    watcher.sigterm();
    assert_exactly(&lines(0..20), &oracle.settle());
    // And so it is behind a restart.
    scene.append("app.log", text(20..21));
    watch(&scene).arg("--once").run();
    assert_exactly(&lines(0..21), &oracle.settle());
}

#[test]
fn a_link_and_the_real_path_are_one_source() {
    once_only(
        |scene| symlink(scene.path("app.log"), scene.path("current.log")).expect("link"),
        |scene| scene.watch("app.log").arg(scene.path("current.log")),
    );
    once_only(
        |scene| symlink(scene.path("app.log"), scene.path("current.log")).expect("link"),
        |scene| scene.watch("current.log").arg(scene.path("app.log")),
    );
}

#[test]
fn two_hard_links_are_one_source() {
    once_only(
        |scene| fs::hard_link(scene.path("app.log"), scene.path("hard.log")).expect("link"),
        |scene| scene.watch("app.log").arg(scene.path("hard.log")),
    );
}

#[test]
fn a_glob_and_a_name_are_one_source() {
    once_only(
        |_| {},
        |scene| scene.watch("*.log").arg(scene.path("app.log")),
    );
    once_only(
        |_| {},
        |scene| scene.watch("app.log").arg(scene.path("./app.log")),
    );
}

#[test]
fn a_glob_that_matches_a_link_and_its_target_publishes_once() {
    once_only(
        |scene| symlink("app.log", scene.path("current.log")).expect("link"),
        |scene| scene.watch("*.log"),
    );
}

#[test]
fn a_folder_under_two_names_is_one_folder() {
    once_only(
        |scene| symlink(scene.path(""), scene.home().join("again")).expect("link"),
        |scene| {
            scene
                .watch("app.log")
                .arg(scene.home().join("again/app.log"))
        },
    );
    once_only(
        |scene| symlink(scene.path(""), scene.home().join("again")).expect("link"),
        |scene| {
            scene
                .tailcast(&["watch", "--redis", &scene.redis.url(), "--state-dir"])
                .arg(scene.state_dir())
                .arg(scene.home().join("*/app.log"))
        },
    );
}

#[test]
fn a_second_name_that_comes_while_it_runs_repeats_nothing() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("*.log").spawn();
    oracle.wait_for(10);
    symlink("app.log", scene.path("link.log")).expect("link");
    fs::hard_link(scene.path("app.log"), scene.path("hard.log")).expect("link");
    // A new match that was found says that the second names were looked at.
    scene.append("z.log", text(10..11));
    oracle.wait_for_line(line(10));
    scene.append("z.log", text(11..12));
    oracle.wait_for_line(line(11));
    scene.append("app.log", text(12..20));
    scene.assert_arrives(watcher, &oracle, &lines(0..20));
}

//! Paths that are symlinks, as `current` and the logs of containers are: rotated files lie beside the target.

use std::fs;
use std::os::unix::fs::symlink;

use crate::util::*;

/// app.log -> target/0.log, with ten lines.
fn linked(scene: &Scene) -> usize {
    fs::create_dir(scene.path("target")).expect("create a folder");
    scene.append("target/0.log", text(0..10));
    symlink(scene.path("target/0.log"), scene.path("app.log")).expect("link");
    10
}

fn watch(scene: &Scene) -> Tailcast {
    scene.watch("app.log")
}

#[test]
fn a_target_that_is_rotated_unseen_is_sought_beside_the_target() {
    unseen(watch, linked, |scene| {
        for round in 1..4 {
            scene.append("target/0.log", text(round * 10..round * 10 + 10));
            scene.rotate("target/0.log");
        }
        scene.append("target/0.log", text(40..50));
        50
    });
}

#[test]
fn a_target_that_is_copytruncated_unseen_is_sought_beside_the_target() {
    unseen(watch, linked, |scene| {
        for round in 1..4 {
            scene.append("target/0.log", text(round * 10..round * 10 + 10));
            scene.rotate_by_copy("target/0.log");
        }
        scene.append("target/0.log", text(40..50));
        50
    });
}

#[test]
fn a_container_log_is_followed_through_two_links_as_the_kubelet_rotates_it() {
    let first = |scene: &Scene| {
        fs::create_dir_all(scene.path("pods/web_0/app")).expect("create a folder");
        scene.append("pods/web_0/app/0.log", text(0..10));
        fs::create_dir(scene.path("containers")).expect("create a folder");
        symlink("../pods/web_0/app/0.log", scene.path("containers/web.log")).expect("link");
        symlink(scene.path("containers/web.log"), scene.path("app.log")).expect("link");
        10
    };
    unseen(watch, first, |scene| {
        // It keeps the newest rotated file plain, and packs the one before.
        let name = |n: usize| format!("pods/web_0/app/0.log.20260131-12000{n}");
        for round in 1..4 {
            scene.append("pods/web_0/app/0.log", text(round * 10..round * 10 + 10));
            if round > 1 {
                scene.compress(&name(round - 1), GZIP);
            }
            scene.rename("pods/web_0/app/0.log", &name(round));
            scene.append("pods/web_0/app/0.log", "");
        }
        scene.append("pods/web_0/app/0.log", text(40..50));
        50
    });
}

#[test]
fn the_target_of_a_link_that_is_itself_renamed_is_read_to_its_end() {
    // `mv app.log app.log.1` moves the link; the lines stay where they are. That nothing came between cannot be known.
    for absence in [Absence::Frozen, Absence::RedisAway] {
        play_unseen(absence, watch, linked, |scene| {
            scene.append("target/0.log", text(10..20));
            scene.rename("app.log", "app.log.1");
            scene.append("app.log", text(20..30));
            30
        });
    }
}

#[test]
fn a_link_to_the_file_of_the_day_is_read_to_its_end_before_the_next_day() {
    let first = |scene: &Scene| {
        scene.append("2026-01-30.log", text(0..10));
        symlink("2026-01-30.log", scene.path("app.log")).expect("link");
        10
    };
    for absence in [Absence::Frozen, Absence::RedisAway] {
        unseen_while(absence, watch, first, |scene| {
            scene.append("2026-01-30.log", text(10..20));
            scene.append("2026-01-31.log", text(20..30));
            symlink("2026-01-31.log", scene.path("next")).expect("link");
            scene.rename("next", "app.log");
            30
        });
    }
}

#[test]
fn a_link_to_a_file_that_does_not_come_yet_is_waited_for() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    symlink(scene.path("target.log"), scene.path("app.log")).expect("link");
    scene.append("other.log", text(100..101));
    let watcher = watch(&scene).arg(scene.path("other.log")).spawn();
    oracle.wait_for(1);
    scene.append("target.log", text(0..3));
    oracle.wait_for(4);
    watcher.sigterm();
    assert_exactly(&lines([100, 0, 1, 2]), &oracle.settle());
}

#[test]
fn rotated_files_are_found_also_while_the_link_leads_to_nothing() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    fs::create_dir(scene.path("pods")).expect("create a folder");
    symlink("pods/0.log", scene.path("app.log")).expect("link");
    scene.append("pods/0.log", text(0..10));
    scene.once("app.log");
    scene.append("pods/0.log", text(10..20));
    scene.rename("pods/0.log", "pods/0.log.1");
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(20);
    scene.append("pods/0.log", text(20..30));
    scene.assert_arrives(watcher, &oracle, &lines(0..30));
}

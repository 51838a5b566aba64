//! A folder that an application owns, and a watcher that is root: what lies there must not make it publish, or hang on,
//! what is not its log.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::util::*;

const SECRET: &str = "root:$6$secret:19000:0:99999:7:::\n";

fn ten(scene: &Scene) -> usize {
    scene.append("app.log", text(0..10));
    std::fs::write(scene.home().join("shadow"), SECRET).expect("write");
    10
}

#[test]
fn a_sibling_that_is_a_symlink_is_never_followed() {
    let links = ["app.log.2", "app.log-20260131", "app.1.log", "app.log.2.gz"];
    for (link, absence) in paired(&links, &Absence::ALL) {
        println!("{link}");
        unseen_while(
            absence,
            |scene| scene.watch("app.log"),
            ten,
            |scene| {
                scene.append("app.log", text(10..20));
                scene.rename("app.log", "app.log.1");
                symlink(scene.home().join("shadow"), scene.path(link)).expect("link");
                scene.append("app.log", text(20..30));
                30
            },
        );
    }
}

#[test]
fn a_sibling_that_becomes_a_symlink_under_a_running_watcher_is_not_followed() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    ten(&scene);
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(10);
    for round in 1..20 {
        scene.append("app.log", text(round * 10..round * 10 + 5));
        let _ = std::fs::remove_file(scene.path("app.log.2"));
        symlink(scene.home().join("shadow"), scene.path("app.log.2")).expect("link");
        scene.rename("app.log", "app.log.1");
        scene.append("app.log", text(round * 10 + 5..round * 10 + 10));
        oracle.wait_for(round * 10 + 10);
    }
    scene.assert_arrives(watcher, &oracle, &lines(0..200));
}

fn make_fifo(scene: &Scene, name: &str) {
    let made = Command::new("mkfifo").arg(scene.path(name)).status();
    assert!(made.is_ok_and(|s| s.success()), "mkfifo");
}

#[test]
fn a_fifo_among_the_siblings_does_not_hang_it() {
    let fifos = ["app.log.2", "app.log.2.gz", "app-20260131.log"];
    for (fifo, absence) in paired(&fifos, &Absence::ALL) {
        println!("{fifo}");
        unseen_while(
            absence,
            |scene| scene.watch("app.log"),
            ten,
            |scene| {
                scene.append("app.log", text(10..20));
                scene.rename("app.log", "app.log.1");
                make_fifo(scene, fifo);
                scene.append("app.log", text(20..30));
                30
            },
        );
    }
}

#[test]
fn a_fifo_in_place_of_the_log_hangs_nobody_beyond_sigterm() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    ten(&scene);
    scene.append("other.log", text(100..101));
    let watcher = scene.watch("app.log").arg(scene.path("other.log")).spawn();
    oracle.wait_for(11);
    // Put in place again and again, so that it also comes between stat and open.
    for round in 0..200 {
        make_fifo(&scene, "fifo");
        scene.rename("fifo", "app.log");
        scene.append("plain", text(10..10 + round % 2));
        scene.rename("plain", "app.log");
    }
    make_fifo(&scene, "fifo");
    scene.rename("fifo", "app.log");
    scene.append("other.log", text(101..102));
    oracle.wait_for_line(line(101));
    watcher.sigterm();
}

#[test]
fn a_fifo_in_place_of_the_log_is_no_log() {
    let scene = Scene::new();
    make_fifo(&scene, "app.log");
    let run = scene
        .watch("app.log")
        .args(["--once", "--timeout", "2s"])
        .spawn()
        .finish_within(std::time::Duration::from_secs(10));
    run.assert_fails(1, &[scene.path("app.log").to_str().expect("UTF-8")]);
}

#[test]
fn a_device_among_the_matches_of_a_glob_is_not_read() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    ten(&scene);
    symlink("/dev/zero", scene.path("zero.log")).expect("link");
    symlink("/proc/self/mem", scene.path("mem.log")).expect("link");
    make_fifo(&scene, "fifo.log");
    let watcher = scene.watch("*.log").spawn();
    oracle.wait_for(10);
    scene.append("app.log", text(10..12));
    scene.assert_arrives(watcher, &oracle, &lines(0..12));
}

#[test]
fn numbers_that_were_made_up_make_it_say_little_and_lose_nothing() {
    for absence in Absence::ALL {
        println!("{absence:?}");
        let begin = |scene: &Scene| {
            ten(scene);
            10
        };
        let happen = |scene: &Scene| {
            scene.append("app.log", text(10..20));
            scene.rename("app.log", "app.log.300");
            scene.append("app.log", text(20..30));
            30
        };
        if absence != Absence::Cron {
            let ended = play_unseen(absence, |scene| scene.watch("app.log"), begin, happen);
            assert!(gaps(&ended.stderr).len() <= 1, "{}", ended.stderr);
        }
    }
}

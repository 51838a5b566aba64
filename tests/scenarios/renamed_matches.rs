//! Files that get another name which the pattern matches as well: each is read on, and none is read again.

use std::fs;
use std::os::unix::fs::symlink;

use crate::util::*;

fn everywhere(scene: &Scene) -> Tailcast {
    scene.watch("**/*.log").args(["--rotate-wait", "100ms"])
}

/// A log with ten lines that have been published; and a folder for the rotated ones.
fn begin() -> (Scene, Subscriber) {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    fs::create_dir(scene.path("archive")).expect("create a folder");
    scene.append("app.log", text(0..10));
    everywhere(&scene)
        .arg("--once")
        .run()
        .assert_silent_success();
    (scene, oracle)
}

/// All lines come, each once, also when it starts again.
#[track_caller]
fn assert_all_once(scene: &Scene, oracle: &Subscriber, count: usize) {
    for _ in 0..2 {
        everywhere(scene)
            .arg("--once")
            .run()
            .assert_silent_success();
        assert_exactly(&lines(0..count), &oracle.settle());
    }
}

#[test]
fn what_got_another_name_unseen_is_read_on_under_that() {
    for name in ["other.log", "archive/app.log", "archive/app-2026-01-31.log"] {
        println!("{name}");
        let (scene, oracle) = begin();
        scene.append("app.log", text(10..20));
        scene.rename("app.log", name);
        assert_all_once(&scene, &oracle, 20);
        scene.append(name, text(20..21));
        assert_all_once(&scene, &oracle, 21);
        scene.append("app.log", text(21..30));
        assert_all_once(&scene, &oracle, 30);
    }
}

#[test]
fn what_followed_it_unseen_is_read_behind_it() {
    let (scene, oracle) = begin();
    scene.append("app.log", text(10..20));
    scene.rename("app.log", "archive/app-2026-01-30.log");
    scene.append("app.log", text(20..30));
    assert_all_once(&scene, &oracle, 30);
}

#[test]
fn what_was_read_under_another_name_is_not_read_again_by_the_next_watcher() {
    let (scene, oracle) = begin();
    let mut watcher = everywhere(&scene).spawn();
    for day in 1..5 {
        scene.rename("app.log", &format!("archive/app-2026-01-3{day}.log"));
        scene.append("app.log", text(day * 10..day * 10 + 10));
        oracle.wait_for(day * 10 + 10);
        if day == 2 {
            watcher.sigkill();
            watcher = everywhere(&scene).spawn();
        }
    }
    // The first ones are closed by now, or will be; both are told by the next one.
    watcher.sigterm();
    assert_all_once(&scene, &oracle, 50);
    scene.append("archive/app-2026-01-31.log", text(50..51));
    assert_all_once(&scene, &oracle, 51);
}

#[test]
fn a_closed_file_that_is_a_match_of_its_own_is_read_on_as_that() {
    let (scene, oracle) = begin();
    let watcher = everywhere(&scene).spawn();
    for day in 1..3 {
        scene.rename("app.log", &format!("archive/app-2026-01-3{day}.log"));
        scene.append("app.log", text(day * 10..day * 10 + 10));
        oracle.wait_for(day * 10 + 10);
    }
    let checkpoint = scene.checkpoint_path("archive/app-2026-01-31.log");
    wait_until("the oldest is closed", || checkpoint.exists());
    scene.append("archive/app-2026-01-31.log", text(30..31));
    oracle.wait_for(31);
    watcher.sigterm();
    assert_all_once(&scene, &oracle, 31);
}

#[test]
fn kills_among_renames_lose_and_repeat_nothing() {
    for seed in 0..4 {
        println!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let (scene, oracle) = begin();
        let mut watcher = None;
        let mut written = 10;
        for round in 0..60 {
            match rng.u8(0..6) {
                0 => {
                    let folder = ["archive/", ""][rng.usize(0..2)];
                    scene.rename("app.log", &format!("{folder}x{round}.log"));
                }
                1 => _ = watcher.take().map(Process::sigkill),
                2 => oracle.wait_for(if watcher.is_some() { written } else { 0 }),
                _ => _ = watcher.get_or_insert_with(|| everywhere(&scene).spawn()),
            }
            let more = written + rng.usize(1..5);
            scene.append("app.log", text(written..more));
            written = more;
        }
        drop(watcher.map(Process::sigkill));
        assert_eq!(everywhere(&scene).arg("--once").run().code, 0);
        let sorted = |mut all: Vec<Vec<u8>>| {
            all.sort_unstable();
            all
        };
        let all = lines(0..written).into_iter().map(Vec::from).collect();
        assert_exactly(&sorted(all), &sorted(oracle.settle()));
    }
}

#[test]
fn where_a_link_led_is_not_read_again_when_it_leads_elsewhere() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("1.log", text(0..10));
    symlink("1.log", scene.path("0.log")).expect("make a link");
    everywhere(&scene)
        .arg("--once")
        .run()
        .assert_silent_success();
    scene.append("1.log", text(10..20));
    scene.append("2.log", text(20..30));
    scene.remove("0.log");
    symlink("2.log", scene.path("0.log")).expect("make a link");
    assert_all_once(&scene, &oracle, 30);
}

#[test]
fn what_a_link_led_to_is_read_on_when_it_leads_nowhere_or_to_its_successor() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    fs::create_dir(scene.path("pods")).expect("create a folder");
    scene.append("pods/0.log", text(0..10));
    symlink("pods/0.log", scene.path("app.log")).expect("make a link");
    everywhere(&scene)
        .arg("--once")
        .run()
        .assert_silent_success();
    scene.append("pods/0.log", text(10..20));
    scene.rename("pods/0.log", "pods/0.1.log");
    assert_all_once(&scene, &oracle, 20);
    scene.append("pods/0.log", text(20..30));
    assert_all_once(&scene, &oracle, 30);
    scene.rename("pods/0.1.log", "pods/0.2.log");
    scene.rename("pods/0.log", "pods/0.1.log");
    scene.append("pods/0.log", text(30..40));
    assert_all_once(&scene, &oracle, 40);
}

#[test]
fn where_only_rotated_files_lie_the_logs_own_name_is_one() {
    for (pattern, packer) in [("app.log", None), ("*.log", None), ("*.log", Some(GZIP))] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let once = || {
            let watch = scene.watch(pattern).args(["--rotated", "old", "--once"]);
            watch.run().assert_silent_success();
        };
        fs::create_dir(scene.path("old")).expect("create a folder");
        scene.append("app.log", text(0..10));
        once();
        scene.append("app.log", text(10..20));
        scene.rename("app.log", "old/app.log");
        if let Some(packer) = packer {
            scene.compress("old/app.log", packer);
        }
        scene.append("app.log", text(20..30));
        once();
        once();
        assert_exactly(&lines(0..30), &oracle.settle());
    }
}

#[test]
fn a_match_where_only_rotated_files_lie_is_none() {
    for is_absolute in [false, true] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let old = scene.path("old");
        fs::create_dir(&old).expect("create a folder");
        let old = if is_absolute { old } else { "old".into() };
        let watch = || scene.watch("**/*.log").arg("--rotated").arg(&old);
        scene.append("app.log", text(0..10));
        let watcher = watch().spawn();
        oracle.wait_for(10);
        for day in 1..4 {
            let copy = format!("old/app-2026-01-3{day}.log");
            scene.copytruncate("app.log", &copy);
            scene.append("app.log", text(day * 10..day * 10 + 10));
            oracle.wait_for(day * 10 + 10);
        }
        watcher.sigterm();
        watch().arg("--once").run().assert_silent_success();
        assert_exactly(&lines(0..40), &oracle.settle());
    }
}

//! `watch --once` comes to an end: whatever the file, the writer and Redis do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::util::*;

fn lock_is_free(scene: &Scene) {
    scene.append("app.log", text(0..1));
    let run = scene.watch("app.log").arg("--once").run();
    assert_eq!(run.code, 0, "the lock is free again: {}", run.stderr);
}

#[test]
fn once_ends_when_the_file_vanishes_before_the_take_over() {
    let scene = Scene::new();
    scene.append("app.log", text(0..10));
    // It waits for Redis, having seen the file.
    scene.redis.stop();
    let once = scene
        .watch("app.log")
        .args(["--once", "--timeout", "20s"])
        .spawn();
    wait_until("it has the lock, or the file", || {
        std::fs::read_dir(scene.state_dir()).is_ok_and(|d| d.count() > 0)
    });
    scene.remove("app.log");
    scene.redis.cont();
    let ended = once.finish_within(Duration::from_secs(10));
    assert!([0, 1].contains(&ended.code), "{ended:?}");
    lock_is_free(&scene);
}

#[test]
fn once_ends_when_one_of_two_files_vanishes_before_the_take_over() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.append("other.log", text(10..20));
    scene.redis.stop();
    let once = scene
        .watch("app.log")
        .arg(scene.path("other.log"))
        .args(["--once", "--timeout", "20s"])
        .spawn();
    wait_until("it has a lock", || {
        std::fs::read_dir(scene.state_dir()).is_ok_and(|d| d.count() > 0)
    });
    scene.remove("app.log");
    scene.redis.cont();
    once.finish_within(Duration::from_secs(10));
    let arrived = oracle.settle();
    let other: Vec<_> = arrived
        .iter()
        .filter(|l| lines(10..20).iter().any(|o| o.as_bytes() == l.as_slice()))
        .collect();
    assert_exactly(&lines(10..20), &other);
}

#[test]
fn once_ends_beside_a_writer_that_outruns_it() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let (begin, block) = (Instant::now(), text(10..400));
            // Bounded, so that a failure fills no disk.
            while !stop.load(Ordering::SeqCst) && begin.elapsed() < Duration::from_secs(16) {
                scene.append("app.log", &block);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let batch = ["--once", "--batch-lines", "10"];
        let once = scene.watch("app.log").args(batch).spawn();
        let ended = once.finish_within(Duration::from_secs(15));
        stop.store(true, Ordering::SeqCst);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    });
    let arrived = oracle.settle();
    assert_exactly(&lines(0..10), &arrived[..10]);
}

#[test]
fn a_mute_redis_does_not_hold_once_beyond_its_timeout() {
    let scene = Scene::new();
    scene.append("app.log", text(0..10));
    scene.redis.stop();
    let begin = Instant::now();
    let run = scene
        .watch("app.log")
        .args(["--once", "--timeout", "1s"])
        .run();
    let took = begin.elapsed();
    assert_eq!(run.code, 75, "{}", run.stderr);
    assert!(took < Duration::from_millis(2500), "{took:?}");
    scene.redis.cont();
    lock_is_free(&scene);
}

#[test]
fn a_redis_that_becomes_mute_under_way_does_not_hold_once_beyond_its_timeout() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..200_000));
    let once = scene
        .watch("app.log")
        .args(["--once", "--timeout", "1s", "--batch-lines", "10"])
        .spawn();
    oracle.wait_for(100);
    scene.redis.stop();
    let begin = Instant::now();
    let ended = once.finish_within(Duration::from_secs(15));
    let took = begin.elapsed();
    assert_eq!(ended.code, 75, "{}", ended.stderr);
    assert!(took < Duration::from_millis(2500), "{took:?}");
    scene.redis.cont();
    scene.once("app.log");
    assert_exactly(&lines(0..200_000), &oracle.settle());
}

#[test]
fn once_does_not_wait_for_the_timeout_while_there_is_progress() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..60_000));
    let run = scene
        .watch("app.log")
        .args(["--once", "--timeout", "1s", "--batch-lines", "5"])
        .run();
    assert_eq!((run.code, &*run.stderr), (0, ""));
    assert_exactly(&lines(0..60_000), &oracle.settle());
}

#[test]
fn once_reads_what_was_rotated_before_it_began() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    scene.append("app.log", text(10..20));
    scene.rotate("app.log");
    // No successor yet: the file is missing, and its rest is not.
    let run = scene.watch("app.log").arg("--once").run();
    assert!([0, 1].contains(&run.code), "{}", run.stderr);
    scene.append("app.log", text(20..30));
    scene.once("app.log");
    assert_exactly(&lines(0..30), &oracle.settle());
}

#[test]
fn the_rest_of_a_log_that_is_away_is_read() {
    // logrotate's `nocreate`: its program makes it anew with the next line.
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    scene.once("app.log");
    scene.append("app.log", text(10..20));
    scene.rename("app.log", "app.log.1");
    scene.once("app.log");
    assert_exactly(&lines(0..20), &oracle.settle());
    scene.append("app.log", text(20..30));
    scene.once("app.log");
    assert_exactly(&lines(0..30), &oracle.settle());
}

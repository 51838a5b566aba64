//! Redis stands still: connections are accepted and nothing is answered.

use std::time::{Duration, Instant};

use crate::util::*;

#[test]
fn a_redis_stopped_for_longer_than_the_read_timeout_gets_every_line_once() {
    for mode in ["pubsub", "list"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..10));
        let watcher = scene.watch("app.log").args(["--mode", mode]).spawn();
        wait_until("the first lines are there", || {
            !scene
                .redis
                .ask::<Vec<String>>(&["KEYS", "tailcast:*"])
                .is_empty()
        });
        scene.redis.stop();
        scene.append("app.log", text(10..20));
        // It gives up waiting and says so; its transaction is in Redis's socket all the same.
        watcher.wait_complains();
        scene.append("app.log", text(20..30));
        scene.redis.cont();
        let arrived = || scene.arrived(mode, &oracle);
        wait_until("all lines are there", || arrived().len() >= 30);
        watcher.sigterm();
        assert_exactly(&lines(0..30), &arrived());
    }
}

#[test]
fn a_redis_that_stutters_gets_every_line_once() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..1));
    let watcher = scene.watch("app.log").args(["--batch-lines", "50"]).spawn();
    oracle.wait_for(1);
    for round in 0..20 {
        scene.redis.stop();
        scene.append("app.log", text(round * 100 + 1..round * 100 + 101));
        scene.redis.cont();
    }
    scene.assert_arrives(watcher, &oracle, &lines(0..2_001));
}

#[test]
fn sigterm_ends_the_watcher_although_redis_never_answers() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(10);
    scene.redis.stop();
    scene.append("app.log", text(10..20));
    let sent =
        || std::fs::read_to_string(format!("/proc/{}/io", watcher.pid())).expect("read /proc");
    let before = sent();
    wait_until("it reads the new lines", || sent() != before);
    watcher.signal("TERM");
    let ended = watcher.finish_within(Duration::from_secs(4));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    // Never acknowledged, so not in the checkpoint; whether Redis has them by now is for the record to say.
    assert_eq!(scene.offset("app.log"), text(0..10).len() as u64);
    scene.redis.cont();
    let watcher = scene.watch("app.log").spawn();
    scene.append("app.log", text(20..21));
    scene.assert_arrives(watcher, &oracle, &lines(0..21));
}

#[test]
fn sigterm_ends_a_watcher_that_found_redis_stopped_from_the_start() {
    let scene = Scene::new();
    scene.redis.stop();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").spawn();
    watcher.wait_says("watching");
    watcher.signal("TERM");
    assert_eq!(watcher.finish_within(Duration::from_secs(4)).code, 0);
    scene.redis.cont();
    let oracle = scene.subscriber();
    scene.once("app.log");
    assert_exactly(&lines(0..10), &oracle.settle());
}

#[test]
fn once_gives_a_stopped_redis_its_timeout_and_no_more_and_exits_75() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.redis.stop();
    scene.append("app.log", text(0..10));
    for seconds in [1, 6] {
        let timeout = format!("{seconds}s");
        let started = Instant::now();
        let run = scene
            .watch("app.log")
            .args(["--once", "--timeout", &timeout])
            .spawn();
        run.finish_within(Duration::from_secs(15))
            .assert_fails(75, &["127.0.0.1"]);
        let took = started.elapsed();
        // A reply is waited for five seconds, but not beyond the timeout.
        let allowed = Duration::from_secs(seconds)..Duration::from_secs(seconds + 3);
        assert!(allowed.contains(&took), "{timeout}: {took:?}");
    }
    scene.redis.cont();
    scene.once("app.log");
    assert_exactly(&lines(0..10), &oracle.settle());
}

#[test]
fn a_second_watcher_is_sent_away_without_asking_redis() {
    let scene = Scene::new();
    scene.redis.stop();
    scene.append("app.log", text(0..10));
    let first = scene.watch("app.log").spawn();
    first.wait_says("watching");
    let second = scene.watch("app.log").arg("--once").spawn();
    second
        .finish_within(Duration::from_secs(4))
        .assert_fails(75, &["app.log"]);
}

#[test]
fn the_next_batch_is_sent_while_the_one_before_waits_for_its_replies() {
    for delivery in ["exactly-once", "at-least-once"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let proxy = Proxy::start(scene.redis.port);
        let lines: Vec<String> = (0..100).map(|n| format!("{n:01000}")).collect();
        scene.append("app.log", lines.join("\n") + "\n");
        // Redis is far away, so the reader is ahead; and from the last batch but one on, all is held, so its replies
        // cannot come.
        proxy.delay(Duration::from_millis(20));
        proxy.hold_from(lines[80].as_bytes());
        let watcher = scene
            .watch_through(&proxy.url(), "app.log")
            .args(["--delivery", delivery, "--batch-lines", "10"])
            .spawn();
        wait_until("two batches of 10,000 bytes are held", || {
            proxy.held() > 15_000
        });
        assert_eq!(proxy.connections(), 1, "not for want of replies");
        proxy.release();
        scene.assert_arrives(watcher, &oracle, &lines);
    }
}

//! The connection breaks: after every byte, at random, one half of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::util::*;

/// How many watchers are at it at once: they mostly wait for their next try.
const WORKERS: u64 = 8;

/// Short, as each of their bytes is a run.
const FEW: [&str; 4] = ["one", "two", "three", "four"];

/// Publishes a few lines over and over, each time with the connection cut one byte later, until the cut lies behind the end.
/// Every position must give every line exactly once. `batch`: lines to a transaction.
fn cut_after_every_byte(mode: &str, way: Way, batch: &str) {
    let scene = Scene::new();
    let oracle = Subscriber::on(&scene.redis, "cut:*");
    let next = AtomicU64::new(0);
    let end = AtomicU64::new(u64::MAX);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let proxy = Proxy::start(scene.redis.port);
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    if at >= end.load(Ordering::SeqCst) {
                        return;
                    }
                    let (name, source) = (format!("{at}.log"), at.to_string());
                    scene.append(&name, FEW.join("\n") + "\n");
                    let cuts = proxy.cuts();
                    proxy.cut_next_after(way, at);
                    let target = format!("cut:{at}:");
                    let run = scene
                        .watch_through(&proxy.url(), &name)
                        .args(["--once", "--mode", mode, "--target", &target])
                        .args(["--batch-lines", batch, "--source", &source])
                        .run();
                    if run.code != 0 {
                        failures.lock().unwrap().push(format!("byte {at}: {run:?}"));
                    }
                    if proxy.cuts() == cuts {
                        end.fetch_min(at, Ordering::SeqCst);
                    }
                    proxy.cut_no_more();
                }
            });
        }
    });
    let positions = next.into_inner() - WORKERS;
    assert!(
        positions > 20,
        "only {positions} positions: the proxy does not cut"
    );
    oracle.settle();
    let heard = oracle.messages();
    for at in 0..positions {
        let target = format!("cut:{at}:");
        let arrived: Vec<_> = match mode {
            "list" => scene.redis.list(&target),
            "stream" => scene.redis.stream(&target),
            _ => heard
                .iter()
                .filter(|m| m.channel == target)
                .map(|m| m.payload.clone())
                .collect(),
        };
        if arrived != FEW.map(str::as_bytes) {
            let wrong = format!("byte {at}: {}", difference(&FEW, &arrived));
            failures.lock().unwrap().push(wrong);
        }
    }
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {positions} positions, first\n{}",
        failures.len(),
        failures[0]
    );
    println!("{positions} positions");
}

#[test]
fn a_connection_cut_after_any_byte_to_redis_is_exactly_once() {
    cut_after_every_byte("pubsub", Way::ToRedis, "2");
    if is_long() {
        cut_after_every_byte("list", Way::ToRedis, "2");
    }
}

#[test]
fn a_connection_cut_after_any_byte_from_redis_is_exactly_once() {
    cut_after_every_byte("stream", Way::ToClient, "1");
    if is_long() {
        cut_after_every_byte("pubsub", Way::ToClient, "2");
    }
}

/// Writes until so many connections were cut at random; how many lines that took.
fn write_through_cuts(scene: &Scene, proxy: &Proxy, cuts: u64) -> usize {
    let mut written = 0;
    wait_until("enough connections were cut", || {
        // Not without end: a few lines at a time, and only while it keeps up.
        if written < 200_000 {
            scene.append("app.log", text(written..written + 100));
            written += 100;
        }
        proxy.cuts() >= cuts
    });
    proxy.cut_no_more();
    scene.append("app.log", text(written..written + 10));
    written + 10
}

#[test]
fn connections_cut_at_random_under_load_are_exactly_once() {
    for mode in ["pubsub", "stream"] {
        let scene = Scene::new();
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let proxy = Proxy::start(scene.redis.port);
        let oracle = scene.subscriber();
        proxy.cut_at_random(seed, 30_000);
        let watcher = scene
            .watch_through(&proxy.url(), "app.log")
            .args(["--mode", mode, "--batch-lines", "50"])
            .spawn();
        let written = write_through_cuts(&scene, &proxy, 10);
        let arrived = || scene.arrived(mode, &oracle);
        wait_until("all lines are there", || arrived().len() >= written);
        watcher.sigterm();
        assert_exactly(&lines(0..written), &arrived());
    }
}

#[test]
fn cut_connections_without_record_lose_nothing() {
    let scene = Scene::new();
    let proxy = Proxy::start(scene.redis.port);
    let oracle = scene.subscriber();
    proxy.cut_at_random(fastrand::u64(..), 30_000);
    let watcher = scene
        .watch_through(&proxy.url(), "app.log")
        .args(["--delivery", "at-least-once"])
        .spawn();
    let written = write_through_cuts(&scene, &proxy, 10);
    oracle.wait_for_line(line(written - 1));
    watcher.sigterm();
    let arrived: std::collections::HashSet<Vec<u8>> = oracle.settle().into_iter().collect();
    let lost: Vec<String> = lines(0..written)
        .into_iter()
        .filter(|l| !arrived.contains(l.as_bytes()))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn a_connection_closed_by_half_is_given_up() {
    for way in [Way::ToRedis, Way::ToClient] {
        let scene = Scene::new();
        let proxy = Proxy::start(scene.redis.port);
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..10));
        let watcher = scene.watch_through(&proxy.url(), "app.log").spawn();
        oracle.wait_for(10);
        proxy.half_close(way);
        scene.append("app.log", text(10..20));
        scene.assert_arrives(watcher, &oracle, &lines(0..20));
        assert!(proxy.connections() > 1, "{way:?}");
    }
}

#[test]
fn a_slow_connection_is_slow_and_nothing_else() {
    let scene = Scene::new();
    let proxy = Proxy::start(scene.redis.port);
    let oracle = scene.subscriber();
    proxy.delay(Duration::from_millis(30));
    scene.append("app.log", text(0..2_000));
    let watcher = scene
        .watch_through(&proxy.url(), "app.log")
        .args(["--batch-lines", "100"])
        .spawn();
    scene.assert_arrives(watcher, &oracle, &lines(0..2_000));
    assert_eq!(
        proxy.connections(),
        1,
        "a delay is no reason to connect anew"
    );
}

#[test]
fn client_kill_is_exactly_once() {
    for mode in ["pubsub", "list"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..10));
        let watcher = scene
            .watch("app.log")
            .args(["--mode", mode, "--batch-lines", "7"])
            .spawn();
        for round in 1..20 {
            let killed: usize = scene
                .redis
                .ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            scene.append("app.log", text(round * 10..round * 10 + 10));
            // Sometimes it had no connection to kill, being between two: that is as well.
            assert!(killed <= 2);
        }
        let arrived = || scene.arrived(mode, &oracle);
        wait_until("all lines are there", || arrived().len() >= 200);
        watcher.sigterm();
        assert_exactly(&lines(0..200), &arrived());
    }
}

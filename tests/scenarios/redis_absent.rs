//! Redis is not there: at the start, in between, for too long.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use crate::util::*;

#[test]
fn redis_may_come_after_the_watcher() {
    let mut scene = Scene::new();
    scene.redis.kill();
    scene.append("app.log", text(0..100));
    let watcher = scene.watch("app.log").spawn();
    watcher.wait_complains();
    // Started without a subscriber in place, the backlog would go to nobody: pub/sub keeps nothing.
    scene.append("app.log", text(100..101));
    scene.redis.restart();
    wait_until("the watcher has published", || {
        scene.redis.ask::<usize>(&["DBSIZE"]) > 0
    });
    let oracle = scene.subscriber();
    scene.append("app.log", text(101..102));
    oracle.wait_for_line(line(101));
    watcher.sigterm();
    assert_eq!(scene.offset("app.log"), text(0..102).len() as u64);
}

#[test]
fn redis_lost_and_found_again_skips_nothing() {
    let mut scene = Scene::with(Redis::start_with(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ]));
    scene.append("app.log", text(0..100));
    let watcher = scene.watch("app.log").args(["--mode", "list"]).spawn();
    wait_until("the first lines are there", || {
        scene.redis.count("list") == 100
    });
    scene.redis.kill();
    scene.append("app.log", text(100..200));
    watcher.wait_complains();
    scene.append("app.log", text(200..300));
    scene.redis.restart();
    wait_until("the rest is there", || scene.redis.count("list") >= 300);
    watcher.sigterm();
    assert_exactly(&lines(0..300), &scene.redis.list("logs"));
}

#[test]
fn an_absent_redis_is_said_once() {
    // Somebody who takes every connection and closes it: each try is seen, so nobody has to guess how long to wait.
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listen");
    let port = listener.local_addr().expect("an address").port();
    let scene = Scene::new();
    scene.append("app.log", text(0..1));
    let watcher = scene
        .watch_through(&format!("redis://127.0.0.1:{port}/"), "app.log")
        .spawn();
    for _ in 0..5 {
        drop(listener.accept().expect("a try"));
    }
    let complaints = watcher.complaints();
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].contains(&port.to_string()), "{complaints:?}");
    watcher.sigterm();
}

#[test]
fn tries_come_further_and_further_apart() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listen");
    let port = listener.local_addr().expect("an address").port();
    let scene = Scene::new();
    scene.append("app.log", text(0..1));
    let _watcher = scene
        .watch_through(&format!("redis://127.0.0.1:{port}/"), "app.log")
        .spawn();
    let start = std::time::Instant::now();
    for _ in 0..5 {
        drop(listener.accept().expect("a try"));
    }
    // 100 + 200 + 400 + 800 ms, with jitter: a loop without pause would be there in a few milliseconds.
    assert!(
        start.elapsed() > Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn once_gives_an_absent_redis_its_timeout_and_exits_75() {
    let mut scene = Scene::new();
    scene.redis.kill();
    scene.append("app.log", text(0..3));
    let run = scene
        .watch("app.log")
        .args(["--once", "--timeout", "1s"])
        .spawn();
    let run = run.finish_within(Duration::from_secs(8));
    run.assert_fails(75, &["127.0.0.1", &scene.redis.port.to_string()]);
    scene.redis.restart();
    let oracle = scene.subscriber();
    scene.once("app.log");
    assert_exactly(&lines(0..3), &oracle.settle());
}

#[test]
fn once_survives_a_redis_that_comes_within_the_timeout() {
    let mut scene = Scene::with(Redis::start_with(&["--appendonly", "yes"]));
    scene.redis.kill();
    scene.append("app.log", text(0..3));
    let run = scene
        .watch("app.log")
        .args(["--once", "--mode", "list", "--timeout", "30s", "-v"])
        .spawn();
    wait_until("it has begun", || {
        scene
            .state_dir()
            .read_dir()
            .is_ok_and(|mut d| d.next().is_some())
    });
    scene.redis.restart();
    let run = run.finish();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_exactly(&lines(0..3), &scene.redis.list("logs"));
}

#[test]
fn something_that_is_not_redis_does_not_pass_for_it() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listen");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut some = [0; 64];
            let _ = stream.read(&mut some);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let scene = Scene::new();
    scene.append("app.log", text(0..3));
    let url = format!("redis://127.0.0.1:{port}/");
    let run = scene
        .watch_through(&url, "app.log")
        .args(["--once", "--timeout", "1s"])
        .run();
    run.assert_fails(75, &["does not speak the Redis protocol"]);
    let subscriber = scene.tailcast(&["subscribe", "--redis", &url]).spawn();
    subscriber.wait_says("does not speak the Redis protocol");
    assert!(subscriber.sigterm().stdout.is_empty());
    let oracle = scene.subscriber();
    scene.once("app.log");
    assert_exactly(&lines(0..3), &oracle.settle());
}

#[test]
fn sigterm_ends_a_watcher_that_waits_for_redis() {
    let mut scene = Scene::new();
    scene.redis.kill();
    scene.append("app.log", text(0..3));
    let watcher = scene.watch("app.log").spawn();
    watcher.wait_complains();
    watcher.signal("TERM");
    assert_eq!(watcher.finish_within(Duration::from_secs(4)).code, 0);
    scene.redis.restart();
    let oracle = scene.subscriber();
    scene.once("app.log");
    assert_exactly(&lines(0..3), &oracle.settle());
}

#[test]
fn a_connection_that_idled_out_is_renewed_without_a_word() {
    for delivery in ["exactly-once", "at-least-once"] {
        let scene = Scene::with(Redis::start_with(&["--timeout", "1"]));
        let oracle = scene.subscriber();
        scene.append("app.log", text(0..10));
        let watcher = scene
            .watch("app.log")
            .args(["--delivery", delivery])
            .spawn();
        oracle.wait_for(10);
        let clients = || scene.redis.ask::<String>(&["CLIENT", "LIST"]);
        wait_until("Redis has closed the idle connection", || {
            !clients().contains("name=tailcast-watch")
        });
        scene.append("app.log", text(10..20));
        oracle.wait_for(20);
        assert!(
            clients().contains("name=tailcast-watch"),
            "it is told apart"
        );
        assert_eq!(watcher.complaints(), [] as [&str; 0]);
        scene.assert_arrives(watcher, &oracle, &lines(0..20));
    }
}

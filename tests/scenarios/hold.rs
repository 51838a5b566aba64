//! Pub/sub keeps nothing, and Redis cuts off whoever falls too far behind: so the watcher waits for those who listen.

use std::time::{Duration, Instant};

use crate::util::*;

/// A Redis with its default limits for subscribers, which the other tests lift.
fn scene() -> Scene {
    let limits = [
        "--client-output-buffer-limit",
        "pubsub",
        "32mb",
        "8mb",
        "60",
    ];
    Scene::with(Redis::start_with(&limits))
}

/// Lines of a kilobyte: 80 MB, which is more than Redis and the sockets hold.
const LINES: usize = 80_000;

fn long_lines() -> Vec<String> {
    let padding = "x".repeat(1000);
    (0..LINES).map(|n| format!("{n} {padding}")).collect()
}

/// A subscriber that writes to a file; returns when Redis knows it.
fn subscribe(scene: &Scene, name: &str, number: usize) -> Process {
    let out = scene.path(name);
    let args = [
        "subscribe",
        "--format",
        "raw",
        "--redis",
        &scene.redis.url(),
    ];
    let subscriber = scene
        .tailcast(&args)
        .under(&[
            "sh",
            "-c",
            "exec \"$@\" >\"$0\"",
            out.to_str().expect("UTF-8"),
        ])
        .spawn();
    wait_until("it subscribes", || {
        let list: String = scene.redis.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]);
        list.lines().count() == number
    });
    subscriber
}

fn received(scene: &Scene, name: &str) -> usize {
    scene
        .read(name)
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}

#[track_caller]
fn assert_received(scene: &Scene, name: &str, written: &[String]) {
    let text = scene.read(name);
    let got: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let written: Vec<String> = written.iter().map(|line| line.clone() + "\n").collect();
    assert_exactly(&written, &got);
}

#[test]
fn a_subscriber_that_stalls_for_a_while_misses_nothing() {
    for delivery in ["exactly-once", "at-least-once"] {
        let scene = scene();
        let all = long_lines();
        scene.append("app.log", all.join("\n") + "\n");
        let subscriber = subscribe(&scene, "out", 1);
        subscriber.signal("STOP");
        let watcher = scene
            .watch("app.log")
            .args(["--delivery", delivery])
            .spawn();
        let said = watcher.wait_says("MiB to read");
        assert!(said.contains("waiting for it"), "{said}");
        subscriber.signal("CONT");
        wait_until("every line is there", || received(&scene, "out") >= LINES);
        assert_received(&scene, "out", &all);
        watcher.sigterm();
        let said = subscriber.sigterm().stderr;
        assert!(!said.contains("trying again"), "it was not cut off: {said}");
    }
}

#[test]
fn without_hold_a_subscriber_that_stalls_is_cut_off() {
    let scene = scene();
    scene.append("app.log", long_lines().join("\n") + "\n");
    let subscriber = subscribe(&scene, "out", 1);
    subscriber.signal("STOP");
    let run = scene
        .watch("app.log")
        .args(["--once", "--hold", "off"])
        .run();
    assert_eq!(run.code, 0, "{}", run.stderr);
    subscriber.signal("CONT");
    subscriber.wait_says("missing");
}

#[test]
fn one_that_never_reads_delays_the_others_once_and_no_more() {
    let scene = scene();
    let all = long_lines();
    scene.append("app.log", all.join("\n") + "\n");
    let _reads = subscribe(&scene, "out", 1);
    let stuck = subscribe(&scene, "nothing", 2);
    stuck.signal("STOP");
    let started = Instant::now();
    let watcher = scene.watch("app.log").args(["--hold-for", "2s"]).spawn();
    wait_until("every line is there", || received(&scene, "out") >= LINES);
    assert!(started.elapsed() > Duration::from_secs(2));
    assert_received(&scene, "out", &all);
    let said = watcher.sigterm().stderr;
    let given_up = said.matches("not waiting for it any more").count();
    assert_eq!(given_up, 1, "{said}");
    stuck.signal("CONT");
}

#[test]
fn hold_absent_keeps_every_line_for_the_first_subscriber() {
    for delivery in ["exactly-once", "at-least-once"] {
        let scene = Scene::new();
        scene.append("app.log", text(0..1000));
        let watcher = scene
            .watch("app.log")
            .args([
                "--hold",
                "absent",
                "--delivery",
                delivery,
                "--batch-lines",
                "10",
            ])
            .spawn();
        watcher.wait_says("there is no subscriber");
        let oracle = scene.subscriber();
        scene.assert_arrives(watcher, &oracle, &lines(0..1000));
    }
}

#[test]
fn once_with_hold_absent_gives_the_first_subscriber_its_timeout() {
    let scene = Scene::new();
    scene.append("app.log", text(0..10));
    let once = ["--once", "--hold", "absent", "--timeout", "1s"];
    let run = scene.watch("app.log").args(once).run();
    run.assert_fails(75, &["no subscriber"]);
    let oracle = scene.subscriber();
    scene
        .watch("app.log")
        .args(once)
        .run()
        .assert_silent_success();
    assert_exactly(&lines(0..10), &oracle.settle());
}

#[test]
fn a_signal_ends_a_watcher_that_waits_for_a_subscriber() {
    let scene = Scene::new();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").args(["--hold", "absent"]).spawn();
    watcher.wait_says("there is no subscriber");
    watcher.sigterm();
    let oracle = scene.subscriber();
    scene.once("app.log");
    assert_exactly(&lines(0..10), &oracle.settle());
}

#[test]
fn who_may_not_look_at_subscribers_publishes_without_or_is_told() {
    let scene = Scene::new();
    let rules = "reset on >pw ~tailcast:commit:* &logs:* +@transaction +get +set +publish";
    let user = ["ACL", "SETUSER", "shipper"]
        .into_iter()
        .chain(rules.split(' '));
    let _: String = scene.redis.ask(&user.collect::<Vec<_>>());
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let url = format!("redis://shipper:pw@127.0.0.1:{}/", scene.redis.port);
    let watch = |policy| {
        let watch = scene.watch_through(&url, "app.log");
        watch.args(["--once", "--hold", policy]).run()
    };
    watch("absent").assert_fails(1, &["CLIENT LIST", "--hold absent"]);
    watch("slow").assert_silent_success();
    assert_exactly(&lines(0..10), &oracle.settle());
}

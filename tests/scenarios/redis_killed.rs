//! Redis is killed and comes back, with what it had promised to keep or without.

use std::path::Path;

use crate::util::*;

const KEEPS_ALL: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

fn killed_over_and_over(mode: &str) {
    let mut scene = Scene::with(Redis::start_with(&KEEPS_ALL));
    scene.append("app.log", text(0..1));
    let watcher = scene
        .watch("app.log")
        .args(["--mode", mode, "--batch-lines", "10"])
        .spawn();
    let mut written = 1;
    for _ in 0..if is_long() { 50 } else { 15 } {
        // Killed at some moment while a few hundred lines go in.
        scene.append("app.log", text(written..written + 400));
        written += 400;
        let moment = fastrand::usize(written - 400..written);
        wait_until("some lines are there", || scene.redis.count(mode) >= moment);
        scene.redis.kill();
        scene.append("app.log", text(written..written + 20));
        written += 20;
        scene.redis.restart();
    }
    wait_until("all lines are there", || scene.redis.count(mode) >= written);
    watcher.sigterm();
    assert_exactly(&lines(0..written), &scene.redis.kept(mode));
}

#[test]
fn a_killed_redis_with_aof_has_every_line_once_in_a_stream() {
    killed_over_and_over("stream");
}

#[test]
fn a_killed_redis_with_aof_has_every_line_once_in_a_list() {
    killed_over_and_over("list");
}

#[test]
fn a_redis_killed_within_the_write_of_a_transaction_has_every_line_once() {
    for (mode, command) in [("list", "RPUSH"), ("stream", "XADD")] {
        let mut scene = Scene::with(Redis::start_with(&KEEPS_ALL));
        scene.append("app.log", text(0..10));
        let watcher = scene.watch("app.log").args(["--mode", mode]).spawn();
        wait_until("the first lines are there", || {
            scene.redis.count(mode) == 10
        });
        scene.redis.kill();
        let file = scene.redis.append_only_file("aof").expect("an AOF");
        cut_within_the_last(command, &file);
        scene.append("app.log", text(10..20));
        scene.redis.restart();
        wait_until("all lines are there", || scene.redis.count(mode) >= 20);
        // What was left of the transaction would come back now.
        scene.redis.kill();
        scene.redis.restart();
        watcher.sigterm();
        assert_exactly(&lines(0..20), &scene.redis.kept(mode));
    }
}

fn cut_within_the_last(command: &str, append_only_file: &Path) {
    let bytes = std::fs::read(append_only_file).expect("read the AOF");
    let at = bytes
        .windows(command.len())
        .rposition(|window| window == command.as_bytes());
    let at = at.unwrap_or_else(|| panic!("no {command} in {append_only_file:?}"));
    std::fs::write(append_only_file, &bytes[..at + 2]).expect("cut the AOF");
}

#[test]
fn a_killed_redis_that_lost_its_data_is_sent_what_the_checkpoint_does_not_have() {
    // Without persistence record and lines are gone together. There is no record, so the checkpoint counts.
    for mode in ["list", "stream"] {
        let mut scene = Scene::new();
        scene.append("app.log", text(0..100));
        let watcher = scene
            .watch("app.log")
            .args(["--mode", mode, "--checkpoint-lines", "1"])
            .spawn();
        wait_until("the first lines are there", || {
            scene.redis.count(mode) == 100
        });
        let end = text(0..100).len().to_string();
        wait_until("they are checkpointed", || {
            scene.checkpoint("app.log").starts_with(&end)
        });
        scene.redis.kill();
        scene.append("app.log", text(100..200));
        scene.redis.restart();
        wait_until("the rest is there", || scene.redis.count(mode) >= 100);
        watcher.sigterm();
        assert_exactly(&lines(100..200), &scene.redis.kept(mode));
    }
}

#[test]
fn a_killed_redis_in_pubsub_repeats_nothing_to_those_who_come_back() {
    let mut scene = Scene::new();
    scene.append("app.log", text(0..100));
    let before = scene.subscriber();
    let watcher = scene
        .watch("app.log")
        .args(["--checkpoint-lines", "1"])
        .spawn();
    before.wait_for(100);
    let end = text(0..100).len().to_string();
    wait_until("they are checkpointed", || {
        scene.checkpoint("app.log").starts_with(&end)
    });
    scene.redis.kill();
    scene.redis.restart();
    let after = scene.subscriber();
    scene.append("app.log", text(100..200));
    scene.assert_arrives(watcher, &after, &lines(100..200));
    assert_exactly(&lines(0..100), &before.payloads());
}

#[test]
fn a_redis_that_is_loading_is_waited_for() {
    // A slow way of loading: for a second or two Redis answers LOADING.
    let slow = [
        "--key-load-delay",
        "100",
        "--loading-process-events-interval-bytes",
        "1024",
    ];
    let mut scene = Scene::with(Redis::start_with(
        &[&["--appendonly", "yes"][..], &slow].concat(),
    ));
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").args(["--mode", "list"]).spawn();
    wait_until("the first lines are there", || {
        scene.redis.count("list") == 10
    });
    let mut filler = redis::pipe();
    for n in 0..20_000 {
        filler
            .cmd("SET")
            .arg(format!("filler:{n}"))
            .arg("x".repeat(50))
            .ignore();
    }
    filler.exec(&mut scene.redis.connect()).expect("fill Redis");
    scene.redis.kill();
    scene.append("app.log", text(10..20));
    scene.redis.restart();
    wait_until("the rest is there", || scene.redis.count("list") >= 20);
    watcher.sigterm();
    assert_exactly(&lines(0..20), &scene.redis.list("logs"));
}

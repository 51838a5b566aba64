//! A stalled Redis stops the reading: the log file is the buffer, memory is not.

use crate::util::*;

#[test]
fn memory_stays_flat_while_redis_stands_still_before_a_large_backlog() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..1));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(1);
    scene.redis.stop();
    let block = text(1..10_000);
    for _ in 0..300 * 1_000_000 / block.len() {
        scene.append("app.log", &block);
    }
    // It gives up waiting for a reply after some seconds, and has by then read all that it will.
    watcher.wait_complains();
    let peak = watcher.memory("VmHWM");
    assert!(peak < 16 * 1024, "{peak} KiB");
    scene.redis.cont();
    oracle.wait_for(100_000);
    let peak = watcher.memory("VmHWM");
    assert!(peak < 16 * 1024, "{peak} KiB while it catches up");
}

#[test]
fn an_idle_watcher_is_small() {
    let scene = Scene::new();
    let oracle = scene.subscriber();
    scene.append("app.log", text(0..10));
    let watcher = scene.watch("app.log").spawn();
    oracle.wait_for(10);
    // The debug build is what is tested here mostly; the release build's figure is half of it.
    assert!(
        watcher.memory("VmRSS") < 12 * 1024,
        "{} KiB",
        watcher.memory("VmRSS")
    );
    scene.assert_arrives(watcher, &oracle, &lines(0..10));
}

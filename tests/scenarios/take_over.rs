//! Many sources at the start: their commit records are taken over together.

use std::time::{Duration, Instant};

use crate::util::*;

/// Far away: one source after the other, a hundred would take half a minute.
const FAR: Duration = Duration::from_millis(50);

fn hundred_files(scene: &Scene) -> Vec<String> {
    let names: Vec<String> = (0..100).map(|n| format!("{n}.log")).collect();
    for (n, name) in names.iter().enumerate() {
        scene.append(name, text(n..n + 1));
    }
    names
}

#[test]
fn a_hundred_sources_are_taken_over_in_a_few_round_trips() {
    for delivery in ["exactly-once", "at-least-once"] {
        let scene = Scene::new();
        let oracle = scene.subscriber();
        let names = hundred_files(&scene);
        let proxy = Proxy::start(scene.redis.port);
        proxy.delay(FAR);
        // Lines would only take more time: none comes before all are taken over.
        proxy.hold_from(b"PUBLISH");
        let started = Instant::now();
        let watcher = scene
            .watch_through(&proxy.url(), &names[0])
            .args(names[1..].iter().map(|name| scene.path(name)))
            .args(["--delivery", delivery])
            .spawn();
        wait_until("the first line is sent", || proxy.held() > 0);
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "{delivery}: {took:?}");
        proxy.delay(Duration::ZERO);
        proxy.release();
        oracle.wait_for(100);
        watcher.sigterm();
        let mut arrived = oracle.settle();
        let mut written: Vec<Vec<u8>> = lines(0..100).into_iter().map(String::into).collect();
        arrived.sort();
        written.sort();
        assert_exactly(&written, &arrived);
    }
}

#[test]
fn status_of_a_hundred_files_asks_for_all_records_at_once() {
    let scene = Scene::new();
    let names = hundred_files(&scene);
    let files: Vec<_> = names.iter().map(|name| scene.path(name)).collect();
    let proxy = Proxy::start(scene.redis.port);
    let once = scene
        .watch(&names[0])
        .args(&files[1..])
        .args(["--once", "--mode", "list"]);
    once.run().assert_silent_success();
    proxy.delay(FAR);
    let started = Instant::now();
    let run = scene
        .tailcast(&["status", "--json", "--redis", &proxy.url(), "--state-dir"])
        .arg(scene.state_dir())
        .args(&files)
        .run();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(
        proxy.connections(),
        2,
        "one for the records, one for the target"
    );
    let rows: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let rows = rows.as_array().expect("an array");
    let known = rows.iter().filter(|row| row["record"]["offset"].is_u64());
    assert_eq!(known.count(), 100, "{}", run.stderr);
}

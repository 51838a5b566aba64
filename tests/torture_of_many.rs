//! A thousand logs under one pattern, each written to and rotated at any time, and a watcher that is killed again and
//! again: every line of each once, and in order.
//!
//! TORTURE_SECONDS (20), TORTURE_SEED, TORTURE_FILES (1000).

mod util;

use std::time::{Duration, Instant};

use fastrand::Rng;
use util::*;

/// The logs as their writers see them: how many lines each has got.
struct Logs {
    scene: Scene,
    written: Vec<usize>,
    rotations: usize,
}

impl Logs {
    fn name(log: usize) -> String {
        format!("{log}.log")
    }

    fn line(log: usize, serial: usize) -> String {
        format!(r#"{{"type":"INFO","log":{log},"serial":{serial}}}"#)
    }

    /// Which line of which log it is.
    fn parse(payload: &[u8]) -> (usize, usize) {
        let text = String::from_utf8_lossy(payload);
        let json: serde_json::Value = serde_json::from_str(&text).expect("a line of ours");
        let field = |name: &str| json[name].as_u64().expect("a line of ours") as usize;
        (field("log"), field("serial"))
    }

    fn write(&mut self, log: usize, count: usize) {
        let serials = self.written[log]..self.written[log] + count;
        let lines = serials.map(|serial| Logs::line(log, serial) + "\n");
        self.scene
            .append(&Logs::name(log), lines.collect::<String>());
        self.written[log] += count;
    }

    fn rotate(&mut self, log: usize, rng: &mut Rng) {
        let name = Logs::name(log);
        if rng.bool() {
            self.scene.rotate(&name);
        } else {
            self.scene.rotate_by_copy(&name);
        }
        self.rotations += 1;
    }

    fn touch_some(&mut self, rng: &mut Rng) {
        for _ in 0..rng.usize(1..60) {
            let log = rng.usize(0..self.written.len());
            self.write(log, rng.usize(1..8));
            if rng.u8(0..6) == 0 {
                self.rotate(log, rng);
            }
        }
    }
}

#[test]
#[ignore = "takes as long as one likes: run it with --ignored"]
fn a_thousand_files_under_one_pattern_arrive_once_and_in_order() {
    let seed = number("TORTURE_SEED").unwrap_or_else(|| fastrand::u64(0..1 << 32));
    let seconds = number("TORTURE_SECONDS").unwrap_or(20);
    let files = number("TORTURE_FILES").unwrap_or(1000) as usize;
    let mut rng = Rng::with_seed(seed);
    let mut logs = Logs {
        scene: Scene::new(),
        written: vec![0; files],
        rotations: 0,
    };
    for log in 0..files {
        logs.write(log, 1);
    }
    let watch = |logs: &Logs| {
        let watch = logs.scene.watch("*.log").args(["--mode", "stream"]);
        watch.args(["--rotate-wait", "10s"]).spawn()
    };
    let (begin, mut kills, mut gaps_said) = (Instant::now(), 0, Vec::new());
    let mut watcher = watch(&logs);
    // What is rotated away before a log was ever seen is nobody's business.
    wait_until("every log is known", || {
        let known = std::fs::read_dir(logs.scene.state_dir()).expect("list the state");
        let names = known.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| name.ends_with(".checkpoint")).count() == files
    });
    while begin.elapsed() < Duration::from_secs(seconds) {
        let end = Instant::now() + Duration::from_millis(rng.u64(0..3_000));
        while Instant::now() < end {
            logs.touch_some(&mut rng);
            std::thread::sleep(Duration::from_millis(rng.u64(0..50)));
        }
        let ended = watcher.sigkill();
        gaps_said.extend(gaps(&ended.stderr).into_iter().map(String::from));
        kills += 1;
        if rng.bool() {
            logs.touch_some(&mut rng);
        }
        watcher = watch(&logs);
    }
    let written: usize = logs.written.iter().sum();
    let (mut seen, mut since) = (0, Instant::now());
    while seen < written && since.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
        let count = logs.scene.redis.count("stream");
        if count > seen {
            (seen, since) = (count, Instant::now());
        }
    }
    let ended = watcher.sigterm();
    gaps_said.extend(gaps(&ended.stderr).into_iter().map(String::from));
    let mut next = vec![0; files];
    for payload in logs.scene.redis.kept("stream") {
        let (log, serial) = Logs::parse(&payload);
        assert_eq!(serial, next[log], "of {log}.log");
        next[log] += 1;
    }
    let compared = next.iter().zip(&logs.written).enumerate();
    let lost: Vec<_> = compared
        .filter(|(_, (next, written))| next != written)
        .collect();
    assert!(lost.is_empty(), "{lost:?}; said: {gaps_said:?}");
    assert!(gaps_said.is_empty(), "all was readable: {gaps_said:?}");
    println!(
        "torture of many: seed {seed}, seconds {seconds}, files {files}, lines {written}, kills {kills}, rotations {}: \
         lost 0, repeated 0, out of order 0, gaps 0",
        logs.rotations
    );
}

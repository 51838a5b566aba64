//! The pure parts at full speed, in MB of log a second: bytes to lines, a line to its type, a line to its command.
//!
//!     cargo bench --bench pure
//!
//! Each figure is the best of several passes over the same lines, as another program's turn on the core is no
//! property of ours. The package has no library: the modules are compiled in from `src/`.

#[allow(dead_code, unused_imports)]
#[path = "../src"]
mod tailcast {
    pub mod broker {
        pub mod encode;
    }
    pub mod cli;
    pub mod error;
    pub mod lines;
    pub mod position;
    pub mod route;
}

// The modules name each other as `crate::...`.
use tailcast::{broker, cli, error, lines, position, route};

use std::hint::black_box;
use std::time::Instant;

use broker::encode::{Batch, Encoder};
use cli::Mode;
use lines::take_line;
use route::Route;

/// The watcher reads this much at once, and fills batches up to this many lines.
const CHUNK: usize = 256 * 1024;
const BATCH_LINES: usize = 1000;
const LOG_BYTES: usize = 16 * 1024 * 1024;
const PASSES: usize = 15;

fn main() {
    let log = random_log();
    let whole_lines: Vec<&[u8]> = log.split(|byte| *byte == b'\n').collect();
    measure("lines", log.len(), || split(&log));
    let route = Route::new("logs:{type}", "type");
    measure("route", log.len(), || {
        whole_lines
            .iter()
            .map(|line| route.type_of(black_box(line)).len())
            .sum()
    });
    for (name, mode, target) in [
        ("encode pubsub", Mode::Pubsub, "logs:{type}"),
        ("encode stream", Mode::Stream, "logs"),
        ("encode list", Mode::List, "logs"),
    ] {
        let encoder = Encoder::new(mode, target, "type");
        measure(name, log.len(), || encode(&encoder, &whole_lines));
    }
}

/// Lines as `tailcast generate` writes them.
fn random_log() -> Vec<u8> {
    let types = ["INFO", "WARNING", "ERROR", "DEBUG"];
    let messages = [
        "User logged in",
        "Failed login attempt",
        "Database connection error",
        "API request received",
        "Data processing completed",
    ];
    let mut random = fastrand::Rng::with_seed(1);
    let mut log = Vec::with_capacity(LOG_BYTES + 256);
    while log.len() < LOG_BYTES {
        let micros = random.u32(..1_000_000);
        let (kind, message) = (types[random.usize(..4)], messages[random.usize(..5)]);
        let line = format!(
            "{{\"timestamp\":\"2026-01-31T08:15:30.{micros:06}Z\",\"type\":\"{kind}\",\"message\":\"{message}\"}}\n"
        );
        log.extend_from_slice(line.as_bytes());
    }
    log
}

fn split(log: &[u8]) -> usize {
    let mut bytes = 0;
    for mut chunk in log.chunks(CHUNK) {
        while let Some(line) = take_line(black_box(&mut chunk)) {
            bytes += line.len();
        }
    }
    bytes
}

/// Includes finding the type where the command needs it.
fn encode(encoder: &Encoder, whole_lines: &[&[u8]]) -> usize {
    let mut batch = Batch::default();
    let mut bytes = 0;
    for batch_lines in whole_lines.chunks(BATCH_LINES) {
        for line in batch_lines {
            encoder.push(&mut batch, "host:/var/log/app.log", black_box(line), 42);
        }
        bytes += batch.len();
        batch.clear();
    }
    bytes
}

/// Prints the speed of the fastest pass.
fn measure(name: &str, bytes: usize, pass: impl Fn() -> usize) {
    let one_pass = || {
        let started = Instant::now();
        black_box(pass());
        started.elapsed()
    };
    let fastest = (0..PASSES).map(|_| one_pass()).min().unwrap_or_default();
    let speed = bytes as f64 / 1e6 / fastest.as_secs_f64();
    println!("{name:<14} {speed:>7.0} MB/s");
}

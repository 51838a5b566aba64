//! What the scenarios share: a folder with its own Redis, the built binary as a process, an oracle that hears every
//! message, a proxy that breaks connections, and a way of waiting that says what it waited for.
//!
//! Nothing here sleeps for a fixed time and hopes. What is waited for is a condition, and what must *not* happen is
//! looked for behind something that comes later in the same order: a further line, a settled subscriber, an exit.

#![allow(dead_code, unused_imports)] // each test crate takes what it needs

mod absence;
mod archive;
mod cluster;
mod process;
mod proxy;
mod python;
mod redis_server;
mod scene;
mod sequence;
mod subscriber;
mod terminal;

pub use absence::*;
pub use archive::{GZIP, Packer, packers};
pub use cluster::Cluster;
pub use process::{Finished, Process, Tailcast, signal};
pub use proxy::{Proxy, Way};
pub use python::python_with;
pub use redis_server::{Redis, free_port, server_program};
pub use scene::Scene;
pub use sequence::{Trace, play_sequences};
pub use subscriber::{Message, Subscriber};
pub use terminal::{Terminal, has_terminals};

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The number in an environment variable. None: it is not set, or empty.
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// Whether this is the long run of `scripts/test.sh --long`.
pub fn is_long() -> bool {
    std::env::var_os("TAILCAST_LONG").is_some()
}

/// Each of `some` beside one of `others` at least, and each of those beside one of `some`: enough where a fault of one shows
/// beside any other. In a long run it is each beside each.
pub fn paired<A: Copy, B: Copy>(some: &[A], others: &[B]) -> Vec<(A, B)> {
    if is_long() {
        return each_with_each(some, others);
    }
    let pair = |n: usize| (some[n % some.len()], others[n % others.len()]);
    (0..some.len().max(others.len())).map(pair).collect()
}

pub fn each_with_each<A: Copy, B: Copy>(some: &[A], others: &[B]) -> Vec<(A, B)> {
    let beside_all = |one: &A| {
        others
            .iter()
            .map(|other| (*one, *other))
            .collect::<Vec<_>>()
    };
    some.iter().flat_map(beside_all).collect()
}

/// How long a condition may take on a loaded machine. Only a failing test waits this long; `TAILCAST_PATIENCE` shortens it
/// (in seconds) for somebody who hunts a failure.
pub fn patience() -> Duration {
    static SECONDS: OnceLock<u64> = OnceLock::new();
    let from_env = || {
        std::env::var("TAILCAST_PATIENCE")
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or(30)
    };
    Duration::from_secs(*SECONDS.get_or_init(from_env))
}

/// Waits until `holds`, and fails with `what` when it does not come to pass.
#[track_caller]
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    wait_within(patience(), what, holds);
}

/// Like `wait_until`, with its own limit.
#[track_caller]
pub fn wait_within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < limit,
            "waited {limit:?} in vain until {what}"
        );
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// The n-th line that the tests write, without its newline: JSON, of type INFO, unlike every other.
pub fn line(n: usize) -> String {
    format!(r#"{{"type":"INFO","message":"line {n}"}}"#)
}

/// The lines of a range, without their newlines.
pub fn lines(range: impl IntoIterator<Item = usize>) -> Vec<String> {
    range.into_iter().map(line).collect()
}

/// The lines of a range as they stand in a file.
pub fn text(range: impl IntoIterator<Item = usize>) -> String {
    range.into_iter().map(|n| line(n) + "\n").collect()
}

/// What the lines of these bytes are to a subscriber: without newline and `\r` before it, without empty ones and without
/// what follows the last newline.
pub fn published_lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let Some(end) = bytes.iter().rposition(|b| *b == b'\n') else {
        return Vec::new();
    };
    bytes[..end]
        .split(|b| *b == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec())
        .filter(|line| !line.is_empty())
        .collect()
}

/// Every line once and in order, nothing else. Says what was lost, repeated or never written, not just that it differs.
#[track_caller]
pub fn assert_exactly<W: AsRef<[u8]>, G: AsRef<[u8]>>(written: &[W], got: &[G]) {
    let same = written.len() == got.len()
        && written
            .iter()
            .zip(got)
            .all(|(w, g)| w.as_ref() == g.as_ref());
    if !same {
        panic!("{}", difference(written, got));
    }
}

/// How `got` differs from `written`, in a few lines.
pub fn difference<W: AsRef<[u8]>, G: AsRef<[u8]>>(written: &[W], got: &[G]) -> String {
    let mut missing: HashMap<&[u8], i64> = HashMap::new();
    for line in written {
        *missing.entry(line.as_ref()).or_default() += 1;
    }
    let known: HashSet<&[u8]> = missing.keys().copied().collect();
    for line in got {
        *missing.entry(line.as_ref()).or_default() -= 1;
    }
    let (mut lost, mut repeated, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
    for line in written
        .iter()
        .map(AsRef::as_ref)
        .chain(got.iter().map(AsRef::as_ref))
    {
        // Taken out, so that each is named once.
        let balance = missing.remove(line).unwrap_or(0);
        if balance > 0 {
            lost.push(line);
        } else if balance < 0 && known.contains(line) {
            repeated.push(line);
        } else if balance < 0 {
            foreign.push(line);
        }
    }
    let at = written
        .iter()
        .zip(got)
        .position(|(w, g)| w.as_ref() != g.as_ref());
    let mut text = format!(
        "written {}, arrived {}, first difference at {at:?}",
        written.len(),
        got.len()
    );
    for (what, lines) in [
        ("lost", lost),
        ("repeated", repeated),
        ("never written", foreign),
    ] {
        text += &format!("\n  {what}: {}", lines.len());
        for line in lines.iter().take(5) {
            text += &format!(
                "\n    {}",
                String::from_utf8_lossy(&line[..line.len().min(120)])
            );
        }
    }
    text
}

/// Says on the test's output why a scenario could not be played here.
pub fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

/// Whether a program can be started here.
pub fn installed(program: &str) -> bool {
    std::process::Command::new(program)
        .arg("--version")
        // bzip2 packs its stdin all the same.
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok()
}

/// A wrapper under which root, too, is bound by file modes.
pub const MORTAL: [&str; 3] = [
    "setpriv",
    "--bounding-set",
    "-dac_override,-dac_read_search",
];

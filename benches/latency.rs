//! How long a line takes from `write` to the subscriber's standard output, through watcher and Redis.
//!
//!     cargo bench --bench latency -- --redis URL --interval MS --count N --binary TAILCAST
//!
//! Runs `tailcast watch` and `tailcast subscribe` on a log of its own, and appends a line now and then that carries
//! its own write time; a thread reads the subscriber's pipe and takes the time when the line comes out. Prints `p50`,
//! `p99` and `max`, a line each, in milliseconds.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that are not counted: until one has come through, subscriber or watcher may not be up.
const WARM_UP: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);
/// The writer's pauses vary by this much, lest they run in step with the watcher's polls.
const JITTER_MS: f64 = 20.0;

struct Options {
    binary: String,
    redis: String,
    interval: Duration,
    count: usize,
}

/// A child that ends with us.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    let options = options();
    let folder = tempfile::tempdir().expect("make a temporary folder");
    let path = folder.path().join("app.log");
    let mut log = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .expect("create the log");
    let channel = format!("latency:{:016x}", fastrand::u64(..));
    let (_subscriber, stdout) = subscribe(&options, &channel);
    let mut watcher = Command::new(&options.binary);
    watcher.args(["watch", "--quiet", "--redis", &options.redis]);
    watcher.args(["--target", &channel, "--source", &channel]);
    watcher
        .arg("--state-dir")
        .arg(folder.path().join("state"))
        .arg(&path);
    let _watcher = Ended(watcher.spawn().expect("start the watcher"));

    let began = Instant::now();
    let arrivals = read_arrivals(stdout, began);
    let mut write = || {
        let now = began.elapsed().as_nanos();
        writeln!(log, r#"{{"type":"INFO","written":{now}}}"#).expect("append to the log");
        now
    };
    warm_up(&mut write, &arrivals);
    let mut took: Vec<f64> = (0..options.count)
        .map(|_| {
            thread::sleep(pause(options.interval));
            let written = write();
            arrival_of(written, &arrivals)
        })
        .collect();
    print(&mut took);
}

fn options() -> Options {
    let mut options = Options {
        binary: env!("CARGO_BIN_EXE_tailcast").into(),
        redis: std::env::var("REDIS_URL").unwrap_or("redis://127.0.0.1:6379/".into()),
        interval: Duration::from_millis(37),
        count: 200,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        // What cargo itself adds.
        if name == "--bench" {
            continue;
        }
        let value = arguments
            .next()
            .unwrap_or_else(|| panic!("{name} takes a value"));
        let number = || {
            value
                .parse()
                .unwrap_or_else(|_| panic!("{name}: not a number: {value}"))
        };
        match name.as_str() {
            "--binary" => options.binary = value,
            "--redis" => options.redis = value,
            "--interval" => options.interval = Duration::from_millis(number()),
            "--count" => options.count = number() as usize,
            _ => panic!("there is no option {name}"),
        }
    }
    options
}

fn subscribe(options: &Options, channel: &str) -> (Ended, ChildStdout) {
    let mut command = Command::new(&options.binary);
    command.args(["subscribe", channel, "--redis", &options.redis]);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the subscriber");
    let stdout = child.stdout.take().expect("its stdout is a pipe");
    (Ended(child), stdout)
}

/// Nanoseconds: when a line was written, by its own word, and when it came.
type Arrival = (u128, u128);

fn read_arrivals(stdout: ChildStdout, began: Instant) -> Receiver<Arrival> {
    let (sender, arrivals) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let now = began.elapsed().as_nanos();
            let digits: String = line.chars().filter(char::is_ascii_digit).collect();
            let written = digits.parse().expect("a line is one of ours");
            if sender.send((written, now)).is_err() {
                break;
            }
        }
    });
    arrivals
}

/// Writes until a line comes through, then waits until all have.
fn warm_up(write: &mut impl FnMut() -> u128, arrivals: &Receiver<Arrival>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let last = write();
        if arrivals.recv_timeout(WARM_UP).is_ok() {
            while arrivals.recv_timeout(WARM_UP).is_ok() {}
            return;
        }
        assert!(
            Instant::now() < deadline,
            "line {last} does not come through"
        );
    }
}

fn pause(interval: Duration) -> Duration {
    let jitter = if interval > Duration::from_secs(1) {
        fastrand::f64() * JITTER_MS
    } else {
        0.0
    };
    interval + Duration::from_secs_f64(jitter / 1000.0)
}

/// How long the line took, in milliseconds.
fn arrival_of(written: u128, arrivals: &Receiver<Arrival>) -> f64 {
    let (line, came) = arrivals
        .recv_timeout(PATIENCE)
        .expect("the line comes through");
    assert_eq!(line, written, "lines come in order");
    (came - written) as f64 / 1e6
}

fn print(took: &mut [f64]) {
    took.sort_by(f64::total_cmp);
    let rank = |share: f64| {
        let rank = (share * took.len() as f64).ceil() as usize;
        took.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
    };
    println!("p50 {:.3}", rank(0.5));
    println!("p99 {:.3}", rank(0.99));
    println!("max {:.3}", rank(1.0));
}

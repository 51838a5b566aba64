//! Everything at once, for as long as one likes: the driver behind scripts/torture.sh.
//!
//! A writer with serial numbers, half lines and bursts; a watcher that is killed about every half second, its connections cut,
//! its last transactions held back until after its death; rotations of both styles, also while it is down or stands still,
//! with compression, and deletion of what has arrived; Redis standing still now and then. An oracle that is connected to Redis directly compares what was written with what arrived.
//!
//! TORTURE_SECONDS (20), TORTURE_SEED, TORTURE_DELIVERY (exactly-once, at-least-once), TORTURE_MODE (pubsub, list, stream);
//! TORTURE_LOG: a file that what is done and what the watchers say goes to. `consumers` is the other end: who reads.

#[path = "torture/consumers.rs"]
mod consumers;
mod util;

use std::collections::VecDeque;
use std::env;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;
use util::*;

/// What is asked for by the environment.
struct Options {
    seconds: u64,
    seed: u64,
    exactly_once: bool,
    mode: String,
    log: Option<File>,
}

impl Options {
    fn from_env() -> Options {
        let var = |name: &str, default: String| {
            env::var(name)
                .ok()
                .filter(|v| !v.is_empty())
                .unwrap_or(default)
        };
        Options {
            seconds: number("TORTURE_SECONDS").unwrap_or(20),
            seed: number("TORTURE_SEED").unwrap_or_else(|| fastrand::u64(0..1 << 32)),
            exactly_once: match var("TORTURE_DELIVERY", "exactly-once".into()).as_str() {
                "exactly-once" => true,
                "at-least-once" => false,
                other => panic!("TORTURE_DELIVERY is exactly-once or at-least-once, not {other:?}"),
            },
            mode: var("TORTURE_MODE", "pubsub".into()),
            log: env::var_os("TORTURE_LOG").map(|path| File::create(path).expect("TORTURE_LOG")),
        }
    }
}

/// The log as its writer sees it. Whoever holds it may rotate: nothing is written meanwhile.
struct Log {
    file: File,
    /// For each serial number, which file of the path its line began in.
    generations: Vec<u32>,
    generation: u32,
    /// On disk as app.log.1, app.log.2 and so on.
    rotated: VecDeque<Rotated>,
    /// Half a line that is to be completed, in the file where it was begun: late, when that was renamed since.
    half: Option<(File, String)>,
}

/// A file that was rotated away.
struct Rotated {
    generation: u32,
    packed: bool,
}

/// The line with this serial number; its length varies, and follows from the number.
fn serial_line(serial: usize, generation: u32) -> String {
    let padding = "x".repeat(serial * 7919 % 120);
    format!(
        r#"{{"type":"INFO","serial":{serial},"generation":{generation},"message":"{padding}"}}"#
    )
}

impl Log {
    fn new(scene: &Scene) -> Log {
        Log {
            file: scene.open("app.log"),
            generations: Vec::new(),
            generation: 0,
            rotated: VecDeque::new(),
            half: None,
        }
    }

    fn next_line(&mut self) -> String {
        self.generations.push(self.generation);
        serial_line(self.generations.len() - 1, self.generation)
    }

    fn write_lines(&mut self, count: usize) {
        self.complete_half();
        let text: String = (0..count).map(|_| self.next_line() + "\n").collect();
        self.file.write_all(text.as_bytes()).expect("append");
    }

    fn write_half(&mut self, rng: &mut Rng) {
        self.complete_half();
        let mut begun = self.next_line() + "\n";
        let rest = begun.split_off(rng.usize(1..begun.len()));
        self.file.write_all(begun.as_bytes()).expect("append");
        self.half = Some((self.file.try_clone().expect("clone a file"), rest));
    }

    fn complete_half(&mut self) {
        if let Some((mut file, rest)) = self.half.take() {
            file.write_all(rest.as_bytes()).expect("append");
        }
    }

    /// Rotates as logrotate does. Copytruncate would tear a half line, so that is completed first.
    fn rotate(&mut self, scene: &Scene, by_rename: bool) {
        scene.shift("app.log");
        if by_rename {
            scene.rename("app.log", "app.log.1");
            self.file = scene.open("app.log");
        } else {
            self.complete_half();
            scene.copytruncate("app.log", "app.log.1");
        }
        self.rotated.push_front(Rotated {
            generation: self.generation,
            packed: false,
        });
        self.generation += 1;
    }

    /// Compresses the rotated files that are not, but for so many of the newest. A half line is completed first: its
    /// writer has been told to open the new file.
    fn compress(&mut self, scene: &Scene, delay: usize) -> usize {
        self.complete_half();
        let mut count = 0;
        for (at, rotated) in self.rotated.iter_mut().enumerate().skip(delay) {
            if !std::mem::replace(&mut rotated.packed, true) {
                scene.compress(&format!("app.log.{}", at + 1), GZIP);
                count += 1;
            }
        }
        count
    }

    /// The serial numbers of the lines that stand in a file.
    fn serials_of(&self, generation: u32) -> Range<usize> {
        let below = |limit: u32| self.generations.partition_point(|g| *g < limit);
        below(generation)..below(generation + 1)
    }

    /// Deletes the oldest rotated files, as long as all their lines have arrived, and one behind them: until then it is not
    /// known that there was no more in it.
    fn delete(&mut self, scene: &Scene, arrived: &[bool]) -> usize {
        let mut count = 0;
        while let Some(oldest) = self.rotated.back() {
            let has = |serial: usize| arrived.get(serial).copied().unwrap_or(false);
            let mut next = self.serials_of(oldest.generation + 1);
            if !self.serials_of(oldest.generation).all(has) || !next.any(has) {
                break;
            }
            let ending = if oldest.packed { ".gz" } else { "" };
            scene.remove(&format!("app.log.{}{ending}", self.rotated.len()));
            self.rotated.pop_back();
            count += 1;
        }
        count
    }
}

/// Writes until told to stop: bursts, single lines, half lines, pauses.
fn write(log: &Mutex<Log>, stop: &AtomicBool, mut rng: Rng) {
    while !stop.load(Ordering::SeqCst) {
        let mut held = log.lock().unwrap();
        match rng.u8(0..100) {
            0..4 => held.write_lines(rng.usize(500..3_000)),
            4..30 => held.write_half(&mut rng),
            _ => held.write_lines(rng.usize(1..20)),
        }
        drop(held);
        thread::sleep(Duration::from_micros(rng.u64(0..150_000)));
    }
    log.lock().unwrap().complete_half();
}

/// The fault injector and what it counts.
struct Torture {
    options: Options,
    rng: Rng,
    scene: Scene,
    proxy: Proxy,
    log: Arc<Mutex<Log>>,
    watcher: Option<Process>,
    oracle: Subscriber,
    /// Which serial numbers have arrived, as far as was looked.
    arrived: Vec<bool>,
    looked: usize,
    count: Count,
}

/// What was done.
#[derive(Default)]
struct Count {
    kills: usize,
    rotations: usize,
    compressed: usize,
    deleted: usize,
    stalls: usize,
    /// What the watchers said to be missing.
    gaps: Vec<String>,
}

impl Torture {
    fn start(&mut self) {
        let delivery = if self.options.exactly_once {
            "exactly-once"
        } else {
            "at-least-once"
        };
        let watch = self.scene.watch_through(&self.proxy.url(), "app.log");
        let args = [
            "-v",
            "--mode",
            &self.options.mode,
            "--delivery",
            delivery,
            "--rotate-wait",
            "30s",
        ];
        self.watcher = Some(watch.args(args).spawn());
        let checkpoint = self.scene.checkpoint("app.log");
        self.note(&format!("started at {checkpoint}"));
    }

    fn kill(&mut self) {
        let Some(mut watcher) = self.watcher.take() else {
            return;
        };
        assert!(
            watcher.running(),
            "it ended by itself: {:?}",
            watcher.finish()
        );
        let ended = watcher.sigkill();
        self.hear(&ended);
        self.count.kills += 1;
    }

    /// Writes down what is done.
    fn note(&mut self, text: &str) {
        if let Some(log) = &mut self.options.log {
            let time = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
            writeln!(log, "{:.3} {text}", time.as_secs_f64()).expect("TORTURE_LOG");
        }
    }

    fn hear(&mut self, ended: &Finished) {
        self.note(&ended.stderr);
        let said = gaps(&ended.stderr).into_iter().map(String::from);
        self.count.gaps.extend(said);
    }

    fn rotate(&mut self) {
        let by_rename = self.rng.bool();
        self.log.lock().unwrap().rotate(&self.scene, by_rename);
        self.count.rotations += 1;
        let lines = self.log.lock().unwrap().generations.len();
        self.note(&format!(
            "rotated behind serial {lines}, by renaming: {by_rename}"
        ));
        if self.rng.u8(0..3) == 0 {
            let delay = self.rng.usize(0..3);
            let count = self.log.lock().unwrap().compress(&self.scene, delay);
            self.count.compressed += count;
            self.note(&format!("compressed {count} behind {delay}"));
        }
    }

    /// Deletes what has arrived; once in a while, as it is looked for.
    fn delete(&mut self) {
        for payload in self
            .scene
            .arrived_since(&self.options.mode, &self.oracle, self.looked)
        {
            self.looked += 1;
            let log = self.log.lock().unwrap();
            if let Some(serial) = serial_of(&payload, &log.generations) {
                self.arrived
                    .resize(self.arrived.len().max(serial + 1), false);
                self.arrived[serial] = true;
            }
        }
        let mut log = self.log.lock().unwrap();
        self.count.deleted += log.delete(&self.scene, &self.arrived);
    }

    /// The watcher stands still over some rotations.
    fn stall(&mut self) {
        let Some(watcher) = &self.watcher else { return };
        watcher.signal("STOP");
        for _ in 0..self.rng.usize(1..4) {
            self.rotate();
            self.sleep(50);
        }
        let watcher = self.watcher.as_ref().expect("it stands still");
        watcher.signal("CONT");
        self.count.stalls += 1;
        self.sleep(100);
    }

    fn sleep(&mut self, most: u64) {
        thread::sleep(Duration::from_millis(self.rng.u64(0..most)));
    }

    /// Lets it run for a while, with a mishap or without.
    fn round(&mut self) {
        self.start();
        self.sleep(500);
        match self.rng.u8(0..12) {
            0..3 => _ = self.proxy.cut_all(),
            3 => self.rotate(),
            4 => self.stall(),
            5 if self.rng.u8(0..3) == 0 => self.delete(),
            6 => {
                self.scene.redis.stop();
                self.sleep(100);
                self.scene.redis.cont();
            }
            _ => {}
        }
        self.sleep(200);
        let zombie = self.rng.u8(0..4) == 0;
        if zombie {
            self.proxy.hold_from(b"EXEC\r\n");
            self.sleep(60);
        }
        self.kill();
        while self.rng.u8(0..6) == 0 {
            self.rotate();
            self.sleep(50);
        }
        if zombie {
            // Before the successor's start, or while it takes over.
            if self.rng.bool() {
                self.start();
                self.sleep(60);
            }
            self.proxy.release();
            self.kill();
        }
    }
}

#[test]
#[ignore = "takes as long as one likes: scripts/torture.sh"]
fn torture() {
    let options = Options::from_env();
    let seed = options.seed;
    println!(
        "torture: seed {seed}, {} s, {}",
        options.seconds, options.mode
    );
    let scene = Scene::new();
    let oracle = scene.subscriber();
    let proxy = Proxy::start(scene.redis.port);
    proxy.cut_at_random(seed ^ 1, 400_000);
    let log = Arc::new(Mutex::new(Log::new(&scene)));
    log.lock().unwrap().write_lines(1);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (log, stop) = (Arc::clone(&log), Arc::clone(&stop));
        thread::spawn(move || write(&log, &stop, Rng::with_seed(seed ^ 2)))
    };
    let rng = Rng::with_seed(seed);
    let mut torture = Torture {
        options,
        rng,
        scene,
        proxy,
        log,
        watcher: None,
        oracle,
        arrived: Vec::new(),
        looked: 0,
        count: Count::default(),
    };
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(torture.options.seconds) {
        torture.round();
    }
    stop.store(true, Ordering::SeqCst);
    writer.join().expect("the writer");
    torture.finish(begin.elapsed().as_secs());
}

impl Torture {
    /// Heals everything, waits for what is still to come, and compares.
    fn finish(mut self, seconds: u64) {
        self.proxy.cut_no_more();
        self.log.lock().unwrap().write_lines(1);
        self.start();
        let generations = std::mem::take(&mut self.log.lock().unwrap().generations);
        self.wait_for_the_rest(generations.len());
        let ended = self.watcher.take().expect("it runs").sigterm();
        self.hear(&ended);
        let arrived = self.scene.arrived(&self.options.mode, &self.oracle);
        let verdict = Verdict::of(&generations, &arrived);
        let Count {
            kills,
            rotations,
            compressed,
            deleted,
            stalls,
            gaps,
        } = &self.count;
        println!(
            "torture: seed {}, seconds {seconds}, lines {}, kills {kills}, rotations {rotations}, compressed {compressed}, \
             deleted {deleted}, stalls {stalls}, cuts {}: {verdict}, gaps {}",
            self.options.seed,
            generations.len(),
            self.proxy.cuts(),
            gaps.len(),
        );
        assert_eq!(
            (verdict.lost, verdict.damaged),
            (0, 0),
            "lost (by file: {:?}) or damaged ({:?}); said: {gaps:?}",
            verdict.lost_of,
            verdict.first_wrong
        );
        if self.options.exactly_once {
            assert_eq!(
                (verdict.repeated, verdict.out_of_order),
                (0, 0),
                "first {:?}",
                verdict.first_wrong
            );
            assert!(gaps.is_empty(), "all was readable: {:?}", gaps[0]);
        }
    }

    /// Waits until the last line is there and as many as were written; gives up when nothing has come for a minute.
    fn wait_for_the_rest(&self, written: usize) {
        let (mut seen, mut since) = (0, Instant::now());
        while since.elapsed() < Duration::from_secs(60) {
            let count = match self.options.mode.as_str() {
                "pubsub" => self.oracle.len(),
                mode => self.scene.redis.count(mode),
            };
            // Without the record there are repeats, so the count alone says little; the checkpoint says the rest.
            let end = self.scene.read("app.log").len() as u64;
            let checkpoint = self.scene.checkpoint("app.log");
            if count >= written && checkpoint.starts_with(&format!("{end} ")) {
                return;
            }
            if count > seen {
                (seen, since) = (count, Instant::now());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What was written against what arrived.
#[derive(Default)]
struct Verdict {
    lost: usize,
    repeated: usize,
    /// Lines before which one with a larger number of the same generation arrived.
    out_of_order: usize,
    /// Lines that nobody wrote so.
    damaged: usize,
    /// The files of which lines are lost, with how many.
    lost_of: std::collections::BTreeMap<u32, usize>,
    first_wrong: Option<String>,
}

impl Verdict {
    /// `generations`: for each serial number, in which file its line stands.
    fn of(generations: &[u32], arrived: &[Vec<u8>]) -> Verdict {
        let mut verdict = Verdict::default();
        let mut seen = vec![false; generations.len()];
        let mut highest: std::collections::HashMap<u32, usize> = Default::default();
        for payload in arrived {
            let Some(serial) = serial_of(payload, generations) else {
                verdict.damaged += 1;
                verdict
                    .first_wrong
                    .get_or_insert_with(|| String::from_utf8_lossy(payload).into_owned());
                continue;
            };
            if std::mem::replace(&mut seen[serial], true) {
                verdict.repeated += 1;
                verdict
                    .first_wrong
                    .get_or_insert_with(|| format!("serial {serial} repeated"));
                continue;
            }
            let top = highest.entry(generations[serial]).or_insert(serial);
            if serial < *top {
                verdict.out_of_order += 1;
                verdict
                    .first_wrong
                    .get_or_insert_with(|| format!("serial {serial} after {top}"));
            }
            *top = serial.max(*top);
        }
        for (_, generation) in seen.iter().zip(generations).filter(|(seen, _)| !**seen) {
            *verdict.lost_of.entry(*generation).or_default() += 1;
        }
        verdict.lost = verdict.lost_of.values().sum();
        verdict
    }
}

/// The serial number of a line that arrived as it was written.
fn serial_of(payload: &[u8], generations: &[u32]) -> Option<usize> {
    let json: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let serial = usize::try_from(json["serial"].as_u64()?).ok()?;
    let written = serial_line(serial, *generations.get(serial)?);
    (written.as_bytes() == payload).then_some(serial)
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "lost {}, repeated {}, out of order {}",
            self.lost, self.repeated, self.out_of_order
        )?;
        if self.damaged > 0 {
            write!(f, ", damaged {}", self.damaged)?;
        }
        Ok(())
    }
}

#[test]
#[ignore = "takes as long as one likes: scripts/torture.sh --consumers"]
fn consumers_at_random() {
    let options = Options::from_env();
    consumers::play(options.seconds, options.seed);
}

#[test]
fn the_verdict_finds_what_is_wrong() {
    let generations = [0, 0, 0, 1, 1];
    let line = |serial: usize| serial_line(serial, generations[serial]).into_bytes();
    let text = |serials: &[usize]| {
        Verdict::of(
            &generations,
            &serials.iter().map(|n| line(*n)).collect::<Vec<_>>(),
        )
        .to_string()
    };
    assert_eq!(text(&[0, 1, 2, 3, 4]), "lost 0, repeated 0, out of order 0");
    assert_eq!(
        text(&[0, 1, 3, 2, 4]),
        "lost 0, repeated 0, out of order 0",
        "late in an older file"
    );
    assert_eq!(text(&[0, 2, 1, 3, 4]), "lost 0, repeated 0, out of order 1");
    assert_eq!(
        text(&[0, 1, 1, 3, 4, 0]),
        "lost 1, repeated 2, out of order 0"
    );
    assert_eq!(Verdict::of(&generations, &[b"half".to_vec()]).damaged, 1);
}

//! Random sequences of what happens to a log with numbered siblings, and to its watcher, against a model that knows which
//! lines must arrive. `model` is the wider one: all names, archives, holes, backups, removals.
//!
//! `TAILCAST_SEED=N` plays the one sequence of that seed over and over; `TAILCAST_MODEL_SECONDS` says for how long. With
//! `TAILCAST_SKIP=3,7,...` it leaves out these steps: so a failure is made small.

mod util;

use std::fs;
use std::time::{Duration, Instant};

use fastrand::Rng;
use util::*;

/// A file that the path has been, as the model knows it: lines that stand in it complete, and half a line.
#[derive(Default)]
struct Log {
    lines: Vec<Line>,
    /// What was written of the last line and what is to come.
    half: Option<(String, String)>,
}

struct Line {
    text: String,
    /// Completed after the file was rotated: may arrive before or after lines of newer files.
    late: bool,
}

/// Where lines arrive.
enum Outlet {
    Pubsub(Subscriber),
    List,
    Stream,
}

struct Play {
    /// Renewed at each step, so that leaving one out does not change those after it.
    rng: Rng,
    scene: Scene,
    outlet: Outlet,
    /// All that were, oldest first; the last one is app.log while that is there.
    logs: Vec<Log>,
    /// Indices of the logs that are on disk as app.log.1, app.log.2, ...
    rotated: Vec<usize>,
    /// Whether app.log is there, and is the last of `logs`.
    present: bool,
    /// app.log was deleted, and the watcher has not been seen to read its successor: nothing tells it what is new.
    lost_track: bool,
    watcher: Option<Process>,
    paused: bool,
    written: usize,
    trace: Trace,
}

#[test]
fn every_line_that_remained_readable_arrives_once_and_in_order() {
    play_sequences(|seed| Play::new(seed).play());
}

impl Play {
    fn new(seed: u64) -> Play {
        let mut rng = Rng::with_seed(seed);
        let scene = Scene::new();
        let outlet = match rng.u8(0..4) {
            0 => Outlet::List,
            1 => Outlet::Stream,
            _ => Outlet::Pubsub(scene.subscriber()),
        };
        let trace = Trace {
            seed,
            steps: Vec::new(),
        };
        Play {
            rng,
            scene,
            outlet,
            logs: vec![Log::default()],
            rotated: Vec::new(),
            present: true,
            lost_track: false,
            watcher: None,
            paused: false,
            written: 0,
            trace,
        }
    }

    fn play(mut self) {
        // Files from before the first start are not the watcher's business; so it starts on one that has a line.
        self.write(1);
        self.start();
        self.wait_for_all();
        let most = self.rng.usize(10..50);
        for (step, rng) in self.trace.steps_to_come(most) {
            self.rng = rng;
            self.note(format!("{step}:"));
            self.step();
        }
        self.note("end:");
        self.finish_halves();
        self.synchronize();
        self.stop();
        // Where the last reply was lost, the checkpoint is behind; the record knows, and nothing is repeated.
        self.once();
        self.check();
    }

    fn step(&mut self) {
        match self.rng.u8(0..100) {
            0..20 => self.write_some(),
            20..30 => self.write_half(),
            30..42 => self.finish_half(),
            42..56 => self.rotate(),
            56..66 => self.copytruncate(),
            66..69 => self.delete(),
            69..74 => self.pause_or_resume(),
            74..79 => self.stop(),
            79..86 => self.kill(),
            86..92 => self.start(),
            92..95 => self.cut(),
            95..98 => self.once(),
            _ => self.synchronize(),
        }
    }

    fn note(&mut self, step: impl Into<String>) {
        self.trace.note(step);
    }

    // What happens to the log.

    fn write_some(&mut self) {
        let count = if self.rng.u8(0..12) == 0 {
            3000
        } else {
            self.rng.usize(1..20)
        };
        self.write(count);
    }

    /// Completes a pending half line first, as a writer would.
    fn write(&mut self, count: usize) {
        self.note(format!("write {count}"));
        let mut text = String::new();
        self.create();
        let log = self.logs.last_mut().expect("a log");
        if let Some((begun, rest)) = log.half.take() {
            text += &rest;
            text.push('\n');
            log.lines.push(Line {
                text: begun + &rest,
                late: false,
            });
        }
        for n in self.written..self.written + count {
            text += &line(n);
            text.push('\n');
            log.lines.push(Line {
                text: line(n),
                late: false,
            });
        }
        self.written += count;
        self.scene.append("app.log", text);
    }

    /// Makes app.log be there.
    fn create(&mut self) {
        if !self.present {
            self.scene.append("app.log", "");
            self.logs.push(Log::default());
            self.present = true;
        }
    }

    fn write_half(&mut self) {
        self.create();
        let log = self.logs.last_mut().expect("a log");
        if log.half.is_some() {
            return;
        }
        let whole = line(self.written);
        self.written += 1;
        let (begun, rest) = whole.split_at(self.rng.usize(1..whole.len()));
        log.half = Some((begun.into(), rest.into()));
        self.scene.append("app.log", begun);
        self.note(format!("write the half line {begun}"));
    }

    /// Completes a half line, wherever it is by now: in app.log, or late in a renamed file.
    fn finish_half(&mut self) {
        let last = self.logs.len() - 1;
        let here = self
            .rotated
            .iter()
            .enumerate()
            .map(|(n, log)| (format!("app.log.{}", n + 1), *log));
        let here = here.chain(self.present.then(|| ("app.log".to_string(), last)));
        let pending: Vec<_> = here
            .filter(|(_, log)| self.logs[*log].half.is_some())
            .collect();
        let Some((name, log)) = self.rng.choice(pending) else {
            return;
        };
        let (begun, rest) = self.logs[log].half.take().expect("filtered");
        self.note(format!("finish the half line {begun} in {name}"));
        self.scene.append(&name, format!("{rest}\n"));
        self.logs[log].lines.push(Line {
            text: begun + &rest,
            late: name != "app.log",
        });
    }

    fn finish_halves(&mut self) {
        for _ in 0..self.logs.len() {
            self.finish_half();
        }
    }

    /// Renames app.log.1 to app.log.2 and so on, the oldest first, as logrotate does.
    fn shift(&mut self) {
        for n in (1..=self.rotated.len()).rev() {
            self.scene
                .rename(&format!("app.log.{n}"), &format!("app.log.{}", n + 1));
        }
    }

    fn rotate(&mut self) {
        if !self.present || self.lost_track {
            return;
        }
        self.shift();
        self.scene.rename("app.log", "app.log.1");
        self.rotated.insert(0, self.logs.len() - 1);
        self.present = false;
        let create = self.rng.bool();
        self.note(format!("rotate by rename, create: {create}"));
        if create {
            self.create();
        }
    }

    /// The writer pauses, so nothing is lost between copy and truncate; but a half line is torn, and its second half is a
    /// line of its own then.
    fn copytruncate(&mut self) {
        if !self.present || self.lost_track {
            return;
        }
        self.note("copytruncate");
        self.shift();
        self.scene.copytruncate("app.log", "app.log.1");
        self.rotated.insert(0, self.logs.len() - 1);
        let torn = self.logs.last_mut().expect("a log").half.take();
        // Numbered: every line is told by its text, and two torn ones may end alike.
        let number = self.logs.len();
        self.logs.push(Log {
            lines: Vec::new(),
            half: torn.map(|(_, rest)| (String::new(), format!("torn {number}: {rest}"))),
        });
    }

    /// Deletes app.log once all its lines have arrived: what nobody could read is nobody's loss.
    fn delete(&mut self) {
        if !self.present || self.lost_track {
            return;
        }
        self.synchronize();
        self.note("delete");
        self.scene.remove("app.log");
        self.logs.last_mut().expect("a log").half = None;
        self.present = false;
        self.lost_track = true;
    }

    // What happens to the watcher.

    fn command(&mut self) -> Tailcast {
        let mode = match self.outlet {
            Outlet::Pubsub(_) => "pubsub",
            Outlet::List => "list",
            Outlet::Stream => "stream",
        };
        let batch = ["1", "3", "1000"][self.rng.usize(0..3)];
        let saved = ["1", "50"][self.rng.usize(0..2)];
        let poll = ["1ms", "20ms"][self.rng.usize(0..2)];
        let watch = self.scene.watch("app.log").args([
            "--mode",
            mode,
            "--rotate-wait",
            "60s",
            "--batch-lines",
            batch,
        ]);
        watch.args(["--checkpoint-lines", saved, "--poll", poll])
    }

    fn start(&mut self) {
        if self.watcher.is_none() {
            self.note("start");
            self.watcher = Some(self.command().spawn());
        }
    }

    fn pause_or_resume(&mut self) {
        let Some(watcher) = &self.watcher else { return };
        watcher.signal(if self.paused { "CONT" } else { "STOP" });
        self.paused = !self.paused;
        self.note(if self.paused {
            "pause the watcher"
        } else {
            "resume the watcher"
        });
    }

    fn resume(&mut self) {
        if self.paused {
            self.pause_or_resume();
        }
    }

    fn stop(&mut self) {
        self.resume();
        if let Some(watcher) = self.watcher.take() {
            self.note("stop");
            let ended = watcher.sigterm();
            assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        }
    }

    fn kill(&mut self) {
        let Some(watcher) = self.watcher.take() else {
            return;
        };
        self.note("kill -9");
        self.paused = false;
        watcher.sigkill();
    }

    /// Redis closes the watcher's connection.
    fn cut(&mut self) {
        self.note("cut the connection");
        let _: usize = self
            .scene
            .redis
            .ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }

    fn once(&mut self) {
        if self.watcher.is_some() || !self.present {
            return;
        }
        self.note("--once");
        let ended = self.command().arg("--once").run();
        assert_eq!(ended.code, 0, "--once: {}", ended.stderr);
        // It returns when Redis has acknowledged all: so there is nothing to wait for but the oracle.
        let arrived = self.arrived();
        let current = &self.logs.last().expect("a log").lines;
        let missing: Vec<_> = current
            .iter()
            .filter(|l| !arrived.contains(&l.text.clone().into_bytes()))
            .collect();
        assert!(
            missing.is_empty(),
            "--once left {} lines of app.log, first {}",
            missing.len(),
            missing[0].text
        );
        self.lost_track &= current.is_empty();
    }

    /// Lets the watcher run until it has published all.
    fn synchronize(&mut self) {
        self.write(1);
        self.start();
        self.resume();
        self.wait_for_all();
        self.lost_track = false;
    }

    // What must have arrived.

    fn wait_for_all(&mut self) {
        self.note("wait for all");
        let expected = self.expected(|_| true);
        let limit = Instant::now() + patience();
        while self.count() < expected.len() {
            if Instant::now() > limit {
                panic!("waited in vain: {}", difference(&expected, &self.arrived()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn expected(&self, want: impl Fn(&Line) -> bool) -> Vec<Vec<u8>> {
        let lines = self.logs.iter().flat_map(|log| &log.lines);
        lines
            .filter(|l| want(l))
            .map(|l| l.text.clone().into_bytes())
            .collect()
    }

    fn count(&self) -> usize {
        match &self.outlet {
            Outlet::Pubsub(oracle) => oracle.len(),
            Outlet::List => self.scene.redis.ask(&["LLEN", "logs"]),
            Outlet::Stream => self.scene.redis.ask(&["XLEN", "logs"]),
        }
    }

    fn arrived(&self) -> Vec<Vec<u8>> {
        match &self.outlet {
            Outlet::Pubsub(oracle) => oracle.settle(),
            Outlet::List => self.scene.redis.list("logs"),
            Outlet::Stream => self.scene.redis.stream("logs"),
        }
    }

    fn check(&self) {
        let arrived = self.arrived();
        // Nothing lost, nothing repeated, nothing made up: whatever the order.
        let (mut all, mut got) = (self.expected(|_| true), arrived.clone());
        all.sort();
        got.sort();
        assert_exactly(&all, &got);
        // In order, but for late lines among those of newer files.
        let late: std::collections::HashSet<_> = self.expected(|l| l.late).into_iter().collect();
        let punctual: Vec<_> = arrived.iter().filter(|l| !late.contains(*l)).collect();
        assert_exactly(&self.expected(|l| !l.late), &punctual);
        for log in self
            .logs
            .iter()
            .filter(|log| log.lines.iter().any(|l| l.late))
        {
            let own: Vec<Vec<u8>> = log
                .lines
                .iter()
                .map(|l| l.text.clone().into_bytes())
                .collect();
            let of_log: Vec<_> = arrived.iter().filter(|l| own.contains(l)).collect();
            assert_exactly(&own, &of_log);
        }
        let end = fs::metadata(self.scene.path("app.log"))
            .expect("stat")
            .len();
        assert_eq!(
            self.scene.offset("app.log"),
            end,
            "the checkpoint is at the end"
        );
    }
}

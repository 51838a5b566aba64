//! One sequence: a scene, one or two logs, a watcher, and the steps that are drawn for them.

use std::env;
use std::fs;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::log::{Arrived, Log, Setup, Style};
use crate::naming::Naming;
use crate::util::*;

/// Where lines arrive.
enum Outlet {
    Pubsub(Subscriber),
    List,
    Stream,
}

pub struct Play {
    /// Renewed at each step, so that leaving one out does not change those after it.
    rng: Rng,
    scene: Scene,
    outlet: Outlet,
    logs: Vec<Log>,
    /// The logs are given as one pattern.
    glob: bool,
    rotate_wait: &'static str,
    /// Nothing is destroyed.
    calm: bool,
    watcher: Option<Process>,
    paused: bool,
    redis_stopped: bool,
    /// What was known to have arrived at the last look.
    arrived: Arrived,
    /// What the watchers that ended have said.
    said: String,
    trace: Trace,
}

fn draw_setup(rng: &mut Rng, name: &str, late: bool, glob: bool) -> Setup {
    let style = [
        Style::Rename,
        Style::Rename,
        Style::Copytruncate,
        Style::Both,
    ][rng.usize(0..4)];
    let link = rng.u8(0..6) == 0;
    // Two logs may be rotated into one folder.
    let olddir = (!link && rng.u8(0..6) == 0).then(|| "old".to_string());
    let naming = if glob || rng.bool() {
        Naming::drawn(rng)
    } else {
        Naming::Numbered
    };
    let packers = packers();
    let packer = (rng.u8(0..4) > 0).then(|| packers[rng.usize(0..packers.len())]);
    // Where names do not sort, archives are ordered by their times of last write, which a late line changes.
    let packer = packer.filter(|_| !(late && naming == Naming::Unsorted));
    Setup {
        name: name.into(),
        // Behind the link in the order of matches, so that the link is the log.
        target: link.then(|| format!("z-{}/0.log", name.replace('.', "-"))),
        olddir,
        naming,
        style,
        packer,
        holes: style == Style::Copytruncate && rng.u8(0..3) == 0,
        late,
    }
}

impl Play {
    pub fn new(seed: u64) -> Play {
        let mut rng = Rng::with_seed(seed);
        let scene = Scene::new();
        let outlet = match rng.u8(0..4) {
            0 => Outlet::List,
            1 => Outlet::Stream,
            _ => Outlet::Pubsub(scene.subscriber()),
        };
        let names: &[&str] = match rng.u8(0..6) {
            0 => &["app.log", "web.log"],
            // The second is called as the first could be when it was rotated.
            1 => &["app.log", "app-web.log"],
            _ => &["app.log"],
        };
        let (glob, late) = (rng.u8(0..3) == 0, rng.u8(0..3) > 0);
        let setups = names
            .iter()
            .map(|name| draw_setup(&mut rng, name, late, glob));
        let logs: Vec<Log> = setups.map(|setup| Log::new(&scene, setup)).collect();
        let calm = rng.u8(0..3) == 0 || env::var_os("TAILCAST_MODEL_CALM").is_some();
        let mut steps: Vec<String> = logs.iter().map(|log| format!("{:?}", log.setup)).collect();
        steps.push(format!("glob: {glob}, calm: {calm}"));
        Play {
            rng,
            scene,
            outlet,
            logs,
            glob,
            rotate_wait: if late { "60s" } else { "150ms" },
            calm,
            watcher: None,
            paused: false,
            redis_stopped: false,
            arrived: Arrived::new(),
            said: String::new(),
            trace: Trace { seed, steps },
        }
    }

    pub fn play(mut self) {
        // Files from before the first start are not the watcher's business; so it starts on one that has a line, or none.
        let mut older = Rng::with_seed(self.trace.seed.wrapping_add(1 << 50));
        for log in &mut self.logs {
            if older.u8(0..3) == 0 {
                let done = log.leave_older(&self.scene);
                self.trace.steps.push(done);
            }
            log.create(&self.scene);
            log.write(&self.scene, self.rng.usize(0..2));
        }
        self.start();
        self.wait_for_start();
        self.wait_for_all();
        let most = self.rng.usize(10..50);
        for (step, rng) in self.trace.steps_to_come(most) {
            self.rng = rng;
            self.note(format!("{step}:"));
            self.step();
        }
        self.note("end:");
        for log in &mut self.logs {
            log.finish_halves(&self.scene);
        }
        self.synchronize();
        self.stop();
        // Where the last reply was lost, the checkpoint is behind; the record knows, and nothing is repeated.
        self.once();
        self.check();
    }

    fn step(&mut self) {
        match self.rng.u8(0..100) {
            0..61 => {
                let which = self.rng.usize(0..self.logs.len());
                if let Some(done) = self.touch(which) {
                    self.note(done);
                }
            }
            61..66 => self.pause_or_resume(),
            66..69 => self.stop_or_continue_redis(),
            69..74 => self.stop(),
            74..81 => self.kill(),
            81..90 => self.start(),
            90..93 => self.cut(),
            93..96 => self.once(),
            _ => self.synchronize(),
        }
    }

    /// Something happens to a log.
    fn touch(&mut self, which: usize) -> Option<String> {
        let kind = self.rng.u8(0..61);
        // Where content is gone, times decide; and no two such things are done within a step of the clock.
        if !self.calm {
            self.step_clock();
        }
        if (49..57).contains(&kind) && !self.calm {
            self.look();
        }
        let is_watched = self.watcher.is_some() && !self.paused;
        let (scene, rng, log) = (&self.scene, &mut self.rng, &mut self.logs[which]);
        let arrived = &self.arrived;
        match kind {
            0..14 => {
                let many = rng.u8(0..12) == 0;
                let count = if many { 3000 } else { rng.usize(1..20) };
                Some(log.write(scene, count))
            }
            14..20 => log.write_half(scene, rng),
            20..26 => log.finish_half(scene, rng),
            26..41 => log.rotate(scene, rng),
            41..49 => log.compress(scene, rng),
            49..57 if self.calm => None,
            49..53 => log.delete_rotated(scene, rng, arrived),
            53..55 => log.delete_live(scene, arrived),
            55 => log.truncate_live(scene, arrived, is_watched),
            56 => log.spoil(scene, rng, arrived),
            57..60 => log.back_up(scene, rng),
            _ => Some(log.add_stranger(scene, rng)),
        }
    }

    /// Waits for the next step of the clock by which files are written.
    fn step_clock(&self) {
        let probe = || {
            let path = self.scene.home().join("probe");
            let written = fs::write(&path, "-").and_then(|()| fs::metadata(&path)?.modified());
            written.expect("write a file")
        };
        let now = probe();
        while probe() == now {}
    }

    fn note(&mut self, step: impl Into<String>) {
        self.trace.note(step);
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
        let mut watch = if self.glob {
            self.scene.watch("**/*.log")
        } else {
            let others = self.logs[1..]
                .iter()
                .map(|l| self.scene.path(&l.setup.name));
            self.scene.watch("app.log").args(others)
        };
        if let Some(olddir) = self.logs.iter().find_map(|l| l.setup.olddir.as_ref()) {
            watch = watch.arg("--rotated").arg(self.scene.path(olddir));
        }
        watch.args([
            "-v",
            "--mode",
            mode,
            "--rotate-wait",
            self.rotate_wait,
            "--batch-lines",
            batch,
            "--checkpoint-lines",
            saved,
            "--poll",
            poll,
        ])
    }

    fn start(&mut self) {
        if self.watcher.is_none() {
            self.note("start");
            self.watcher = Some(self.command().spawn());
        }
    }

    /// Waits until it knows every log: one that is rotated before is not yet its business.
    fn wait_for_start(&self) {
        wait_until("every log is taken over", || {
            let records: Vec<String> = self.scene.redis.ask(&["KEYS", "tailcast:commit:*"]);
            records.len() == self.logs.len()
        });
        let watcher = self.watcher.as_ref().expect("it runs");
        wait_until("every log is open", || {
            let open = watcher.open_files();
            self.logs
                .iter()
                .all(|log| open.iter().any(|file| file.ends_with(log.file())))
        });
        // Before that it has not begun: nothing tells the next one what was there.
        for log in &self.logs {
            wait_until("the first checkpoint is written", || {
                !self.scene.checkpoint(&log.setup.name).is_empty()
            });
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
        if self.redis_stopped {
            self.stop_or_continue_redis();
        }
    }

    fn stop_or_continue_redis(&mut self) {
        self.redis_stopped = !self.redis_stopped;
        if self.redis_stopped {
            self.note("stop Redis");
            self.scene.redis.stop();
        } else {
            self.note("continue Redis");
            self.scene.redis.cont();
        }
    }

    fn stop(&mut self) {
        self.resume();
        if let Some(watcher) = self.watcher.take() {
            self.note("stop");
            self.hear(watcher.sigterm());
        }
    }

    fn kill(&mut self) {
        let Some(watcher) = self.watcher.take() else {
            return;
        };
        self.note("kill -9");
        self.paused = false;
        self.hear(watcher.sigkill());
    }

    fn hear(&mut self, ended: Finished) {
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        self.said += &ended.stderr;
    }

    /// Redis closes the watcher's connection.
    fn cut(&mut self) {
        if self.redis_stopped {
            return;
        }
        self.note("cut the connection");
        let _: usize = self
            .scene
            .redis
            .ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }

    fn once(&mut self) {
        if self.watcher.is_some() || self.logs.iter().any(|log| !log.present) {
            return;
        }
        self.resume();
        self.note("--once");
        let ended = self.command().arg("--once").run();
        assert_eq!(ended.code, 0, "--once: {}", ended.stderr);
        self.hear(ended);
        // It returns when Redis has acknowledged all: so there is nothing to wait for but the oracle.
        self.look();
        for log in &self.logs {
            let missing = log.missing(&self.arrived);
            assert!(
                missing.is_empty(),
                "--once left {} lines of {}, first {}",
                missing.len(),
                log.setup.name,
                missing[0]
            );
        }
    }

    /// Lets the watcher run until it has published all.
    fn synchronize(&mut self) {
        for log in &mut self.logs {
            let done = log.write(&self.scene, 1);
            self.trace.steps.push(done);
        }
        self.start();
        self.resume();
        self.wait_for_all();
    }

    // What must have arrived.

    fn wait_for_all(&mut self) {
        self.note("wait for all");
        let (begin, mut pause) = (Instant::now(), Duration::from_millis(2));
        let required: usize = self.logs.iter().map(Log::required).sum();
        let mut seen = usize::MAX;
        loop {
            let count = self.count();
            if count >= required && count != seen {
                seen = count;
                self.look();
                if self
                    .logs
                    .iter()
                    .all(|l| l.missing(&self.arrived).is_empty())
                {
                    self.logs.iter_mut().for_each(Log::see);
                    return;
                }
            }
            if begin.elapsed() > patience() {
                self.look();
                let missing: Vec<_> = self
                    .logs
                    .iter()
                    .flat_map(|log| log.missing(&self.arrived))
                    .collect();
                panic!(
                    "waited in vain for {} lines, {missing:.200?}",
                    missing.len()
                );
            }
            // Each look is a connection, and there are only so many ports.
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    fn count(&self) -> usize {
        match &self.outlet {
            Outlet::Pubsub(oracle) => oracle.len(),
            Outlet::List => self.scene.redis.ask(&["LLEN", "logs"]),
            Outlet::Stream => self.scene.redis.ask(&["XLEN", "logs"]),
        }
    }

    fn all_that_arrived(&self) -> Vec<Vec<u8>> {
        match &self.outlet {
            Outlet::Pubsub(oracle) => oracle.settle(),
            Outlet::List => self.scene.redis.list("logs"),
            Outlet::Stream => self.scene.redis.stream("logs"),
        }
    }

    /// Looks what has arrived by now. While Redis stands still, what was seen before must do.
    fn look(&mut self) {
        if !self.redis_stopped {
            self.arrived = self.all_that_arrived().into_iter().collect();
        }
    }

    fn check(&self) {
        let arrived = self.all_that_arrived();
        let mut known = 0;
        for log in &self.logs {
            let path = self.scene.path(&log.setup.name);
            known += log.check(&arrived, &self.said, path.to_str().expect("UTF-8"));
            self.check_checkpoint(log);
        }
        if known != arrived.len() {
            let all: Vec<_> = self.logs.iter().flat_map(|l| l.known_texts()).collect();
            panic!("something else arrived: {}", difference(&all, &arrived));
        }
    }

    fn check_checkpoint(&self, log: &Log) {
        if log.setup.target.is_none() {
            let end = fs::metadata(self.scene.path(&log.setup.name))
                .expect("stat")
                .len();
            assert_eq!(
                self.scene.offset(&log.setup.name),
                end,
                "the checkpoint of {} is at the end",
                log.setup.name
            );
        }
    }
}

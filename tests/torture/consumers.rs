//! Consumers at random: three of a group, each with a command that takes 5 ms a line; a file with a group of its own; a file
//! with none, which nobody waits for. All of them are killed, and so are the watcher and Redis; the group is removed.
//!
//! What has to come of it: the file has each line once, in order; the three together lose none, and repeat only what was in
//! a hand that was killed, or behind the oldest that was in any hand when the group was removed; and of the file that nobody
//! waits for each gap is said, and none that is not.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::util::*;
use super::{Verdict, serial_line, serial_of};

type Id = (u64, u64);
/// The id, the consumer, how long it is idle, and how often it was delivered.
type Pending = Vec<(String, String, u64, u64)>;

const GROUP: &str = "g";
const NAMES: [&str; 3] = ["a", "b", "c"];
const COMMAND: &str = "exec python3 -c 'import sys, time
out = open(sys.argv[1], \"ab\", 0)
for line in sys.stdin.buffer:
    # The last one may be half a line, where it was cut off.
    out.write(line if line.endswith(b\"\\n\") else b\"\")
    time.sleep(0.005)' ";
/// The driver sees every entry in time, as a group of its own holds them.
const WITNESS: &str = "witness";
/// What a consumer knows of the group is no older.
const OUTDATED: Duration = Duration::from_secs(2);

fn id(text: &str) -> Id {
    let (ms, seq) = text.split_once('-').expect("an id");
    (ms.parse().expect("an id"), seq.parse().expect("an id"))
}

struct Consumers {
    scene: Scene,
    rng: Rng,
    watcher: Option<Process>,
    group: [Option<Process>; 3],
    file: Option<Process>,
    /// The reader that nobody waits for, and what it said.
    loner: Option<Process>,
    said: Vec<(Id, Id)>,
    written: usize,
    /// The ids of each line, in the stream's order.
    ids: Vec<(Id, usize)>,
    /// Up to where the group had acknowledged all, and when.
    floors: VecDeque<(Instant, Id)>,
    /// Ids that may come again.
    spared: HashSet<Id>,
    kills: usize,
    removals: usize,
}

impl Consumers {
    fn subscribe(&self, args: &[&str]) -> Tailcast {
        let url = self.scene.redis.url();
        let subscribe = self.scene.tailcast(&["subscribe", "--mode", "stream"]);
        subscribe.args(["--redis", &url]).args(args)
    }

    fn start(&mut self) {
        if self.watcher.is_none() {
            let watch = self.scene.watch("app.log").args(["--mode", "stream"]);
            self.watcher = Some(watch.spawn());
        }
        for (n, name) in NAMES.into_iter().enumerate() {
            if self.group[n].is_none() {
                let command = format!("{COMMAND}{}", self.path(name));
                let group = ["--group", GROUP, "--consumer", name];
                let args = ["--claim-after", "2s", "--exec", &command];
                self.group[n] = Some(self.subscribe(&group).args(args).spawn());
            }
        }
        if self.file.is_none() {
            self.file = Some(self.subscribe(&["--output", "file"]).spawn());
        }
        if self.loner.is_none() && self.rng.u8(0..4) == 0 {
            let args = ["--output", "loner", "--no-group"];
            self.loner = Some(self.subscribe(&args).spawn());
        }
    }

    fn path(&self, name: &str) -> String {
        self.scene.home().join(name).display().to_string()
    }

    fn write(&mut self) {
        let lines = self.rng.usize(0..200);
        let serials = self.written..self.written + lines;
        let text: String = serials
            .map(|serial| serial_line(serial, 0) + "\n")
            .collect();
        self.scene.append("app.log", text);
        self.written += lines;
    }

    /// Notes what is new in the stream, and lets go of it; and how far the group is.
    fn look(&mut self) {
        let last = self.ids.last().map_or((0, 0), |entry| entry.0);
        let after = format!("({}-{}", last.0, last.1);
        let new: Vec<(String, Vec<Vec<u8>>)> =
            self.scene.redis.ask(&["XRANGE", "logs", &after, "+"]);
        let generations = vec![0; self.written];
        for (entry, fields) in new {
            let serial = serial_of(&fields[1], &generations).expect("a line of ours");
            self.ids.push((id(&entry), serial));
        }
        if let Some((last, _)) = self.ids.last() {
            let last = format!("{}-{}", last.0, last.1);
            let _: String = self
                .scene
                .redis
                .ask(&["XGROUP", "SETID", "logs", WITNESS, &last]);
        }
        let floor = match self.pending(&["-", "+", "1"]).first() {
            Some(oldest) => id(&oldest.0),
            None => last,
        };
        self.floors.push_back((Instant::now(), floor));
        while self.floors.len() > 1 && self.floors[1].0.elapsed() > OUTDATED {
            self.floors.pop_front();
        }
    }

    fn pending(&self, of: &[&str]) -> Pending {
        let words = [&["XPENDING", "logs", GROUP], of].concat();
        self.scene.redis.try_ask(&words).unwrap_or_default()
    }

    fn kill_one(&mut self) {
        let n = self.rng.usize(0..NAMES.len());
        let Some(process) = self.group[n].take() else {
            return;
        };
        process.sigkill();
        self.kills += 1;
        let hand = self.pending(&["-", "+", "1000000", NAMES[n]]);
        self.spared.extend(hand.iter().map(|entry| id(&entry.0)));
    }

    fn remove_group(&mut self) {
        self.look();
        let floor = self.floors.front().map_or((0, 0), |floor| floor.1);
        let _: usize = self.scene.redis.ask(&["XGROUP", "DESTROY", "logs", GROUP]);
        self.look();
        let behind = self.ids.iter().filter(|entry| entry.0 >= floor);
        self.spared.extend(behind.map(|entry| entry.0));
        self.removals += 1;
    }

    fn hear_loner(&mut self) {
        let Some(loner) = self.loner.take() else {
            return;
        };
        let ended = loner.sigkill();
        for row in ended
            .stderr
            .lines()
            .filter(|row| row.contains("missing here"))
        {
            let ids = row.split("entries behind ").nth(1).expect("ids");
            let (behind, rest) = ids.split_once(", up to ").expect("two ids");
            let to = rest.split(',').next().expect("an id");
            self.said.push((id(behind), id(to)));
        }
    }

    fn round(&mut self) {
        self.start();
        for _ in 0..self.rng.usize(1..6) {
            self.write();
            std::thread::sleep(Duration::from_millis(self.rng.u64(0..400)));
            self.look();
        }
        match self.rng.u8(0..10) {
            0..3 => self.kill_one(),
            3 => _ = self.watcher.take().map(Process::sigkill),
            4 | 5 => _ = self.file.take().map(Process::sigkill),
            6 | 7 => self.hear_loner(),
            8 if self.rng.bool() => self.remove_group(),
            9 if self.rng.bool() => {
                self.scene.redis.kill();
                std::thread::sleep(Duration::from_millis(self.rng.u64(0..800)));
                self.scene.redis.restart();
            }
            _ => {}
        }
    }

    fn lines_of(&self, name: &str) -> Vec<Vec<u8>> {
        published_lines(&fs::read(self.scene.home().join(name)).unwrap_or_default())
    }

    fn wait_for_all(&mut self) {
        wait_within(
            Duration::from_secs(300),
            "all is out and acknowledged",
            || {
                self.start();
                self.look();
                let seen = self.ids.len() == self.written;
                let newest = self.ids.last().map(|entry| entry.0);
                seen && self.lines_of("file").len() >= self.written
                    && self.loner.is_some()
                    && self.pending(&["-", "+", "1"]).is_empty()
                    && self.floors.back().map(|floor| floor.1) == newest
            },
        );
    }
}

/// `super::torture` tells of the environment.
pub fn play(seconds: u64, seed: u64) {
    let keeps_all = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut play = Consumers {
        scene: Scene::with(Redis::start_with(&keeps_all)),
        rng: Rng::with_seed(seed),
        watcher: None,
        group: [None, None, None],
        file: None,
        loner: None,
        said: Vec::new(),
        written: 0,
        ids: Vec::new(),
        floors: VecDeque::new(),
        spared: HashSet::new(),
        kills: 0,
        removals: 0,
    };
    for group in [WITNESS, GROUP] {
        let _: String = play
            .scene
            .redis
            .ask(&["XGROUP", "CREATE", "logs", group, "0", "MKSTREAM"]);
    }
    play.scene.append("app.log", "");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(seconds) {
        play.round();
    }
    play.wait_for_all();
    for process in play.group.iter_mut().filter_map(Option::take) {
        process.sigterm();
    }
    play.hear_loner();
    play.judge(seconds, seed);
}

impl Consumers {
    fn judge(&self, seconds: u64, seed: u64) {
        let generations = vec![0; self.written];
        let file = Verdict::of(&generations, &self.lines_of("file"));
        let mut group = Verdict::default();
        let (mut seen, mut again) = (vec![0_u32; self.written], Vec::new());
        for line in NAMES.iter().flat_map(|name| self.lines_of(name)) {
            seen[serial_of(&line, &generations).expect("a whole line")] += 1;
        }
        for (entry, serial) in &self.ids {
            group.lost += usize::from(seen[*serial] == 0);
            group.repeated += usize::from(seen[*serial] > 1);
            if seen[*serial] > 1 && !self.spared.contains(entry) {
                again.push((*entry, *serial));
            }
        }
        let loner: HashSet<usize> = self
            .lines_of("loner")
            .iter()
            .map(|line| serial_of(line, &generations).expect("a whole line"))
            .collect();
        let is_said = |entry: &Id| {
            self.said
                .iter()
                .any(|said| said.0 < *entry && *entry <= said.1)
        };
        let (missing, unsaid): (Vec<_>, Vec<_>) = {
            let missing: Vec<_> = self
                .ids
                .iter()
                .filter(|entry| !loner.contains(&entry.1))
                .collect();
            let unsaid = missing
                .iter()
                .filter(|entry| !is_said(&entry.0))
                .copied()
                .collect();
            (missing, unsaid)
        };
        let is_true = |said: &&(Id, Id)| {
            missing
                .iter()
                .any(|entry| said.0 < entry.0 && entry.0 <= said.1)
        };
        let falsely = self.said.iter().filter(|said| !is_true(said)).count();
        println!(
            "torture of consumers: seed {seed}, seconds {seconds}, lines {}, kills {}, removals {}; file: {file}; group: lost \
             {}, repeated {} ({} of them in no killed hand); without a group: missing {}, gaps {}, unsaid {}, falsely {falsely}",
            self.written,
            self.kills,
            self.removals,
            group.lost,
            group.repeated,
            again.len(),
            missing.len(),
            self.said.len(),
            unsaid.len(),
        );
        assert_eq!(
            (file.lost, file.repeated, file.out_of_order, file.damaged),
            (0, 0, 0, 0),
            "{:?}",
            file.first_wrong
        );
        assert_eq!(group.lost, 0);
        assert_eq!(again, [], "repeated, and in no killed hand");
        assert_eq!(
            unsaid,
            Vec::<&(Id, usize)>::new(),
            "missing, and not said: {:?}",
            self.said
        );
        assert_eq!(falsely, 0, "said, and not so: {:?}", self.said);
    }
}

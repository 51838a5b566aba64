//! The reading thread: which files there are, and which is polled next.
//!
//! A file that gets lines is polled quickly, an idle one every `--poll`, and a thousand idle ones less often, so that
//! looking costs next to nothing. While the publisher has all batches, files are looked at and opened, not read.

mod admitting;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime};

use super::admission::{Admission, Named};
use super::globs::{Glob, Walk};
use super::progress::ProgressLine;
use super::report::Reporter;
use super::sink::{BatchSink, Target};
use super::source::Source;
use super::tally::Lag;
use super::{Answer, Shared, TICK, Work};
use crate::checkpoint::{Lock, Store};
use crate::error::{Error, Result};
use crate::file::{Polled, Sink, Surroundings, Tail};
use crate::{cli, talk};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
/// How often patterns are looked through for new matches; and for those that could not be watched.
const RESCAN: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_secs(5);
/// How often a file is polled while lines come, and how long after the last one.
const QUICK_POLL: Duration = Duration::from_millis(2);
const QUICK_FOR: Duration = Duration::from_millis(250);
/// After so long without a line a file is polled at every other `--poll` only: nobody waits for its next one.
const DROWSY_AFTER: Duration = Duration::from_secs(5);
/// What one idle file may cost: with n of them each is polled at most every n times this.
const POLL_COST: Duration = Duration::from_micros(500);
/// Files that are due within this part of their pause are polled together: a thousand wake-ups cost more than the looks.
const TOGETHER: u32 = 4;
/// State of files that are gone is looked for at most so often.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// The watched files.
pub struct Reader<'w> {
    shared: &'w Shared,
    surroundings: &'w Surroundings,
    admission: Admission<'w>,
    globs: Vec<Glob>,
    walk: Walk,
    entries: BTreeMap<usize, Entry<'w>>,
    /// The number of each watched path.
    numbers: HashMap<PathBuf, usize>,
    next_number: usize,
    /// Who waits for a batch, in the order in which they get one.
    hungry: VecDeque<usize>,
    /// FILEs that were not there at the start.
    missing: Vec<PathBuf>,
    /// Accepted and not yet sent to the publisher.
    opening: Vec<Source>,
    next_scan: Instant,
    next_retry: Instant,
    next_forget: Instant,
    is_first_scan: bool,
    /// When something last moved; with `--once` it must within `--timeout`.
    progressed: Instant,
}

/// One followed file; its number is the source's.
struct Entry<'w> {
    path: PathBuf,
    name: Rc<str>,
    is_match: bool,
    stage: Stage<'w>,
    /// When its checkpoint was written, where there was one.
    since: Option<SystemTime>,
    epoch: u64,
    next_poll: Instant,
    quick_until: Instant,
    /// It waits for a batch.
    is_hungry: bool,
    lock: Lock,
}

/// What is done with a file.
enum Stage<'w> {
    /// It is looked at and opened, while the publisher has not said where to begin.
    Opening(Tail<'w>),
    Reading(Tail<'w>),
    /// With `--once`: to be read up to this end.
    ReadingTo(Tail<'w>, (u64, u64)),
    /// With `--once`: read.
    Done,
    /// The publisher refuses it.
    Refused,
}

impl<'w> Stage<'w> {
    fn tail(&self) -> Option<&Tail<'w>> {
        match self {
            Stage::Opening(tail) | Stage::Reading(tail) | Stage::ReadingTo(tail, _) => Some(tail),
            Stage::Done | Stage::Refused => None,
        }
    }
}

impl<'w> Reader<'w> {
    /// Finds and checks what is to be watched. A FILE that cannot be is an error; a match that cannot be is said.
    pub fn prepare(
        shared: &'w Shared,
        store: &'w Store,
        surroundings: &'w Surroundings,
    ) -> Result<Reader<'w>> {
        let options = &shared.options;
        let named = Named::new(&options.files, &options.exclude, options.source.as_deref())?;
        let now = Instant::now();
        let mut reader = Reader {
            shared,
            surroundings,
            admission: Admission::new(
                store,
                named.naming,
                surroundings,
                &options.rotated,
                options.reset,
            ),
            globs: named.globs,
            walk: named.walk,
            entries: BTreeMap::new(),
            numbers: HashMap::new(),
            next_number: 0,
            hungry: VecDeque::new(),
            missing: Vec::new(),
            opening: Vec::new(),
            next_scan: now,
            next_retry: now,
            next_forget: now,
            is_first_scan: true,
            progressed: now,
        };
        for path in named.ones {
            let found = reader.admission.admit(&path, options.reset)?;
            // Of a log that is known the rest may be read, although it is away.
            let is_known = options.once && found.checkpoint.is_some();
            let is_missing = !is_known && !path.exists();
            if is_missing {
                reader.missing.push(path.clone());
            }
            if !(is_missing && options.once) {
                reader.add(path, found, options.from, false)?;
            }
        }
        reader.scan(now, options.from);
        Ok(reader)
    }

    /// What is watched, for a person.
    pub fn describe(&self) -> String {
        let ones = self.entries.values().filter(|entry| !entry.is_match);
        let mut names: Vec<_> = ones
            .map(|entry| entry.path.as_path())
            .chain(self.globs.iter().map(Glob::path))
            .map(|path| path.display().to_string())
            .collect();
        if names.len() > 3 {
            names = vec![format!("{} files", self.entries.len())];
        }
        let missing = match self.missing.as_slice() {
            [] => String::new(),
            [one] => format!(" ({} is not there yet: waiting for it)", one.display()),
            several => format!(
                " ({} of them are not there yet: waiting for them)",
                several.len()
            ),
        };
        names.join(", ") + &missing
    }

    /// Reads until the watcher halts, or with `--once` to the end of every file.
    pub fn run(
        mut self,
        work: Sender<Work>,
        answers: &Receiver<Answer>,
        reporter: &mut Reporter,
        lags: &mut Vec<Lag>,
    ) -> Result<()> {
        let mut sink = BatchSink::new(self.shared, &work);
        let followed = self.follow(&work, answers, &mut sink, reporter);
        *lags = self.lags(&[]);
        followed?;
        if !self.shared.options.once || self.shared.failed.load(Relaxed) {
            return Ok(());
        }
        if self.shared.stop.load(Relaxed) {
            let text = "watch --once: a signal has ended it before it was done; the next run goes on from there";
            return Err(Error::TryLater(text.into()));
        }
        let is_refused = |entry: &Entry| matches!(entry.stage, Stage::Refused);
        let why = if let Some(path) = self.missing.first() {
            format!("watch {}: no such file", path.display())
        } else if self.admission.has_failed() {
            "watch: not every match could be read, as was said".into()
        } else if self.entries.values().any(is_refused) {
            "watch: not every file could be published, as was said".into()
        } else if let Some(glob) = self.globs.first().filter(|_| self.entries.is_empty()) {
            format!("watch {}: no file matches", glob.path().display())
        } else {
            return Ok(());
        };
        Err(Error::Failed(why))
    }

    fn follow(
        &mut self,
        work: &Sender<Work>,
        answers: &Receiver<Answer>,
        sink: &mut BatchSink<'_>,
        reporter: &mut Reporter,
    ) -> Result<()> {
        let mut buffer = vec![0; CHUNK];
        let mut progress = ProgressLine::new();
        while !self.shared.halts() {
            let now = Instant::now();
            self.scan(now, cli::From::Start);
            self.forget(now, work);
            self.open(work);
            let Some(next_poll) = self.poll_due(now, &mut buffer, sink) else {
                break;
            };
            self.close_what_is_over(work);
            if self.shared.options.once && self.is_done(now)? {
                break;
            }
            let tally = || self.shared.counters.tally();
            progress.draw(tally, || self.lags(&[]).iter().map(|lag| lag.bytes).sum());
            reporter.report(now, tally, || self.lags(&sink.out));
            let wake = next_poll.min(now + TICK).min(self.next_scan);
            match answers.recv_timeout(wake.saturating_duration_since(Instant::now())) {
                Ok(answer) => {
                    self.take(answer, sink)?;
                    while let Ok(answer) = answers.try_recv() {
                        self.take(answer, sink)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }

    /// What is not published of each file, where that is known; `out` are the batches that are under way, as bytes of
    /// their sources.
    fn lags(&self, out: &[(usize, u64)]) -> Vec<Lag> {
        let lag = |(number, entry): (&usize, &Entry)| {
            if matches!(entry.stage, Stage::Refused) {
                return None;
            }
            let unread = entry.stage.tail().map_or(0, Tail::unread);
            let sent = out.iter().filter(|(source, _)| source == number);
            Some(Lag {
                path: entry.path.clone(),
                bytes: unread + sent.map(|(_, bytes)| bytes).sum::<u64>(),
            })
        };
        self.entries.iter().filter_map(lag).collect()
    }

    fn take(&mut self, answer: Answer, sink: &mut BatchSink<'_>) -> Result<()> {
        self.progressed = Instant::now();
        match answer {
            Answer::Batch(batch) => sink.take_back(batch),
            Answer::Resume(resume) => self.resume(resume),
            Answer::Refused { source, error } => self.refuse(source, error)?,
        }
        Ok(())
    }

    /// Polls every file that is due. Returns when the next one is; None: the watcher is to stop.
    fn poll_due(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        sink: &mut BatchSink<'_>,
    ) -> Option<Instant> {
        while sink.has_room()
            && let Some(number) = self.hungry.pop_front()
        {
            if let Some(entry) = self.entries.get_mut(&number) {
                entry.is_hungry = false;
            }
            if !self.poll(number, now, buffer, sink) {
                return None;
            }
        }
        let due = match self.entries.len() {
            0 | 1 => now,
            _ => now + self.at_most_every(self.shared.options.poll) / TOGETHER,
        };
        let is_due =
            |(number, entry): (&usize, &Entry)| (entry.next_poll <= due).then_some(*number);
        let numbers: Vec<_> = self.entries.iter().filter_map(is_due).collect();
        for number in numbers {
            if !self.poll(number, now, buffer, sink) {
                return None;
            }
        }
        let next = self.entries.values().map(|entry| entry.next_poll).min();
        Some(next.unwrap_or(now + TICK))
    }

    /// Polls one file. False: the watcher is to stop.
    fn poll(
        &mut self,
        number: usize,
        now: Instant,
        buffer: &mut [u8],
        sink: &mut BatchSink<'_>,
    ) -> bool {
        let pause = |entry: &Entry, this: &Self| {
            let poll = this.shared.options.poll;
            if now < entry.quick_until {
                QUICK_POLL.min(this.at_most_every(poll))
            } else if now < entry.quick_until + DROWSY_AFTER {
                this.at_most_every(poll)
            } else {
                this.at_most_every(poll * 2)
            }
        };
        let Some(mut entry) = self.entries.remove(&number) else {
            return true;
        };
        sink.target = Target {
            source: number,
            epoch: entry.epoch,
            name: Rc::clone(&entry.name),
        };
        let polled = match &mut entry.stage {
            Stage::Opening(tail) => {
                tail.watch(now);
                Polled::Idle
            }
            Stage::Reading(tail) | Stage::ReadingTo(tail, _) => tail.poll(now, buffer, sink),
            Stage::Done | Stage::Refused => Polled::Idle,
        };
        self.say_gaps(&mut entry);
        let has_closed = self.note_closed(&entry);
        entry.next_poll = match polled {
            _ if has_closed => now,
            Polled::Read => {
                entry.quick_until = now + QUICK_FOR;
                self.progressed = now;
                now
            }
            Polled::NoRoom => {
                if !std::mem::replace(&mut entry.is_hungry, true) {
                    self.hungry.push_back(number);
                }
                now + self.at_most_every(self.shared.options.poll)
            }
            Polled::Idle | Polled::Stopped => now + pause(&entry, self),
        };
        self.move_on(&mut entry);
        self.entries.insert(number, entry);
        polled != Polled::Stopped
    }

    /// Says what is missing. Before the publisher has said where to begin, nothing is.
    fn say_gaps(&self, entry: &mut Entry<'w>) {
        let (Stage::Reading(tail) | Stage::ReadingTo(tail, _)) = &mut entry.stage else {
            return;
        };
        for gap in tail.say_gaps() {
            // It was said on stderr; the count in `status` is a help, not the truth.
            let _ = self.admission.store.note_gap(&entry.path, &gap);
            let counters = &self.shared.counters;
            counters.gaps.fetch_add(1, Relaxed);
            counters
                .gap_bytes
                .fetch_add(gap.bytes.unwrap_or(0), Relaxed);
        }
    }

    /// A file that was a log, and is closed, may be a match of its own. Whether there was one.
    fn note_closed(&mut self, entry: &Entry<'w>) -> bool {
        let (Stage::Reading(tail) | Stage::ReadingTo(tail, _)) = &entry.stage else {
            return false;
        };
        for end in tail.closed().iter().filter(|_| !self.globs.is_empty()) {
            if let Err(error) = self.admission.note_closed(*end) {
                talk::warn(&error.to_string());
            }
            (self.next_scan, self.next_retry) = (Instant::now(), Instant::now());
        }
        !tail.closed().is_empty()
    }

    /// With `--once`: how far is to be read, and whether that is reached.
    fn move_on(&self, entry: &mut Entry<'w>) {
        if !self.shared.options.once {
            return;
        }
        entry.stage = match std::mem::replace(&mut entry.stage, Stage::Done) {
            Stage::Reading(tail) => match tail.end_of_now() {
                Some(end) => Stage::ReadingTo(tail, end),
                None => Stage::Reading(tail),
            },
            Stage::ReadingTo(tail, end) if tail.has_reached(end) => Stage::Done,
            other => other,
        };
    }

    /// A pause between two looks at a file, longer where there are so many that looking would cost too much.
    fn at_most_every(&self, pause: Duration) -> Duration {
        pause.max(POLL_COST * u32::try_from(self.entries.len()).unwrap_or(u32::MAX))
    }

    /// With `--once`: whether all is read. An error: nothing moves any more.
    fn is_done(&self, now: Instant) -> Result<bool> {
        let is_done = |entry: &Entry| matches!(entry.stage, Stage::Done | Stage::Refused);
        let Some(entry) = self.entries.values().find(|entry| !is_done(entry)) else {
            return Ok(true);
        };
        let timeout = self.shared.options.timeout;
        if matches!(entry.stage, Stage::Opening(_)) || now < self.progressed + timeout {
            return Ok(false);
        }
        let path = entry.path.display();
        let text = format!("watch {path}: it could not be read to its end");
        Err(match entry.stage.tail().and_then(Tail::trouble) {
            Some(trouble) => Error::Failed(format!("{text}: {trouble}")),
            None => {
                let why = format!("within --timeout ({timeout:?}); try again later");
                Error::TryLater(format!("{text} {why}"))
            }
        })
    }
}

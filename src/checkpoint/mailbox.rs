//! The newest positions on their way to the disk, and when a checkpoint is written.
//!
//! A newer position replaces a queued one, so a slow disk never slows publishing. The writer wakes when something is due,
//! not at each position: with thousands of logs it would do nothing but look.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use super::{Lock, Store};
use crate::error::{Error, Result};
use crate::position::Progress;
use crate::talk;

/// When a checkpoint is written: after so many lines or so long, whichever is first, but never sooner than a pause after
/// the last write of this log, and always at the end.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    pub lines: u64,
    pub interval: Duration,
}

impl Cadence {
    /// How long a position still waits; zero: its write is due. A disk that refuses is not asked after every few lines.
    fn wait(&self, lines: u64, since_last_write: Duration, is_failing: bool) -> Duration {
        let (pause, wait) = match is_failing {
            false if lines >= self.lines => (PAUSE, Duration::ZERO),
            false => (PAUSE, self.interval),
            true => (RETRY, self.interval),
        };
        wait.max(pause).saturating_sub(since_last_write)
    }
}

/// While batch follows batch a write would be due all the time, and its fsyncs would take a core from Redis.
const PAUSE: Duration = Duration::from_millis(100);
/// A disk that refuses is asked again after so long.
const RETRY: Duration = Duration::from_millis(200);
/// How long the writer sleeps when nothing is queued: until it is woken.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// The newest positions that are not on disk yet.
#[derive(Debug)]
pub struct Mailbox {
    cadence: Cadence,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pending: BTreeMap<PathBuf, Pending>,
    /// Logs to forget.
    forgotten: Vec<(PathBuf, Lock)>,
    /// When the checkpoint of each log, but those that are forgotten, was last written, or tried to be.
    tried: HashMap<PathBuf, Instant>,
    /// The logs whose last write failed.
    failed: BTreeSet<PathBuf>,
    /// Some write has failed, which was said, and not every log's was good since.
    is_failing: bool,
    /// Until when the writer sleeps; None: it is at work, and will look before it sleeps.
    sleeps_until: Option<Instant>,
    closed: bool,
}

/// A position, and when it was all that there was: nothing that was written before is missing up to it.
type Moment = (Progress, SystemTime);

#[derive(Debug)]
struct Pending {
    at: Moment,
    lines: u64,
}

impl State {
    /// How long until the write of a log's position is due.
    fn wait(&self, cadence: &Cadence, log: &Path, lines: u64, now: Instant) -> Duration {
        let last = self.tried.get(log);
        let age = last.map_or(Duration::MAX, |last| now.saturating_duration_since(*last));
        cadence.wait(lines, age, self.is_failing)
    }

    fn drop_log(&mut self, log: &Path) {
        self.pending.remove(log);
        self.tried.remove(log);
        self.failed.remove(log);
    }

    /// A position was written, or could not be and is queued again.
    fn note_tried(&mut self, log: PathBuf, old: Pending, is_written: bool) {
        self.tried.insert(log.clone(), Instant::now());
        if is_written {
            self.failed.remove(&log);
            return;
        }
        self.failed.insert(log.clone());
        let (at, lines) = (old.at, 0);
        let newer = self.pending.entry(log).or_insert(Pending { at, lines });
        newer.lines += old.lines;
    }
}

/// What the writer is to do.
struct Due {
    forgotten: Vec<(PathBuf, Lock)>,
    due: BTreeMap<PathBuf, Pending>,
    /// It is the last.
    closed: bool,
}

impl Mailbox {
    pub fn new(cadence: Cadence) -> Mailbox {
        Mailbox {
            cadence,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Queues a log's newest position, `lines` lines further than the one before. Never waits for the disk.
    pub fn put(&self, log: &Path, at: Moment, lines: u64) {
        let mut state = self.state();
        let queued = match state.pending.get_mut(log) {
            Some(pending) => {
                pending.at = at;
                pending.lines += lines;
                pending.lines
            }
            None => {
                state.pending.insert(log.into(), Pending { at, lines });
                lines
            }
        };
        let now = Instant::now();
        let due = now + state.wait(&self.cadence, log, queued, now);
        if state.sleeps_until.is_some_and(|until| due < until) {
            self.changed.notify_one();
        }
    }

    /// Drops what is queued of a log, and has all that the disk knows of it removed. With its lock goes the right to
    /// watch it; who wants to watch it again waits for that. Never waits for the disk itself.
    pub fn forget(&self, log: &Path, lock: Lock) {
        let mut state = self.state();
        state.drop_log(log);
        state.forgotten.push((log.into(), lock));
        self.changed.notify_one();
    }

    /// No more positions will come: what is queued is written, and `write_all` returns.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Writes checkpoints as they fall due, until the mailbox is closed and empty. A write that fails is said once
    /// and tried again; at the end it is an error, unless Redis has what the disk has no room for.
    pub fn write_all(&self, store: &Store) -> Result<()> {
        self.state().is_failing = store.is_full;
        loop {
            let work = self.wait_for_work();
            if !work.due.is_empty() {
                self.write_due(store, work.due, work.closed)?;
            }
            for (log, lock) in work.forgotten {
                self.state().drop_log(&log);
                if let Err(error) = store.forget(&log, lock) {
                    talk::warn(&error.to_string());
                }
            }
            if work.closed {
                return Ok(());
            }
        }
    }

    /// Writes some checkpoints; what could not be written is queued again.
    fn write_due(&self, store: &Store, due: BTreeMap<PathBuf, Pending>, last: bool) -> Result<()> {
        let mut failure = None;
        let mut unwritten = BTreeSet::new();
        for (log, pending) in &due {
            let (progress, as_of) = &pending.at;
            if let Err(error) = store.write(log, progress, *as_of) {
                failure = Some((store.file_of(log), error));
                unwritten.insert(log.clone());
            }
        }
        if unwritten.len() < due.len()
            && let Err(error) = store.sync()
        {
            failure = Some((store.folder.clone(), error));
            unwritten.extend(due.keys().cloned());
        }
        let mut state = self.state();
        for (log, pending) in due {
            let is_written = !unwritten.contains(&log);
            state.note_tried(log, pending, is_written);
        }
        let fails = !state.failed.is_empty();
        let failed_before = std::mem::replace(&mut state.is_failing, fails);
        drop(state);
        match failure {
            None if failed_before && !fails => talk::note("checkpoints can be written again"),
            None => {}
            Some((path, error)) if last && !store.can_do_without(&error) => {
                return Err(Error::io("write checkpoint", &path, &error));
            }
            Some((path, error)) if !failed_before => {
                let error = Error::io("write checkpoint", &path, &error);
                let text = "publishing goes on, and the write is tried again";
                talk::warn(&format!("{error}; {text}"));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Waits until a write is due, a log is to be forgotten, or the mailbox is closed.
    fn wait_for_work(&self) -> Due {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let closed = state.closed;
            let mut next = LONG;
            let mut due = Vec::new();
            for (log, pending) in &state.pending {
                let wait = state.wait(&self.cadence, log, pending.lines, now);
                if closed || wait.is_zero() {
                    due.push(log.clone());
                }
                next = next.min(wait);
            }
            if closed || !due.is_empty() || !state.forgotten.is_empty() {
                let pending = &mut state.pending;
                let due = due.into_iter();
                return Due {
                    due: due.filter_map(|log| pending.remove_entry(&log)).collect(),
                    forgotten: std::mem::take(&mut state.forgotten),
                    closed,
                };
            }
            state.sleeps_until = Some(now + next);
            let woken = self.changed.wait_timeout(state, next);
            state = woken.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
            state.sleeps_until = None;
        }
    }

    /// A thread that panicked while holding the lock leaves nothing half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests;

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

/// When a checkpoint is written.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    /// After this many lines, or
    pub lines: u64,
    /// this long after the last one, whichever is first.
    pub interval: Duration,
}

impl Cadence {
    /// How long a position may still wait; zero: its write is due.
    fn wait(&self, lines: u64, since_last_write: Duration) -> Duration {
        if lines >= self.lines {
            Duration::ZERO
        } else {
            self.interval.saturating_sub(since_last_write)
        }
    }
}

/// While batch follows batch a write would be due all the time, and its fsyncs would take a core from Redis. So the
/// writer then rests this many times as long as it wrote.
const REST: u32 = 10;
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
    written: HashMap<PathBuf, Instant>,
    /// The logs whose last write failed.
    failed: BTreeSet<PathBuf>,
    disk: Disk,
    /// Until when the writer sleeps; None: it is at work, and will look before it sleeps.
    sleeps_until: Option<Instant>,
    closed: bool,
}

/// How the last writing went.
#[derive(Debug, Clone, Copy, Default)]
struct Disk {
    took: Duration,
    failing: bool,
}

/// A position, and when it was all that there was: nothing that was written before is missing up to it.
type Moment = (Progress, SystemTime);

#[derive(Debug, Clone)]
struct Pending {
    at: Moment,
    lines: u64,
    /// More of the log is under way: a newer position follows in no time.
    more: bool,
    /// When the last write was; None: there was none.
    last: Option<Instant>,
}

impl Pending {
    /// How long until its write is due.
    fn wait(&self, cadence: &Cadence, disk: Disk, now: Instant) -> Duration {
        let age = self
            .last
            .map_or(Duration::MAX, |last| now.saturating_duration_since(last));
        // A disk that refuses is not asked after every few lines, but at every interval.
        let lines = if disk.failing { 0 } else { self.lines };
        let rest = (disk.took * REST).min(cadence.interval);
        let pause = if disk.failing {
            rest.max(RETRY)
        } else if self.more {
            rest
        } else {
            Duration::ZERO
        };
        cadence.wait(lines, age).max(pause.saturating_sub(age))
    }
}

impl State {
    fn note_tried(&mut self, logs: impl Iterator<Item = PathBuf>, now: Instant) {
        for log in logs {
            if let Some(newer) = self.pending.get_mut(&log) {
                newer.last = Some(now);
            }
            self.failed.remove(&log);
            self.written.insert(log, now);
        }
    }

    fn drop_log(&mut self, log: &Path) {
        self.pending.remove(log);
        self.written.remove(log);
        self.failed.remove(log);
    }

    fn queue_again(&mut self, logs: BTreeMap<PathBuf, Pending>, now: Instant) {
        for (log, old) in logs {
            self.written.insert(log.clone(), now);
            self.failed.insert(log.clone());
            let newer = self.pending.entry(log).or_insert(Pending {
                lines: 0,
                ..old.clone()
            });
            newer.lines += old.lines;
            newer.last = Some(now);
        }
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

    /// Queues a log's newest position, `lines` lines further than the one before; `more` are under way already.
    /// Never waits for the disk.
    pub fn put(&self, log: &Path, at: Moment, lines: u64, more: bool) {
        let mut guard = self.state();
        let state = &mut *guard;
        let wait = |pending: &Pending| pending.wait(&self.cadence, state.disk, Instant::now());
        let wait = if let Some(pending) = state.pending.get_mut(log) {
            pending.at = at;
            pending.lines += lines;
            pending.more = more;
            wait(pending)
        } else {
            let pending = Pending {
                at,
                lines,
                more,
                last: state.written.get(log).copied(),
            };
            let wait = wait(&pending);
            state.pending.insert(log.into(), pending);
            wait
        };
        let due = Instant::now() + wait;
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
        self.state().disk.failing = store.is_full;
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
    fn write_due(
        &self,
        store: &Store,
        mut due: BTreeMap<PathBuf, Pending>,
        last: bool,
    ) -> Result<()> {
        let started = Instant::now();
        let mut failure = None;
        let mut again = BTreeMap::new();
        for (log, pending) in &due {
            let (progress, as_of) = &pending.at;
            if let Err(error) = store.write(log, progress, *as_of) {
                failure = Some((store.file_of(log), error));
                again.insert(log.clone(), pending.clone());
            }
        }
        if again.len() < due.len()
            && let Err(error) = store.sync()
        {
            failure = Some((store.folder.clone(), error));
            again.append(&mut due);
        }
        let mut guard = self.state();
        let state = &mut *guard;
        let now = Instant::now();
        state.disk.took = now - started;
        state.note_tried(due.into_keys(), now);
        state.queue_again(again, now);
        let fails = !state.failed.is_empty();
        let failed_before = std::mem::replace(&mut state.disk.failing, fails);
        drop(guard);
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
        let mut guard = self.state();
        loop {
            let state = &mut *guard;
            let now = Instant::now();
            let wait = |pending: &Pending| pending.wait(&self.cadence, state.disk, now);
            let closed = state.closed;
            let next = state.pending.values().map(wait).min().unwrap_or(LONG);
            if closed || next.is_zero() || !state.forgotten.is_empty() {
                let is_due = |_: &PathBuf, pending: &mut Pending| closed || wait(pending).is_zero();
                return Due {
                    due: state.pending.extract_if(.., is_due).collect(),
                    forgotten: std::mem::take(&mut state.forgotten),
                    closed,
                };
            }
            state.sleeps_until = Some(now + next);
            let woken = self.changed.wait_timeout(guard, next);
            guard = woken.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
            guard.sleeps_until = None;
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

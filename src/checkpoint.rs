//! The checkpoint files: where they are, how they are read and written, when a write is due.
//!
//! Writing waits for the disk, so it has a thread of its own behind the `Mailbox`; a newer position replaces a queued
//! one, and a slow disk never slows publishing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use crate::error::{Error, Result, describe};
use crate::fault;
use crate::position::Progress;
use crate::talk;

/// The state directory.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// Held while a watcher runs; the system frees it with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Store {
    /// Makes the state directory where there is none, and sees that it can be written to.
    pub fn create(folder: &Path) -> Result<Store> {
        let way_out = "choose another with --state-dir";
        let fail = |verb: &str, error: &io::Error| {
            let text = Error::io(verb, folder, error);
            Error::Failed(format!("{text}; {way_out}"))
        };
        fs::create_dir_all(folder).map_err(|error| fail("create state directory", &error))?;
        let probe = folder.join(format!(".probe.{}", std::process::id()));
        let written = File::create(&probe).and_then(|mut file| file.write_all(b"tailcast"));
        let removed = fs::remove_file(&probe);
        written
            .and(removed)
            .map_err(|error| fail("write to state directory", &error))?;
        Ok(Store {
            folder: folder.into(),
        })
    }

    /// The state directory as it is, to read from.
    pub fn at(folder: &Path) -> Store {
        Store {
            folder: folder.into(),
        }
    }

    /// The checkpoint file of a log: its absolute path with `/` as `%`, then `.checkpoint`.
    pub fn file_of(&self, log: &Path) -> PathBuf {
        self.name(log, ".checkpoint")
    }

    fn name(&self, log: &Path, ending: &str) -> PathBuf {
        let name = log
            .as_os_str()
            .as_bytes()
            .iter()
            .map(|byte| if *byte == b'/' { b'%' } else { *byte });
        self.folder
            .join(OsString::from_vec(name.chain(ending.bytes()).collect()))
    }

    /// Makes this process the only watcher of a log with this state directory.
    pub fn lock(&self, log: &Path) -> Result<Lock> {
        let path = self.name(log, ".lock");
        let open = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = open.map_err(|error| Error::io("open lock", &path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                let text = format!(
                    "{}: another watcher is running (it holds {})",
                    log.display(),
                    path.display()
                );
                Err(Error::TryLater(text))
            }
            Err(TryLockError::Error(error)) => Err(Error::io("lock", &path, &error)),
        }
    }

    /// Reads a log's checkpoint and when it was written. None: there is none yet. The file is left as it is.
    pub fn read(&self, log: &Path) -> Result<Option<(Progress, SystemTime)>> {
        let path = self.file_of(log);
        let fail = |error: &io::Error| Error::io("read checkpoint", &path, error);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(&error)),
        };
        let written = fs::metadata(&path)
            .and_then(|metadata| metadata.modified())
            .map_err(|error| fail(&error))?;
        let malformed = |cause: String| {
            let way_out =
                "mend it or delete it, or run watch with --reset, which forgets the position";
            Error::Failed(format!(
                "read checkpoint {}: {cause}; {way_out}",
                path.display()
            ))
        };
        let (progress, named) = Progress::parse(&text).map_err(malformed)?;
        match named {
            Some(other) if other != log => Err(malformed(format!(
                "it is of another log, {}",
                other.display()
            ))),
            _ => Ok(Some((progress, written))),
        }
    }

    /// Replaces a log's checkpoint, all or nothing, and waits until the disk has it.
    pub fn write(&self, log: &Path, progress: &Progress) -> Result<()> {
        let path = self.file_of(log);
        let temporary = self.name(log, ".checkpoint.tmp");
        let mut text = Vec::new();
        progress.write_text(log, &mut text);
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fault::point("checkpoint-temp-written");
            fs::rename(&temporary, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| {
            // What is left of it would only keep a full disk full.
            let _ = fs::remove_file(&temporary);
            Error::io("write checkpoint", &path, &error)
        })
    }

    /// Forgets a log's checkpoint.
    pub fn remove(&self, log: &Path) -> Result<()> {
        let path = self.file_of(log);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove checkpoint", &path, &error))
            }
            _ => Ok(()),
        }
    }
}

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

/// While batch follows batch a write would be due all the time, and its two fsyncs would take a core from Redis. So the
/// writer then rests this many times as long as it wrote.
const REST: u32 = 10;

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
    closed: bool,
}

#[derive(Debug, Clone)]
struct Pending {
    progress: Progress,
    lines: u64,
    /// More of the log is under way: a newer position follows in no time.
    more: bool,
}

/// What the writer has done.
#[derive(Debug, Default)]
struct Writes {
    /// When each log's checkpoint was last written.
    last: BTreeMap<PathBuf, Instant>,
    /// How long the last write took.
    took: Duration,
    failing: bool,
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
    pub fn put(&self, log: &Path, progress: Progress, lines: u64, more: bool) {
        let mut state = self.state();
        match state.pending.get_mut(log) {
            Some(pending) => {
                let due = pending.lines >= self.cadence.lines && pending.more == more;
                pending.progress = progress;
                pending.lines += lines;
                pending.more = more;
                if due || pending.lines < self.cadence.lines {
                    return;
                }
            }
            None => {
                _ = state.pending.insert(
                    log.into(),
                    Pending {
                        progress,
                        lines,
                        more,
                    },
                )
            }
        }
        self.changed.notify_one();
    }

    /// No more positions will come: what is queued is written, and `write_all` returns.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Writes checkpoints as they fall due, until the mailbox is closed and empty. A write that fails is said once
    /// and tried again; only at the end it is an error.
    pub fn write_all(&self, store: &Store) -> Result<()> {
        let mut writes = Writes::default();
        loop {
            let (due, closed) = self.take_due(&writes);
            for (log, pending) in due {
                let started = Instant::now();
                let written = store.write(&log, &pending.progress);
                writes.took = started.elapsed();
                writes.last.insert(log.clone(), Instant::now());
                match written {
                    Ok(()) if writes.failing => {
                        writes.failing = false;
                        talk::note("checkpoints can be written again");
                    }
                    Ok(()) => {}
                    Err(error) if closed => return Err(error),
                    Err(error) => {
                        if !std::mem::replace(&mut writes.failing, true) {
                            talk::warn(&format!(
                                "{error}; publishing goes on, and the write is tried again"
                            ));
                        }
                        self.put_back(log, pending);
                    }
                }
            }
            if closed {
                return Ok(());
            }
        }
    }

    /// Waits until a write is due, or the mailbox is closed.
    fn take_due(&self, writes: &Writes) -> (Vec<(PathBuf, Pending)>, bool) {
        let mut state = self.state();
        loop {
            if state.closed {
                return (
                    std::mem::take(&mut state.pending).into_iter().collect(),
                    true,
                );
            }
            let now = Instant::now();
            let wait = |(log, pending): (&PathBuf, &Pending)| {
                // A disk that refuses is not asked after every few lines, but at every interval.
                let lines = if writes.failing { 0 } else { pending.lines };
                let last = writes.last.get(log);
                let age = last.map_or(Duration::MAX, |last| now - *last);
                let pause = if writes.failing {
                    Duration::from_millis(200).saturating_sub(age)
                } else if pending.more {
                    let rest = (writes.took * REST).min(self.cadence.interval);
                    rest.saturating_sub(age)
                } else {
                    Duration::ZERO
                };
                self.cadence.wait(lines, age).max(pause)
            };
            match state.pending.iter().map(wait).min() {
                Some(Duration::ZERO) => {
                    let due = |log: &PathBuf, pending: &mut Pending| wait((log, pending)).is_zero();
                    return (state.pending.extract_if(.., due).collect(), false);
                }
                Some(wait) => {
                    state = self
                        .changed
                        .wait_timeout(state, wait)
                        .unwrap_or_else(|e| e.into_inner())
                        .0
                }
                None => state = self.changed.wait(state).unwrap_or_else(|e| e.into_inner()),
            }
        }
    }

    fn put_back(&self, log: PathBuf, old: Pending) {
        self.state()
            .pending
            .entry(log)
            .and_modify(|newer| newer.lines += old.lines)
            .or_insert(old);
    }

    /// A thread that panicked while holding the lock leaves nothing half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// How long ago a checkpoint was written; zero where the clock was set back since.
pub fn age(written: SystemTime) -> Duration {
    SystemTime::now()
        .duration_since(written)
        .unwrap_or_default()
}

/// An error with the words of `describe`, for a path that cannot be watched.
pub fn unwatchable(path: &Path, error: &io::Error) -> Error {
    Error::Failed(format!("watch {}: {}", path.display(), describe(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{FileId, Position};

    fn progress(offset: u64) -> Progress {
        Progress::at(Position {
            offset,
            ..Position::start(0, FileId { dev: 1, ino: 2 })
        })
    }

    #[test]
    fn a_write_is_due_after_so_many_lines_or_so_long() {
        let cadence = Cadence {
            lines: 50,
            interval: Duration::from_secs(2),
        };
        let cases = [
            (0, 0, 2000),
            (49, 500, 1500),
            (50, 0, 0),
            (51, 0, 0),
            (1, 2000, 0),
            (1, 9000, 0),
        ];
        for (lines, age, wait) in cases {
            let waited = cadence.wait(lines, Duration::from_millis(age));
            assert_eq!(
                waited,
                Duration::from_millis(wait),
                "{lines} lines, {age} ms"
            );
        }
    }

    #[test]
    fn a_checkpoint_comes_back_as_it_was_written_and_knows_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(&folder.path().join("a/b")).unwrap();
        let log = Path::new("/var/log/app.log");
        assert_eq!(store.read(log).unwrap(), None);
        store.write(log, &progress(750)).unwrap();
        assert_eq!(store.read(log).unwrap().unwrap().0, progress(750));
        assert!(store.file_of(log).ends_with("%var%log%app.log.checkpoint"));
        fs::rename(store.file_of(log), store.file_of(Path::new("/other"))).unwrap();
        let error = store.read(Path::new("/other")).unwrap_err().to_string();
        assert!(
            error.contains("another log, /var/log/app.log") && error.contains("--reset"),
            "{error}"
        );
    }

    #[test]
    fn a_newer_position_replaces_a_queued_one_and_the_last_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let mailbox = Mailbox::new(Cadence {
            lines: 1,
            interval: Duration::from_secs(60),
        });
        let log = Path::new("/app.log");
        for offset in 1..=1000 {
            mailbox.put(log, progress(offset), 1, true);
        }
        mailbox.close();
        mailbox.write_all(&store).unwrap();
        assert_eq!(store.read(log).unwrap().unwrap().0, progress(1000));
    }
}

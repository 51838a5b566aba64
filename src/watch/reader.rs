//! The reading thread: which files there are, which is polled next, and lines into batches.
//!
//! A file that gets lines is polled quickly, an idle one every `--poll`, and a thousand idle ones less often, so that
//! looking costs next to nothing.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime};

use super::globs::{Exclude, Files, Glob, Scan, Walk};
use super::progress::ProgressLine;
use super::{Answer, Resume, Shared, Source, TICK, Work};
use crate::broker::{Batch, Encoder, source_name};
use crate::checkpoint::{Lock, Store, unwatchable};
use crate::cli;
use crate::error::{Error, Result};
use crate::file::{self, Limits, Polled, Sink, Tail};
use crate::position::Progress;
use crate::talk;

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
/// A batch is full at this size, in bytes of commands.
const BATCH_BYTES: usize = 1024 * 1024;
/// How often globs are looked through for new matches.
const RESCAN: Duration = Duration::from_millis(500);
/// How often a file is polled while lines come, and how long after the last one.
const QUICK_POLL: Duration = Duration::from_millis(2);
const QUICK_FOR: Duration = Duration::from_millis(250);
/// After so long without a line a file is polled at every other `--poll` only: nobody waits for its next one.
const DROWSY_AFTER: Duration = Duration::from_secs(5);
/// What one idle file may cost: with n of them each is polled at most every n times this.
const POLL_COST: Duration = Duration::from_micros(500);
/// Files that are due within this part of their pause are polled together: a thousand wake-ups cost more than the looks.
const TOGETHER: u32 = 4;

/// What is watched, checked and locked.
pub struct Reader {
    globs: Vec<Glob>,
    walk: Walk,
    found: BTreeMap<PathBuf, Found>,
    /// FILEs that were not there at the start.
    missing: Vec<PathBuf>,
    admission: Admission,
}

/// What it takes to let a path in.
struct Admission {
    store: Store,
    reset: bool,
    naming: Naming,
    from: cli::From,
}

/// A path that is let in: nobody else watches it, and its checkpoint is sound.
struct Found {
    name: String,
    checkpoint: Option<(Progress, SystemTime)>,
    lock: Lock,
}

impl Admission {
    fn admit(&self, path: &Path) -> Result<Found> {
        check_file(path)?;
        let lock = self.store.lock(path)?;
        if self.reset {
            self.store.remove(path)?;
        }
        let checkpoint = self.store.read(path)?;
        Ok(Found {
            name: self.naming.name(path),
            checkpoint,
            lock,
        })
    }
}

/// What sources are called: `<host>:<absolute path>`; `--source` names one file, or stands for the host of several.
struct Naming {
    host: String,
    is_whole: bool,
}

impl Naming {
    fn new(files: &[Files], source: Option<&str>) -> Result<Naming> {
        let host = source.map_or_else(host_name, |source| Ok(source.to_string()))?;
        Ok(Naming {
            host,
            is_whole: source.is_some() && matches!(files, [Files::One(_)]),
        })
    }

    fn name(&self, path: &Path) -> String {
        if self.is_whole {
            self.host.clone()
        } else {
            source_name(&self.host, path)
        }
    }
}

fn parse_files(files: &[PathBuf]) -> Result<Vec<Files>> {
    let parse = |file: &PathBuf| {
        std::path::absolute(file)
            .map_err(|error| unwatchable(file, &error))
            .map(Files::parse)
    };
    files.iter().map(parse).collect()
}

/// The files that FILE arguments name now, each with its source's name.
pub fn named_sources(
    files: &[PathBuf],
    exclude: &[PathBuf],
    source: Option<&str>,
) -> Result<Vec<(PathBuf, String)>> {
    let files = parse_files(files)?;
    let naming = Naming::new(&files, source)?;
    let (ones, globs) = partition(files);
    let mut paths: BTreeSet<_> = ones.into_iter().collect();
    let mut walk = Walk::new(&globs, &parse_excludes(exclude)?);
    let scan = walk.scan();
    if let Some((folder, error)) = scan.errors.first() {
        return Err(unlistable(folder, error));
    }
    paths.extend(new_matches(scan, &paths));
    Ok(paths
        .into_iter()
        .map(|path| (path.clone(), naming.name(&path)))
        .collect())
}

fn parse_excludes(patterns: &[PathBuf]) -> Result<Vec<Exclude>> {
    let parse = |pattern: &PathBuf| {
        Exclude::parse(pattern).map_err(|error| Error::io("exclude", pattern, &error))
    };
    patterns.iter().map(parse).collect()
}

fn unlistable(folder: &Path, error: &std::io::Error) -> Error {
    Error::io("list", folder, error)
}

fn partition(files: Vec<Files>) -> (Vec<PathBuf>, Vec<Glob>) {
    let (mut ones, mut globs) = (Vec::new(), Vec::new());
    for file in files {
        match file {
            Files::One(path) => ones.push(path),
            Files::Glob(glob) => globs.push(glob),
        }
    }
    (ones, globs)
}

impl Reader {
    /// Finds and checks what is to be watched. With `--once` a missing FILE is an error only at the end.
    pub fn prepare(options: &cli::Watch, store: &Store) -> Result<Reader> {
        let files = parse_files(&options.files)?;
        let naming = Naming::new(&files, options.source.as_deref())?;
        let admission = Admission {
            store: store.clone(),
            reset: options.reset,
            naming,
            from: options.from,
        };
        let (ones, globs) = partition(files);
        let walk = Walk::new(&globs, &parse_excludes(&options.exclude)?);
        let mut reader = Reader {
            globs,
            walk,
            found: BTreeMap::new(),
            missing: Vec::new(),
            admission,
        };
        for path in ones {
            if !reader.found.contains_key(&path) {
                let found = reader.admission.admit(&path)?;
                if !path.exists() {
                    reader.missing.push(path.clone());
                }
                reader.found.insert(path, found);
            }
        }
        let watched = reader.found.keys().cloned().collect();
        let scan = reader.walk.scan();
        for (folder, error) in &scan.errors {
            talk::warn(&unlistable(folder, error).to_string());
        }
        for path in new_matches(scan, &watched) {
            let found = reader.admission.admit(&path)?;
            reader.found.insert(path, found);
        }
        Ok(reader)
    }

    /// What is watched, for a person.
    pub fn describe(&self) -> String {
        let mut names: Vec<_> = self
            .found
            .keys()
            .map(PathBuf::as_path)
            .chain(self.globs.iter().map(Glob::path))
            .map(|path| path.display().to_string())
            .collect();
        if names.len() > 3 {
            names = vec![format!("{} files", self.found.len())];
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
        self,
        shared: &Shared,
        work: Sender<Work>,
        pool: &Receiver<Box<Batch>>,
        answers: &Receiver<Answer>,
    ) -> Result<()> {
        let work = &work;
        let watched = RefCell::new(BTreeSet::new());
        let is_watched = |path: &Path| watched.borrow().contains(path);
        let options = &shared.options;
        let mut following = Following {
            shared,
            work,
            entries: Vec::new(),
            refused: BTreeSet::new(),
            limits: Limits {
                rotate_wait: options.rotate_wait,
                max_line: options.max_line,
            },
            watched: &watched,
            is_watched: &is_watched,
            admission: &self.admission,
        };
        let mut sources = Vec::new();
        for (path, found) in self.found {
            if options.once && self.missing.contains(&path) {
                continue;
            }
            sources.push(following.add(path, found)?);
        }
        // A publisher that has ended is noticed in `run`, here and below.
        let _ = work.send(Work::Open(sources));
        let encoder = Encoder::new(options.mode, &options.target, &options.type_field);
        let sink = BatchSink {
            shared,
            work,
            pool,
            encoder: &encoder,
            batch: None,
            stopped: false,
            target: Target::default(),
        };
        following.run(self.walk, answers, sink)?;
        if !options.once || shared.halts() {
            return Ok(());
        }
        if let Some(path) = self.missing.first() {
            return Err(Error::Failed(format!(
                "watch {}: no such file",
                path.display()
            )));
        }
        match self.globs.first() {
            Some(glob) if watched.borrow().is_empty() => Err(Error::Failed(format!(
                "watch {}: no file matches",
                glob.path().display()
            ))),
            _ => Ok(()),
        }
    }
}

/// The files that are followed.
struct Following<'w> {
    shared: &'w Shared,
    work: &'w Sender<Work>,
    entries: Vec<Entry<'w>>,
    /// Matches that could not be watched, which was said.
    refused: BTreeSet<PathBuf>,
    limits: Limits,
    watched: &'w RefCell<BTreeSet<PathBuf>>,
    is_watched: &'w dyn Fn(&Path) -> bool,
    admission: &'w Admission,
}

/// One followed file; its index is the source's number.
struct Entry<'w> {
    path: PathBuf,
    name: Rc<str>,
    /// When the checkpoint was written.
    since: Option<SystemTime>,
    /// None: the publisher has not yet said where to begin.
    tail: Option<Tail<'w>>,
    epoch: u64,
    next_poll: Instant,
    quick_until: Instant,
    /// With `--once`: it was read to its end.
    done: bool,
    is_refused: bool,
    _lock: Lock,
}

impl<'w> Following<'w> {
    fn run(
        &mut self,
        mut walk: Walk,
        answers: &Receiver<Answer>,
        mut sink: BatchSink<'_>,
    ) -> Result<()> {
        let mut buffer = vec![0; CHUNK];
        let mut next_scan = Instant::now() + RESCAN;
        let mut progress = ProgressLine::new();
        while !self.shared.halts() {
            let now = Instant::now();
            if now >= next_scan {
                self.scan(&mut walk);
                next_scan = now + RESCAN;
            }
            let Some(next_poll) = self.poll_due(now, &mut buffer, &mut sink) else {
                break;
            };
            if self.is_done() {
                break;
            }
            progress.draw(&self.shared.counters, || {
                let tails = self.entries.iter().filter_map(|entry| entry.tail.as_ref());
                tails.map(Tail::unread).sum()
            });
            let mut wake = next_poll.map_or(now + TICK, |next| next.min(now + TICK));
            wake = wake.min(next_scan);
            match answers.recv_timeout(wake.saturating_duration_since(Instant::now())) {
                Ok(Answer::Resume(from)) => self.resume(from),
                Ok(Answer::Refused { source, error }) => self.refuse(source, error)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }

    /// Polls every file that is due. Returns when the next one is; None: the watcher is to stop.
    fn poll_due(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        sink: &mut BatchSink<'_>,
    ) -> Option<Option<Instant>> {
        let poll = self.shared.options.poll;
        let (idle_poll, drowsy_poll) = (self.at_most_every(poll), self.at_most_every(poll * 2));
        let due = now
            + if self.entries.len() > 1 {
                idle_poll / TOGETHER
            } else {
                Duration::ZERO
            };
        let mut next = None;
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let Some(tail) = entry.tail.as_mut().filter(|_| !entry.done) else {
                continue;
            };
            if entry.next_poll <= due {
                sink.target = Target {
                    source: index,
                    epoch: entry.epoch,
                    name: Rc::clone(&entry.name),
                };
                match tail.poll(now, buffer, sink) {
                    Polled::Stopped => return None,
                    Polled::Read => {
                        entry.next_poll = now;
                        entry.quick_until = now + QUICK_FOR;
                    }
                    Polled::Idle => {
                        entry.done = self.shared.options.once && tail.is_open() && tail.is_at_end();
                        entry.next_poll = now
                            + if now < entry.quick_until {
                                QUICK_POLL.min(idle_poll)
                            } else if now < entry.quick_until + DROWSY_AFTER {
                                idle_poll
                            } else {
                                drowsy_poll
                            };
                    }
                }
            }
            next = next.into_iter().chain([entry.next_poll]).min();
        }
        Some(next)
    }

    /// A pause between two looks at a file, longer where there are so many that looking would cost too much.
    fn at_most_every(&self, pause: Duration) -> Duration {
        pause.max(POLL_COST * u32::try_from(self.entries.len()).unwrap_or(u32::MAX))
    }

    fn is_done(&self) -> bool {
        self.shared.options.once && self.entries.iter().all(|entry| entry.done)
    }

    /// Begins with a path: the publisher will say where.
    fn add(&mut self, path: PathBuf, found: Found) -> Result<Source> {
        let (checkpoint, since) = found.checkpoint.unzip();
        let source = Source {
            id: self.entries.len(),
            path: path.clone(),
            name: found.name.clone(),
            checkpoint,
            initial: Tail::initial(&path, self.admission.from)?,
        };
        self.watched.borrow_mut().insert(path.clone());
        let now = Instant::now();
        self.entries.push(Entry {
            path,
            name: found.name.into(),
            since,
            tail: None,
            epoch: 0,
            next_poll: now,
            quick_until: now,
            done: false,
            is_refused: false,
            _lock: found.lock,
        });
        Ok(source)
    }

    /// The publisher cannot publish a source: the others go on, and where there are none it is the end.
    fn refuse(&mut self, source: usize, error: Error) -> Result<()> {
        let entry = &mut self.entries[source];
        (entry.tail, entry.done, entry.is_refused) = (None, true, true);
        if self.entries.iter().all(|entry| entry.is_refused) {
            return Err(error);
        }
        talk::warn(&error.to_string());
        Ok(())
    }

    fn resume(&mut self, from: Resume) {
        let entry = &mut self.entries[from.source];
        entry.tail = Some(Tail::resume(
            &entry.path,
            self.limits,
            self.is_watched,
            from.progress,
            entry.since.take(),
        ));
        entry.epoch = from.epoch;
        entry.next_poll = Instant::now();
        entry.done = false;
    }

    /// Looks for new matches; one that cannot be watched is said once, and tried again.
    fn scan(&mut self, walk: &mut Walk) {
        let scan = walk.scan();
        let matches = new_matches(scan, &self.watched.borrow());
        for path in matches {
            let added = self
                .admission
                .admit(&path)
                .and_then(|found| self.add(path.clone(), found));
            match added {
                Ok(source) => {
                    talk::detail(&format!("{}: new", path.display()));
                    let _ = self.work.send(Work::Open(vec![source]));
                }
                Err(error) if self.refused.insert(path) => talk::warn(&error.to_string()),
                Err(_) => {}
            }
        }
    }
}

/// The globs' matches that are not watched yet; a rotated sibling of a watched log is that log's own.
fn new_matches(scan: &Scan, watched: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let matches = &scan.matches;
    let is_sibling = |path: &PathBuf| {
        matches
            .iter()
            .chain(watched)
            .any(|log| file::is_sibling_name(path, log))
    };
    matches
        .iter()
        .filter(|path| !watched.contains(*path) && !is_sibling(path))
        .cloned()
        .collect()
}

/// Sees that a path, if it is there, is a file that can be read.
fn check_file(path: &Path) -> Result<()> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unwatchable(path, &error)),
    };
    if metadata.is_dir() {
        let hint = "name the files in it, as in 'FOLDER/*.log'";
        return Err(Error::Failed(format!(
            "watch {}: is a directory; {hint}",
            path.display()
        )));
    }
    if !metadata.is_file() {
        return Err(Error::Failed(format!(
            "watch {}: not a regular file",
            path.display()
        )));
    }
    std::fs::File::open(path).map_err(|error| unwatchable(path, &error))?;
    Ok(())
}

/// The name of this host, as `hostname` prints it.
fn host_name() -> Result<String> {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| {
        let output = std::process::Command::new("uname").arg("-n").output()?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&output.stdout).into_owned())
    });
    match read.map(|name| name.trim().to_string()) {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => Err(Error::Failed(
            "find this host's name: there is none; name the source with --source".into(),
        )),
    }
}

/// Where the lines that are being read belong.
#[derive(Default)]
struct Target {
    source: usize,
    epoch: u64,
    name: Rc<str>,
}

/// Fills batches from the pool, and sends them to the publisher.
struct BatchSink<'a> {
    shared: &'a Shared,
    work: &'a Sender<Work>,
    pool: &'a Receiver<Box<Batch>>,
    encoder: &'a Encoder,
    batch: Option<Box<Batch>>,
    target: Target,
    /// The watcher halts: lines are let go, as they will be read again.
    stopped: bool,
}

impl BatchSink<'_> {
    /// The batch that is being filled; waits for one while the pipeline is full.
    fn batch(&mut self) -> Option<&mut Box<Batch>> {
        while self.batch.is_none() && !self.stopped {
            match self.pool.recv_timeout(TICK) {
                Ok(batch) => self.batch = Some(batch),
                Err(RecvTimeoutError::Timeout) => self.stopped = self.shared.halts(),
                Err(RecvTimeoutError::Disconnected) => self.stopped = true,
            }
        }
        self.batch.as_mut()
    }
}

impl Sink for BatchSink<'_> {
    fn line(&mut self, line: &[u8], end: u64) -> bool {
        let (encoder, name) = (self.encoder, Rc::clone(&self.target.name));
        let limit = self.shared.options.batch_lines;
        self.batch().is_none_or(|batch| {
            encoder.push(batch, &name, line, end);
            batch.bytes += line.len() as u64 + 1;
            batch.lines >= limit || batch.len() >= BATCH_BYTES
        })
    }

    fn commit(&mut self, progress: Progress) -> ControlFlow<()> {
        let (source, epoch) = (self.target.source, self.target.epoch);
        // A progress without lines, as after a rotation, needs a batch all the same.
        self.batch();
        let Some(mut batch) = self.batch.take() else {
            return ControlFlow::Break(());
        };
        (batch.source, batch.epoch, batch.end) = (source, epoch, Some(progress));
        if self.work.send(Work::Batch(batch)).is_err() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

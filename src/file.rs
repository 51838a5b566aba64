//! One watched path: which files it has been, how far each is read, and what comes next.
//!
//! `poll` looks once, reads at most one chunk, and never sleeps; it knows nothing of Redis. What was seen goes to the
//! pure `next_step` (and, after a rotation, to `plan`), which say what to do.

mod plan;
mod siblings;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::cli::From;
use crate::error::{Error, Result, describe};
use crate::lines::{Line, Lines};
use crate::position::{ANCHOR_LEN, Anchor, FileId, Position, Progress};
use crate::talk;
use plan::{Plan, Segment, newer_than, plan, written_after};
use siblings::{Beside, Candidate, Kind, Stat, look_beside, metadata};

pub use siblings::is_sibling_name;

/// Takes the lines of a source in order.
pub trait Sink {
    /// Takes a line, which ends (behind its newline) at `end`. True: it is full and wants a `commit`.
    fn line(&mut self, line: &[u8], end: u64) -> bool;
    /// All lines taken since the last commit lead to this progress. `Break`: the watcher is to stop.
    fn commit(&mut self, progress: Progress) -> ControlFlow<()>;
}

/// What a poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// Nothing new.
    Idle,
    /// It read something: there may be more.
    Read,
    /// The sink wants the watcher to stop.
    Stopped,
}

/// Limits of reading.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a rotated file is kept open for late lines.
    pub rotate_wait: Duration,
    /// Bytes, without the newline.
    pub max_line: u64,
}

/// A watched path that is being followed.
pub struct Tail<'w> {
    path: PathBuf,
    limits: Limits,
    /// Tells the paths that are watched in their own right, which are nobody's rotated siblings.
    is_watched: &'w dyn Fn(&Path) -> bool,
    /// Oldest generation first. The last one is the path's own, or was until the path vanished.
    files: VecDeque<Open>,
    /// The last rotated file that was given up: while its successor is at offset 0, it alone tells what is unread.
    finished: Option<Position>,
    /// The highest generation that was ever opened: a number is never used twice.
    top: u64,
    /// Where to go on from, while there is nothing to open.
    waiting: Progress,
    /// What the sink was told last.
    committed: Option<Progress>,
    /// When the position that we started from was written down.
    since: Option<SystemTime>,
    /// What stands in the way, as said on stderr; said once until it changes.
    trouble: String,
}

/// One generation, open.
struct Open {
    file: File,
    /// Where it was found; it may have been renamed since.
    name: PathBuf,
    stat: Stat,
    generation: u64,
    /// Bytes read, the unterminated last line included.
    read_to: u64,
    /// The bytes before `read_to`, at most 64: each read must find them again.
    before: Vec<u8>,
    /// The file's first bytes, at most 64: what begins so and is shorter is an earlier copy of it.
    head: Vec<u8>,
    lines: Lines,
    /// Behind the last complete line.
    end: Position,
    /// Whether the last read found nothing more.
    at_end: bool,
    /// Whether it was ever read to its end: until then the files after it are not begun.
    reached_end: bool,
    /// Set when it is no longer the path's own: when to stop waiting for late lines.
    given_up_at: Option<Instant>,
}

/// A file as it was when last read, against which a new look is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    id: FileId,
    read_to: u64,
    modified: SystemTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing changed, or there is nothing yet.
    Idle,
    /// The path has appeared.
    Open,
    /// The open file may have grown.
    Read,
    /// Same size, other time: see whether the bytes before the offset are still there.
    Verify,
    /// The path is another file.
    Rotate,
    /// The path's file was cut short.
    Truncate,
}

/// What the newest open file and a look at the path say.
fn next_step(known: Option<Known>, path: Option<Stat>) -> Step {
    match (known, path) {
        (None, None) => Step::Idle,
        (None, Some(_)) => Step::Open,
        // Removed, not yet recreated: writers may still have it open.
        (Some(_), None) => Step::Read,
        // Both rotation and truncation change size and time, so the identity is looked at first.
        (Some(known), Some(path)) if path.id != known.id => Step::Rotate,
        (Some(known), Some(path)) if path.size < known.read_to => Step::Truncate,
        (Some(known), Some(path)) if path.size > known.read_to => Step::Read,
        (Some(known), Some(path)) if path.modified != known.modified => Step::Verify,
        _ => Step::Idle,
    }
}

/// How a read of the open file ended.
enum Chunk {
    /// This many bytes in the buffer, of which the first are those before the offset.
    Bytes(usize),
    /// The bytes before the offset are not there any more.
    AnchorGone,
}

impl<'w> Tail<'w> {
    /// Follows a path from a progress on. `since`: when that was written down, if that is known.
    pub fn resume(
        path: &Path,
        limits: Limits,
        is_watched: &'w dyn Fn(&Path) -> bool,
        progress: Progress,
        since: Option<SystemTime>,
    ) -> Tail<'w> {
        let mut tail = Tail {
            path: path.into(),
            limits,
            is_watched,
            files: VecDeque::new(),
            finished: None,
            top: progress.current.generation,
            waiting: progress.clone(),
            committed: Some(progress.clone()),
            since: since.or_else(|| Some(SystemTime::now())),
            trouble: String::new(),
        };
        tail.try_to(|tail| tail.open_planned(&progress, since, &|_| false));
        tail
    }

    /// Where a path without checkpoint and record begins. An absent file begins at its start.
    pub fn initial(path: &Path, from: From) -> Result<Progress> {
        let fail = |error| Error::io("read", path, &error);
        let Some(metadata) = metadata(path).map_err(fail)? else {
            return Ok(Progress::at(Position::start(0, FileId::default())));
        };
        let start = Position::start(0, Stat::of(&metadata).id);
        if from == From::Start {
            return Ok(Progress::at(start));
        }
        let file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
        let offset = last_line_end(&file).map_err(fail)?;
        let anchor = Anchor::of(&bytes_before(&file, offset, ANCHOR_LEN).map_err(fail)?);
        Ok(Progress::at(Position {
            offset,
            anchor,
            ..start
        }))
    }

    /// Whether everything that is there was read.
    pub fn is_at_end(&self) -> bool {
        self.files.iter().all(|file| file.at_end)
    }

    /// Whether there is a file to read at all.
    pub fn is_open(&self) -> bool {
        !self.files.is_empty()
    }

    /// Bytes that are there and not yet read.
    pub fn unread(&self) -> u64 {
        let rest = |open: &Open| {
            open.file
                .metadata()
                .map_or(0, |now| now.len().saturating_sub(open.read_to))
        };
        self.files.iter().map(rest).sum()
    }

    /// Looks at the path once and reads at most one chunk, which `buffer` must hold.
    pub fn poll(&mut self, now: Instant, buffer: &mut [u8], sink: &mut dyn Sink) -> Polled {
        let step = match metadata(&self.path) {
            Ok(found) => {
                let stat = found
                    .filter(fs::Metadata::is_file)
                    .map(|metadata| Stat::of(&metadata));
                next_step(self.files.back().map(Open::known), stat)
            }
            Err(error) => {
                self.say_trouble(format!(
                    "look at {}: {}",
                    self.path.display(),
                    describe(&error)
                ));
                Step::Read
            }
        };
        if step == Step::Idle && self.files.len() <= 1 && self.is_at_end() {
            return Polled::Idle;
        }
        match step {
            Step::Open => {
                self.try_to(|tail| tail.open_planned(&tail.waiting.clone(), tail.since, &|_| false))
            }
            Step::Rotate => self.try_to(|tail| tail.follow_rotation(now)),
            Step::Truncate => self.try_to(|tail| tail.follow_truncation()),
            _ => {}
        }
        self.read(now, buffer, sink)
    }

    /// At offset 0 no anchor would tell if a copytruncate went by, before these bytes were written.
    fn is_first_chunk(&self, index: usize) -> bool {
        index + 1 == self.files.len()
            && self.files[index].read_to == 0
            && self.files.iter().take(index).all(|open| open.reached_end)
    }

    /// Reads one chunk of the oldest file that has one, and lets go of rotated files whose time is up.
    fn read(&mut self, now: Instant, buffer: &mut [u8], sink: &mut dyn Sink) -> Polled {
        let mut polled = Polled::Idle;
        let mut index = 0;
        while index < self.files.len() {
            match self.files[index].read_chunk(buffer) {
                Ok(Chunk::Bytes(length)) => {
                    let before = self.files[index].before.len();
                    if length > before {
                        // Looked at behind the read: what was truncated after the look is noticed by the next read.
                        if self.is_first_chunk(index) && self.find_unseen_copies() {
                            polled = Polled::Read;
                            break;
                        }
                        if self.take_chunk(index, &buffer[..length], sink).is_break() {
                            return Polled::Stopped;
                        }
                        polled = Polled::Read;
                        break;
                    }
                    self.files[index].at_end = true;
                    self.files[index].reached_end = true;
                }
                Ok(Chunk::AnchorGone) if index + 1 == self.files.len() => {
                    self.try_to(|tail| tail.follow_truncation());
                    polled = Polled::Read;
                    break;
                }
                // A rotated file that was cut: there is no more to be had from it.
                Ok(Chunk::AnchorGone) => self.files[index].given_up_at = Some(now),
                Err(error) => {
                    let name = self.files[index].name.display();
                    let text = format!("read {name}: {}", describe(&error));
                    self.say_trouble(text);
                    break;
                }
            }
            if !self.let_go(index, now) {
                index += 1;
            }
        }
        self.commit(sink, polled)
    }

    fn commit(&mut self, sink: &mut dyn Sink, polled: Polled) -> Polled {
        let progress = self.progress();
        if self.committed.as_ref() == Some(&progress) {
            return polled;
        }
        self.committed = Some(progress.clone());
        if sink.commit(progress).is_break() {
            Polled::Stopped
        } else {
            polled
        }
    }

    /// Hands the lines of a chunk to the sink. `bytes` begins with those before the offset.
    fn take_chunk(&mut self, index: usize, bytes: &[u8], sink: &mut dyn Sink) -> ControlFlow<()> {
        let open = &mut self.files[index];
        let base = open.read_to - open.before.len() as u64;
        if base == 0 && open.head.len() < ANCHOR_LEN {
            open.head = bytes[..bytes.len().min(ANCHOR_LEN)].to_vec();
        }
        let mut rest = &bytes[open.before.len()..];
        let mut lines = std::mem::replace(&mut open.lines, Lines::new(0));
        open.read_to = base + bytes.len() as u64;
        open.at_end = false;
        let mut behind = None;
        while let Some(line) = lines.next(&mut rest) {
            let length = bytes.len() - rest.len();
            behind = Some(length);
            let end = base + length as u64;
            let full = match line {
                Line::Whole([]) => false,
                Line::Whole(line) => sink.line(line, end),
                Line::TooLong(length) => {
                    self.say_too_long(index, end, length);
                    false
                }
            };
            if full {
                self.files[index].move_end(end, &bytes[..length]);
                let progress = self.progress();
                self.committed = Some(progress.clone());
                sink.commit(progress)?;
            }
        }
        let open = &mut self.files[index];
        open.lines = lines;
        if let Some(length) = behind {
            open.move_end(base + length as u64, &bytes[..length]);
        }
        open.before.clear();
        open.before
            .extend_from_slice(&bytes[bytes.len().saturating_sub(ANCHOR_LEN)..]);
        ControlFlow::Continue(())
    }

    /// How far we got: up to the file that is being read, and in the older ones that may still get lines.
    fn progress(&self) -> Progress {
        let Some(newest) = self.files.len().checked_sub(1) else {
            return self.waiting.clone();
        };
        let current = self
            .files
            .iter()
            .position(|open| !open.reached_end)
            .unwrap_or(newest);
        let mut older: Vec<_> = self
            .files
            .iter()
            .take(current)
            .rev()
            .map(|open| open.end)
            .collect();
        let current = self.files[current].end;
        let is_missing = |finished: &Position| {
            finished.generation < current.generation
                && older
                    .iter()
                    .all(|position| position.generation != finished.generation)
        };
        if let Some(finished) = self
            .finished
            .filter(|finished| current.offset == 0 && is_missing(finished))
        {
            older.push(finished);
            older.sort_by_key(|position| std::cmp::Reverse(position.generation));
        }
        Progress { current, older }
    }

    /// Drops a rotated file that is read to its end when nobody will write to it any more.
    fn let_go(&mut self, index: usize, now: Instant) -> bool {
        let open = &self.files[index];
        if index + 1 == self.files.len() || open.given_up_at.is_none_or(|time| now < time) {
            return false;
        }
        if open.lines.unterminated() > 0 {
            let (name, rest) = (open.name.display(), open.lines.unterminated());
            talk::warn(&format!(
                "{name}: its last {rest} bytes, from offset {}, have no newline and were not published",
                open.end.offset
            ));
        }
        let end = open.end;
        self.finish(end);
        self.files.remove(index);
        true
    }

    /// Remembers where a generation ended; an empty one tells nothing.
    fn finish(&mut self, end: Position) {
        if end.offset > 0 {
            self.finished = Some(end);
        }
    }

    /// Opens what `plan` finds for a progress.
    ///
    /// `is_ours` knows a copy that is shorter than what was read, and so has not our anchor.
    fn open_planned(
        &mut self,
        progress: &Progress,
        since: Option<SystemTime>,
        is_ours: &dyn Fn(&Candidate) -> bool,
    ) -> io::Result<()> {
        let beside = self.look_beside()?;
        let mut plan = plan_from(progress, &beside, since)?;
        let copy = plan
            .segments
            .iter()
            .rposition(|segment| is_ours(&beside.candidates[segment.candidate]));
        if let Some(copy) = copy.filter(|_| plan.lost) {
            // Made before the last lines that we read: there is nothing in it, or before it, that we have not.
            plan.segments.drain(..=copy);
            plan.lost = false;
        }
        if plan.segments.is_empty() {
            return Ok(());
        }
        let files = self.open_segments(&beside.candidates, &plan.segments)?;
        if plan.lost {
            self.say_lost(&progress.current, &beside, since);
        }
        self.finished = progress
            .older
            .iter()
            .find(|older| older.offset > 0)
            .copied();
        self.top = files
            .iter()
            .map(|open| open.generation)
            .fold(self.top, u64::max);
        self.files = files;
        Ok(())
    }

    /// The path is another file: the open one stays until its writers have moved on.
    fn follow_rotation(&mut self, now: Instant) -> io::Result<()> {
        let is_intact = |open: &Open| open.end.offset > 0 && open.is_intact().unwrap_or(false);
        if !self.files.back().is_some_and(is_intact) {
            // It was truncated before it was renamed, or may have been: its lines may be in a copy.
            return self.follow_truncation();
        }
        let beside = self.look_beside()?;
        let Some(newest) = self.files.back_mut() else {
            return Ok(());
        };
        newest.stat = Stat::of(&newest.file.metadata()?);
        let (id, modified, mut generation) = (newest.stat.id, newest.stat.modified, self.top);
        let ours = beside
            .candidates
            .iter()
            .position(|candidate| candidate.stat.id == id);
        if ours.is_none() && holds(&File::open(&self.path)?, &newest.end)? {
            // Not rotated, but replaced by a copy of itself, as editors do.
            return self.follow_truncation();
        }
        let newer = match ours {
            Some(index) => newer_than(index, &beside.candidates),
            None => written_after(Some(modified), &beside.candidates),
        };
        let mut segments = Vec::new();
        for candidate in newer {
            if !self
                .files
                .iter()
                .any(|open| open.stat.id == beside.candidates[candidate].stat.id)
            {
                generation += 1;
                segments.push(Segment {
                    candidate,
                    from: None,
                    generation,
                });
            }
        }
        let files = self.open_segments(&beside.candidates, &segments)?;
        if let Some(newest) = self.files.back_mut().filter(|_| !files.is_empty()) {
            newest.given_up_at = Some(now + self.limits.rotate_wait);
            talk::detail(&format!("{}: rotated", self.path.display()));
        }
        self.files.extend(files);
        self.top = generation;
        Ok(())
    }

    /// The path's file was cut short: what was in it may be in a copy.
    fn follow_truncation(&mut self) -> io::Result<()> {
        let progress = self.progress();
        let finished = self.finished;
        let Some(newest) = self.files.pop_back() else {
            return Ok(());
        };
        let kept = std::mem::take(&mut self.files);
        let since = if newest.generation == 0 && newest.end.offset == 0 {
            self.since
        } else {
            Some(newest.stat.modified)
        };
        let is_ours = |candidate: &Candidate| newest.is_copied_in(candidate).unwrap_or(false);
        let planned = self.open_planned(&progress, since, &is_ours);
        let opened = std::mem::replace(&mut self.files, kept);
        self.finished = finished;
        if let Err(error) = planned {
            self.files.push_back(newest);
            return Err(error);
        }
        talk::detail(&format!("{}: truncated", self.path.display()));
        let is_kept = |open: &Open| {
            self.files
                .iter()
                .any(|kept| kept.generation == open.generation)
        };
        let opened: Vec<_> = opened.into_iter().filter(|open| !is_kept(open)).collect();
        self.files.extend(opened);
        if self
            .files
            .iter()
            .all(|open| open.generation != newest.generation)
        {
            self.finish(newest.end);
        }
        self.waiting = progress;
        Ok(())
    }

    /// Whether there were files between the last one and this, and they are to be read first.
    fn find_unseen_copies(&mut self) -> bool {
        // Where the look fails, the bytes are left for the next one.
        let mut found = true;
        self.try_to(|tail| {
            let progress = tail.progress();
            let beside = tail.look_beside()?;
            let plan = plan_from(&progress, &beside, tail.since)?;
            let is_known = |segment: &Segment| {
                let candidate = &beside.candidates[segment.candidate];
                candidate.kind == Kind::Path || segment.from.is_some()
            };
            found = !plan.lost && !plan.segments.iter().all(is_known);
            if found {
                tail.follow_truncation()
            } else {
                Ok(())
            }
        });
        found
    }

    /// What lies beside the path, without a copy of it that is not yet followed by the truncation: its lines are
    /// still in the path.
    fn look_beside(&self) -> io::Result<Beside> {
        let mut beside = look_beside(&self.path, self.is_watched)?;
        let Some(path) = beside
            .candidates
            .last()
            .filter(|last| last.kind == Kind::Path)
            .cloned()
        else {
            return Ok(beside);
        };
        let read: Vec<_> = self
            .waiting
            .positions()
            .map(|position| position.file)
            .collect();
        let is_read =
            |id: FileId| read.contains(&id) || self.files.iter().any(|open| open.stat.id == id);
        beside.candidates.retain(|candidate| {
            candidate.kind == Kind::Path
                || is_read(candidate.stat.id)
                || !is_fresh_copy(candidate, &path)
        });
        Ok(beside)
    }

    /// Opens segments; all or none, as a rotation may be renaming them at this moment.
    fn open_segments(
        &self,
        candidates: &[Candidate],
        segments: &[Segment],
    ) -> io::Result<VecDeque<Open>> {
        let mut files = VecDeque::new();
        for (index, segment) in segments.iter().enumerate() {
            let mut open = Open::new(
                &candidates[segment.candidate],
                segment,
                self.limits.max_line,
            )?;
            if index + 1 < segments.len() {
                open.given_up_at =
                    Some(Instant::now() + open.rest_of_wait(self.limits.rotate_wait));
            }
            files.push_back(open);
        }
        Ok(files)
    }

    /// Does a step that touches files; what stands in its way is said once, and it is tried again at the next poll.
    fn try_to(&mut self, step: impl FnOnce(&mut Self) -> io::Result<()>) {
        match step(self) {
            Ok(()) => self.trouble.clear(),
            // The files have moved on between two looks: the next poll sees where to.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.say_trouble(format!(
                "open {}: {}",
                self.path.display(),
                describe(&error)
            )),
        }
    }

    fn say_trouble(&mut self, text: String) {
        if self.trouble != text {
            talk::warn(&format!("{text}; trying again"));
            self.trouble = text;
        }
    }

    fn say_too_long(&self, index: usize, end: u64, length: u64) {
        let name = self.files[index].name.display();
        let (start, limit) = (end.saturating_sub(length + 1), self.limits.max_line);
        talk::warn(&format!(
            "{name}: skipped a line of {length} bytes at offset {start}: over --max-line ({limit} bytes)"
        ));
    }

    fn say_lost(&self, position: &Position, beside: &Beside, since: Option<SystemTime>) {
        let path = self.path.display();
        if position.offset == 0 && position.file == FileId::default() {
            return;
        }
        let later = |time: &SystemTime| since.is_none_or(|since| *time >= since);
        let names = beside
            .compressed
            .iter()
            .filter(|(_, time)| later(time))
            .map(|(name, _)| name.display().to_string());
        let names: Vec<_> = names.collect();
        if names.is_empty() {
            talk::note(&format!(
                "{path}: it is not the file that was read to offset {}; reading it from its start",
                position.offset
            ));
        } else {
            talk::warn(&format!(
                "{path}: rotated and compressed before it was read to its end: lines from offset {} on, and files after \
                 that, may have been missed; they are in {}",
                position.offset,
                names.join(", ")
            ));
        }
    }
}

impl Open {
    fn new(candidate: &Candidate, segment: &Segment, max_line: u64) -> io::Result<Open> {
        let (file, stat) = open_candidate(candidate)?;
        let start = Position::start(segment.generation, stat.id);
        let mut end = Position {
            file: stat.id,
            ..segment.from.unwrap_or(start)
        };
        let before = bytes_before(&file, end.offset, ANCHOR_LEN)?;
        end.anchor = Anchor::of(&before);
        let head_length = end.offset.min(ANCHOR_LEN as u64);
        let head = bytes_before(&file, head_length, ANCHOR_LEN)?;
        Ok(Open {
            file,
            name: candidate.path.clone(),
            stat,
            generation: segment.generation,
            read_to: end.offset,
            before,
            head,
            lines: Lines::new(max_line),
            end,
            at_end: false,
            reached_end: false,
            given_up_at: None,
        })
    }

    fn known(&self) -> Known {
        Known {
            id: self.stat.id,
            read_to: self.read_to,
            modified: self.stat.modified,
        }
    }

    /// Reads from a little before the offset, so that a file that is no longer ours shows itself.
    fn read_chunk(&mut self, buffer: &mut [u8]) -> io::Result<Chunk> {
        self.stat = Stat::of(&self.file.metadata()?);
        let length = self
            .file
            .read_at(buffer, self.read_to - self.before.len() as u64)?;
        if !buffer[..length].starts_with(&self.before) {
            return Ok(Chunk::AnchorGone);
        }
        Ok(Chunk::Bytes(length))
    }

    /// Whether a sibling is a copy of this file that was made before its last lines were read.
    fn is_copied_in(&self, candidate: &Candidate) -> io::Result<bool> {
        let size = candidate.stat.size;
        if candidate.kind == Kind::Path || size == 0 || size > self.read_to {
            return Ok(false);
        }
        let (file, _) = open_candidate(candidate)?;
        let head = bytes_before(&file, size.min(ANCHOR_LEN as u64), ANCHOR_LEN)?;
        Ok(self.head.starts_with(&head))
    }

    /// Whether the bytes before the offset are still there.
    fn is_intact(&self) -> io::Result<bool> {
        Ok(bytes_before(&self.file, self.read_to, self.before.len())? == self.before)
    }

    fn move_end(&mut self, offset: u64, before: &[u8]) {
        self.end.offset = offset;
        self.end.anchor = Anchor::of(before);
    }

    /// What is left of the time for late lines, counted from the last write or rename.
    fn rest_of_wait(&self, wait: Duration) -> Duration {
        let last = self.stat.modified.max(self.stat.changed);
        // A clock that was set back makes it young again: then the whole wait is the safe answer.
        SystemTime::now()
            .duration_since(last)
            .map_or(wait, |age| wait.saturating_sub(age))
    }
}

/// Bytes that lie there beyond a progress, in the path and in what was rotated away from it.
pub fn unread(path: &Path, progress: Progress, since: Option<SystemTime>) -> u64 {
    let limits = Limits {
        rotate_wait: Duration::ZERO,
        max_line: 0,
    };
    Tail::resume(path, limits, &|_| false, progress, since).unread()
}

/// A copy is followed by its original's truncation at once; one older than this is no such copy, though it look like one.
const FRESH: Duration = Duration::from_secs(10);

/// Whether a file is a copy of the path, perhaps not finished, and the path has not been truncated yet.
///
/// Such a copy was born after the path's file; what was renamed away was born before it.
fn is_fresh_copy(candidate: &Candidate, path: &Candidate) -> bool {
    let size = candidate.stat.size;
    let age = SystemTime::now()
        .duration_since(candidate.stat.modified)
        .unwrap_or_default();
    let born = |candidate: &Candidate| {
        fs::metadata(&candidate.path).and_then(|metadata| metadata.created())
    };
    let is_younger = match (born(candidate), born(path)) {
        (Ok(copy), Ok(original)) => copy > original,
        // A file system that does not say: an empty file proves nothing.
        _ => size > 0,
    };
    age < FRESH
        && is_younger
        && size <= path.stat.size
        && begins_with(path, candidate, size).unwrap_or(false)
}

/// Whether the first `size` bytes of two files are the same.
fn begins_with(path: &Candidate, copy: &Candidate, size: u64) -> io::Result<bool> {
    let (original, copy) = (open_candidate(path)?.0, open_candidate(copy)?.0);
    let mut end = 0;
    while end < size {
        end = size.min(end + 64 * 1024);
        let bytes = bytes_before(&copy, end, 64 * 1024)?;
        if bytes.is_empty() || bytes != bytes_before(&original, end, 64 * 1024)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens a candidate; not found, where a rotation has renamed it since it was listed.
fn open_candidate(candidate: &Candidate) -> io::Result<(File, Stat)> {
    let file = File::open(&candidate.path)?;
    let stat = Stat::of(&file.metadata()?);
    if stat.id != candidate.stat.id {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok((file, stat))
}

/// Whether a file has the position's anchor right before its offset.
fn holds(file: &File, position: &Position) -> io::Result<bool> {
    let length = usize::from(position.anchor.len);
    let before = bytes_before(file, position.offset, length)?;
    Ok(before.len() == length && Anchor::of(&before) == position.anchor)
}

/// What is to be read; an error where the files moved on under the look.
fn plan_from(progress: &Progress, beside: &Beside, since: Option<SystemTime>) -> io::Result<Plan> {
    let trouble = RefCell::new(None);
    let holds = |index: usize, position: &Position| {
        let held =
            open_candidate(&beside.candidates[index]).and_then(|(file, _)| holds(&file, position));
        held.unwrap_or_else(|error| {
            // A sibling that may not be read is no candidate; one that has moved makes the whole look void.
            if error.kind() != io::ErrorKind::PermissionDenied {
                trouble.replace(Some(error));
            }
            false
        })
    };
    let plan = plan(progress, &beside.candidates, &holds, since);
    trouble.into_inner().map_or(Ok(plan), Err)
}

/// The at most `length` bytes before an offset; fewer where the file is shorter.
fn bytes_before(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let length = length.min(usize::try_from(offset).unwrap_or(length));
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset - (length - filled) as u64)? {
            0 => break,
            more => filled += more,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The offset behind the last newline of a file.
fn last_line_end(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let bytes = bytes_before(file, end, 64 * 1024)?;
        if let Some(newline) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(end - (bytes.len() - newline - 1) as u64);
        }
        end -= bytes.len() as u64;
        if bytes.is_empty() {
            break;
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_follows_from_what_was_seen() {
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let id = |ino| FileId { dev: 1, ino };
        let stat = |ino, size, seconds| Stat {
            id: id(ino),
            size,
            modified: time(seconds),
            changed: time(seconds),
        };
        let known = Some(Known {
            id: id(1),
            read_to: 100,
            modified: time(5),
        });
        let cases = [
            (None, None, Step::Idle),
            (None, Some(stat(1, 0, 5)), Step::Open),
            (known, None, Step::Read),
            (known, Some(stat(1, 100, 5)), Step::Idle),
            (known, Some(stat(1, 100, 6)), Step::Verify),
            (known, Some(stat(1, 101, 5)), Step::Read),
            (known, Some(stat(1, 99, 6)), Step::Truncate),
            (known, Some(stat(2, 100, 5)), Step::Rotate),
            (known, Some(stat(2, 0, 5)), Step::Rotate),
        ];
        for (known, path, step) in cases {
            assert_eq!(next_step(known, path), step, "{known:?} {path:?}");
        }
    }
}

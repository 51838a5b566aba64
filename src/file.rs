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
use plan::{Known, Plan, Segment, Tests, plan};
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
    /// Where to go on from, while there is nothing to open.
    waiting: Progress,
    /// What the sink was told last.
    committed: Option<Progress>,
    /// Up to here every change of the files was seen.
    since: Option<SystemTime>,
    /// What was not to be read when it was last looked at, or is given up: as long as it stays as it is.
    passed_over: Vec<Stat>,
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
struct LastLook {
    id: FileId,
    read_to: u64,
    modified: SystemTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing changed, or there is nothing yet.
    Idle,
    /// The open file may have grown. Same size and another time count too: the read finds whether it is still ours.
    Read,
    /// The path has appeared, is another file, or was cut short: see what there is to read now.
    Follow,
}

/// What the newest open file and a look at the path say.
fn next_step(known: Option<LastLook>, path: Option<Stat>) -> Step {
    match (known, path) {
        (None, None) => Step::Idle,
        (None, Some(_)) => Step::Follow,
        // Removed, not yet recreated: writers may still have it open.
        (Some(_), None) => Step::Read,
        (Some(known), Some(path)) if path.id != known.id => Step::Follow,
        (Some(known), Some(path)) if path.size < known.read_to => Step::Follow,
        (Some(known), Some(path))
            if path.size > known.read_to || path.modified != known.modified =>
        {
            Step::Read
        }
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
            waiting: progress.clone(),
            committed: Some(progress),
            since,
            passed_over: Vec::new(),
            trouble: String::new(),
        };
        tail.try_to_follow();
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
        let position = position_at(&file, offset, start).map_err(fail)?;
        Ok(Progress::at(position))
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
        let looked = SystemTime::now() - CLOCK_STEP;
        let step = match metadata(&self.path) {
            Ok(found) => {
                let stat = found
                    .filter(fs::Metadata::is_file)
                    .map(|metadata| Stat::of(&metadata));
                next_step(self.files.back().map(Open::last_look), stat)
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
        let is_seen = step != Step::Follow || self.try_to_follow();
        let is_idle = step == Step::Idle && self.files.len() <= 1 && self.is_at_end();
        let polled = if is_idle {
            Polled::Idle
        } else {
            self.read(now, buffer, sink)
        };
        if is_seen {
            self.since = Some(looked);
        }
        polled
    }

    /// Whether a truncation may have gone by unseen before these bytes were written: nothing, or too little to tell, was
    /// read of the file before.
    fn is_unproven(&self, index: usize) -> bool {
        let open = &self.files[index];
        index + 1 == self.files.len()
            && open.end.offset == 0
            && open.read_to < ANCHOR_LEN as u64
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
                        if self.is_unproven(index) && self.finds_other_files() {
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
                    self.try_to_follow();
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

    /// How far we got: up to the newest file that was begun, and in the older ones that may still get lines.
    fn progress(&self) -> Progress {
        let Some(newest) = self.files.len().checked_sub(1) else {
            return self.waiting.clone();
        };
        // Never back behind what was committed, even where older files are read once more for late lines.
        let committed = self.committed.as_ref().map(|p| p.current.generation);
        let place = |is_it: &dyn Fn(&Open) -> bool| self.files.iter().position(is_it);
        let unfinished = place(&|open| !open.reached_end).unwrap_or(newest);
        let reached = place(&|open| Some(open.generation) >= committed).unwrap_or(newest);
        let begun = self.files.iter().rposition(|open| open.end.offset > 0);
        let current = unfinished.max(reached).max(begun.unwrap_or(0));
        let mut older: Vec<_> = self.files.range(..current).map(|open| open.end).collect();
        let current = self.files[current].end;
        // While nothing was read of the newest, the newest one that was read tells what is unread.
        let is_newest_read = |finished: &Position| {
            let is_newer =
                |other: &Position| other.offset > 0 && other.generation > finished.generation;
            current.offset == 0 && !older.iter().any(is_newer)
        };
        let finished = self.finished.filter(is_newest_read);
        older.extend(finished.filter(|finished| finished.generation < current.generation));
        older.sort_by_key(|position| std::cmp::Reverse(position.generation));
        older.dedup_by_key(|position| position.generation);
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
        self.passed_over.push(open.stat);
        self.finish(end);
        self.files.remove(index);
        true
    }

    /// Remembers where a generation ended that is no longer open.
    fn finish(&mut self, end: Position) {
        let is_newer = |finished: Position| finished.generation < end.generation;
        if end.offset > 0 && self.finished.is_none_or(is_newer) {
            self.finished = Some(end);
        }
    }

    /// Whether nobody waits for late lines of a generation any more.
    fn is_finished(&self, generation: u64) -> bool {
        let is_it = |finished: Position| finished.generation == generation;
        self.finished.is_some_and(is_it) && self.files.iter().all(|o| o.generation != generation)
    }

    /// What is known of each generation, newest first.
    fn known(&self) -> Vec<Position> {
        if self.files.is_empty() {
            return self.waiting.positions().copied().collect();
        }
        let mut known: Vec<_> = self.files.iter().map(|open| open.end).collect();
        known.extend(self.finished);
        known.sort_by_key(|position| std::cmp::Reverse(position.generation));
        known.dedup_by_key(|position| position.generation);
        known
    }

    /// Opens what there is to read now, unless that is open already. Returns whether it was not.
    fn follow(&mut self) -> io::Result<bool> {
        let beside = self.look_beside()?;
        let held = self.files.iter().filter(|open| !beside.has(open.stat.id));
        let held = held.map(|open| open.generation).max();
        let mut plan = self.plan(held, &beside)?;
        plan.segments
            .retain(|segment| !self.is_finished(segment.generation));
        let is_read = |index: &usize| plan.segments.iter().any(|s| s.candidate == *index);
        let passed_over = (0..beside.candidates.len()).filter(|index| !is_read(index));
        self.passed_over = passed_over
            .map(|index| beside.candidates[index].stat)
            .collect();
        if plan.segments.is_empty() || self.is_followed(&plan, &beside) {
            return Ok(false);
        }
        // What may fail comes first, so that all is done or nothing.
        let files = self.open_segments(&beside.candidates, &plan.segments)?;
        let ends = self.ends(&plan, &beside)?;
        let lost = plan.lost.filter(|lost| held < Some(lost.generation));
        if let Some(lost) = lost {
            self.say_lost(&lost, &beside);
        }
        self.replace_files(files, &|open| !beside.has(open.stat.id));
        let is_open = |end: &Position| self.files.iter().any(|o| o.generation == end.generation);
        let gone: Vec<_> = ends.into_iter().filter(|end| !is_open(end)).collect();
        for end in gone {
            self.finish(end);
        }
        Ok(true)
    }

    /// Whether what is open, apart from files that lie nowhere any more, is what the plan wants.
    fn is_followed(&self, plan: &Plan, beside: &Beside) -> bool {
        let open: Vec<_> = self
            .files
            .iter()
            .filter(|o| beside.has(o.stat.id))
            .collect();
        let is_it = |(segment, open): (&Segment, &&Open)| {
            open.stat.id == beside.candidates[segment.candidate].stat.id
                && open.is_still(segment).unwrap_or(false)
        };
        open.len() == plan.segments.len() && plan.segments.iter().zip(&open).all(is_it)
    }

    /// Where each known generation ends; one that was copied before its last lines were read, in the copy, which can be
    /// told by that.
    fn ends(&self, plan: &Plan, beside: &Beside) -> io::Result<Vec<Position>> {
        let end = |known: Position| {
            let is_it = |(generation, _): &&(u64, usize)| *generation == known.generation;
            match plan.shorter.iter().find(is_it) {
                Some((generation, index)) => end_of_copy(&beside.candidates[*index], *generation),
                None => Ok(known),
            }
        };
        self.known().into_iter().map(end).collect()
    }

    /// Goes on with other files; those of the open ones that are held, though they lie nowhere any more, stay.
    fn replace_files(&mut self, mut files: VecDeque<Open>, is_held: &dyn Fn(&Open) -> bool) {
        let was_path = self.files.back().map(|open| open.stat.id);
        let is_path = files.back().map(|open| open.stat.id);
        if was_path.is_some() {
            let what = if was_path == is_path {
                "truncated"
            } else {
                "rotated"
            };
            talk::detail(&format!("{}: {what}", self.path.display()));
        }
        for old in std::mem::take(&mut self.files) {
            match files
                .iter_mut()
                .find(|open| open.generation == old.generation)
            {
                // The beginning of a line that was read of it stays read, where a look can tell that it is still there.
                Some(twin)
                    if old.end == twin.end
                        && old.end.offset > 0
                        && old.is_intact().unwrap_or(false) =>
                {
                    *twin = old;
                }
                None if is_held(&old) => files.push_back(old),
                _ => {}
            }
        }
        files.make_contiguous().sort_by_key(|open| open.generation);
        let older = files.len().saturating_sub(1);
        for open in files.iter_mut().take(older) {
            open.give_up_after(self.limits.rotate_wait);
        }
        self.files = files;
    }

    /// What is to be read; an error where the files moved on under the look.
    fn plan(&self, held: Option<u64>, beside: &Beside) -> io::Result<Plan> {
        let trouble = RefCell::new(None);
        let look = |held: io::Result<bool>| {
            held.unwrap_or_else(|error| {
                trouble.replace(Some(error));
                false
            })
        };
        let tests = Tests {
            holds: &|index, position| {
                let opened = open_candidate(&beside.candidates[index]);
                look(opened.and_then(|(file, _)| holds(&file, position)))
            },
            is_shorter_copy: &|index, position| {
                let candidate = &beside.candidates[index];
                let is_open = self
                    .files
                    .iter()
                    .any(|open| open.stat.id == candidate.stat.id);
                let mut files = self.files.iter();
                let source = files.find(|open| open.generation == position.generation);
                let source = source.filter(|_| !is_open);
                source.is_some_and(|open| look(open.was_copied_to(candidate)))
            },
            is_new: &|index| {
                let modified = beside.candidates[index].stat.modified;
                self.since.is_some_and(|since| modified > since)
            },
            is_passed_over: &|index| {
                let stat = &beside.candidates[index].stat;
                self.passed_over.iter().any(|old| old.is_unchanged(stat))
            },
        };
        let positions = self.known();
        let known = Known {
            positions: &positions,
            held,
            floor: self.progress().current.generation,
        };
        let plan = plan(&known, &beside.candidates, &tests);
        trouble.into_inner().map_or(Ok(plan), Err)
    }

    /// Whether there were files between the last one and this, or others instead of this, which are open now.
    fn finds_other_files(&mut self) -> bool {
        let followed = self.follow();
        // Where the look fails, the bytes are left for the next one.
        let found = followed.as_ref().map_or(true, |changed| *changed);
        self.say_trouble_of(followed);
        found
    }

    /// What lies beside the path, without a copy of it that is not yet followed by the truncation, as its lines are still
    /// in the path; and without what may not be read.
    fn look_beside(&self) -> io::Result<Beside> {
        let mut beside = look_beside(&self.path, self.is_watched)?;
        let path = beside.candidates.last().cloned();
        let path = path.filter(|last| last.kind == Kind::Path);
        for candidate in std::mem::take(&mut beside.candidates) {
            let is_open = self
                .files
                .iter()
                .any(|open| open.stat.id == candidate.stat.id);
            let is_copy = || {
                path.as_ref()
                    .is_some_and(|path| is_untruncated_copy(&candidate, path))
            };
            if candidate.kind == Kind::Path || is_open {
                beside.candidates.push(candidate);
            } else if is_closed(&candidate) {
                beside
                    .closed
                    .push((candidate.path, candidate.stat.modified));
            } else if !is_copy() {
                beside.candidates.push(candidate);
            }
        }
        Ok(beside)
    }

    /// Opens segments; all or none, as a rotation may be renaming them at this moment.
    fn open_segments(
        &self,
        candidates: &[Candidate],
        segments: &[Segment],
    ) -> io::Result<VecDeque<Open>> {
        let open = |segment: &Segment| {
            let candidate = &candidates[segment.candidate];
            Open::new(candidate, segment, self.limits.max_line)
        };
        segments.iter().map(open).collect()
    }

    /// Follows the files; what stands in the way is said once, and it is tried again at the next poll.
    fn try_to_follow(&mut self) -> bool {
        let followed = self.follow();
        let has_worked = followed.is_ok();
        self.say_trouble_of(followed);
        has_worked
    }

    fn say_trouble_of(&mut self, followed: io::Result<bool>) {
        match followed {
            Ok(_) => self.trouble.clear(),
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

    fn say_lost(&self, position: &Position, beside: &Beside) {
        let path = self.path.display();
        let later = |time: &SystemTime| self.since.is_none_or(|since| *time >= since);
        let names = beside
            .closed
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
                "{path}: rotated and compressed, or closed to this user, before it was read to its end: lines from offset \
                 {} on, and files after that, may have been missed; they are in {}",
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

    fn last_look(&self) -> LastLook {
        LastLook {
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

    /// Whether a sibling is a copy of this file, truncated since, that was made before its last lines were read.
    fn was_copied_to(&self, candidate: &Candidate) -> io::Result<bool> {
        let size = candidate.stat.size;
        if candidate.kind == Kind::Path || size == 0 || size > self.read_to || self.is_intact()? {
            return Ok(false);
        }
        let (file, _) = open_candidate(candidate)?;
        let head = bytes_before(&file, size.min(ANCHOR_LEN as u64), ANCHOR_LEN)?;
        Ok(self.head.starts_with(&head))
    }

    /// Whether this is what the segment wants, and where.
    fn is_still(&self, segment: &Segment) -> io::Result<bool> {
        Ok(self.generation == segment.generation
            && self.end.offset == segment.from.map_or(0, |position| position.offset)
            && self.is_intact()?)
    }

    /// Whether the bytes before the offset are still there.
    fn is_intact(&self) -> io::Result<bool> {
        Ok(bytes_before(&self.file, self.read_to, self.before.len())? == self.before)
    }

    fn move_end(&mut self, offset: u64, before: &[u8]) {
        self.end.offset = offset;
        self.end.anchor = Anchor::of(before);
    }

    /// Nobody waits for late lines any longer than this.
    fn give_up_after(&mut self, wait: Duration) {
        if self.given_up_at.is_none() {
            // Where the look fails, the last one has to do.
            if let Ok(metadata) = self.file.metadata() {
                self.stat = Stat::of(&metadata);
            }
            self.given_up_at = Some(Instant::now() + self.rest_of_wait(wait));
        }
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

/// The system's clock for files goes in steps, of 10 ms at most: a file written now may seem written so long ago.
const CLOCK_STEP: Duration = Duration::from_millis(10);

/// Whether a file is a copy of the path, perhaps not finished, and the path has not been truncated yet.
///
/// Such a copy was born after the path's file; what was renamed away was born before it.
fn is_untruncated_copy(candidate: &Candidate, path: &Candidate) -> bool {
    let born = |candidate: &Candidate| fs::metadata(&candidate.path)?.created();
    let is_younger = match (born(candidate), born(path)) {
        (Ok(copy), Ok(original)) if copy != original => Some(copy > original),
        // In the same step of the clock, or on a file system that does not say.
        _ => None,
    };
    is_younger != Some(false)
        && candidate.stat.size <= path.stat.size
        && equal_end(candidate, path).is_ok_and(|end| {
            // Where the age tells nothing, whole lines that are the same do; the beginning of a line does not.
            end.is_some_and(|end| is_younger.is_some() || end.contains(&b'\n'))
        })
}

/// Whether a file may not be read by us.
fn is_closed(candidate: &Candidate) -> bool {
    let opened = File::open(&candidate.path);
    opened.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Bytes of a copy's end that are compared with its original.
const COMPARED: usize = 64 * 1024;

/// What a copy ends in, if the same stands at the same place in the original.
fn equal_end(copy: &Candidate, original: &Candidate) -> io::Result<Option<Vec<u8>>> {
    let size = copy.stat.size;
    let (copy, original) = (open_candidate(copy)?.0, open_candidate(original)?.0);
    let end = bytes_before(&copy, size, COMPARED)?;
    let is_equal = end == bytes_before(&original, size, COMPARED)?;
    Ok(is_equal.then_some(end))
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

/// The end of the last line in a shorter copy of a generation: by this the copy will be known again.
fn end_of_copy(copy: &Candidate, generation: u64) -> io::Result<Position> {
    let (file, stat) = open_candidate(copy)?;
    position_at(
        &file,
        last_line_end(&file)?,
        Position::start(generation, stat.id),
    )
}

/// A place in a file, with its anchor.
fn position_at(file: &File, offset: u64, start: Position) -> io::Result<Position> {
    let anchor = Anchor::of(&bytes_before(file, offset, ANCHOR_LEN)?);
    Ok(Position {
        offset,
        anchor,
        ..start
    })
}

/// Whether a file has the position's anchor right before its offset.
fn holds(file: &File, position: &Position) -> io::Result<bool> {
    let length = usize::from(position.anchor.len);
    let before = bytes_before(file, position.offset, length)?;
    Ok(before.len() == length && Anchor::of(&before) == position.anchor)
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
mod histories;

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
        let known = Some(LastLook {
            id: id(1),
            read_to: 100,
            modified: time(5),
        });
        let cases = [
            (None, None, Step::Idle),
            (None, Some(stat(1, 0, 5)), Step::Follow),
            (known, None, Step::Read),
            (known, Some(stat(1, 100, 5)), Step::Idle),
            (known, Some(stat(1, 100, 6)), Step::Read),
            (known, Some(stat(1, 101, 5)), Step::Read),
            (known, Some(stat(1, 99, 6)), Step::Follow),
            (known, Some(stat(2, 100, 5)), Step::Follow),
            (known, Some(stat(2, 0, 5)), Step::Follow),
        ];
        for (known, path, step) in cases {
            assert_eq!(next_step(known, path), step, "{known:?} {path:?}");
        }
    }
}

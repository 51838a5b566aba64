//! One watched path: which files it has been, how far each is read, and what comes next.
//!
//! `poll` looks once, reads at most one chunk, and never sleeps; it knows nothing of Redis. What was seen goes to the
//! pure `next_step`; where the files are no longer what is open, `follow` looks what there is, and the pure `plan` says
//! what to read of it.

mod copies;
mod follow;
mod open;
mod plan;
mod siblings;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::cli::From;
use crate::error::{Error, Result, describe};
use crate::lines::{Line, Lines};
use crate::position::{ANCHOR_LEN, FileId, Position, Progress};
use crate::talk;
use open::{Chunk, LastLook, Open, last_line_end, position_at};
use siblings::{Stat, metadata};

pub use siblings::is_sibling_name;

/// The system's clock for files goes in steps, of 10 ms at most: a file written now may seem written so long ago.
const CLOCK_STEP: Duration = Duration::from_millis(10);

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
        Progress {
            current,
            older: newest_first(older),
        }
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
}

/// One position of each generation, the newest generation first.
fn newest_first(mut positions: Vec<Position>) -> Vec<Position> {
    positions.sort_by_key(|position| std::cmp::Reverse(position.generation));
    positions.dedup_by_key(|position| position.generation);
    positions
}

/// Bytes that lie there beyond a progress, in the path and in what was rotated away from it.
pub fn unread(path: &Path, progress: Progress, since: Option<SystemTime>) -> u64 {
    let limits = Limits {
        rotate_wait: Duration::ZERO,
        max_line: 0,
    };
    Tail::resume(path, limits, &|_| false, progress, since).unread()
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

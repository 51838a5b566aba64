//! One watched path: the chain of files that it has been, how far each is read, and what comes next.
//!
//! `poll` looks once, reads at most one chunk, and never sleeps; it knows nothing of Redis. A look is always the same:
//! `folder` lists what lies there, `diff` says from these facts what happened, `look` does what follows from it.
//!
//! **Two neighbours of the chain are known to be neighbours, or a gap between them was said.**

mod diff;
mod folder;
mod generation;
mod letting_go;
mod listing;
mod look;
mod names;
mod open;
mod outside;
mod stepping;
mod unpack;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::cli::From;
use crate::error::{Error, Result};
use crate::order;
use crate::position::{Dates, FileId, Gap, Position, Progress};
use crate::talk;
use diff::Known;
use generation::{Body, Generation, Taken};
use look::{Inspector, Looked};
use open::{Links, Stat, Version, last_line_end, position_at, stat};
use stepping::{Looking, Step};

pub use folder::{Place, Surroundings, link_target, logs_of, weak_log_of};
pub use generation::Limits;
pub use listing::Listed;
pub use names::packing_program;
pub use open::is_absent;
pub use outside::{Sibling, born, check, identify, siblings, still_there, unread, was_read};

/// The system's clock for files goes in steps, of 10 ms at most: a file written now may seem written so long ago.
const CLOCK_STEP: Duration = Duration::from_millis(10);
/// A rotated file that has been silent for `--rotate-wait` is looked at so often.
const LATE_LOOK: Duration = Duration::from_millis(500);
/// A path that a look could do nothing about is looked at again so often.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Takes the lines of a source in order.
pub trait Sink {
    /// Whether it can take lines now. They are taken until `line` says that it is full.
    fn has_room(&mut self) -> bool;
    /// Takes a line, which ends (behind its newline) at `end` of this generation; between two commits all are of one.
    /// True: it is full and wants a `commit`.
    fn line(&mut self, line: &[u8], generation: u64, end: u64) -> bool;
    /// All lines taken since the last commit lead to this progress, which is true of these times. `Break`: the watcher is
    /// to stop.
    fn commit(&mut self, progress: Progress, dates: Dates) -> ControlFlow<()>;
    /// Lets go of the lines taken since the last commit.
    fn discard(&mut self);
}

/// What a poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// Nothing new.
    Idle,
    /// It read something: there may be more.
    Read,
    /// The sink has no room: there may be more.
    NoRoom,
    /// The sink wants the watcher to stop.
    Stopped,
}

/// A watched path that is being followed.
pub struct Tail<'w> {
    /// By this the files that it has open are told from those of others.
    source: usize,
    place: Place,
    limits: Limits,
    surroundings: &'w Surroundings,
    /// Oldest generation first. The last one is the path's own, or was until the path vanished.
    chain: Vec<Generation>,
    /// The files of it that are open, as others were told.
    claimed: Vec<FileId>,
    /// The newest generation that is read and closed: while its successor is at offset 0, it alone tells what is unread.
    finished: Option<Position>,
    /// Files without a line that were rotated away and are not waited for any longer, and those that cannot be read, with
    /// their sizes.
    given_up: Vec<(FileId, u64)>,
    before: Before,
    /// What the sink was told last.
    committed: Progress,
    /// The newest position that a line was read up to, before it went back to where its record stands.
    given: Option<Position>,
    /// Up to here every change of the files was seen. It decides only where nothing that is known lies there.
    since: Option<SystemTime>,
    /// When the progress that it began with was true.
    dates: Option<Dates>,
    /// Up to here the path was looked at.
    polled: SystemTime,
    stepped: Instant,
    /// The last poll was no longer ago than nothing can have come and gone since.
    looked_lately: bool,
    was_absent: bool,
    inspector: Inspector,
    /// With their reasons, and not yet said.
    gaps: Vec<(Gap, String)>,
    /// Up to where the files were read that the last poll has closed.
    closed: Vec<Position>,
    looking: Looking,
    /// Not all that is to be read could be opened: the rest comes once what is open has been read.
    is_short: bool,
    /// The path as it was before the last look.
    looked_at: Option<Version>,
    /// Something was done since the last commit.
    has_moved: bool,
    /// The last commit is dated by this watcher, or by its checkpoint. Until our look what only a commit record has is as it
    /// was then.
    is_dated: bool,
    /// What stands in the way, as said on stderr; said once until it changes.
    trouble: String,
}

/// What our files stand behind, while nothing was read of any.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Before {
    /// None of ours was found yet.
    Unknown,
    /// It cannot be told: the times decide.
    Untold,
    /// There was no other file: whatever comes is ours.
    Nothing,
    File(Known),
}

/// What became of a file that is read to its end.
enum Late {
    /// It may get lines yet.
    Waits,
    /// Its last part was taken as a line.
    Took,
    Closed,
}

impl<'w> Tail<'w> {
    /// Follows a path from a progress on. `dates`: when that was true; None: nobody knows, so that what is beside the path
    /// now is nobody's business.
    pub fn resume(
        source: usize,
        place: Place,
        limits: Limits,
        surroundings: &'w Surroundings,
        progress: Progress,
        dates: Option<Dates>,
    ) -> Tail<'w> {
        let sought = |end: &Position| {
            let stat = Stat::unknown(end.file);
            Generation::new(*end, place.path.clone(), stat, Body::Sought)
        };
        let mut chain: Vec<_> = progress.positions().map(sought).collect();
        chain.reverse();
        let newest = chain.len() - 1;
        for generation in &mut chain[..newest] {
            generation.ended = true;
        }
        Tail {
            source,
            place,
            limits,
            surroundings,
            chain,
            claimed: Vec::new(),
            finished: None,
            given_up: Vec::new(),
            before: Before::Unknown,
            committed: progress,
            given: None,
            since: dates.map(|dates| dates.as_of),
            dates,
            polled: SystemTime::now() - CLOCK_STEP,
            stepped: Instant::now(),
            looked_lately: false,
            was_absent: false,
            inspector: Inspector::default(),
            gaps: Vec::new(),
            closed: Vec::new(),
            looking: Looking::Due,
            is_short: false,
            looked_at: None,
            has_moved: false,
            is_dated: true,
            trouble: String::new(),
        }
    }

    /// Goes on from a progress: as it is, where that is the one that it began with; or else with the files that are open,
    /// where they are the same.
    pub fn resume_again(self, progress: Progress, dates: Option<Dates>) -> Tail<'w> {
        let is_later = |own: Dates| dates.is_some_and(|dates| dates.as_of > own.as_of);
        if progress == self.committed && !self.dates.is_some_and(is_later) {
            return self;
        }
        let (source, limits, surroundings) = (self.source, self.limits, self.surroundings);
        let place = self.place.clone();
        let mut tail = Tail::resume(source, place, limits, surroundings, progress, dates);
        tail.is_dated = false;
        let given = self.committed.positions().chain(&self.given);
        let given = given.chain(self.chain.iter().map(|g| &g.end));
        let is_read = |end: &&Position| end.offset > 0;
        tail.given = given
            .filter(is_read)
            .max_by_key(|end| end.generation)
            .copied();
        // What was born behind the progress has the inode of another one.
        let is_younger = |g: &Generation| {
            let born = g.stat.born.zip(dates);
            born.is_some_and(|(born, dates)| born > dates.made)
        };
        // An inode may have been another generation's before: the order is right as well, and where no content proves it,
        // the number.
        let mut older = self.chain.as_slice();
        for sought in tail.chain.iter_mut().rev() {
            let end = sought.end;
            let is_it = |g: &Generation| {
                let has_number = g.end.generation == end.generation && !is_younger(g);
                g.stat.id == end.file && (end.offset > 0 || has_number)
            };
            let Some(at) = older.iter().rposition(is_it) else {
                continue;
            };
            let old = &older[at];
            older = &older[..at];
            if let Some((body, stat)) = old.reopened(&sought.end) {
                let (end, ended) = (sought.end, sought.ended);
                *sought = Generation::new(end, old.name.clone(), stat, body);
                (sought.ended, sought.is_copy) = (ended, old.is_copy);
            }
        }
        for sought in tail.chain.iter_mut().filter(|g| g.is_sought()) {
            let end = sought.end;
            let mut earlier = self.committed.positions();
            let earlier = earlier.find(|it| (it.generation, it.file) == (end.generation, end.file));
            // A copy that is shorter than what was read has this place, if it was made behind it.
            if let Some(earlier) = earlier.filter(|earlier| earlier.offset < end.offset) {
                sought.trail.push(earlier.offset, earlier.anchor);
            }
        }
        // It lets go of its claims.
        drop(self);
        tail.claim();
        tail
    }

    /// Where a path without checkpoint and record begins, as this generation. An absent file begins at its start.
    pub fn initial(path: &Path, from: From, first: u64) -> Result<Progress> {
        let fail = |error| Error::io("read", path, &error);
        let Some(stat) = stat(path).map_err(fail)? else {
            return Ok(Progress::at(Position::start(first, FileId::default())));
        };
        let start = Position::start(first, stat.id);
        if from == From::Start {
            return Ok(Progress::at(start));
        }
        let (file, _) = open::open(path, Links::Follow).map_err(fail)?;
        let offset = last_line_end(&file).map_err(fail)?;
        let position = position_at(&file, offset, start).map_err(fail)?;
        Ok(Progress::at(position))
    }

    /// Where the newest file ends now. None: it is not known yet which that is.
    pub fn end_of_now(&self) -> Option<(u64, u64)> {
        if self.looking == Looking::Due || self.is_short {
            return None;
        }
        let end = |g: &Generation| (g.end.generation, g.end.offset + g.unread());
        Some(self.chain.last().map_or((0, 0), end))
    }

    /// Whether all up to this end was read.
    pub fn has_reached(&self, (generation, offset): (u64, u64)) -> bool {
        let is_read = |g: &Generation| {
            let number = g.end.generation;
            number > generation || g.is_done() || number == generation && g.end.offset >= offset
        };
        self.looking != Looking::Due && !self.has_moved && self.chain.iter().all(is_read)
    }

    /// Whether the path is gone, and all that it was is read and closed.
    pub fn is_over(&self) -> bool {
        let is_closed = self.chain.iter().all(Generation::is_sought);
        self.was_absent && self.looking != Looking::Due && !self.has_moved && is_closed
    }

    /// Up to where the files were read that the last poll has closed. They are in its progress for the last time.
    pub fn closed(&self) -> &[Position] {
        &self.closed
    }

    /// What stands in the way of looking or of reading, where something does.
    pub fn trouble(&self) -> Option<String> {
        let refused = self.chain.iter().find(|g| g.is_troubled());
        let of_look = Some(&self.trouble).filter(|text| !text.is_empty());
        refused.map(Generation::trouble).or(of_look.cloned())
    }

    /// Bytes that are there and not yet taken.
    pub fn unread(&self) -> u64 {
        self.chain.iter().map(Generation::unread).sum()
    }

    /// Looks at the path once and reads at most one chunk, which `buffer` must hold.
    pub fn poll(&mut self, now: Instant, buffer: &mut [u8], sink: &mut dyn Sink) -> Polled {
        // They are in the next progress no more.
        self.has_moved |= !self.closed.is_empty();
        self.closed.clear();
        match self.step(now) {
            // An archive is being read through.
            None => Polled::Read,
            Some(Step::Wait) => Polled::Idle,
            Some(Step::Idle) if !self.is_any_due(now) => self.commit(sink, Polled::Idle),
            Some(_) => self.read(now, buffer, sink),
        }
    }

    /// Looks at the path, and opens what there is to read, without reading it.
    pub fn watch(&mut self, now: Instant) {
        self.step(now);
    }

    fn say_trouble(&mut self, text: String) {
        if self.trouble != text {
            talk::warn(&format!("{text}; trying again"));
            self.trouble = text;
        }
    }

    /// Reads one chunk of the oldest file that has one, and lets go of rotated files whose time is up.
    fn read(&mut self, now: Instant, buffer: &mut [u8], sink: &mut dyn Sink) -> Polled {
        self.has_moved = true;
        let mut index = 0;
        while index < self.chain.len() {
            let is_newest = index + 1 == self.chain.len();
            let generation = &self.chain[index];
            if !is_newest && generation.is_done() && now < generation.next_look {
                index += 1;
                continue;
            }
            // Its first lines are certain only by a look, which cannot be had now.
            let is_first = is_newest && generation.end.offset == 0;
            let is_unsure = is_first && !self.is_short && self.looking.has_failed(now);
            if generation.is_sought() || is_unsure {
                break;
            }
            let start = self.chain[index].end;
            let is_path = is_newest && !self.was_absent && !self.is_short;
            let links = if is_path {
                Links::Follow
            } else {
                Links::Refuse
            };
            let taken = self.chain[index].read(now, &self.limits, links, buffer, sink);
            let is_intact = start.offset > 0 && matches!(taken, Taken::Lines | Taken::Nothing);
            if is_path && is_intact {
                self.has_seen_all();
            }
            match taken {
                Taken::Lines => return self.taken(index, start, sink),
                Taken::NoRoom => return Polled::NoRoom,
                Taken::Refused if is_path => {}
                Taken::Refused => {
                    let Some(next) = self.pass_refused(index, now) else {
                        break;
                    };
                    index = next;
                    continue;
                }
                Taken::Nothing => {}
                Taken::Cut if is_newest && self.looking.has_failed(now) => break,
                Taken::Cut if is_newest => {
                    self.looking = Looking::Due;
                    return Polled::Read;
                }
                Taken::Cut => {
                    self.let_go_of_cut(index);
                    continue;
                }
                Taken::Broken => {
                    self.let_go_of_unreadable(index);
                    continue;
                }
            }
            self.chain[index].ended = true;
            match self.let_go(index, now, sink) {
                Late::Waits => index += 1,
                Late::Took => return self.commit(sink, Polled::Read),
                Late::Closed => {}
            }
        }
        self.commit(sink, Polled::Idle)
    }

    /// Lines were taken of a generation that was at `start` before.
    fn taken(&mut self, index: usize, start: Position, sink: &mut dyn Sink) -> Polled {
        // A truncation may have gone by unseen before the first bytes of a file were written, as nothing that was read
        // can be missed in it. Looked at behind the read: what is truncated after this look is missed by the next read.
        if index + 1 == self.chain.len() && start.offset == 0 && self.chain[index].end.offset > 0 {
            let end = std::mem::replace(&mut self.chain[index].end, start);
            let trail = std::mem::take(&mut self.chain[index].trail);
            let looked = self.try_to_look();
            if looked != Some(Looked::Same) {
                sink.discard();
                if self.looking.has_failed(Instant::now()) {
                    return Polled::Idle;
                }
                self.looking = Looking::Due;
                return Polled::Read;
            }
            (self.chain[index].end, self.chain[index].trail) = (end, trail);
        }
        self.commit(sink, Polled::Read)
    }

    fn commit(&mut self, sink: &mut dyn Sink, polled: Polled) -> Polled {
        if !self.has_moved {
            return polled;
        }
        let progress = self.progress();
        if self.committed == progress && self.is_dated {
            self.has_moved = false;
            return polled;
        }
        if !sink.has_room() {
            return Polled::NoRoom;
        }
        debug_assert!(
            self.committed.order() <= progress.order(),
            "progress never goes back: from {:?} to {progress:?}",
            self.committed
        );
        (self.has_moved, self.is_dated) = (false, true);
        self.committed = progress.clone();
        let dates = self.dates_at(progress.current);
        if sink.commit(progress, dates).is_break() {
            Polled::Stopped
        } else {
            polled
        }
    }

    /// When the present progress is true.
    pub fn dates(&self) -> Dates {
        self.dates_at(self.progress().current)
    }

    fn dates_at(&self, current: Position) -> Dates {
        Dates {
            as_of: self.as_of(current),
            made: SystemTime::now(),
        }
    }

    /// What was written before this is taken; what is not was written then or later. By this a later start tells what is
    /// unread, where the file that was being read is gone by then.
    fn as_of(&self, current: Position) -> SystemTime {
        // What came since nobody has seen, however late it is now.
        let seen = self.since.unwrap_or(self.polled);
        let files = self.chain.iter().filter(|g| !g.is_sought());
        let written = |g: &Generation| g.stat.modified;
        // What was written at the very time of an unread one is unread as well: its archive has just that time.
        let before = |time: SystemTime| time.checked_sub(Duration::from_nanos(1)).unwrap_or(time);
        if current.offset > 0 {
            let behind = files.filter(|g| g.end.generation > current.generation);
            let first = behind.filter(|g| !g.is_drained()).map(written).min();
            // A copy that is shorter than what was read was made before the last of that was written.
            let is_newest = |g: &&Generation| g.end == current && !self.was_absent;
            let read = self.chain.last().filter(is_newest).map(written);
            let read = read.map(|read| read.min(self.polled + CLOCK_STEP));
            return match first {
                Some(first) => seen.min(before(first)),
                None => read.map_or(seen, |read| seen.max(read)),
            };
        }
        // At that time the present file was there.
        let mut present = self.chain.iter().filter(|g| g.stat.id == current.file);
        let born = present.find_map(|g| g.stat.born);
        let (drained, unread): (Vec<_>, Vec<_>) = files.partition(|g| g.is_drained());
        let (as_of, born) = match unread.into_iter().map(written).min() {
            Some(first) => (before(first).min(seen), born.map(before)),
            None => {
                let drained = drained.into_iter().map(written);
                (drained.fold(seen, SystemTime::max), born)
            }
        };
        born.map_or(as_of, |born| as_of.max(born))
    }

    /// How far we got: in the oldest file that was not read to its end, and in those before it that may still get lines.
    fn progress(&self) -> Progress {
        let unfinished = self.chain.iter().position(|g| !g.ended);
        let at = unfinished.or(self.chain.len().checked_sub(1));
        let Some(mut current) = at.map(|at| self.chain[at].end).or(self.finished) else {
            return self.committed.clone();
        };
        let older = &self.chain[..at.unwrap_or_default()];
        let mut older: Vec<_> = older.iter().map(|g| g.end).collect();
        if current.generation < self.committed.current.generation {
            // One that had a higher number is gone without a line: the number goes to what comes.
            older.push(current);
            current = Position::start(self.floor(), FileId::default());
        }
        // While nothing was read of it, the newest one that was read tells what is unread.
        let is_wanted = |finished: &Position| {
            let is_newer =
                |other: &Position| other.offset > 0 && other.generation >= finished.generation;
            current.offset == 0
                && finished.generation < current.generation
                && !older.iter().any(is_newer)
        };
        older.extend(self.finished.filter(is_wanted));
        let is_older = |end: &&Position| end.generation < current.generation;
        older.extend(self.closed.iter().filter(is_older));
        order::sort_by_key(&mut older, |position| {
            std::cmp::Reverse((position.generation, position.offset))
        });
        // An empty file that is held and the archive that was made of it may have the same number.
        older.dedup_by_key(|position| position.generation);
        let first = self.committed.first;
        Progress {
            current,
            older,
            first,
        }
    }

    /// No file that is new gets a lower number, as a position never goes back.
    fn floor(&self) -> u64 {
        let current = self.committed.current;
        current.generation + u64::from(current.offset > 0)
    }
}

impl Drop for Tail<'_> {
    fn drop(&mut self) {
        self.surroundings.claim(self.source, &self.claimed, &[]);
    }
}

#[cfg(test)]
mod histories;

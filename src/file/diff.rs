//! What happened to a log, from what is known of its generations and what a look has found: the one place that decides
//! which file is what, what comes next, and what is missing.
//!
//! Pure: facts come in as data, events go out. Where the facts do not suffice, the answer is a question about the
//! content of one file; whoever looks answers it and asks again.
//!
//! The files stand in the order in which they were the log. A generation of which lines were read is found by the
//! inode that we hold, or else by its anchor; **all that stands behind the newest of these is unread**, whatever it is.
//! Two neighbours are known to be neighbours, or there is a gap between them.

mod events;
mod line;
mod places;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::CLOCK_STEP;
use super::names::{Kind, Name};
use crate::position::{Anchor, FileId, Gap};

/// What is known of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// None: the newest file from before the first generation, which is nobody's business but tells where ours begin.
    pub generation: Option<u64>,
    pub file: FileId,
    /// How far its lines were taken.
    pub offset: u64,
    /// The place by which it is found in a file that is not held. None: there is none yet.
    pub probe: Option<(u64, Anchor)>,
    pub hold: Held,
    /// The largest size that it was seen to have; 0 where nobody has seen it.
    pub seen: u64,
    /// When a file was born and last written to that was truncated, or may have been, and then unlinked.
    pub lived: Option<(SystemTime, SystemTime)>,
    /// We have closed it, later than `held_until`.
    pub is_later: bool,
}

/// Whether its file is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Not open: it was read by another process, or is closed.
    No,
    /// Open, and what was read of it is still there.
    Intact,
    /// Open, and what was read of it is not there any more.
    Cut,
}

impl Known {
    /// Whether what stands behind it is certainly unread. Of a generation at offset 0 nothing was read, so a copy of it
    /// may stand before it.
    fn is_read(&self) -> bool {
        self.offset > 0 || self.generation.is_none()
    }
}

/// What a look has found of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub file: FileId,
    pub size: u64,
    pub modified: SystemTime,
    pub changed: SystemTime,
    pub born: Option<SystemTime>,
    pub name: Name,
    /// It is open as another source's.
    pub claimed: bool,
    /// It was given up, as a file without a line or one that cannot be read, and is as it was.
    pub given_up: bool,
}

/// What a look has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Oldest first; the path's own, where it is there, last.
    pub files: Vec<Fact>,
    /// What was written later than this is unread. It decides only where no known generation lies among the files.
    pub since: Option<SystemTime>,
    /// Until then the known generations that nobody holds were held: what was born later is none of them.
    pub held_until: Option<SystemTime>,
    /// There were none when the log was found: so all of them are unread, where nothing was read yet.
    pub is_all_ours: bool,
    /// Names of rotated files that are something else: links, pipes, folders.
    pub others: Vec<Name>,
    /// The look before this one was a moment ago: nothing was there that it has not seen.
    pub looked_lately: bool,
    /// The path was seen to be absent: so what appears there is the successor, however late.
    pub was_absent: bool,
    /// The number of the next generation, where none is known.
    pub next: u64,
    /// No file that is new gets a lower number, as a position never goes back.
    pub floor: u64,
    /// The newest file that was read before the watcher went back to where its record stands, and its number.
    pub given: Option<(FileId, u64)>,
}

/// A question about the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ask {
    /// Does it have the known generation's probe?
    Holds { file: usize, known: usize },
    /// Is it a copy of the known generation that was made before its last lines were read?
    IsEarlierCopy { file: usize, known: usize },
    /// Does it equal the beginning of the path's own file?
    IsCopyOfPath { file: usize },
    /// Can it be read, and is it text?
    IsText { file: usize },
    /// Is nothing in it?
    IsEmpty { file: usize },
    /// Was it renamed so long ago that what a rotation does next is done?
    IsSettled { file: usize },
}

impl Ask {
    /// The file that it is about.
    pub fn file(self) -> usize {
        let (Ask::Holds { file, .. }
        | Ask::IsEarlierCopy { file, .. }
        | Ask::IsCopyOfPath { file }
        | Ask::IsText { file }
        | Ask::IsEmpty { file }
        | Ask::IsSettled { file }) = self;
        file
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Yes,
    No,
    /// It cannot be read, for this reason.
    Unreadable(String),
}

pub type Replies = HashMap<Ask, Reply>;

/// What happened. `known` and `file` are indices into what came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A known generation lies here: under another name, or found again after a restart.
    Found { known: usize, file: usize },
    /// The rest of a generation whose own file was truncated is in this copy.
    Copied { known: usize, file: usize },
    /// Its file was truncated, and there is no more of it to read; this is a copy of its beginning.
    Truncated { known: usize, copy: Option<usize> },
    /// An unread file, to be read from its start after all those before. Where it is a known one of which nothing was
    /// read, this is its number from now on.
    Appeared { file: usize, generation: u64 },
    /// Another one was found to come before a known generation of which nothing was read: this is its number from now on.
    Renumbered { known: usize, generation: u64 },
    /// A known generation is nowhere any more. `passed`: the newest of the rotated files behind it that are taken for
    /// read, by their times.
    Vanished { known: usize, passed: Option<usize> },
    /// Something may have been there that cannot be read any more.
    Gap(Gap, String),
    /// Not to be read at all: what was in it is said to be missing.
    GivenUp { file: usize },
}

/// Where a known generation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whereabouts {
    At(usize),
    Copy(usize),
    EarlierCopy(usize),
    /// Open, and found under no name.
    Unlisted,
    Lost,
}

impl Whereabouts {
    fn file(self) -> Option<usize> {
        match self {
            Whereabouts::At(file) | Whereabouts::Copy(file) | Whereabouts::EarlierCopy(file) => {
                Some(file)
            }
            Whereabouts::Unlisted | Whereabouts::Lost => None,
        }
    }
}

/// A generation, and the file that it is.
type Found = (u64, usize);

/// A name that is born so long after its predecessor was renamed may have had another predecessor.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What happened to the known generations, which stand oldest first.
pub fn diff(known: &[Known], facts: &Facts, replies: &Replies) -> Result<Vec<Event>, Ask> {
    let look = Look {
        known,
        facts,
        replies,
    };
    let places = look.places()?;
    let unread = look.unread(&places)?;
    let broken = look.broken(&places)?;
    Ok(look.events(&places, &unread, &broken))
}

struct Look<'a> {
    known: &'a [Known],
    facts: &'a Facts,
    replies: &'a Replies,
}

/// The files that are to be read from their start, oldest first.
struct Unread {
    /// The file behind which they stand.
    base: Option<usize>,
    /// The newest rotated file between that and them.
    passed: Option<usize>,
    /// That has nothing in it: so had the newest generation, of which nothing was read.
    has_passed_empty: bool,
    /// With the reason why it cannot be read, where it cannot.
    files: Vec<(usize, Option<String>)>,
}

impl Unread {
    fn has(&self, file: usize) -> bool {
        self.files.iter().any(|(unread, _)| *unread == file)
    }
}

impl Look<'_> {
    fn ask(&self, ask: Ask) -> Result<&Reply, Ask> {
        self.replies.get(&ask).ok_or(ask)
    }

    fn path(&self) -> Option<usize> {
        let last = self.facts.files.len().checked_sub(1)?;
        (self.facts.files[last].name.kind == Kind::Path).then_some(last)
    }

    /// The place of a generation in the order of the files. None: it has none, or lies where only its content says that it
    /// is the log's, and a backup is made at any time.
    fn in_order(&self, place: Whereabouts) -> Option<usize> {
        let is_rotated = |file: &usize| self.facts.files[*file].name.kind != Kind::Other;
        place.file().filter(is_rotated)
    }

    fn is_another_path(&self, known: &Known, file: usize) -> bool {
        let fact = &self.facts.files[file];
        fact.name.kind == Kind::Path && fact.file != known.file
    }

    fn file_with(&self, id: FileId) -> Option<usize> {
        self.facts.files.iter().position(|fact| fact.file == id)
    }

    /// Whether a file was there when the generations that nobody holds were.
    fn was_there(&self, fact: &Fact) -> bool {
        let is_younger = |(born, until)| born > until;
        !fact.born.zip(self.facts.held_until).is_some_and(is_younger)
    }

    /// The file that the path is now.
    fn own_file(&self) -> Option<FileId> {
        self.path().map(|path| self.facts.files[path].file)
    }

    /// Whether the log's file stays and its content moves away, as with copytruncate.
    fn is_copytruncated(&self) -> bool {
        let own = self.own_file();
        self.known.last().is_some_and(|last| Some(last.file) == own)
    }

    /// What stands behind the newest generation that lines were read of.
    fn unread(&self, places: &[Whereabouts]) -> Result<Unread, Ask> {
        // What stands behind a copy of all that an unread one was is unread as well.
        let is_certain = |index: &usize| {
            self.known[*index].is_read() || matches!(places[*index], Whereabouts::Copy(_))
        };
        let mut read = (0..self.known.len()).rev().filter(is_certain);
        let newest = read.clone().next().map(|index| places[index]);
        let base = read.find_map(|index| self.in_order(places[index]));
        let first = match (base, newest) {
            // What stands behind an older one may be what was read of the newest, of which a backup says no more.
            (Some(base), Some(newest))
                if newest != Whereabouts::Unlisted && self.in_order(newest).is_none() =>
            {
                (base + 1).max(self.first_unread()?)
            }
            (Some(base), _) => base + 1,
            (None, _) => self.first_unread()?,
        };
        let mut files = Vec::new();
        for file in first..self.facts.files.len() {
            if places.iter().zip(self.known).any(|(place, known)| {
                place.file() == Some(file)
                    && (known.is_read() || self.facts.files[file].file != known.file)
            }) {
                continue;
            }
            if let Some(reason) = self.is_to_be_read(file, base)? {
                files.push((file, reason));
            }
        }
        self.await_next_step(&files, base)?;
        let is_passed = |file: &usize| self.counts(&self.facts.files[*file]);
        let passed = (base.map_or(0, |base| base + 1)..first).rfind(is_passed);
        let has_passed_empty = match passed {
            Some(file) if places.last() == Some(&Whereabouts::Lost) => {
                *self.ask(Ask::IsEmpty { file })? == Reply::Yes
            }
            _ => false,
        };
        Ok(Unread {
            base,
            passed,
            has_passed_empty,
            files,
        })
    }

    /// A rotation moves one file after the other: what is missing meanwhile is only on its way.
    fn await_next_step(
        &self,
        files: &[(usize, Option<String>)],
        base: Option<usize>,
    ) -> Result<(), Ask> {
        let mut before = base;
        for (file, _) in files {
            if let Some(before) = before
                && self.missing_between(before, *file).is_some()
            {
                self.ask(Ask::IsSettled { file: before })?;
            }
            before = Some(*file);
        }
        Ok(())
    }

    /// Where nothing that lines were read of lies among the files: the first one that was written later.
    fn first_unread(&self) -> Result<usize, Ask> {
        // What has the inode of the newest one, and not its anchor, is closed to us, or another file by now.
        let newest = self.known.last().map(|known| known.file);
        let is_known = |fact: &Fact| {
            let mut unread = self.known.iter().filter(|known| !known.is_read());
            Some(fact.file) == newest || unread.any(|known| known.file == fact.file)
        };
        for (file, fact) in self.facts.files.iter().enumerate() {
            let is_unread = || Ok(self.is_later(file)? && !self.is_broken_since(file)?);
            if is_known(fact) || self.counts(fact) && is_unread()? {
                return Ok(file);
            }
        }
        Ok(self.path().unwrap_or(self.facts.files.len()))
    }

    /// Whether it cannot be read and stands before one that was: it was broken later than that, not written.
    fn is_broken_since(&self, file: usize) -> Result<bool, Ask> {
        let is_read = |fact: &Fact| {
            self.counts(fact) && self.order_in_time(fact).is_some_and(Ordering::is_lt)
        };
        let is_before_read = self.facts.files[file + 1..].iter().any(is_read);
        Ok(is_before_read && !self.is_readable(file)?)
    }

    fn is_readable(&self, file: usize) -> Result<bool, Ask> {
        let reply = self.ask(Ask::IsText { file })?;
        Ok(!matches!(reply, Reply::Unreadable(_)))
    }

    /// Whether it was written behind what is known. Of two times that are the same nobody knows which is later: where
    /// nothing was read, what is new since then; else nothing but what nobody can read, so that nothing is repeated by it.
    fn is_later(&self, file: usize) -> Result<bool, Ask> {
        let fact = &self.facts.files[file];
        let is_any_read = self.known.iter().any(Known::is_read);
        if self.facts.is_all_ours && !is_any_read {
            return Ok(true);
        }
        Ok(match self.order_in_time(fact) {
            Some(Ordering::Equal) if is_any_read => !self.is_readable(file)?,
            Some(Ordering::Equal) => fact.born.is_none() || !self.was_there(fact),
            order => order.is_some_and(Ordering::is_gt),
        })
    }

    /// Whether a file was last written to before or after what is known. The times of files go in steps, and some programs
    /// give an archive only the second of its file's time.
    fn order_in_time(&self, fact: &Fact) -> Option<Ordering> {
        let since = self.facts.since?;
        let order = fact.modified.cmp(&since);
        let age = since.duration_since(fact.modified);
        let is_cut = fact.name.packing.is_some() && is_whole_second(fact.modified);
        let step = if is_cut {
            Duration::from_secs(1)
        } else {
            CLOCK_STEP
        };
        Some(if age.is_ok_and(|age| age < step) {
            Ordering::Equal
        } else {
            order
        })
    }

    /// Whether the name alone says that it is the log's.
    fn counts(&self, fact: &Fact) -> bool {
        !fact.claimed && !matches!(fact.name.kind, Kind::Other | Kind::Weak)
    }

    /// Whether a file is the log's, and unread as it stands where it does; `Some(Some(reason))`: it is, but not readable.
    fn is_to_be_read(
        &self,
        file: usize,
        base: Option<usize>,
    ) -> Result<Option<Option<String>>, Ask> {
        let fact = &self.facts.files[file];
        // What was truncated under the name of a backup is another backup.
        let is_kept = |known: &Known| known.hold == Held::Intact || fact.name.kind != Kind::Other;
        let is_held = |known: &Known| known.hold != Held::No && known.file == fact.file;
        let is_held = self.known.iter().any(|it| is_held(it) && is_kept(it));
        let base = base.map(|base| &self.facts.files[base].name);
        match fact.name.kind {
            _ if fact.claimed || fact.given_up => return Ok(None),
            Kind::Path => return Ok(Some(None)),
            _ if is_held => return Ok(Some(None)),
            Kind::Other => return Ok(None),
            Kind::Weak if base.is_none_or(|base| base.series != fact.name.series) => {
                return Ok(None);
            }
            _ => {}
        }
        if self.is_of_path(file)? {
            return Ok(None);
        }
        Ok(match self.ask(Ask::IsText { file })? {
            Reply::Yes => Some(None),
            Reply::No => None,
            Reply::Unreadable(reason) => Some(Some(reason.clone())),
        })
    }

    /// Whether it is a copy of the path's own file, or may become one.
    fn is_of_path(&self, file: usize) -> Result<bool, Ask> {
        Ok(self.may_be_begun(&self.facts.files[file]) || self.is_copy_of_path(file)?)
    }

    /// Whether an empty file may be a copy of the path's that was just begun.
    fn may_be_begun(&self, fact: &Fact) -> bool {
        let path = self.path().map(|path| &self.facts.files[path]);
        fact.size == 0 && path.is_some_and(|path| !is_born_before(fact, path))
    }

    /// A copy that is not followed by the truncation, or not yet: its lines are still in the path.
    fn is_copy_of_path(&self, file: usize) -> Result<bool, Ask> {
        let (fact, Some(path)) = (&self.facts.files[file], self.path()) else {
            return Ok(false);
        };
        let path = &self.facts.files[path];
        let is_long = fact.size == 0 || fact.size > path.size;
        if fact.name.packing.is_some() || is_born_before(fact, path) || is_long {
            return Ok(false);
        }
        Ok(*self.ask(Ask::IsCopyOfPath { file })? == Reply::Yes)
    }
}

fn is_whole_second(time: SystemTime) -> bool {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .is_ok_and(|time| time.subsec_nanos() == 0)
}

fn is_born_before(fact: &Fact, other: &Fact) -> bool {
    fact.born
        .zip(other.born)
        .is_some_and(|(born, other)| born < other)
}

#[cfg(test)]
mod tests;

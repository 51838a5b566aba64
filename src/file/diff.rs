//! What happened to a log, from what is known of its generations and what a look has found: the one place that decides
//! which file is what, what comes next, and what is missing.
//!
//! Pure: facts come in as data, events go out. Where the facts do not suffice, the answer is a question about the
//! content of one file; whoever looks answers it and asks again.
//!
//! The files stand in the order in which they were the log. A generation of which lines were read is found by the
//! inode that we hold, or else by its anchor; **all that stands behind the newest of these is unread**, whatever it is.
//! Two neighbours are known to be neighbours, or there is a gap between them.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

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
    pub hold: Hold,
    /// The largest size that it was seen to have; 0 where nobody has seen it.
    pub seen: u64,
}

/// Whether its file is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
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
    /// There were none when the log was found: so all of them are unread, where nothing was read yet.
    pub is_all_ours: bool,
    /// Names of rotated files that are something else: links, pipes, folders.
    pub others: Vec<Name>,
    /// The path was seen to be absent: so what appears there is the successor, however late.
    pub was_absent: bool,
    /// The number of the next generation, where none is known.
    pub next: u64,
    /// No file that is new gets a lower number, as a position never goes back.
    pub floor: u64,
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
enum Place {
    At(usize),
    Copy(usize),
    EarlierCopy(usize),
    /// Open, and found under no name.
    Unlisted,
    Lost,
}

impl Place {
    fn file(self) -> Option<usize> {
        match self {
            Place::At(file) | Place::Copy(file) | Place::EarlierCopy(file) => Some(file),
            Place::Unlisted | Place::Lost => None,
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
    Ok(look.events(&places, &unread))
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

    fn is_another_path(&self, known: &Known, file: usize) -> bool {
        let fact = &self.facts.files[file];
        fact.name.kind == Kind::Path && fact.file != known.file
    }

    fn file_with(&self, id: FileId) -> Option<usize> {
        self.facts.files.iter().position(|fact| fact.file == id)
    }

    /// Whether a file was there when the generations that nobody holds were.
    fn was_there(&self, fact: &Fact) -> bool {
        let is_younger = |(born, since)| born > since;
        !fact.born.zip(self.facts.since).is_some_and(is_younger)
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

    /// Where each known generation is: first those that something of a file proves, then those of which nothing is known
    /// but an inode.
    fn places(&self) -> Result<Vec<Place>, Ask> {
        let mut places = vec![Place::Lost; self.known.len()];
        // A file that has been a newer generation is not an older one any more, whatever is in it.
        let mut newer = HashSet::new();
        let own = self.own_file();
        let mut bound = self.facts.files.len();
        for index in (0..self.known.len()).rev() {
            let known = &self.known[index];
            if !self.has_only_an_inode(known) {
                places[index] = self.place(index, bound, &newer)?;
            }
            if known.is_read() {
                bound = bound.min(places[index].file().unwrap_or(bound));
            }
            if known.hold != Hold::No || own == Some(known.file) {
                newer.insert(known.file);
            }
            let file = places[index].file();
            newer.extend(file.map(|file| self.facts.files[file].file));
        }
        for index in 0..self.known.len() {
            if self.has_only_an_inode(&self.known[index]) {
                let found = match self.by_inode(index, &places) {
                    None => self.by_neighbours(index, &places)?,
                    found => found,
                };
                places[index] = found.map_or(Place::Lost, Place::At);
            }
        }
        Ok(places)
    }

    fn has_only_an_inode(&self, known: &Known) -> bool {
        known.hold == Hold::No && known.probe.is_none() && self.taken_at_its_word(known).is_none()
    }

    /// An inode that nobody holds may be any stranger's by now, or that of another generation's archive.
    fn by_inode(&self, index: usize, places: &[Place]) -> Option<usize> {
        let known = &self.known[index];
        let file = self.file_with(known.file)?;
        let (older, newer) = self.neighbours(index, places);
        let is_between = older.is_none_or(|(_, older)| older < file)
            && newer.is_none_or(|(_, newer)| newer > file);
        let fact = &self.facts.files[file];
        let is_ours = fact.name.kind != Kind::Other && !fact.claimed && self.was_there(fact);
        let fits = match known.generation {
            Some(_) => fact.size >= known.offset,
            // It was there before us, and nobody writes to it any more.
            None => fact.size == known.seen,
        };
        (is_between && is_ours && fits).then_some(file)
    }

    /// Between two that are found, each file is the generation that its place says. Before the oldest that is found, it
    /// must have been written to besides.
    fn by_neighbours(&self, index: usize, places: &[Place]) -> Result<Option<usize>, Ask> {
        let (older, newer) = self.neighbours(index, places);
        match self.between(index, older, newer) {
            Some(file) if older.is_some() || self.is_later(file)? => Ok(Some(file)),
            _ => Ok(None),
        }
    }

    /// The file that lies as many generations from its neighbours as this one does.
    fn between(&self, index: usize, older: Option<Found>, newer: Option<Found>) -> Option<usize> {
        let (generation, newer) = (self.known[index].generation?, newer?);
        let counting = |files: std::ops::Range<usize>| -> Vec<usize> {
            let counts = |file: &usize| self.counts(&self.facts.files[*file]);
            files.filter(counts).collect()
        };
        let Some((before, place)) = older else {
            let files = counting(0..newer.1);
            let steps = usize::try_from(newer.0 - generation).ok()?;
            return files.get(files.len().checked_sub(steps)?).copied();
        };
        let files = counting(place + 1..newer.1);
        let steps = usize::try_from(generation - before).ok()?;
        let is_whole = files.len() as u64 + 1 == newer.0 - before;
        is_whole.then(|| files.get(steps - 1).copied()).flatten()
    }

    /// The nearest that lines were read of, with their files: an older one, and a newer one.
    fn neighbours(&self, index: usize, places: &[Place]) -> (Option<Found>, Option<Found>) {
        let found = |other: usize| {
            let (known, place) = (&self.known[other], places[other]);
            let (generation, file) = known.generation.zip(place.file())?;
            known.is_read().then_some((generation, file))
        };
        let older = (0..index).rev().find_map(found);
        let newer = (index + 1..self.known.len()).find_map(found);
        (older, newer)
    }

    fn place(&self, index: usize, bound: usize, newer: &HashSet<FileId>) -> Result<Place, Ask> {
        let known = &self.known[index];
        let same = self
            .file_with(known.file)
            .filter(|file| !newer.contains(&known.file) && !self.facts.files[*file].claimed);
        match (known.hold, same) {
            // The inode is held, so it is not another file's.
            (Hold::Intact, Some(file)) => Ok(Place::At(file)),
            (Hold::Intact, None) => {
                let found = self.search(index, bound, newer)?;
                Ok(found.map_or(Place::Unlisted, Place::At))
            }
            (Hold::Cut, _) => self.place_of_copy(index, bound, newer),
            (Hold::No, Some(file)) if self.holds(file, index)? => Ok(Place::At(file)),
            (Hold::No, _) => {
                if let Some(path) = self.taken_at_its_word(known) {
                    return Ok(Place::At(path));
                }
                match self.search(index, bound, newer)? {
                    Some(file) => Ok(Place::At(file)),
                    None if known.is_read() => self.place_of_earlier_copy(index, bound, newer),
                    None => Ok(Place::Lost),
                }
            }
        }
    }

    /// Where only a number is known, the path is it.
    fn taken_at_its_word(&self, known: &Known) -> Option<usize> {
        let is_number =
            known.file == FileId::default() && known.probe.is_none() && known.offset > 0;
        self.path()
            .filter(|path| is_number && self.facts.files[*path].size >= known.offset)
    }

    fn place_of_copy(
        &self,
        index: usize,
        bound: usize,
        newer: &HashSet<FileId>,
    ) -> Result<Place, Ask> {
        if let Some(file) = self.search(index, bound, newer)? {
            return Ok(Place::Copy(file));
        }
        self.place_of_earlier_copy(index, bound, newer)
    }

    fn place_of_earlier_copy(
        &self,
        index: usize,
        bound: usize,
        newer: &HashSet<FileId>,
    ) -> Result<Place, Ask> {
        let own = self.known[index].file;
        for file in (0..bound).rev() {
            let fact = &self.facts.files[file];
            let may_be = fact.file != own
                && !fact.claimed
                && !newer.contains(&fact.file)
                && !matches!(fact.name.kind, Kind::Other | Kind::Path);
            let ask = Ask::IsEarlierCopy { file, known: index };
            if may_be && fact.size > 0 && *self.ask(ask)? == Reply::Yes {
                return Ok(Place::EarlierCopy(file));
            }
        }
        Ok(Place::Lost)
    }

    /// The file that has the generation's probe: the newest, rather where the order says, rather rotated than a backup,
    /// rather plain than packed. A late line may be the last write of any file, and so order it behind newer ones.
    fn search(
        &self,
        index: usize,
        bound: usize,
        newer: &HashSet<FileId>,
    ) -> Result<Option<usize>, Ask> {
        let known = &self.known[index];
        let Some((offset, _)) = known.probe else {
            return Ok(None);
        };
        let files = &self.facts.files;
        let may_be = |file: &usize| {
            let fact = &files[*file];
            let is_long_enough = fact.name.packing.is_some() || fact.size >= offset;
            let is_other = fact.file != known.file || known.hold == Hold::No;
            is_long_enough && is_other && !fact.claimed && !newer.contains(&fact.file)
        };
        let cost = |file: &usize| {
            let name = &files[*file].name;
            let (is_other, is_packed) = (name.kind == Kind::Other, name.packing.is_some());
            (*file >= bound, is_other, is_packed)
        };
        let mut candidates: Vec<_> = (0..files.len()).rev().filter(may_be).collect();
        candidates.sort_by_key(cost);
        for file in candidates {
            if self.holds(file, index)? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    fn holds(&self, file: usize, known: usize) -> Result<bool, Ask> {
        Ok(*self.ask(Ask::Holds { file, known })? == Reply::Yes)
    }

    /// What stands behind the newest generation that lines were read of.
    fn unread(&self, places: &[Place]) -> Result<Unread, Ask> {
        let mut read = (0..self.known.len())
            .rev()
            .filter(|index| self.known[*index].is_read());
        let newest = read.clone().next().map(|index| places[index]);
        let base = read.find_map(|index| places[index].file());
        let first = match (base, newest) {
            // What stands behind an older one may be what was read of the newest.
            (Some(base), Some(Place::Lost)) => (base + 1).max(self.first_unread()?),
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
            Some(file) if places.last() == Some(&Place::Lost) => {
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
            if is_known(fact) || self.counts(fact) && self.is_later(file)? {
                return Ok(file);
            }
        }
        Ok(self.path().unwrap_or(self.facts.files.len()))
    }

    /// Whether it was written behind what is known. Of two times that are the same nobody knows which is later; what was
    /// never read is not repeated by it, nor is what nobody can read.
    fn is_later(&self, file: usize) -> Result<bool, Ask> {
        let fact = &self.facts.files[file];
        let is_any_read = self.known.iter().any(Known::is_read);
        if self.facts.is_all_ours && !is_any_read {
            return Ok(true);
        }
        Ok(match self.facts.since.map(|it| fact.modified.cmp(&it)) {
            Some(Ordering::Equal) if is_any_read => {
                matches!(self.ask(Ask::IsText { file })?, Reply::Unreadable(_))
            }
            order => order.is_some_and(Ordering::is_ge),
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
        let is_held = |known: &Known| known.file == fact.file && known.hold != Hold::No;
        let is_held = self.known.iter().any(is_held);
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
        if self.may_be_begun(fact) || self.is_copy_of_path(file)? {
            return Ok(None);
        }
        Ok(match self.ask(Ask::IsText { file })? {
            Reply::Yes => Some(None),
            Reply::No => None,
            Reply::Unreadable(reason) => Some(Some(reason.clone())),
        })
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

    fn events(&self, places: &[Place], unread: &Unread) -> Vec<Event> {
        let mut events = Vec::new();
        for (index, place) in places.iter().enumerate() {
            let known = &self.known[index];
            let (held, numbered) = (known.hold != Hold::No, known.generation.is_some());
            // While there is nothing to go on with, it may come back.
            let is_passed = !unread.files.is_empty()
                || places[index + 1..]
                    .iter()
                    .any(|place| *place != Place::Lost);
            match *place {
                // It is said below, with its number.
                Place::At(file) if !known.is_read() && unread.has(file) => {}
                // The path was replaced by a copy of its file, and goes on there.
                Place::At(file) if held && self.is_another_path(known, file) => {
                    events.push(Event::Copied { known: index, file })
                }
                Place::At(file) if numbered => events.push(Event::Found { known: index, file }),
                Place::Copy(file) if numbered => events.push(Event::Copied { known: index, file }),
                Place::EarlierCopy(file) if numbered => events.push(Event::Truncated {
                    known: index,
                    copy: Some(file),
                }),
                Place::Lost if held => events.push(Event::Truncated {
                    known: index,
                    copy: None,
                }),
                Place::Lost if is_passed && numbered => events.push(Event::Vanished {
                    known: index,
                    passed: unread.passed.filter(|_| index + 1 == self.known.len()),
                }),
                _ => {}
            }
        }
        self.push_unread(places, unread, &mut events);
        events
    }

    /// The unread files with their numbers, and the gaps before and between them. A gap before a known file was said when
    /// that got its number, which is so much higher.
    fn push_unread(&self, places: &[Place], unread: &Unread, events: &mut Vec<Event>) {
        let mut next = self.next_generation(places, unread);
        let mut files = unread.files.as_slice();
        if let Some((gap, why)) = self.gap_behind_known(places, unread) {
            // A file that cannot be read is taken for the one that is missing.
            match files.split_first() {
                Some(((file, Some(reason)), rest)) => {
                    files = rest;
                    events.push(Event::Gap(gap, reason.clone()));
                    events.push(Event::GivenUp { file: *file });
                }
                _ => events.push(Event::Gap(gap, why)),
            }
        }
        let mut before = unread.base;
        let mut gaps = Vec::new();
        for (file, reason) in files {
            if let Some((files, why)) = before.and_then(|it| self.missing_between(it, *file)) {
                gaps.push(Event::Gap(Gap::of_all(next), why));
                next += files;
            }
            if let Some(reason) = reason {
                gaps.push(Event::Gap(Gap::of_all(next), reason.clone()));
                events.push(Event::GivenUp { file: *file });
            } else {
                let own = self.number_of_unread(*file);
                let is_said = own >= Some(next);
                events.extend(std::mem::take(&mut gaps).into_iter().filter(|_| !is_said));
                next = next.max(own.unwrap_or(self.facts.floor));
                events.push(Event::Appeared {
                    file: *file,
                    generation: next,
                });
            }
            next += 1;
            before = Some(*file);
        }
        events.extend(gaps);
    }

    /// The number that a file has of which nothing was read.
    fn number_of_unread(&self, file: usize) -> Option<u64> {
        let file = self.facts.files[file].file;
        let is_it = |known: &&Known| known.file == file && !known.is_read();
        self.known.iter().find(is_it)?.generation
    }

    /// The number behind those of the files that stay.
    fn next_generation(&self, places: &[Place], unread: &Unread) -> u64 {
        let stays = |(known, place): (&Known, &Place)| {
            let is_to_be_read = match place {
                Place::At(file) => self.facts.files[*file].file == known.file && unread.has(*file),
                Place::Lost => known.hold == Hold::No,
                Place::Copy(_) | Place::EarlierCopy(_) | Place::Unlisted => false,
            };
            let stays = known.is_read() || !is_to_be_read;
            known.generation.filter(|_| stays)
        };
        let newest = self.known.iter().zip(places).filter_map(stays).max();
        let first = || self.known.iter().filter_map(|known| known.generation).min();
        match newest {
            Some(newest) => newest + 1,
            None => first().unwrap_or(self.facts.next),
        }
    }

    /// Whether something may be missing behind the newest known generation.
    fn gap_behind_known(&self, places: &[Place], unread: &Unread) -> Option<(Gap, String)> {
        let (known, place) = self.known.iter().zip(places).next_back()?;
        let generation = known.generation?;
        if unread.files.is_empty() && known.hold != Hold::Cut {
            return None;
        }
        let is_path = |(file, _): &(usize, _)| self.facts.files[*file].name.kind == Kind::Path;
        let why = match place {
            // What only the path follows was removed, and made anew. What was empty may be an empty archive.
            Place::Unlisted if !unread.files.iter().all(is_path) && known.probe.is_some() => {
                "it was removed, or moved to where nobody looks (--rotated): what followed it is not known"
            }
            Place::Lost if known.hold == Hold::Cut => {
                "it was truncated, and no copy of it is found"
            }
            Place::Lost if known.is_read() => {
                "the file that was being read is gone, or closed to us"
            }
            Place::Lost
                if known.file != FileId::default()
                    && !unread.has_passed_empty
                    && !self.may_have_become(known, unread.files.first()) =>
            {
                "the file that was to be read is gone"
            }
            _ => return None,
        };
        let probed = known.probe.map_or(0, |(offset, _)| offset);
        let gap = Gap {
            generation,
            offset: known.offset.max(probed),
            bytes: known
                .seen
                .checked_sub(known.offset)
                .filter(|bytes| *bytes > 0),
        };
        Some((gap, why.to_string()))
    }

    /// Whether the first unread file may be what has become of a generation of which nothing was read: packed, or copied to
    /// another file system. With a new name alone it would have its inode.
    fn may_have_become(&self, known: &Known, first: Option<&(usize, Option<String>)>) -> bool {
        first.is_some_and(|(file, _)| {
            let fact = &self.facts.files[*file];
            let is_rotated = fact.name.kind != Kind::Path;
            is_rotated && (fact.name.packing.is_some() || fact.file.dev != known.file.dev)
        })
    }

    /// How many files are missing between two by their names, or may be by their times; and the words for it.
    fn missing_between(&self, before: usize, file: usize) -> Option<(u64, String)> {
        let after = &self.facts.files[file];
        let before = &self.facts.files[before];
        let series = before.name.series.as_str();
        match (before.name.kind, after.name.kind) {
            (Kind::Number(high), Kind::Number(low)) => self.missing_numbers(series, low + 1, high),
            (Kind::Number(high), Kind::Path) => {
                let lowest = if self.has_number(series, 0) { 0 } else { 1 };
                self.missing_numbers(series, lowest, high)
            }
            (Kind::Date, Kind::Date | Kind::Path) if self.came_late(before, after) => {
                let why = "a rotated file that was here may have been removed";
                Some((1, why.to_string()))
            }
            _ => None,
        }
    }

    fn missing_numbers(&self, series: &str, low: u32, high: u32) -> Option<(u64, String)> {
        let missing = (low..high).filter(|number| !self.has_number(series, *number));
        match missing.count() as u64 {
            0 => None,
            count => Some((
                count,
                format!("of the rotated files {count} are missing here"),
            )),
        }
    }

    fn has_number(&self, series: &str, number: u32) -> bool {
        let files = self.facts.files.iter().map(|fact| &fact.name);
        let mut names = files.chain(&self.facts.others);
        names.any(|name| name.series == series && name.kind == Kind::Number(number))
    }

    /// Whether a file was born so long after its predecessor was renamed that there may have been another between them.
    fn came_late(&self, before: &Fact, after: &Fact) -> bool {
        let is_plain = before.name.packing.is_none() && after.name.packing.is_none();
        let is_late = |born| born > before.changed + AT_ONCE;
        is_plain
            && !self.facts.was_absent
            && !self.is_copytruncated()
            && after.born.is_some_and(is_late)
    }
}

fn is_born_before(fact: &Fact, other: &Fact) -> bool {
    fact.born
        .zip(other.born)
        .is_some_and(|(born, other)| born < other)
}

#[cfg(test)]
mod tests;

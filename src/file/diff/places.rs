//! Where each generation that is known is to be found now.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::{Ask, Fact, Found, Held, Known, Look, Reply, Whereabouts, is_born_before};
use crate::file::names::Kind;
use crate::order;
use crate::position::FileId;

/// Files between two generations that have no number, besides the empty ones, are no more than this.
const UNNUMBERED: u64 = 2;
/// An archive of nothing is no larger.
const EMPTY_ARCHIVE: u64 = 48;

impl Look<'_> {
    /// Where each known generation is: first those whose inode and content prove it, then those that content proves alone,
    /// as the same bytes may stand at the same place of another one, then those of which nothing is known but an inode.
    pub(super) fn places(&self) -> Result<Vec<Whereabouts>, Ask> {
        let mut places = vec![Whereabouts::Lost; self.known.len()];
        // A file that has been a newer generation is not an older one any more, whatever is in it.
        let mut newer = HashSet::new();
        let own = self.own_file();
        for index in (0..self.known.len()).rev() {
            let known = &self.known[index];
            let same = self.same_file(known, &newer);
            if let Some(file) = same.filter(|_| !self.has_only_an_inode(known))
                && (known.hold == Held::Intact
                    || known.hold == Held::No && self.holds(file, index)?)
            {
                places[index] = Whereabouts::At(file);
            }
            if known.hold != Held::No || own == Some(known.file) {
                newer.insert(known.file);
            }
            newer.extend(self.file_at(places[index]));
        }
        for index in (0..self.known.len()).rev() {
            let known = &self.known[index];
            if places[index] == Whereabouts::Lost && !self.has_only_an_inode(known) {
                places[index] = self.place(index, &places, &newer)?;
                newer.extend(self.file_at(places[index]));
            }
        }
        let only_inodes =
            || (0..self.known.len()).filter(|index| self.has_only_an_inode(&self.known[*index]));
        for index in only_inodes() {
            let found = self.by_inode(index, &places);
            places[index] = found.map_or(Whereabouts::Lost, Whereabouts::At);
        }
        for index in only_inodes() {
            if places[index] == Whereabouts::Lost {
                let found = self.by_neighbours(index, &places)?;
                places[index] = found.map_or(Whereabouts::Lost, Whereabouts::At);
            }
        }
        Ok(places)
    }

    fn file_at(&self, place: Whereabouts) -> Option<FileId> {
        place.file().map(|file| self.facts.files[file].file)
    }

    fn same_file(&self, known: &Known, newer: &HashSet<FileId>) -> Option<usize> {
        self.file_with(known.file).filter(|file| {
            let fact = &self.facts.files[*file];
            // By now an inode that nobody has held may be that of another file with the same bytes there.
            let is_it = known.hold != Held::No || known.is_later || self.was_there(fact);
            is_it && !newer.contains(&known.file) && !fact.claimed
        })
    }

    fn has_only_an_inode(&self, known: &Known) -> bool {
        known.hold == Held::No && known.probe.is_none() && self.taken_at_its_word(known).is_none()
    }

    /// An inode that nobody holds may be any stranger's by now, or that of another generation's archive.
    fn by_inode(&self, index: usize, places: &[Whereabouts]) -> Option<usize> {
        let known = &self.known[index];
        let file = self.file_with(known.file)?;
        let (older, newer) = self.neighbours(index, places);
        let is_between = older.is_none_or(|(_, older)| older < file)
            && newer.is_none_or(|(_, newer)| newer > file);
        let fact = &self.facts.files[file];
        let is_ours = fact.name.kind != Kind::Other
            && !fact.claimed
            && (self.was_there(fact) || known.is_later && self.follows(file, older, places));
        let fits = match known.generation {
            Some(_) => fact.size >= known.offset,
            // It was there before us, and nobody writes to it any more.
            None => fact.size == known.seen,
        };
        (is_between && is_ours && fits).then_some(file)
    }

    /// Between two that are found, each file is the generation that its place says. Before the oldest that is found, it
    /// must have been written to besides.
    fn by_neighbours(&self, index: usize, places: &[Whereabouts]) -> Result<Option<usize>, Ask> {
        let (older, newer) = self.found_beside(index, places, |_| true);
        Ok(match self.between(index, older, newer)? {
            Some(file) if self.is_of_path(file)? => None,
            Some(file) if older.is_some() => Some(file),
            // What was broken since is no later than it was.
            Some(file) if self.is_later(file)? && self.is_readable(file)? => Some(file),
            _ => None,
        })
    }

    /// The older generations in whose place lies what cannot be read, with the reason: nobody knows what was unread of
    /// them when they were noted. Of those that we have closed, nothing was.
    pub(super) fn broken(&self, places: &[Whereabouts]) -> Result<HashMap<usize, String>, Ask> {
        let mut broken = HashMap::new();
        for (index, known) in self.known.iter().enumerate() {
            let is_noted = known.hold == Held::No && !known.is_later && known.is_read();
            if places[index] != Whereabouts::Lost || !is_noted || index + 1 == self.known.len() {
                continue;
            }
            let (older, newer) = self.neighbours(index, places);
            let Some(file) = self.between(index, older, newer)? else {
                continue;
            };
            if let Reply::Unreadable(reason) = self.ask(Ask::IsText { file })? {
                broken.insert(index, reason.clone());
            }
        }
        Ok(broken)
    }

    /// The file that lies as many generations from its neighbours as this one does.
    fn between(
        &self,
        index: usize,
        older: Option<Found>,
        newer: Option<Found>,
    ) -> Result<Option<usize>, Ask> {
        let Some((generation, newer)) = self.known[index].generation.zip(newer) else {
            return Ok(None);
        };
        let counting = |files: std::ops::Range<usize>| -> Vec<usize> {
            let counts = |file: &usize| self.counts(&self.facts.files[*file]);
            files.filter(counts).collect()
        };
        let Some((before, place)) = older else {
            let files = counting(0..newer.1);
            let steps = (newer.0 - generation) as usize;
            let at = files.len().checked_sub(steps);
            return Ok(at.and_then(|at| files.get(at).copied()));
        };
        let mut files = counting(place + 1..newer.1);
        let generations = (newer.0 - before - 1) as usize;
        if files.len() < generations {
            let kind = |file: &usize| self.facts.files[*file].name.kind;
            let is_number = |file| matches!(kind(file), Kind::Number(_));
            if files.iter().any(is_number) || !self.is_all_unread(before, newer.0) {
                return Ok(self.by_number(generation, newer, &files));
            }
            // Whichever it is, it is to be read.
            let behind = (newer.0 - generation) as usize;
            let at = files.len().checked_sub(behind);
            return Ok(at.map(|at| files[at]));
        }
        if files.len() > generations {
            // Those without a number have nothing in them.
            let mut filled = Vec::new();
            for file in files {
                if *self.ask(Ask::IsEmpty { file })? != Reply::Yes {
                    filled.push(file);
                }
            }
            files = filled;
        }
        let at = (generation - before - 1) as usize;
        let is_it = files.len() == generations;
        Ok(files.get(at).copied().filter(|_| is_it))
    }

    /// Whether nothing was read of any generation between these two.
    fn is_all_unread(&self, older: u64, newer: u64) -> bool {
        (older + 1..newer).all(|number| {
            let is_it = |known: &&Known| known.generation == Some(number);
            let known = self.known.iter().find(is_it);
            known.is_some_and(|known| !known.is_read())
        })
    }

    /// Where some are missing, the one among these whose number is as much higher as it is older.
    fn by_number(&self, generation: u64, newer: Found, files: &[usize]) -> Option<usize> {
        let name = |file: usize| &self.facts.files[file].name;
        let is_it = |file: &usize| {
            let (name, newer_name) = (name(*file), name(newer.1));
            let Kind::Number(number) = name.kind else {
                return false;
            };
            let next = match newer_name.kind {
                Kind::Number(newer) if newer_name.series == name.series => newer + 1,
                Kind::Path => self.lowest_number(&name.series),
                _ => return false,
            };
            u64::from(number) + 1 == u64::from(next) + newer.0 - generation
        };
        files.iter().copied().find(is_it)
    }

    /// Whether a file comes right behind a known generation: nothing lies between that another with its inode may have
    /// become, before the inode was free for this one. What is younger than it are copies of it.
    fn follows(&self, own: usize, older: Option<Found>, places: &[Whereabouts]) -> bool {
        let mut between = older.map_or(0, |(_, older)| older + 1)..own;
        between.all(|file| {
            let fact = &self.facts.files[file];
            if is_born_before(&self.facts.files[own], fact) {
                return true;
            }
            let is_known = places.iter().any(|place| place.file() == Some(file));
            let is_old = older.is_none() && Some(fact.modified) <= self.facts.since;
            is_known || is_old || !self.counts(fact)
        })
    }

    /// The nearest that lines were read of, with their files: an older one, and a newer one.
    fn neighbours(&self, index: usize, places: &[Whereabouts]) -> (Option<Found>, Option<Found>) {
        self.found_beside(index, places, Known::is_read)
    }

    fn found_beside(
        &self,
        index: usize,
        places: &[Whereabouts],
        counts: fn(&Known) -> bool,
    ) -> (Option<Found>, Option<Found>) {
        let found = |other: usize| {
            let (known, place) = (&self.known[other], places[other]);
            let found = known.generation.zip(self.in_order(place));
            found.filter(|_| counts(known))
        };
        let older = (0..index).rev().find_map(found);
        let newer = (index + 1..self.known.len()).find_map(found);
        (older, newer)
    }

    /// Where a generation is of which no file has the inode and the content.
    fn place(
        &self,
        index: usize,
        places: &[Whereabouts],
        newer: &HashSet<FileId>,
    ) -> Result<Whereabouts, Ask> {
        let known = &self.known[index];
        match known.hold {
            Held::Intact => {
                let found = self.search(index, places, newer)?;
                Ok(found.map_or(Whereabouts::Unlisted, Whereabouts::At))
            }
            Held::Cut => self.place_of_copy(index, places, newer),
            Held::No => {
                if let Some(path) = self.taken_at_its_word(known) {
                    return Ok(Whereabouts::At(path));
                }
                match self.search(index, places, newer)? {
                    Some(file) => Ok(Whereabouts::At(file)),
                    None if known.is_read() => self.place_of_earlier_copy(index, places, newer),
                    None => Ok(Whereabouts::Lost),
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
        places: &[Whereabouts],
        newer: &HashSet<FileId>,
    ) -> Result<Whereabouts, Ask> {
        if let Some(file) = self.search(index, places, newer)? {
            return Ok(Whereabouts::Copy(file));
        }
        self.place_of_earlier_copy(index, places, newer)
    }

    fn place_of_earlier_copy(
        &self,
        index: usize,
        places: &[Whereabouts],
        newer: &HashSet<FileId>,
    ) -> Result<Whereabouts, Ask> {
        let own = self.known[index].file;
        let (_, behind) = self.neighbours(index, places);
        let bound = behind.map_or(self.facts.files.len(), |(_, behind)| behind);
        for file in (0..bound).rev() {
            let fact = &self.facts.files[file];
            let may_be = fact.file != own
                && !fact.claimed
                && !newer.contains(&fact.file)
                && !matches!(fact.name.kind, Kind::Other | Kind::Path);
            let ask = Ask::IsEarlierCopy { file, known: index };
            let may_be = may_be && fact.size > 0 && !self.is_of_path(file)?;
            if may_be && *self.ask(ask)? == Reply::Yes {
                return Ok(Whereabouts::EarlierCopy(file));
            }
        }
        Ok(Whereabouts::Lost)
    }

    /// The file that has the generation's probe: rather where the order says, rather rotated than a backup, rather near to
    /// where the numbers say, rather plain than packed, rather the newest. A late line may be the last write of any file,
    /// and so order it behind newer ones, where names do not. Far from where the numbers say there are only the same bytes
    /// in another file.
    fn search(
        &self,
        index: usize,
        places: &[Whereabouts],
        newer: &HashSet<FileId>,
    ) -> Result<Option<usize>, Ask> {
        let known = &self.known[index];
        let Some((offset, _)) = known.probe else {
            return Ok(None);
        };
        let (before, behind) = self.neighbours(index, places);
        let files = &self.facts.files;
        let may_be = |file: &usize| {
            let fact = &files[*file];
            let is_long_enough = fact.name.packing.is_some() || fact.size >= offset;
            let is_other = fact.file != known.file || known.hold == Held::No;
            // Of the newest one the order is no proof: there are those who number upwards.
            let is_between = behind.is_none_or(|(_, behind)| {
                let is_behind = |(_, before)| *file > before || !self.is_ordered(*file, before);
                (*file < behind || !self.is_ordered(*file, behind)) && before.is_none_or(is_behind)
            });
            is_long_enough && is_other && is_between && !fact.claimed && !newer.contains(&fact.file)
        };
        let neighbour = before.or(behind);
        let bound = behind.map_or(files.len(), |(_, behind)| behind);
        let cost = |file: &usize| {
            let name = &files[*file].name;
            let (is_other, is_packed) = (name.kind == Kind::Other, name.packing.is_some());
            let is_before = before.is_some_and(|(_, before)| *file < before);
            let far = self.distance(known, *file, neighbour, |_| true);
            (
                *file >= bound || is_before,
                is_other,
                far > 1,
                is_packed,
                far,
            )
        };
        let is_near = |file: &usize| match (known.generation, neighbour) {
            (Some(generation), Some((number, at))) if self.is_ordered(*file, at) => {
                let far = |is_counted: fn(&Fact) -> bool| {
                    self.distance(known, *file, neighbour, is_counted)
                };
                far(|_| true).min(far(is_filled)) <= generation.abs_diff(number) + UNNUMBERED
            }
            _ => true,
        };
        let candidates = (0..files.len()).rev().filter(may_be);
        let mut candidates: Vec<_> = candidates.filter(is_near).collect();
        order::sort_by_key(&mut candidates, cost);
        for file in candidates {
            if self.holds(file, index)? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// Whether names tell which of the two is older.
    fn is_ordered(&self, file: usize, other: usize) -> bool {
        let (name, other) = (&self.facts.files[file].name, &self.facts.files[other].name);
        let is_path = name.kind == Kind::Path || other.kind == Kind::Path;
        is_path || !name.series.is_empty() && name.series == other.series
    }

    /// How many files lie between a file and the one that the generation should be, as a neighbour is numbered; or else as
    /// the times say: it is the last one that was written to by then, or the first one behind.
    fn distance(
        &self,
        known: &Known,
        file: usize,
        neighbour: Option<Found>,
        is_counted: fn(&Fact) -> bool,
    ) -> u64 {
        let files = &self.facts.files;
        let count = |range: std::ops::Range<usize>| {
            let counts = |fact: &&Fact| self.counts(fact) && is_counted(fact);
            files[range].iter().filter(counts).count() as u64
        };
        let Some((generation, (number, at))) = known.generation.zip(neighbour) else {
            let is_later = |fact: &Fact| self.order_in_time(fact).is_none_or(Ordering::is_ge);
            let first = files.iter().position(is_later).unwrap_or(files.len());
            let far = if file < first {
                count(file + 1..first)
            } else {
                count(first..file)
            };
            // By one they may be wrong: a backup has a time as well.
            return far.max(1);
        };
        let steps = generation.abs_diff(number);
        let (is_newer, between) = if file > at {
            (true, count(at + 1..file + 1))
        } else {
            (false, count(file + 1..at + 1))
        };
        if is_newer == (generation > number) {
            between.abs_diff(steps)
        } else {
            between + steps
        }
    }

    fn holds(&self, file: usize, known: usize) -> Result<bool, Ask> {
        Ok(*self.ask(Ask::Holds { file, known })? == Reply::Yes)
    }
}

/// Whether there is certainly something in it. An empty file may have no number.
fn is_filled(fact: &Fact) -> bool {
    let least = fact.name.packing.map_or(0, |_| EMPTY_ARCHIVE);
    fact.size > least
}

//! What has happened, said as events: each file that is to be read gets its number, and what is missing a gap.

use super::{AT_ONCE, Event, Fact, Hold, Known, Look, Place, Unread};
use crate::file::names::Kind;
use crate::position::{FileId, Gap};

impl Look<'_> {
    pub(super) fn events(&self, places: &[Place], unread: &Unread) -> Vec<Event> {
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
                // It is said below, with its number; or that nobody can read it.
                Place::At(file) if !known.is_read() && unread.has(file) => {
                    let is_unreadable = unread
                        .files
                        .iter()
                        .any(|(it, why)| *it == file && why.is_some());
                    if is_unreadable && !held {
                        events.push(Event::Vanished {
                            known: index,
                            passed: None,
                        });
                    }
                }
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
                    passed: unread
                        .passed
                        .filter(|_| index + 1 == self.known.len())
                        .filter(|passed| self.is_next_to_unread(*passed, unread)),
                }),
                _ => {}
            }
        }
        self.push_unread(places, unread, &mut events);
        events
    }

    /// Whether nothing is missing between a file and the first unread one. What is may be the generation that is gone.
    fn is_next_to_unread(&self, file: usize, unread: &Unread) -> bool {
        let first = unread.files.first();
        first.is_none_or(|(first, _)| self.missing_between(file, *first).is_none())
    }

    /// The unread files with their numbers, and the gaps before and between them. A gap before a known file was said when
    /// that got its number, which is so much higher.
    fn push_unread(&self, places: &[Place], unread: &Unread, events: &mut Vec<Event>) {
        let mut next = self.next_generation(places, unread);
        let is_open = |(_, place): &(&Known, &Place)| **place == Place::Unlisted;
        let open = self.known.iter().zip(places).filter(is_open);
        let open: Vec<_> = open.filter_map(|(known, _)| known.generation).collect();
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
        let number = |base: usize| {
            let index = places.iter().position(|place| place.file() == Some(base))?;
            self.known[index].generation
        };
        let mut before = unread.base.map(|base| (base, number(base)));
        let mut gaps = Vec::new();
        for (file, reason) in files {
            let missing = before.and_then(|it| self.missing_before(it, *file, &open));
            if let Some((files, why)) = missing {
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
                next = next.max(own.unwrap_or_else(|| self.number_behind(*file, places)));
                events.push(Event::Appeared {
                    file: *file,
                    generation: next,
                });
            }
            before = Some((*file, Some(next)));
            next += 1;
        }
        events.extend(gaps);
    }

    /// The lowest number that a file may get that has none: it stands behind the generations of the files before it, and
    /// behind what is open and has no name any more.
    fn number_behind(&self, file: usize, places: &[Place]) -> u64 {
        let is_before = |place: &Place| match place {
            Place::Unlisted => true,
            place => self.in_order(*place).is_some_and(|other| other < file),
        };
        let before = self
            .known
            .iter()
            .zip(places)
            .filter(|(_, place)| is_before(place));
        let newest = before.filter_map(|(known, _)| known.generation).max();
        newest.map_or(0, |newest| newest + 1).max(self.facts.floor)
    }

    /// How many files are missing before an unread one, besides the generations that are open and have no name any more.
    fn missing_before(
        &self,
        (before, number): (usize, Option<u64>),
        file: usize,
        open: &[u64],
    ) -> Option<(u64, String)> {
        // What is missing behind a file from before the first generation is nobody's business.
        let number = number?;
        let (files, why) = self.missing_between(before, file)?;
        let own = self.number_of_unread(file).unwrap_or(u64::MAX);
        let is_between = |open: &&u64| **open > number && **open < own;
        let missing = files.saturating_sub(open.iter().filter(is_between).count() as u64);
        (missing > 0).then_some((missing, why))
    }

    /// The number that a file has of which nothing was read.
    fn number_of_unread(&self, file: usize) -> Option<u64> {
        let file = self.facts.files[file].file;
        let is_it = |known: &&Known| known.file == file && !known.is_read();
        self.known.iter().find(is_it)?.generation
    }

    /// Whether an unread file has a number that says that it comes before a known generation.
    fn is_before(&self, file: usize, known: &Known) -> bool {
        let own = self.number_of_unread(file);
        own.is_some() && own < known.generation
    }

    /// The number behind those of the files that stay.
    fn next_generation(&self, places: &[Place], unread: &Unread) -> u64 {
        let first = unread.files.first().map(|(file, _)| *file);
        let stays = |(known, place): (&Known, &Place)| {
            let comes_later = first.is_some_and(|first| self.is_before(first, known));
            let stays = match place {
                Place::Unlisted => !comes_later,
                _ if known.is_read() => true,
                Place::At(file) if self.facts.files[*file].file == known.file => !unread.has(*file),
                Place::At(_) => !comes_later,
                Place::Lost => known.hold != Hold::No,
                Place::Copy(_) | Place::EarlierCopy(_) => true,
            };
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
        if let Some(file) = place.file().filter(|file| self.is_backup(known, *file)) {
            let gap = Gap {
                generation,
                offset: self.facts.files[file].size.max(known.offset),
                bytes: None,
            };
            let why = "only a backup of it is left: what was written behind that is not known";
            return Some((gap, why.to_string()));
        }
        if unread.files.is_empty() && known.hold != Hold::Cut {
            return None;
        }
        let is_path = |(file, _): &(usize, _)| {
            self.facts.files[*file].name.kind == Kind::Path || self.is_before(*file, known)
        };
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
                    && !unread
                        .files
                        .iter()
                        .any(|(file, _)| self.may_have_become(known, *file)) =>
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

    /// Whether a known generation was found in a copy that no rotation made: it says how the file began, at some time.
    fn is_backup(&self, known: &Known, file: usize) -> bool {
        let fact = &self.facts.files[file];
        fact.name.kind == Kind::Other && fact.file != known.file
    }

    /// Whether an unread file may be what has become of a generation of which nothing was read: packed, or copied to another
    /// file system. With a new name alone it would have its inode. That is free again only when all of it is in the
    /// other file; so what was made after a file that has it by now is not it.
    fn may_have_become(&self, known: &Known, file: usize) -> bool {
        let reused = self.file_with(known.file);
        let freed = reused.and_then(|file| self.facts.files[file].born);
        let fact = &self.facts.files[file];
        let is_rotated = fact.name.kind != Kind::Path;
        let is_too_young = fact
            .born
            .zip(freed)
            .is_some_and(|(born, freed)| born > freed);
        let is_elsewhere = fact.name.packing.is_some() || fact.file.dev != known.file.dev;
        is_rotated && is_elsewhere && !is_too_young
    }

    /// How many files are missing between two by their names, or may be by their times; and the words for it.
    pub(super) fn missing_between(&self, before: usize, file: usize) -> Option<(u64, String)> {
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

//! What has happened, said as events; what is missing, as gaps.

use std::collections::HashMap;

use super::line::Numbering;
use super::{AT_ONCE, Event, Fact, Held, Known, Look, Unread, Whereabouts};
use crate::file::names::Kind;
use crate::position::{FileId, Gap};

const NO_COPY: &str = "it was truncated, and no copy of it is found";

/// What is missing of a generation that cannot be read on.
fn gap_behind(known: &Known) -> Gap {
    let probed = match (known.hold, known.probe) {
        (Held::No | Held::Intact, Some((offset, _))) => offset,
        _ => 0,
    };
    let left = known.seen.checked_sub(known.offset);
    Gap {
        generation: known.generation.unwrap_or_default(),
        offset: known.offset.max(probed),
        bytes: left.filter(|bytes| *bytes > 0),
    }
}

impl Look<'_> {
    pub(super) fn events(
        &self,
        places: &[Whereabouts],
        unread: &Unread,
        broken: &HashMap<usize, String>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for (index, place) in places.iter().enumerate() {
            // While there is nothing to go on with, it may come back.
            let is_passed = !unread.files.is_empty()
                || places[index + 1..]
                    .iter()
                    .any(|place| *place != Whereabouts::Lost);
            events.extend(self.gap_in_place(index, *place));
            if let (true, Some(reason)) = (is_passed, broken.get(&index)) {
                let gap = gap_behind(&self.known[index]);
                events.push(Event::Gap(gap, reason.clone()));
            }
            events.extend(self.event(index, *place, unread, is_passed));
        }
        self.push_unread(places, unread, &mut events);
        events
    }

    /// What has become of a known generation.
    fn event(
        &self,
        index: usize,
        place: Whereabouts,
        unread: &Unread,
        is_passed: bool,
    ) -> Option<Event> {
        let known = &self.known[index];
        let (held, numbered) = (known.hold != Held::No, known.generation.is_some());
        Some(match place {
            // It is said below, with its number; or that nobody can read it.
            Whereabouts::At(file) if !known.is_read() && unread.has(file) => {
                let mut unread = unread.files.iter();
                let is_unreadable = unread.any(|(it, why)| *it == file && why.is_some());
                return (is_unreadable && !held).then_some(Event::Vanished {
                    known: index,
                    passed: None,
                });
            }
            // The path was replaced by a copy of its file, and goes on there.
            Whereabouts::At(file) if held && self.is_another_path(known, file) => {
                Event::Copied { known: index, file }
            }
            Whereabouts::At(file) if numbered => Event::Found { known: index, file },
            Whereabouts::Copy(file) if numbered => Event::Copied { known: index, file },
            Whereabouts::EarlierCopy(file) if numbered => Event::Truncated {
                known: index,
                copy: Some(file),
            },
            Whereabouts::Lost if held => Event::Truncated {
                known: index,
                copy: None,
            },
            Whereabouts::Lost if is_passed && numbered => Event::Vanished {
                known: index,
                passed: unread
                    .passed
                    .filter(|_| index + 1 == self.known.len())
                    .filter(|passed| self.is_next_to_unread(*passed, unread)),
            },
            _ => return None,
        })
    }

    /// What is missing of a generation whose file goes on as the next one. Of the newest one it is said below.
    fn gap_in_place(&self, index: usize, place: Whereabouts) -> Option<Event> {
        let (known, next) = (&self.known[index], self.known.get(index + 1)?);
        if known.hold != Held::Cut || next.file != known.file {
            return None;
        }
        if place == Whereabouts::Lost {
            let gap = Event::Gap(gap_behind(known), NO_COPY.to_string());
            return Some(gap).filter(|_| !self.was_all_read(known));
        }
        let (gap, why) = self.gap_behind_backup(known, place)?;
        Some(Event::Gap(gap, why))
    }

    /// Whether nothing is missing between a file and the first unread one. What is may be the generation that is gone.
    fn is_next_to_unread(&self, file: usize, unread: &Unread) -> bool {
        let first = unread.files.first();
        first.is_none_or(|(first, _)| self.missing_between(file, *first).is_none())
    }

    /// The unread files with their numbers, and the gaps before and between them.
    fn push_unread(&self, places: &[Whereabouts], unread: &Unread, events: &mut Vec<Event>) {
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
        let line = self.in_line(files, places);
        let mut numbering = Numbering::new(self, places, unread.base, &line);
        for item in &line {
            numbering.push(item);
        }
        events.extend(numbering.into_events());
    }

    /// Whether something may be missing behind the newest known generation.
    fn gap_behind_known(&self, places: &[Whereabouts], unread: &Unread) -> Option<(Gap, String)> {
        let (known, place) = self.known.iter().zip(places).next_back()?;
        known.generation?;
        if let Some(gap) = self.gap_behind_backup(known, *place) {
            return Some(gap);
        }
        if unread.files.is_empty() && known.hold != Held::Cut {
            return None;
        }
        let is_path = |(file, _): &(usize, _)| {
            self.facts.files[*file].name.kind == Kind::Path
                || self.is_before(&self.item(*file, None, places), known)
        };
        let why = match place {
            // What only the path follows was removed, and made anew. What was empty may be an empty archive.
            Whereabouts::Unlisted if !unread.files.iter().all(is_path) && known.probe.is_some() => {
                "it was removed, or moved to where nobody looks (--rotated): what followed it is not known"
            }
            Whereabouts::Lost if known.hold == Held::Cut && self.was_all_read(known) => {
                return None;
            }
            Whereabouts::Lost if known.hold == Held::Cut => NO_COPY,
            Whereabouts::Lost if known.is_read() => {
                "the file that was being read is gone, or closed to us"
            }
            Whereabouts::Lost
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
        Some((gap_behind(known), why.to_string()))
    }

    /// Whether all that was seen of a generation was read, a moment ago: with its truncation nothing is missing.
    fn was_all_read(&self, known: &Known) -> bool {
        self.facts.looked_lately && known.seen <= known.offset
    }

    /// What is missing of a generation of which there is only a backup.
    fn gap_behind_backup(&self, known: &Known, place: Whereabouts) -> Option<(Gap, String)> {
        let file = place.file().filter(|file| self.is_backup(known, *file))?;
        let fact = &self.facts.files[file];
        let size = fact.name.packing.map_or(fact.size, |_| 0);
        let gap = Gap {
            generation: known.generation?,
            offset: size.max(known.offset),
            bytes: None,
        };
        let why = "only a backup of it is left: what was written behind that is not known";
        Some((gap, why.to_string()))
    }

    /// Whether a known generation was found in a copy that no rotation made: it says how the file began, at some time.
    /// An archive that was last written to before it was made is what a packer has put in the place of the file.
    fn is_backup(&self, known: &Known, file: usize) -> bool {
        let fact = &self.facts.files[file];
        let is_in_place =
            fact.name.packing.is_some() && fact.born.is_some_and(|born| fact.modified <= born);
        fact.name.kind == Kind::Other && fact.file != known.file && !is_in_place
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
                self.missing_numbers(series, self.lowest_number(series), high)
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

    /// The number of the newest rotated file: there are those who begin with 0.
    pub(super) fn lowest_number(&self, series: &str) -> u32 {
        u32::from(!self.has_number(series, 0))
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

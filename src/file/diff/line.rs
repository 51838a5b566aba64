//! The line of those of which nothing was read: in which order they come, and with which numbers.

use super::{AT_ONCE, Event, Held, Known, Look, Whereabouts};
use crate::position::Gap;

/// One of which nothing was read.
pub(super) struct Item<'f> {
    /// The number that it has already.
    own: Option<u64>,
    /// Where it lies. None: it is open, and has no name any more.
    file: Option<usize>,
    what: What<'f>,
}

enum What<'f> {
    /// A file, known by its inode or not at all.
    File,
    /// A file, for this reason.
    Unreadable(&'f str),
    /// A generation that has moved to another file, or has no name any more.
    Known(usize),
}

impl Look<'_> {
    pub(super) fn item<'f>(
        &self,
        file: usize,
        reason: Option<&'f str>,
        places: &[Whereabouts],
    ) -> Item<'f> {
        let id = self.facts.files[file].file;
        let is_it = |(known, place): &(&Known, &Whereabouts)| {
            **place == Whereabouts::At(file) && known.file == id && !known.is_read()
        };
        let known = self.known.iter().zip(places).find(is_it);
        Item {
            own: known.and_then(|(known, _)| known.generation),
            file: Some(file),
            what: reason.map_or(What::File, What::Unreadable),
        }
    }

    /// The unread files, and the known generations of which nothing was read that lie in another file or have no name any
    /// more, oldest first.
    pub(super) fn in_line<'f>(
        &self,
        files: &'f [(usize, Option<String>)],
        places: &[Whereabouts],
    ) -> Vec<Item<'f>> {
        let item = |(file, reason): &'f (usize, Option<String>)| {
            self.item(*file, reason.as_deref(), places)
        };
        let mut line: Vec<_> = files.iter().map(item).collect();
        for (index, place) in places.iter().enumerate() {
            let known = &self.known[index];
            let file = match *place {
                _ if known.is_read() => continue,
                Whereabouts::At(file) if self.facts.files[file].file == known.file => continue,
                Whereabouts::At(_) => self.in_order(*place),
                Whereabouts::Unlisted => None,
                _ => continue,
            };
            let behind = line.iter().rposition(|item| match file.zip(item.file) {
                Some((file, other)) => other < file,
                None if file.is_some() => item.own < known.generation,
                None => self.is_before(item, known),
            });
            let item = Item {
                own: known.generation,
                file,
                what: What::Known(index),
            };
            line.insert(behind.map_or(0, |behind| behind + 1), item);
        }
        line
    }

    /// Whether an unread one has a number that says that it comes before a known generation; or its making does.
    pub(super) fn is_before(&self, item: &Item, known: &Known) -> bool {
        let is_made_before = |file| self.was_written_behind(known, file);
        item.own.is_some() && item.own < known.generation || item.file.is_some_and(is_made_before)
    }

    /// Whether a file that is held and has no name any more was written to when a rotated file was whole that was made at
    /// once, as a copy is: so it was truncated between.
    fn was_written_behind(&self, known: &Known, file: usize) -> bool {
        let fact = &self.facts.files[file];
        let is_made_at_once = |born| {
            let took = fact.modified.duration_since(born);
            took.map_or(true, |took| took < AT_ONCE)
        };
        let made = match fact.name.packing {
            Some(_) => Some(fact.modified),
            None => fact.born.filter(|born| is_made_at_once(*born)),
        };
        let is_rotated = fact.name.kind.is_rotated() && fact.file != known.file;
        let lived = known.lived.filter(|_| is_rotated);
        lived
            .zip(made)
            .is_some_and(|((born, written), made)| born < made && fact.modified <= written)
    }

    /// How many generations between two were read, are open, and have no name any more.
    fn open_between(&self, older: u64, newer: u64, places: &[Whereabouts]) -> u64 {
        let is_it = |(known, place): &(&Known, &Whereabouts)| {
            let number = known.generation.unwrap_or_default();
            **place == Whereabouts::Unlisted && known.is_read() && number > older && number < newer
        };
        self.known.iter().zip(places).filter(is_it).count() as u64
    }
}

/// Gives those in a line their numbers, and says what is missing before each. A gap before a known one was said when that
/// got its number, which is so much higher.
pub(super) struct Numbering<'l> {
    look: &'l Look<'l>,
    places: &'l [Whereabouts],
    /// Numbers that stay.
    fixed: Vec<u64>,
    /// Behind all these.
    newest: u64,
    next: u64,
    /// The file before, with its number.
    before: Option<(usize, Option<u64>)>,
    /// How many in the line behind that have no name any more.
    open: u64,
    gaps: Vec<Event>,
    renumbered: Vec<Event>,
    appeared: Vec<Event>,
}

impl<'l> Numbering<'l> {
    /// For a line that stands behind `base`.
    pub fn new(
        look: &'l Look,
        places: &'l [Whereabouts],
        base: Option<usize>,
        line: &[Item],
    ) -> Numbering<'l> {
        let known = || look.known.iter().zip(places);
        let is_in_line = |file: usize| line.iter().any(|item| item.file == Some(file));
        let is_fixed = |(known, place): (&Known, &Whereabouts)| {
            let is_fixed = match *place {
                _ if known.is_read() => true,
                Whereabouts::At(file) if look.facts.files[file].file == known.file => {
                    !is_in_line(file)
                }
                Whereabouts::At(_) | Whereabouts::Unlisted => false,
                Whereabouts::Copy(_) | Whereabouts::EarlierCopy(_) => true,
                Whereabouts::Lost => known.hold != Held::No,
            };
            known.generation.filter(|_| is_fixed)
        };
        let fixed: Vec<_> = known().filter_map(is_fixed).collect();
        let first = || look.known.iter().filter_map(|it| it.generation).min();
        let behind = |newest: Option<&u64>| match newest {
            Some(newest) => newest + 1,
            None => first().unwrap_or(look.facts.next),
        };
        let number_of = |base: usize| {
            let (known, _) = known().find(|(_, place)| place.file() == Some(base))?;
            known.generation
        };
        let own = line.first().and_then(|item| item.own);
        let newest = behind(fixed.iter().max()).max(look.facts.floor);
        let is_before_line = |number: &&u64| own.is_none_or(|own| **number < own);
        Numbering {
            look,
            places,
            newest: first_free(look, line, newest),
            next: behind(fixed.iter().filter(is_before_line).max()),
            fixed,
            before: base.map(|base| (base, number_of(base))),
            open: 0,
            gaps: Vec::new(),
            renumbered: Vec::new(),
            appeared: Vec::new(),
        }
    }

    pub fn push(&mut self, item: &Item) {
        if let Some((files, why)) = self.missing_before(item) {
            self.gaps.push(Event::Gap(Gap::of_all(self.next), why));
            self.next += files;
        }
        if let (What::Unreadable(reason), Some(file)) = (&item.what, item.file) {
            let gap = Gap::of_all(self.next);
            self.gaps.push(Event::Gap(gap, reason.to_string()));
            self.appeared.push(Event::GivenUp { file });
        } else {
            self.number(item);
        }
        match item.file {
            Some(file) => (self.before, self.open) = (Some((file, Some(self.next))), 0),
            None => self.open += 1,
        }
        self.next += 1;
    }

    fn number(&mut self, item: &Item) {
        let is_said = item.own >= Some(self.next);
        let gaps = std::mem::take(&mut self.gaps).into_iter();
        self.appeared.extend(gaps.filter(|_| !is_said));
        self.next = self.next.max(item.own.unwrap_or(self.newest));
        if self.fixed.contains(&self.next) {
            self.next = self.newest;
        }
        let generation = self.next;
        match (&item.what, item.file) {
            (What::Known(known), _) if item.own != Some(generation) => {
                let known = *known;
                self.renumbered
                    .push(Event::Renumbered { known, generation });
            }
            (What::File, Some(file)) => self.appeared.push(Event::Appeared { file, generation }),
            _ => {}
        }
    }

    /// How many files are missing before one, besides the generations that are open and have no name any more.
    fn missing_before(&self, item: &Item) -> Option<(u64, String)> {
        let (before, number) = self.before?;
        // What is missing behind a file from before the first generation is nobody's business.
        let number = number?;
        let (files, why) = self.look.missing_between(before, item.file?)?;
        let own = item.own.unwrap_or(u64::MAX);
        let open = self.open + self.look.open_between(number, own, self.places);
        let missing = files.saturating_sub(open);
        (missing > 0).then_some((missing, why))
    }

    pub fn into_events(self) -> impl Iterator<Item = Event> {
        // The newest first, so that no two have one number meanwhile.
        let renumbered = self.renumbered.into_iter().rev();
        renumbered.chain(self.appeared).chain(self.gaps)
    }
}

/// The first number for what is new in a line, from `newest` on. Numbers come again only where the newest file that had one
/// is to get its own: or else one that is gone would leave its number, and its lines' identities, to another.
fn first_free(look: &Look, line: &[Item], newest: u64) -> u64 {
    let Some((given, number)) = look.facts.given.filter(|given| given.1 >= newest) else {
        return newest;
    };
    let is_it = |item: &Item| {
        item.file
            .is_some_and(|file| look.facts.files[file].file == given)
    };
    let at = line.iter().position(is_it);
    match at.map(|at| newest + at as u64) {
        Some(again) if again == number => newest,
        _ => number + 1,
    }
}

//! What the look found is done: files are opened, passed over, given up.

use std::io;
use std::time::Instant;

use super::copies::{end_of_copy, file_before, is_copy, open_candidate};
use crate::file::diff::{Event, Held, Known};
use crate::file::folder::Candidate;
use crate::file::generation::{Body, Generation};
use crate::file::names::Kind;
use crate::file::open::{Stat, is_absent, is_shortage, leave_spare};
use crate::file::unpack::Unpacked;
use crate::file::{Before, Tail};
use crate::order;
use crate::position::{FileId, Position};
use crate::talk;

type Opened = (Body, Stat);

impl Tail<'_> {
    /// Follows the events. True: the chain is another one now.
    pub(super) fn apply(
        &mut self,
        known: &[Known],
        split: Option<Generation>,
        candidates: &[Candidate],
        events: &[Event],
    ) -> io::Result<bool> {
        let (opened, first_unopened) = self.open_all(known, candidates, events)?;
        self.is_short = first_unopened.is_some();
        let mut changed = split.is_some() || !opened.is_empty();
        self.chain.extend(split);
        let newest = self.newest_file();
        let mut opened = opened.into_iter();
        for (at, event) in events.iter().enumerate() {
            // What is missing behind an unopened file is said once that one is read.
            let is_early = first_unopened.is_some_and(|first| at > first);
            if !(is_early && matches!(event, Event::Gap(..) | Event::GivenUp { .. })) {
                changed |= self.follow(event, known, candidates, &mut opened);
            }
        }
        if let Some(Event::Appeared { generation, .. }) = first_unopened.map(|at| &events[at]) {
            // What stands behind an unopened file is not read before it.
            self.chain.retain(|g| g.end.generation < *generation);
        }
        order::sort_by_key(&mut self.chain, |generation| generation.end.generation);
        self.has_moved |= changed;
        if changed {
            self.begin_again(newest);
        }
        Ok(changed)
    }

    /// Follows one. True: the chain is another one now, besides what was opened.
    fn follow(
        &mut self,
        event: &Event,
        known: &[Known],
        candidates: &[Candidate],
        opened: &mut impl Iterator<Item = Opened>,
    ) -> bool {
        match *event {
            Event::Found { known: index, file } => {
                // A backup ends anywhere, also in the middle of a line.
                let is_copy = is_copy(file, candidates, Some(known[index].file))
                    || candidates[file].name.kind == Kind::Other;
                self.found(&known[index], &candidates[file], is_copy, opened);
            }
            Event::Copied { known: index, file } => {
                self.copied(&known[index], &candidates[file], opened);
            }
            Event::Truncated {
                known: index,
                copy: passed,
            }
            | Event::Vanished {
                known: index,
                passed,
            } => {
                let passed = passed.map(|passed| &candidates[passed]);
                return self.drop_generation(known, index, passed);
            }
            Event::Appeared { file, generation } => {
                let is_copy = is_copy(file, candidates, known.last().map(|last| last.file));
                return self.appeared(&candidates[file], generation, is_copy, opened);
            }
            Event::Renumbered {
                known: index,
                generation: number,
            } => {
                if let Some(generation) = self.of_known(&known[index]) {
                    generation.end.generation = number;
                }
                return true;
            }
            Event::Gap(gap, ref why) => {
                self.note_gap(gap, why);
                return true;
            }
            Event::GivenUp { file } => self.give_up(&candidates[file]),
        }
        false
    }

    /// The chain has changed; `newest` was its last file. What is at its end may not be so any more.
    fn begin_again(&mut self, newest: Option<FileId>) {
        let is_followed = self.newest_file() != newest;
        for generation in &mut self.chain {
            // Its last lines may have been written before it was renamed: what follows it has not begun.
            generation.at_end = false;
            generation.ended &= !is_followed || Some(generation.stat.id) != newest;
        }
        for generation in &self.chain {
            let (path, name) = (self.place.path.display(), generation.name.display());
            let Position {
                generation, offset, ..
            } = generation.end;
            let generation = generation.saturating_sub(self.committed.first);
            talk::detail(&format!(
                "{path}: generation {generation} is {name}, read up to offset {offset}"
            ));
        }
    }

    fn newest_file(&self) -> Option<FileId> {
        self.chain.last().map(|newest| newest.stat.id)
    }

    /// Which one of the chain it is.
    pub(super) fn at_known(&self, known: &Known) -> Option<usize> {
        let is_it = |g: &Generation| Some(g.end.generation) == known.generation;
        self.chain.iter().position(is_it)
    }

    fn of_known(&mut self, known: &Known) -> Option<&mut Generation> {
        let at = self.at_known(known)?;
        self.chain.get_mut(at)
    }

    /// Whether the chain has this file open, and nothing was read of it.
    fn has_unread(&self, id: FileId) -> bool {
        let is_it = |g: &Generation| g.stat.id == id && g.end.offset == 0 && !g.is_sought();
        self.chain.iter().any(is_it)
    }

    /// Opens what the events want, in their order, as far as it can be opened now. Second: the first event whose file
    /// cannot; an error, where nothing can be read before it.
    fn open_all(
        &self,
        known: &[Known],
        candidates: &[Candidate],
        events: &[Event],
    ) -> io::Result<(Vec<Opened>, Option<usize>)> {
        let is_sought = |index: usize| {
            let at = self.at_known(&known[index]);
            at.is_some_and(|at| self.chain[at].is_sought())
        };
        // What was truncated is another one now.
        let is_cut = |id| known.iter().any(|it| it.file == id && it.hold == Held::Cut);
        let has_open = |file: usize| {
            let id = candidates[file].stat.id;
            self.has_unread(id) && !is_cut(id)
        };
        let mut opened = Vec::new();
        for (at, event) in events.iter().enumerate() {
            let file = match event {
                Event::Found { known, file } if is_sought(*known) => *file,
                Event::Copied { file, .. } => *file,
                Event::Appeared { file, .. } if !has_open(*file) => *file,
                _ => continue,
            };
            match self.open_body(&candidates[file]) {
                Ok(body) => opened.push(body),
                Err(error) => {
                    let is_begun = !opened.is_empty() && !is_absent(&error);
                    let has_open = self.chain.iter().any(|g| !g.is_sought());
                    return match is_begun || has_open && is_shortage(&error) {
                        true => Ok((opened, Some(at))),
                        false => Err(error),
                    };
                }
            }
        }
        Ok((opened, None))
    }

    fn open_body(&self, candidate: &Candidate) -> io::Result<Opened> {
        let (file, stat) = open_candidate(candidate)?;
        leave_spare(&file)?;
        let body = match candidate.name.packing {
            None => Body::Plain(file),
            Some(packing) => {
                let found = self.inspector.known.get(&candidate.stat.version());
                let length = found.and_then(|inspected| inspected.found.as_ref().ok());
                let length = length.map_or(0, |findings| findings.length);
                Body::Packed(Box::new(Unpacked::new(file, packing)), length)
            }
        };
        Ok((body, stat))
    }

    fn found(
        &mut self,
        known: &Known,
        candidate: &Candidate,
        is_copy: bool,
        opened: &mut impl Iterator<Item = Opened>,
    ) {
        let Some(generation) = self.of_known(known) else {
            return;
        };
        let is_sought = generation.is_sought();
        if let Some((body, stat)) = is_sought.then(|| opened.next()).flatten() {
            let end = Position {
                file: stat.id,
                ..generation.end
            };
            let ended = generation.ended;
            *generation = Generation::new(end, candidate.path.clone(), stat, body);
            (generation.ended, generation.is_copy) = (ended, is_copy);
        } else if generation.name != candidate.path && generation.stat.id == candidate.stat.id {
            generation.name.clone_from(&candidate.path);
            generation.touched = Instant::now();
        }
    }

    fn copied(
        &mut self,
        known: &Known,
        candidate: &Candidate,
        opened: &mut impl Iterator<Item = Opened>,
    ) {
        if let (Some(generation), Some((body, stat))) = (self.of_known(known), opened.next()) {
            let end = Position {
                file: stat.id,
                ..generation.end
            };
            *generation = Generation::new(end, candidate.path.clone(), stat, body);
            generation.is_copy = candidate.name.kind != Kind::Path;
        }
    }

    /// A file that is not to be read stands for a generation that is not there any more.
    fn pass(&mut self, file: Option<&Candidate>, known: &Known) {
        let Some(file) = file else {
            return;
        };
        match end_of_copy(file, known) {
            Some(end) => self.finished = Some(end),
            None => self.give_up(file),
        }
    }

    /// It is not looked at again while it is as it is.
    fn give_up(&mut self, candidate: &Candidate) {
        self.given_up.push((candidate.stat.id, candidate.stat.size));
    }

    /// Of this generation nothing more can be read. `passed`: this stands for it.
    fn drop_generation(
        &mut self,
        known: &[Known],
        index: usize,
        passed: Option<&Candidate>,
    ) -> bool {
        let (it, next) = (&known[index], known.get(index + 1));
        let at = self.at_known(it);
        // A rotated file that was truncated in place.
        let is_rotated = it.hold == Held::Cut && next.is_some_and(|next| next.file != it.file);
        match at {
            Some(at) if is_rotated && passed.is_none() => self.let_go_of_cut(at),
            Some(at) => _ = self.chain.remove(at),
            None => {}
        }
        self.pass(passed, it);
        at.is_some()
    }

    fn appeared(
        &mut self,
        candidate: &Candidate,
        number: u64,
        is_copy: bool,
        opened: &mut impl Iterator<Item = Opened>,
    ) -> bool {
        let id = candidate.stat.id;
        if self.has_unread(id) {
            let is_it = |g: &&mut Generation| g.stat.id == id && g.end.offset == 0;
            let Some(generation) = self.chain.iter_mut().find(is_it) else {
                return false;
            };
            generation.name.clone_from(&candidate.path);
            return std::mem::replace(&mut generation.end.generation, number) != number;
        }
        let Some((body, stat)) = opened.next() else {
            return false;
        };
        // A known one that was sought, and is not to be sought any more.
        let is_it =
            |g: &Generation| g.is_sought() && (g.end.file == id || g.end.generation == number);
        let ended = self.chain.iter().any(|g| is_it(g) && g.ended);
        self.chain.retain(|g| !is_it(g));
        let end = Position::start(number, stat.id);
        let mut generation = Generation::new(end, candidate.path.clone(), stat, body);
        (generation.is_copy, generation.ended) = (is_copy, ended);
        self.chain.push(generation);
        true
    }

    /// Where a generation is found first, of which nothing was read, and none before it is known, and at a first start
    /// also where there is none: the file behind which it stands. What comes to stand there later is ours.
    pub(super) fn remember_before(&mut self, candidates: &[Candidate]) {
        if self.before != Before::Unknown {
            return;
        }
        let is_ours = |c: &Candidate| {
            let is_it = |g: &Generation| !g.is_sought() && g.stat.id == c.stat.id;
            self.chain.iter().any(is_it)
        };
        let is_first_look = self.since.is_none();
        let first = match candidates.iter().position(is_ours) {
            Some(first) => first,
            None if is_first_look => candidates.len(),
            None => return,
        };
        if self.chain.iter().any(|g| g.end.offset > 0) || self.finished.is_some() {
            self.before = Before::Untold;
            return;
        }
        let is_rotated = |c: &&Candidate| !matches!(c.name.kind, Kind::Path | Kind::Other);
        // What was born behind ours may be a copy of it, in the making; so may an empty one that was born with it.
        let is_older = |c: &&Candidate| {
            let Some(ours) = candidates.get(first) else {
                return c.stat.size > 0;
            };
            match c.name.packing {
                Some(_) => c.stat.size > 0,
                None if c.stat.size > 0 => c.stat.born <= ours.stat.born,
                None => c.stat.born < ours.stat.born,
            }
        };
        let mut rotated = candidates[..first].iter().filter(is_rotated);
        let known = rotated.clone().rfind(is_older).map(file_before).transpose();
        if known.as_ref().is_err_and(is_shortage) {
            return;
        }
        self.before = match known.ok().flatten().flatten() {
            Some(known) => Before::File(known),
            None if is_first_look && rotated.next().is_none() => Before::Nothing,
            None => Before::Untold,
        };
    }
}

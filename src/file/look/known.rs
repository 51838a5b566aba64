//! What is known of a log's generations when a look begins, and what is noted for the next one.

use std::fs::File;
use std::io;
use std::time::Duration;

use crate::file::diff::{Held, Known};
use crate::file::folder::Candidate;
use crate::file::generation::{Body, Generation};
use crate::file::open::{Links, Stat, bytes_before, holds, open, stat};
use crate::file::{Before, Tail};
use crate::lines::leading_nuls;
use crate::order;
use crate::position::{ANCHOR_LEN, Anchor, FileId, Position};

impl Tail<'_> {
    /// What is known, oldest first.
    pub(super) fn known(&self) -> io::Result<Vec<Known>> {
        let is_begun = self.finished.is_some() || self.chain.iter().any(|g| g.end.offset > 0);
        let mut known = Vec::new();
        if let (Before::File(before), false) = (&self.before, is_begun) {
            known.push(before.clone());
        }
        let is_open = |end: &Position| {
            self.chain
                .iter()
                .any(|g| g.end.generation == end.generation)
        };
        known.extend(self.finished.filter(|end| !is_open(end)).map(closed));
        for generation in &self.chain {
            known.push(known_of(generation)?);
        }
        order::sort_by_key(&mut known, |known| known.generation);
        Ok(known)
    }

    /// What was written to a file between its truncation and its unlinking comes behind the copies that were made of it
    /// before: it is open, and is a generation of its own, or the same, where nothing was read of it.
    pub(super) fn split_unlinked(
        &self,
        known: &mut Vec<Known>,
        candidates: &[Candidate],
    ) -> io::Result<Option<Generation>> {
        let Some((before, last)) = known.last_mut().zip(self.chain.last()) else {
            return Ok(None);
        };
        let Body::Plain(file) = &last.body else {
            return Ok(None);
        };
        let is_cut = before.hold == Held::Cut;
        let may_be_cut = last.end.offset == 0 && last.mark.is_none();
        let Some(stat) = last.look() else {
            return Ok(None);
        };
        let is_there = candidates.iter().any(|c| c.stat.id == stat.id);
        if is_there || stat.size == 0 || !is_cut && !may_be_cut {
            return Ok(None);
        }
        if !is_cut {
            // A file of that very time may as well be the one behind it.
            let written = stat.modified.checked_sub(Duration::from_nanos(1));
            before.lived = stat.born.zip(written);
            return Ok(None);
        }
        let lived = stat.born.map(|born| (born, stat.modified));
        let end = Position::start(last.end.generation + 1, stat.id);
        let body = Body::Plain(file.try_clone()?);
        let split = Generation::new(end, last.name.clone(), stat, body);
        known.push(Known {
            lived,
            ..known_of(&split)?
        });
        Ok(Some(split))
    }

    /// What is at the end of the path, where its file is none of those, or was truncated.
    pub(super) fn end_of_path(&self, known: &[Known]) -> io::Result<Option<End>> {
        let path = &self.place.path;
        let is_it = |it: &Known, id| it.file == id && it.hold == Held::Intact;
        if stat(path)?.is_none_or(|stat| known.iter().any(|it| is_it(it, stat.id))) {
            return Ok(None);
        }
        // What cannot be opened is seen to be so later.
        let Ok((file, Stat { id, .. })) = open(path, Links::Follow) else {
            return Ok(None);
        };
        let place = end_of(&file).unwrap_or(None);
        Ok(Some(End { id, file, place }))
    }

    /// Whether what was at the ends of unread files is still there. An error: one was truncated under the look, and nobody
    /// knows whether its copy was seen.
    pub(super) fn is_all_there(&self, known: &[Known], path: Option<&End>) -> io::Result<()> {
        let of_path = path.and_then(|end| Some((&end.file, end.place?)));
        let is_unread = |it: &&Known| it.offset == 0 && it.hold == Held::Intact;
        let of_known = known.iter().filter(is_unread).filter_map(|known| {
            let generation = &self.chain[self.at_known(known)?];
            match &generation.body {
                Body::Plain(file) => Some((file, known.probe?)),
                Body::Sought | Body::Packed(..) => None,
            }
        });
        for (file, (offset, anchor)) in of_path.into_iter().chain(of_known) {
            // An error says nothing of what is in it, here and below.
            if !holds(file, offset, anchor).unwrap_or(true) {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
        Ok(())
    }

    /// Notes what those had when this look began of which nothing was read, and have yet: by this it is seen when one was
    /// truncated under the look.
    pub(super) fn mark(&mut self, known: &[Known], path: Option<End>) -> io::Result<()> {
        for generation in &mut self.chain {
            let id = generation.stat.id;
            let is_it = |it: &&Known| it.file == id && it.hold == Held::Intact;
            generation.mark = match &generation.body {
                Body::Plain(file) if generation.end.offset == 0 => {
                    match (known.iter().find(is_it), &path) {
                        (Some(known), _) => known.probe,
                        (None, Some(end)) if end.id == id => end.place,
                        (None, _) => end_of(file).unwrap_or(None),
                    }
                }
                _ => None,
            };
        }
        Ok(())
    }
}

/// What was at the end of a file before the listing.
pub(super) struct End {
    id: FileId,
    file: File,
    place: Option<(u64, Anchor)>,
}

/// What is known of a generation that is closed.
fn closed(end: Position) -> Known {
    Known {
        generation: Some(end.generation),
        file: end.file,
        offset: end.offset,
        probe: (end.anchor.len > 0).then_some((end.offset, end.anchor)),
        hold: Held::No,
        seen: 0,
        lived: None,
        is_later: true,
    }
}

fn known_of(generation: &Generation) -> io::Result<Known> {
    let end = generation.end;
    let mut known = closed(end);
    (known.seen, known.is_later) = (generation.seen, false);
    if let Body::Plain(file) = &generation.body {
        let mark = generation.mark.filter(|_| end.offset == 0);
        let last = mark.unwrap_or((end.offset, end.anchor));
        let is_intact = holds(file, last.0, last.1).unwrap_or(true);
        (known.hold, known.probe) = match is_intact {
            false => (Held::Cut, Some(last)),
            true if end.offset == 0 => (Held::Intact, end_of(file).unwrap_or(None)),
            true => (Held::Intact, known.probe),
        };
    } else if let Body::Packed(..) = &generation.body {
        known.hold = Held::Intact;
    }
    Ok(known)
}

/// The place behind all that is in a file. None: nothing is, or it ends in NULs, which may be written over in place.
fn end_of(file: &File) -> io::Result<Option<(u64, Anchor)>> {
    let size = file.metadata()?.len();
    let end = bytes_before(file, size, ANCHOR_LEN)?;
    let is_whole = end.len() as u64 == size.min(ANCHOR_LEN as u64);
    let has_any = is_whole && leading_nuls(&end) < end.len();
    Ok(has_any.then(|| (size, Anchor::of(&end))))
}

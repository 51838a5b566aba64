//! Which file is a copy of which, by what stands in them.

use std::io;

use crate::file::diff::{Held, Known};
use crate::file::folder::Candidate;
use crate::file::generation::Generation;
use crate::file::names::Kind;
use crate::file::open::{Links, Stat, anchor_at, last_line_end, open, position_at};
use crate::position::{Anchor, FileId, Position};

/// Whether a file of this size and beginning is a copy of a generation, made before its last lines were read.
pub(super) fn is_earlier_copy(
    chain: &[Generation],
    known: &Known,
    size: u64,
    head: &[u8],
    holds: impl FnOnce(u64, Anchor) -> io::Result<bool>,
) -> io::Result<bool> {
    let is_it = |generation: &&Generation| Some(generation.end.generation) == known.generation;
    let Some(generation) = chain.iter().find(is_it) else {
        return Ok(false);
    };
    let trail = &generation.trail;
    let begins = trail.begins_with(head);
    if size >= known.offset || begins == Some(false) {
        return Ok(false);
    }
    match trail.place_before(size).filter(|(offset, _)| *offset > 0) {
        Some((offset, anchor)) => holds(offset, anchor),
        None => Ok(begins == Some(true)),
    }
}

/// Whether a file is a copy of one that comes behind it, truncated since: that one is the known file, or was born before
/// its copy. A file that was born after the copy was written has just the same inode. When an archive was born tells
/// nothing: it has the copy's time of last write.
pub(super) fn is_copy(file: usize, candidates: &[Candidate], known: Option<FileId>) -> bool {
    let copy = &candidates[file];
    let is_plain = |candidate: &Candidate| candidate.name.packing.is_none();
    let is_original = |later: &Candidate| {
        let born = later.stat.born;
        let is_known =
            Some(later.stat.id) == known && born.is_none_or(|born| born <= copy.stat.modified);
        let made = if is_plain(copy) {
            copy.stat.born
        } else {
            Some(copy.stat.modified)
        };
        let is_older = born.zip(made).is_some_and(|(own, made)| own < made);
        is_known || is_older && is_plain(later)
    };
    candidates[file + 1..].iter().any(is_original)
}

/// Where a file ends that stands for a generation: by this it will be known again. None: it cannot be read, has no line,
/// or is an archive.
pub(super) fn end_of_copy(copy: &Candidate, known: &Known) -> Option<Position> {
    if copy.name.packing.is_some() {
        return None;
    }
    let (file, stat) = open_candidate(copy).ok()?;
    let end = last_line_end(&file).ok().filter(|end| *end > 0)?;
    position_at(&file, end, Position::start(known.generation?, stat.id)).ok()
}

/// What a file that is not ours is known by. None: it changes.
pub(super) fn file_before(candidate: &Candidate) -> io::Result<Option<Known>> {
    let (file, stat) = open_candidate(candidate)?;
    let anchor = match candidate.name.packing {
        None => anchor_at(&file, stat.size)?,
        Some(_) => Some(Anchor::NONE),
    };
    let is_same = stat.size == candidate.stat.size;
    Ok(anchor.filter(|_| is_same).map(|anchor| Known {
        generation: None,
        file: stat.id,
        offset: 0,
        probe: (anchor.len > 0).then_some((stat.size, anchor)),
        hold: Held::No,
        seen: stat.size,
        lived: None,
        is_later: false,
    }))
}

/// Opens a candidate; not found, where a rotation has renamed or truncated it since it was looked at. What has its inode
/// may be a file that was made since: that was born later.
pub(super) fn open_candidate(candidate: &Candidate) -> io::Result<(std::fs::File, Stat)> {
    let links = match candidate.name.kind {
        Kind::Path => Links::Follow,
        _ => Links::Refuse,
    };
    let (file, stat) = open(&candidate.path, links)?;
    let is_same = (stat.id, stat.born) == (candidate.stat.id, candidate.stat.born);
    if !is_same || stat.size < candidate.stat.size {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok((file, stat))
}

//! What one may ask about a log without following it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::folder::{Place, Surroundings};
use super::generation::{Generation, Limits};
use super::look::Looked;
use super::open::{Links, holds, stat};
use super::{Tail, open};
use crate::position::{Dates, FileId, Position, Progress};

/// Bytes that lie there beyond a progress, in the path and in what was rotated away from it. An error: they cannot all
/// be read.
pub fn unread(place: Place, progress: Progress, dates: Dates) -> io::Result<u64> {
    look(place, progress, dates, |tail| tail.unread())
}

/// The places of a progress that lie there still: proven by their bytes, or by the file's id where nothing was read of it.
pub fn still_there(place: Place, progress: &Progress) -> io::Result<Vec<Position>> {
    let has = |tail: &Tail, sought: &Position| {
        let mut found = tail.chain.iter().filter(|g| !g.is_sought());
        found.any(|Generation { end, .. }| {
            let is_proven = sought.offset > 0 || end.file == sought.file;
            (end.generation, end.offset) == (sought.generation, sought.offset) && is_proven
        })
    };
    look(place, progress.clone(), Dates::now(), |tail| {
        let positions = progress.positions().copied();
        positions.filter(|sought| has(tail, sought)).collect()
    })
}

/// What a look tells of a log that nobody here follows.
fn look<T>(
    place: Place,
    progress: Progress,
    dates: Dates,
    tell: impl FnOnce(&Tail) -> T,
) -> io::Result<T> {
    let limits = Limits {
        rotate_wait: Duration::ZERO,
        max_line: 0,
    };
    let surroundings = Surroundings::default();
    let mut tail = Tail::resume(0, place, limits, &surroundings, progress, Some(dates));
    while matches!(tail.look()?, Looked::Pending | Looked::Waiting) {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(tell(&tail))
}

/// A file that a log was rotated to, going by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sibling {
    pub path: PathBuf,
    /// What unpacks it, where it is packed.
    pub program: Option<&'static str>,
}

/// What a log was rotated to, as far as it can be told by names. An error: its folder may not be listed.
pub fn siblings(place: &Place) -> io::Result<Vec<Sibling>> {
    if let Some(folder) = place.path.parent() {
        match std::fs::read_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let (candidates, _) = Surroundings::default().look(place, &[])?;
    let rotated = candidates.into_iter().filter(|c| c.name.kind.is_rotated());
    Ok(rotated
        .map(|candidate| Sibling {
            program: candidate.name.packing.map(|packing| packing.program),
            path: candidate.path,
        })
        .collect())
}

/// Sees that a path can be read; an absent one can, as soon as it is there.
pub fn check(path: &Path) -> io::Result<()> {
    match open::open(path, Links::Follow) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The file that a path leads to, and when it was last written. None: it cannot be told.
pub fn identify(path: &Path) -> Option<(FileId, SystemTime)> {
    let stat = stat(path).ok().flatten()?;
    Some((stat.id, stat.modified))
}

/// Whether the file that a path leads to is the one that was read up to there: its inode may be another one's by now.
pub fn was_read(path: &Path, end: Position) -> bool {
    let Ok((file, stat)) = open::open(path, Links::Follow) else {
        return false;
    };
    stat.id == end.file && holds(&file, end.offset, end.anchor).unwrap_or(false)
}

/// When the file that a path leads to was made. None: it cannot be told, or is another file.
pub fn born(path: &Path, file: FileId) -> Option<SystemTime> {
    let stat = stat(path).ok().flatten()?;
    stat.born.filter(|_| stat.id == file)
}

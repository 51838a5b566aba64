//! Copies of a log that a copytruncate makes: those whose original is not truncated yet, and those that are shorter than
//! what was read.

use std::fs::{self, File};
use std::io;
use std::time::{Duration, SystemTime};

use super::open::{bytes_before, last_line_end, open_candidate, position_at};
use super::siblings::Candidate;
use crate::position::Position;

/// A copy that has no whole line yet is in the making, for no longer than this.
const IN_THE_MAKING: Duration = Duration::from_secs(1);

/// Whether a file is a copy of the path, perhaps not finished, and the path has not been truncated yet.
///
/// Such a copy was born after the path's file; what was renamed away was born before it. An error of the kind
/// `WouldBlock`: that cannot be told yet.
pub fn is_untruncated_copy(candidate: &Candidate, path: &Candidate) -> io::Result<bool> {
    if candidate.stat.size > path.stat.size {
        return Ok(false);
    }
    let born = |candidate: &Candidate| fs::metadata(&candidate.path)?.created();
    let is_younger = match (born(candidate), born(path)) {
        (Ok(copy), Ok(original)) if copy != original => Some(copy > original),
        // In the same step of the clock, or on a file system that does not say.
        _ => None,
    };
    if is_younger == Some(false) {
        return Ok(false);
    }
    let Some(end) = equal_end(candidate, path)? else {
        return Ok(false);
    };
    // Where the age does not tell, whole lines that are the same do. The beginning of a line may be a copy's, which goes
    // on at once, or another file's.
    let age = SystemTime::now().duration_since(candidate.stat.changed);
    if is_younger.is_some() || end.contains(&b'\n') {
        Ok(true)
    } else if age.is_ok_and(|age| age < IN_THE_MAKING) {
        Err(io::ErrorKind::WouldBlock.into())
    } else {
        Ok(false)
    }
}

/// Whether a file may not be read by us.
pub fn is_closed(candidate: &Candidate) -> bool {
    let opened = File::open(&candidate.path);
    opened.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Bytes of a copy's end that are compared with its original.
const COMPARED: usize = 64 * 1024;

/// What a copy ends in, if the same stands at the same place in the original.
fn equal_end(copy: &Candidate, original: &Candidate) -> io::Result<Option<Vec<u8>>> {
    let size = copy.stat.size;
    let (copy, original) = (open_candidate(copy)?.0, open_candidate(original)?.0);
    let end = bytes_before(&copy, size, COMPARED)?;
    let is_equal = end == bytes_before(&original, size, COMPARED)?;
    Ok(is_equal.then_some(end))
}

/// The end of the last line in a shorter copy of a generation: by this the copy will be known again.
pub fn end_of_copy(copy: &Candidate, generation: u64) -> io::Result<Position> {
    let (file, stat) = open_candidate(copy)?;
    position_at(
        &file,
        last_line_end(&file)?,
        Position::start(generation, stat.id),
    )
}

//! One open file: its bytes read from where they were left, and the proof that they are still the same file's.
//!
//! Knows nothing of rotations. Each read begins a little before the offset and must find there what it found last.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::plan::Segment;
use super::siblings::{Candidate, Kind, Stat};
use crate::lines::Lines;
use crate::position::{ANCHOR_LEN, Anchor, FileId, Position};

/// One generation, open.
pub struct Open {
    pub file: File,
    /// Where it was found; it may have been renamed since.
    pub name: PathBuf,
    pub stat: Stat,
    pub generation: u64,
    /// Bytes read, the unterminated last line included.
    pub read_to: u64,
    /// The bytes before `read_to`, at most 64: each read must find them again.
    pub before: Vec<u8>,
    /// The file's first bytes, at most 64: what begins so and is shorter is an earlier copy of it.
    pub head: Vec<u8>,
    pub lines: Lines,
    /// Behind the last complete line.
    pub end: Position,
    /// Whether the last read found nothing more.
    pub at_end: bool,
    /// Whether it was ever read to its end: until then the files after it are not begun.
    pub reached_end: bool,
    /// Set when it is no longer the path's own: when to stop waiting for late lines.
    pub given_up_at: Option<Instant>,
}

/// A file as it was when last read, against which a new look is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastLook {
    pub id: FileId,
    pub read_to: u64,
    pub modified: SystemTime,
}

/// How a read of the open file ended.
pub enum Chunk {
    /// This many bytes in the buffer, of which the first are those before the offset.
    Bytes(usize),
    /// The bytes before the offset are not there any more.
    AnchorGone,
}

impl Open {
    pub fn new(candidate: &Candidate, segment: &Segment, max_line: u64) -> io::Result<Open> {
        let (file, stat) = open_candidate(candidate)?;
        let start = Position::start(segment.generation, stat.id);
        let mut end = Position {
            file: stat.id,
            ..segment.from.unwrap_or(start)
        };
        let before = bytes_before(&file, end.offset, ANCHOR_LEN)?;
        end.anchor = Anchor::of(&before);
        let head_length = end.offset.min(ANCHOR_LEN as u64);
        let head = bytes_before(&file, head_length, ANCHOR_LEN)?;
        Ok(Open {
            file,
            name: candidate.path.clone(),
            stat,
            generation: segment.generation,
            read_to: end.offset,
            before,
            head,
            lines: Lines::new(max_line),
            end,
            at_end: false,
            reached_end: false,
            given_up_at: None,
        })
    }

    pub fn last_look(&self) -> LastLook {
        LastLook {
            id: self.stat.id,
            read_to: self.read_to,
            modified: self.stat.modified,
        }
    }

    /// Reads from a little before the offset, so that a file that is no longer ours shows itself.
    pub fn read_chunk(&mut self, buffer: &mut [u8]) -> io::Result<Chunk> {
        self.stat = Stat::of(&self.file.metadata()?);
        let length = self
            .file
            .read_at(buffer, self.read_to - self.before.len() as u64)?;
        if !buffer[..length].starts_with(&self.before) {
            return Ok(Chunk::AnchorGone);
        }
        Ok(Chunk::Bytes(length))
    }

    /// Whether a sibling is a copy of this file, truncated since, that was made before its last lines were read.
    pub fn was_copied_to(&self, candidate: &Candidate) -> io::Result<bool> {
        let size = candidate.stat.size;
        if candidate.kind == Kind::Path || size == 0 || size > self.read_to || self.is_intact()? {
            return Ok(false);
        }
        let (file, _) = open_candidate(candidate)?;
        let head = bytes_before(&file, size.min(ANCHOR_LEN as u64), ANCHOR_LEN)?;
        Ok(self.head.starts_with(&head))
    }

    /// Whether this is what the segment wants, and where.
    pub fn is_still(&self, segment: &Segment) -> io::Result<bool> {
        Ok(self.generation == segment.generation
            && self.end.offset == segment.from.map_or(0, |position| position.offset)
            && self.is_intact()?)
    }

    /// Whether the bytes before the offset are still there.
    pub fn is_intact(&self) -> io::Result<bool> {
        Ok(bytes_before(&self.file, self.read_to, self.before.len())? == self.before)
    }

    pub fn move_end(&mut self, offset: u64, before: &[u8]) {
        self.end.offset = offset;
        self.end.anchor = Anchor::of(before);
    }

    /// Nobody waits for late lines any longer than this.
    pub fn give_up_after(&mut self, wait: Duration) {
        if self.given_up_at.is_none() {
            // Where the look fails, the last one has to do.
            if let Ok(metadata) = self.file.metadata() {
                self.stat = Stat::of(&metadata);
            }
            self.given_up_at = Some(Instant::now() + self.rest_of_wait(wait));
        }
    }

    /// What is left of the time for late lines, counted from the last write or rename.
    pub fn rest_of_wait(&self, wait: Duration) -> Duration {
        let last = self.stat.modified.max(self.stat.changed);
        // A clock that was set back makes it young again: then the whole wait is the safe answer.
        SystemTime::now()
            .duration_since(last)
            .map_or(wait, |age| wait.saturating_sub(age))
    }
}

/// Opens a candidate; not found, where a rotation has renamed it since it was listed.
pub fn open_candidate(candidate: &Candidate) -> io::Result<(File, Stat)> {
    let file = File::open(&candidate.path)?;
    let stat = Stat::of(&file.metadata()?);
    if stat.id != candidate.stat.id {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok((file, stat))
}

/// A place in a file, with its anchor.
pub fn position_at(file: &File, offset: u64, start: Position) -> io::Result<Position> {
    let anchor = Anchor::of(&bytes_before(file, offset, ANCHOR_LEN)?);
    Ok(Position {
        offset,
        anchor,
        ..start
    })
}

/// Whether a file has the position's anchor right before its offset.
pub fn holds(file: &File, position: &Position) -> io::Result<bool> {
    let length = usize::from(position.anchor.len);
    let before = bytes_before(file, position.offset, length)?;
    Ok(before.len() == length && Anchor::of(&before) == position.anchor)
}

/// The at most `length` bytes before an offset; fewer where the file is shorter.
pub fn bytes_before(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let length = length.min(usize::try_from(offset).unwrap_or(length));
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset - (length - filled) as u64)? {
            0 => break,
            more => filled += more,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The offset behind the last newline of a file.
pub fn last_line_end(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let bytes = bytes_before(file, end, 64 * 1024)?;
        if let Some(newline) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(end - (bytes.len() - newline - 1) as u64);
        }
        end -= bytes.len() as u64;
        if bytes.is_empty() {
            break;
        }
    }
    Ok(0)
}

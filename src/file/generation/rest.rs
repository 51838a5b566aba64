//! What stands behind the last newline of a file that nobody writes to any more.

use std::io;
use std::ops::Range;

use super::{Generation, Limits, Taken};
use crate::file::Sink;

impl Generation {
    /// A hole tore a line: takes what stands before it as a line.
    pub(super) fn take_torn(
        &mut self,
        hole: u64,
        data: u64,
        limits: &Limits,
        sink: &mut dyn Sink,
    ) -> io::Result<Taken> {
        let content = self.scan.content;
        self.say_hole(data - hole, data);
        self.take_bytes(content..hole, data, limits.max_line, limits, sink)?;
        Ok(Taken::Lines)
    }

    /// Takes what stands behind the last newline as a line, as it will never get one. None: there is nothing.
    pub fn take_rest(&mut self, limits: &Limits, sink: &mut dyn Sink) -> io::Result<Option<u64>> {
        let rest = self.unread();
        if rest == 0 || !sink.has_room() {
            return Ok(None);
        }
        let start = self.end.offset;
        let end = start + rest;
        self.take_bytes(start..end, end, limits.max_line, limits, sink)?;
        Ok(Some(rest))
    }

    /// Takes what stands here as a line, where it is not over `most` bytes, and goes on at `end`.
    pub(super) fn take_bytes(
        &mut self,
        place: Range<u64>,
        end: u64,
        most: u64,
        limits: &Limits,
        sink: &mut dyn Sink,
    ) -> io::Result<()> {
        let length = place.end - place.start;
        let line = if length <= most {
            Some(self.bytes(place.start, length)?)
        } else {
            None
        };
        // What may fail comes first: a line is given once.
        self.move_end_to(end)?;
        match line {
            Some(line) => _ = self.give(&line, end, true, limits, sink),
            None => self.say_too_long(length, end, limits),
        }
        Ok(())
    }

    pub(super) fn bytes(&mut self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        let filled = self.read_at(&mut bytes, offset)?;
        bytes.truncate(filled);
        Ok(bytes)
    }
}

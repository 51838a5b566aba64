//! NULs: bytes that are yet to come, as a network or a memory-mapped file shows them for a while, or a hole for good.
//!
//! **NULs before data are a hole once the file was silent for `--rotate-wait`**, or they have stood there for so long
//! while it was written on; NULs at the end of a file are waited for as long as it is the log.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use super::{Body, Generation};
use crate::file::open::holds;
use crate::position::Anchor;

/// A file that ends in NULs is read so often although its times say nothing: a mapped file shows only the first write to
/// a page.
const LOOK_INTO: Duration = Duration::from_secs(1);

/// What the last read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nuls {
    None,
    /// Nothing stands behind them.
    AtEnd,
    /// Data stands behind them.
    Unsettled,
}

/// How far NULs are a hole for good.
#[derive(Debug, Default)]
pub struct Settled {
    upto: u64,
    /// The file's size at a time from which on NULs are waited for.
    waiting: Option<(u64, Instant)>,
    /// Size and time of the file when nothing but NULs was found behind its lines.
    looked_behind: Option<(u64, SystemTime)>,
    /// NULs stand right before the position: the bytes that prove it may be written yet.
    pub(super) is_under_anchor: bool,
}

impl Generation {
    /// Notes up to where NULs are a hole by now.
    pub(super) fn settle(&mut self, now: Instant, wait: Duration) {
        if now.duration_since(self.written) >= wait {
            self.settled.upto = self.stat.size;
        }
        if let Some((size, since)) = self.settled.waiting
            && now.duration_since(since) >= wait
        {
            self.settled.upto = self.settled.upto.max(size);
            self.settled.waiting = None;
        }
        if self.nuls != Nuls::None && now >= self.next_look {
            self.next_look = now + LOOK_INTO;
        }
    }

    /// Whether the NULs of a line at this place, which data follows, are a hole.
    pub(super) fn is_settled(&mut self, place: u64, length: u64) -> bool {
        let is_packed = matches!(self.body, Body::Packed(..));
        let is_first = place == 0 && self.was_cut;
        if is_packed || is_first || place + length <= self.settled.upto {
            return true;
        }
        let since = (self.stat.size, self.looked);
        self.settled.waiting.get_or_insert(since);
        self.nuls = Nuls::Unsettled;
        false
    }

    /// Whether it is to be read although its times say nothing.
    pub fn is_to_be_looked_into(&self, now: Instant) -> bool {
        self.nuls != Nuls::None && now >= self.next_look
    }

    /// Whether data stands behind NULs, and their bytes may yet come.
    pub fn is_unsettled(&self) -> bool {
        self.nuls == Nuls::Unsettled
    }

    /// Whether the file is as it was when only NULs were found in the rest of it.
    pub(super) fn was_looked_behind(&self) -> bool {
        self.settled.looked_behind == Some((self.stat.size, self.stat.changed))
    }

    pub(super) fn end_in_nuls(&mut self) {
        (self.at_end, self.nuls) = (true, Nuls::AtEnd);
        self.settled.looked_behind = Some((self.stat.size, self.stat.changed));
    }

    /// Whether the bytes before a place of the open file are what they were, or what NULs there were filled with.
    pub fn is_intact(&self, (offset, anchor): (u64, Anchor)) -> io::Result<bool> {
        let Body::Plain(file) = &self.body else {
            return Ok(true);
        };
        let is_end = offset > 0 && offset == self.end.offset;
        Ok(holds(file, offset, anchor)? || is_end && self.is_filled_in()?)
    }

    /// Whether the bytes right before the position are others because NULs were filled in: an older place holds, and the
    /// file is as long as it was.
    pub(super) fn is_filled_in(&self) -> io::Result<bool> {
        let Body::Plain(file) = &self.body else {
            return Ok(false);
        };
        let before = self.end.offset - u64::from(self.end.anchor.len);
        let place = self.trail.place_before(before);
        let may_be = self.settled.is_under_anchor && file.metadata()?.len() >= self.seen;
        match place.filter(|(offset, _)| may_be && *offset > 0) {
            Some((offset, anchor)) => holds(file, offset, anchor),
            None => Ok(false),
        }
    }
}

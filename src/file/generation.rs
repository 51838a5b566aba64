//! One generation of a log: its open file, how far its lines were taken, and the taking of the next ones.
//!
//! Each read begins a little before the offset, and must find there what it found last. **Between reads nothing of the
//! file's content is kept**: an unterminated line stays in the file and is read again once its newline has come, so that
//! memory does not grow with the number of files, and bytes that change under it are taken as they are at last.

mod rest;
mod trail;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::LOOK_AGAIN;
use super::Sink;
use super::open::{Links, Stat, bytes_before, holds, is_shortage, open, read_at, skip_hole};
use super::unpack::Unpacked;
use crate::lines::{is_utf16, leading_nuls, pieces, take_line, without_mark};
use crate::position::{ANCHOR_LEN, Anchor, Position};
use crate::talk;
use trail::Trail;

/// A generation that is read, or is to be.
#[derive(Debug)]
pub struct Generation {
    pub body: Body,
    /// Where it was found; it may have been renamed since.
    pub name: PathBuf,
    /// Behind the last line taken.
    pub end: Position,
    /// As it was when it was last read.
    pub stat: Stat,
    /// The largest size that it was seen to have, and the last one, which may be that of what followed a truncation.
    pub seen: u64,
    last_size: u64,
    /// While nothing was read: a place of its content at the last look, by which it is known whether it was truncated.
    pub mark: Option<(u64, Anchor)>,
    /// Made by copytruncate: a line that it ends in goes on in another file.
    pub is_copy: bool,
    /// It was read to its end once, or cannot be read on: what follows it may begin.
    pub ended: bool,
    /// Nothing more was there at the last read.
    pub at_end: bool,
    /// No complete line was left behind those that were taken at the last read.
    drained: bool,
    /// When its last byte came, or it was renamed.
    pub touched: Instant,
    /// When it is looked at again, where it is a rotated one.
    pub next_look: Instant,
    pub trail: Trail,
    scan: Scan,
    trouble: Trouble,
    said_hole: bool,
    said_utf16: bool,
}

/// Where its bytes come from.
#[derive(Debug)]
pub enum Body {
    /// Known, and not found yet.
    Sought,
    Plain(File),
    /// With the number of bytes that are in it.
    Packed(Box<Unpacked>, u64),
}

/// How far an unterminated line was searched for its newline.
#[derive(Debug, Default)]
struct Scan {
    /// Where the line begins in the file, and behind the NULs of a hole.
    line: u64,
    content: u64,
    /// No newline is before this.
    seen: u64,
}

/// What stands in the way of reading, said once; it is tried again after a pause.
#[derive(Debug, Default)]
struct Trouble {
    text: String,
    /// Since when the file itself answers so. None: only the system is short of something.
    since: Option<Instant>,
    again_at: Option<Instant>,
    /// What the archive was that could not be unpacked to its end.
    archive: Option<(u64, SystemTime)>,
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Lines were taken, and there may be more.
    Lines,
    /// The sink has no room for a line now.
    NoRoom,
    /// There is nothing more, or nothing complete.
    Nothing,
    /// The bytes before the offset are not there any more.
    Cut,
    /// It cannot be read for now.
    Refused,
    /// It is an archive that ends here, and should not.
    Broken,
}

/// How lines are read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a rotated file is waited for that gets no line.
    pub rotate_wait: Duration,
    /// Bytes, without the newline.
    pub max_line: u64,
}

/// How many pieces are searched for a newline in one go, so that no other file waits for a giant line.
const PIECES: usize = 64;
const PLACES: usize = 32;

impl Generation {
    pub fn new(end: Position, name: PathBuf, stat: Stat, body: Body) -> Generation {
        let now = Instant::now();
        let mut generation = Generation {
            body,
            name,
            end,
            stat,
            seen: stat.size,
            last_size: stat.size,
            mark: None,
            is_copy: false,
            ended: false,
            at_end: false,
            drained: false,
            touched: now.checked_sub(stat.age()).unwrap_or(now),
            next_look: now,
            trail: Trail::default(),
            scan: Scan::default(),
            trouble: Trouble::default(),
            said_hole: false,
            said_utf16: false,
        };
        if let Body::Plain(file) = &generation.body {
            // Without it an earlier copy is not told from another file; so where it cannot be read, the copy is read again.
            let head = end.offset.min(ANCHOR_LEN as u64);
            generation.trail.head = bytes_before(file, head, ANCHOR_LEN).unwrap_or_default();
        }
        generation
    }

    /// Bytes that are there and not taken, as far as it is known.
    pub fn unread(&self) -> u64 {
        let size = match &self.body {
            Body::Sought => 0,
            Body::Plain(file) => file.metadata().map_or(self.seen, |now| now.len()),
            Body::Packed(_, length) => *length,
        };
        size.saturating_sub(self.end.offset)
    }

    /// The size of its file, packed as it is.
    pub fn size(&self) -> u64 {
        match &self.body {
            Body::Packed(..) => self.stat.size,
            Body::Plain(_) | Body::Sought => self.end.offset + self.unread(),
        }
    }

    /// Its path has this size now. What it had at the look before was its own, or a read would have found it cut.
    pub fn note_size(&mut self, size: u64) {
        self.seen = self.seen.max(std::mem::replace(&mut self.last_size, size));
    }

    /// Looks at the open file; None where there is none that can change.
    pub fn look(&self) -> Option<Stat> {
        match &self.body {
            Body::Plain(file) => file.metadata().ok().map(|now| Stat::of(&now)),
            Body::Sought | Body::Packed(..) => None,
        }
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &mut self.body {
            Body::Sought => Ok(0),
            Body::Plain(file) => read_at(file, buffer, offset),
            Body::Packed(content, _) => content.read_at(buffer, offset),
        }
    }

    /// Whether what was read to its end is all.
    fn check_end(&self) -> io::Result<()> {
        match &self.body {
            Body::Packed(content, _) => content.check_end(),
            Body::Sought | Body::Plain(_) => Ok(()),
        }
    }

    /// Takes lines into the sink: at most one chunk, and at most until it is full. Where the file cannot be read, that is
    /// said once, and it is tried again later. `links`: whether its name may be one.
    pub fn read(
        &mut self,
        now: Instant,
        limits: &Limits,
        links: Links,
        buffer: &mut [u8],
        sink: &mut dyn Sink,
    ) -> Taken {
        if self.trouble.again_at.is_some_and(|time| now < time) {
            return Taken::Refused;
        }
        if !sink.has_room() {
            return Taken::NoRoom;
        }
        if let Some(stat) = self.look() {
            if stat.size != self.stat.size {
                self.touched = now;
            } else if stat.modified != self.stat.modified {
                // Bytes were changed in place, as in a file that was allocated beforehand.
                self.scan = Scan::default();
            }
            self.stat = stat;
        }
        match self.take(limits, buffer, sink) {
            Ok(taken) => {
                self.trouble = Trouble::default();
                match taken {
                    Taken::Cut => self.last_size = self.seen,
                    _ => self.seen = self.seen.max(self.stat.size),
                }
                taken
            }
            Err(error) => {
                if let Body::Packed(content, _) = &mut self.body
                    && content.check_end().is_err()
                {
                    let archive = content.size_and_time().ok();
                    if archive.is_some() && self.trouble.archive == archive {
                        return Taken::Broken;
                    }
                    // It may be in the making.
                    content.restart();
                    self.trouble.archive = archive;
                }
                self.say_trouble(now, &error);
                self.reopen(links);
                Taken::Refused
            }
        }
    }

    /// Why it cannot be read.
    pub fn trouble(&self) -> String {
        format!("{}: {}", self.name.display(), self.trouble.text)
    }

    fn say_trouble(&mut self, now: Instant, error: &io::Error) {
        let text = crate::error::describe(error);
        if self.trouble.text != text {
            talk::warn(&format!(
                "read {}: {text}; trying again",
                self.name.display()
            ));
            self.trouble.text = text;
        }
        let lasting = (!is_shortage(error)).then_some(now);
        self.trouble.since = lasting.and(self.trouble.since).or(lasting);
        self.trouble.again_at = Some(now + LOOK_AGAIN);
    }

    /// Opens its file anew where it was found: a handle may go stale while the file lives on.
    fn reopen(&mut self, links: Links) {
        if let Body::Plain(file) = &mut self.body
            && let Ok((again, stat)) = open(&self.name, links)
            && (stat.id, stat.born) == (self.stat.id, self.stat.born)
        {
            *file = again;
        }
    }

    /// Whether every line is taken that was complete when it was last read.
    pub fn is_drained(&self) -> bool {
        self.drained || self.unread() == 0
    }

    pub fn is_sought(&self) -> bool {
        matches!(self.body, Body::Sought)
    }

    /// Whether there is nothing to do until it changes.
    pub fn is_done(&self) -> bool {
        self.is_sought() || self.ended && self.at_end && !self.is_troubled()
    }

    /// The same open file once more, if it has what stands before another end.
    pub fn reopened(&self, end: &Position) -> Option<(Body, Stat)> {
        let Body::Plain(file) = &self.body else {
            return None;
        };
        let is_it = holds(file, end.offset, end.anchor).unwrap_or(false);
        let file = is_it.then(|| file.try_clone().ok()).flatten()?;
        Some((Body::Plain(file), self.stat))
    }

    /// Since when the file itself does not let itself be read.
    pub fn refused_since(&self) -> Option<Instant> {
        self.trouble.since
    }

    /// Whether it cannot be read for now.
    pub fn is_troubled(&self) -> bool {
        self.trouble.again_at.is_some()
    }

    fn take(
        &mut self,
        limits: &Limits,
        buffer: &mut [u8],
        sink: &mut dyn Sink,
    ) -> io::Result<Taken> {
        let lead = usize::from(self.end.anchor.len);
        let start = self.end.offset - lead as u64;
        let length = self.read_at(buffer, start)?;
        let bytes = &buffer[..length];
        if length < lead {
            self.check_end()?;
            return Ok(Taken::Cut);
        }
        if Anchor::of(&bytes[..lead]) != self.end.anchor {
            return Ok(Taken::Cut);
        }
        let mut taken = Taken::Nothing;
        let mut rest = &bytes[lead..];
        self.drained = false;
        self.at_end = rest.is_empty();
        if self.end.offset == 0 {
            self.say_utf16(rest);
        }
        let has_nul = rest.contains(&0);
        let mut behind = lead;
        while let Some(line) = take_line(&mut rest) {
            behind = length - rest.len();
            taken = Taken::Lines;
            if self.give(line, start + behind as u64, has_nul, limits, sink) {
                break;
            }
        }
        if taken != Taken::Nothing {
            debug_assert!(
                bytes[..behind].ends_with(b"\n"),
                "an offset is behind a newline"
            );
            let is_short = length < buffer.len() && self.check_end().is_ok();
            self.drained = is_short && !rest.contains(&b'\n');
            if start == 0 {
                self.trail.head = bytes[..behind.min(ANCHOR_LEN)].to_vec();
            }
            self.move_end(start + behind as u64, Anchor::of(&bytes[..behind]));
            return Ok(taken);
        }
        if length == buffer.len() || bytes[lead..].starts_with(&[0]) {
            return self.take_long_line(limits, buffer, sink);
        }
        self.check_end()?;
        (self.at_end, self.drained) = (true, true);
        Ok(Taken::Nothing)
    }

    /// Gives the sink what is between two newlines, of which the second stands before `end`. True: it is full.
    fn give(
        &mut self,
        line: &[u8],
        end: u64,
        may_have_nul: bool,
        limits: &Limits,
        sink: &mut dyn Sink,
    ) -> bool {
        let line = if end == line.len() as u64 + 1 {
            without_mark(line)
        } else {
            line
        };
        if !may_have_nul || !line.contains(&0) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            return !line.is_empty() && self.give_piece(line, end, limits, sink);
        }
        let mut is_full = false;
        let mut left = line.len();
        for piece in pieces(line) {
            left -= piece.len();
            is_full |= self.give_piece(piece, end, limits, sink);
        }
        self.say_hole(left as u64, end);
        is_full
    }

    fn give_piece(&self, piece: &[u8], end: u64, limits: &Limits, sink: &mut dyn Sink) -> bool {
        if piece.len() as u64 <= limits.max_line {
            return sink.line(piece, self.end.generation, end);
        }
        self.say_too_long(piece.len() as u64, end, limits);
        false
    }

    /// Searches on for the newline of a line that is longer than the buffer, or stands behind a hole; takes it then.
    fn take_long_line(
        &mut self,
        limits: &Limits,
        buffer: &mut [u8],
        sink: &mut dyn Sink,
    ) -> io::Result<Taken> {
        if self.scan.line != self.end.offset || self.scan.seen < self.scan.line {
            self.scan = Scan {
                line: self.end.offset,
                content: self.end.offset,
                seen: self.end.offset,
            };
        }
        self.at_end = false;
        for _ in 0..PIECES {
            let place = self.scan.seen;
            let length = self.read_at(buffer, place)?;
            if length == 0 {
                self.check_end()?;
                self.at_end = true;
                return Ok(Taken::Nothing);
            }
            let nuls = leading_nuls(&buffer[..length]);
            if nuls == length {
                let Some(data) = self.data_behind(place + length as u64, buffer)? else {
                    self.at_end = true;
                    return Ok(Taken::Nothing);
                };
                if self.scan.content < place {
                    return self.take_torn(place, data, limits, sink);
                }
                (self.scan.content, self.scan.seen) = (data, data);
                continue;
            }
            if self.scan.content == place {
                self.scan.content += nuls as u64;
            }
            let mut rest = &buffer[..length];
            if let Some(line) = take_line(&mut rest) {
                return self.take_found(place + line.len() as u64, limits, sink);
            }
            self.scan.seen = place + length as u64;
        }
        Ok(Taken::Lines)
    }

    /// The first byte from here on that is no NUL. None: there is none.
    fn data_behind(&mut self, from: u64, buffer: &mut [u8]) -> io::Result<Option<u64>> {
        let mut place = from;
        loop {
            if let Body::Plain(file) = &self.body {
                place = skip_hole(file, place);
            }
            let length = self.read_at(buffer, place)?;
            if length == 0 {
                self.check_end()?;
                return Ok(None);
            }
            let nuls = leading_nuls(&buffer[..length]);
            place += nuls as u64;
            if nuls < length {
                return Ok(Some(place));
            }
        }
    }

    /// A newline was found: takes the line before it.
    fn take_found(
        &mut self,
        newline: u64,
        limits: &Limits,
        sink: &mut dyn Sink,
    ) -> io::Result<Taken> {
        let (content, end) = (self.scan.content, newline + 1);
        self.say_hole(content - self.scan.line, end);
        // One byte more may be the `\r`.
        let most = limits.max_line + 1;
        self.take_bytes(content..newline, end, most, limits, sink)?;
        Ok(Taken::Lines)
    }

    fn move_end_to(&mut self, offset: u64) -> io::Result<()> {
        let length = offset.min(ANCHOR_LEN as u64);
        let before = self.bytes(offset - length, length)?;
        if self.trail.head.len() < ANCHOR_LEN {
            self.trail.head = self.bytes(0, length)?;
        }
        self.move_end(offset, Anchor::of(&before));
        Ok(())
    }

    fn move_end(&mut self, offset: u64, anchor: Anchor) {
        (self.end.offset, self.end.anchor) = (offset, anchor);
        self.trail.push(offset, anchor);
    }

    fn say_too_long(&self, length: u64, end: u64, limits: &Limits) {
        let (name, limit) = (self.name.display(), limits.max_line);
        let start = end.saturating_sub(length + 1);
        talk::warn(&format!(
            "{name}: skipped a line of {length} bytes at offset {start}: over --max-line ({limit} bytes)"
        ));
    }

    fn say_hole(&mut self, nuls: u64, end: u64) {
        if nuls > 0 && !std::mem::replace(&mut self.said_hole, true) {
            let name = self.name.display();
            talk::warn(&format!(
                "{name}: skipped a hole of {nuls} NUL bytes before offset {end}; further ones are not said"
            ));
        }
    }

    fn say_utf16(&mut self, head: &[u8]) {
        if is_utf16(head) && !std::mem::replace(&mut self.said_utf16, true) {
            let name = self.name.display();
            talk::warn(&format!(
                "{name}: it is UTF-16, and its lines are published as they are: have it written as UTF-8"
            ));
        }
    }
}

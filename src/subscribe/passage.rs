//! From what Redis hands out to blocks on their way: filtered, formatted, and without what the file has already.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::formatter::Formatter;
use super::place::{At, OutputPlace};
use super::relay::{Block, Ended, Relay};
use crate::broker::{Id, StreamEntry};
use crate::talk;

/// A block is sent off when it has so many bytes or entries.
const BLOCK_BYTES: usize = 512 * 1024;
const BLOCK_ENTRIES: usize = 1_000;
/// Entries in one reply of Redis, at most, and bytes, about. Nobody knows how large the next entries are, and a reply is read
/// as a whole: so few that memory stays small where large lines follow small ones.
const REPLY_ENTRIES: usize = 4;
const REPLY_BYTES: usize = 4 * 1024 * 1024;
/// Entries that may be asked for at once, in so many replies; and at first, when nobody knows how large they are.
const AT_ONCE: usize = 512;
const FIRST_ENTRIES: usize = 128;

/// How entries came to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// All that is in the stream behind what came before.
    Continued,
    /// New ones; others may have got what is between.
    Fresh,
    /// Handed out before.
    Again,
}

/// The way through, and what is known of it.
pub struct Passage<'a> {
    formatter: Formatter<'a>,
    pub relay: Relay,
    /// Only where it is kept.
    pub place: Option<OutputPlace>,
    /// A signal has come.
    stop: &'a AtomicBool,
    /// The block that is being filled, and the entries in it.
    block: Block,
    entries: usize,
    /// The size of a large and of a middling line, of late.
    large: usize,
    middling: usize,
    /// Counts what came new and is not a continuation.
    delivery: u64,
    said_foreign: bool,
    said_again: bool,
}

impl<'a> Passage<'a> {
    pub fn new(
        formatter: Formatter<'a>,
        relay: Relay,
        place: Option<OutputPlace>,
        stop: &'a AtomicBool,
    ) -> Passage<'a> {
        Passage {
            formatter,
            relay,
            place,
            stop,
            block: Block::default(),
            entries: 0,
            large: 0,
            middling: BLOCK_BYTES / FIRST_ENTRIES,
            delivery: 1,
            said_foreign: false,
            said_again: false,
        }
    }

    /// `--count` lines have been sent, or a signal has come.
    pub fn is_done(&self) -> bool {
        self.stop.load(Relaxed) || self.formatter.is_full()
    }

    /// How many entries one reply may hold: no more than lines are wanted, as what was asked for is ours to acknowledge.
    pub fn count(&self) -> usize {
        self.count_behind(0)
    }

    /// How many to ask for before so many entries that came are sent: none, where they may be all that is wanted.
    pub fn count_behind(&self, entries: usize) -> usize {
        let count = (REPLY_BYTES / self.large.max(1)).clamp(1, REPLY_ENTRIES);
        count.min(self.left_behind(entries))
    }

    /// How many entries to ask for at once, in several replies: a block, about.
    pub fn entries(&self) -> usize {
        self.entries_behind(0)
    }

    /// The same, before so many entries that came are sent.
    pub fn entries_behind(&self, entries: usize) -> usize {
        let block = (BLOCK_BYTES / self.middling.max(1)).clamp(1, AT_ONCE);
        block.min(self.left_behind(entries))
    }

    fn left_behind(&self, entries: usize) -> usize {
        let left = self.formatter.left().unwrap_or(u64::MAX);
        usize::try_from(left).map_or(usize::MAX, |left| left.saturating_sub(entries))
    }

    /// What comes now does not go on where the last entry was.
    pub fn begin(&mut self) {
        self.delivery += 1;
    }

    /// Takes in an entry of a stream.
    pub fn push_entry(&mut self, entry: StreamEntry, news: News) {
        self.entries += 1;
        let Some(line) = &entry.line else {
            return self.say_foreign(entry.id);
        };
        self.learn(line.len());
        if self.is_new(&entry, line, news) {
            self.formatter
                .push(line, Some(&entry), &mut self.block.lines);
        }
        if news == News::Again {
            // Of what is between two of them, some may be with others.
            self.begin();
        }
    }

    /// Whether there is something to be sent off.
    pub fn has_entries(&self) -> bool {
        self.entries > 0
    }

    /// Whether the block is to be sent off.
    pub fn is_block_full(&self) -> bool {
        self.block.lines.len() >= BLOCK_BYTES || self.entries >= BLOCK_ENTRIES
    }

    /// Sends off what was taken in, as a block that takes us so far.
    pub fn send(&mut self, at: At, read: Option<u64>) -> Result<(), Ended> {
        if let Some(place) = &mut self.place {
            (place.at, place.read) = (at, read);
            place.write(&mut self.block.place);
        }
        self.entries = 0;
        let next = self.relay.block();
        self.relay.send(std::mem::replace(&mut self.block, next))
    }

    /// Whether elements of a list make a block.
    pub fn are_block(elements: &[Vec<u8>]) -> bool {
        let bytes: usize = elements.iter().map(Vec::len).sum();
        elements.len() >= BLOCK_ENTRIES || bytes >= BLOCK_BYTES
    }

    /// Sends elements of a list, as the block of this number.
    pub fn send_elements(&mut self, elements: Vec<Vec<u8>>, number: u64) -> Result<(), Ended> {
        let at = At::List {
            block: number,
            elements: elements.len(),
        };
        let bytes: usize = elements.iter().map(|element| element.len() + 1).sum();
        self.block.lines.reserve(bytes);
        for element in elements {
            self.learn(element.len());
            self.formatter.push(&element, None, &mut self.block.lines);
        }
        self.send(at, None)
    }

    /// Waits until all that is under way is out.
    pub fn settle(&mut self) -> Result<(), Ended> {
        while self.relay.in_flight() > 0 {
            self.relay.is_out(Duration::from_secs(1))?;
        }
        Ok(())
    }

    /// Whether the file does not have it yet.
    fn is_new(&mut self, entry: &StreamEntry, line: &[u8], news: News) -> bool {
        let (Some(kept), Some(of)) = (&mut self.place, &entry.of) else {
            return true;
        };
        let (generation, offset) = (of.generation, of.offset);
        let is_new = kept
            .runs
            .add(&of.source, generation, offset, line.len(), self.delivery);
        if !is_new && news != News::Again && !self.said_again {
            self.said_again = true;
            talk::warn(&format!(
                "{} was sent again from generation {generation}, offset {offset} on; what the file has already is \
                 left out",
                String::from_utf8_lossy(&of.source)
            ));
        }
        is_new
    }

    fn say_foreign(&mut self, id: Id) {
        if !std::mem::replace(&mut self.said_foreign, true) {
            talk::warn(&format!(
                "entry {id} has no field \"line\", so it is not tailcast's: passed over, as are others like it"
            ));
        }
    }

    /// A large line is remembered for some hundred others.
    fn learn(&mut self, bytes: usize) {
        self.large = bytes.max(self.large - self.large / 64);
        self.middling = self.middling - self.middling / 16 + bytes / 16;
    }
}

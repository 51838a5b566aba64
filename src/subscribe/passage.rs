//! From what Redis hands out to blocks on their way: filtered, formatted, and without what the file has already.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::formatter::Formatter;
use super::place::{At, Place};
use super::relay::{Ended, Relay};
use crate::broker::{Entry, Id};
use crate::talk;

/// Bytes that are asked for at once, about.
const BLOCK_BYTES: usize = 512 * 1024;
/// Entries that are asked for at once, at most; and at first, when nobody knows how large they are.
const MOST_ENTRIES: usize = 2_000;
const FIRST_ENTRIES: usize = 200;

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
    pub place: Option<Place>,
    /// A signal has come.
    stop: &'a AtomicBool,
    /// How many entries to ask for.
    count: usize,
    /// Counts what came new and is not a continuation.
    delivery: u64,
    said_foreign: bool,
    said_again: bool,
}

impl<'a> Passage<'a> {
    pub fn new(
        formatter: Formatter<'a>,
        relay: Relay,
        place: Option<Place>,
        stop: &'a AtomicBool,
    ) -> Passage<'a> {
        Passage {
            formatter,
            relay,
            place,
            stop,
            count: FIRST_ENTRIES,
            delivery: 1,
            said_foreign: false,
            said_again: false,
        }
    }

    /// `--count` lines have been sent, or a signal has come.
    pub fn is_done(&self) -> bool {
        self.stop.load(Relaxed) || self.formatter.is_full()
    }

    /// How many entries to ask for: no more than lines are wanted, as what was asked for is ours to acknowledge.
    pub fn count(&self) -> usize {
        self.count_behind(0)
    }

    /// How many to ask for before so many entries that came are sent: none, where they may be all that is wanted.
    pub fn count_behind(&self, entries: usize) -> usize {
        let Some(left) = self.formatter.left() else {
            return self.count;
        };
        let left = left.saturating_sub(entries as u64);
        self.count.min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// Sends what a stream has handed out, as a block.
    pub fn send_entries(&mut self, entries: &[Entry], news: News) -> Result<(), Ended> {
        let mut block = self.relay.block();
        if news != News::Continued {
            self.delivery += 1;
        }
        let mut bytes = 0;
        for entry in entries {
            let Some(line) = &entry.line else {
                self.say_foreign(entry.id);
                continue;
            };
            bytes += line.len();
            if self.is_new(entry, line, news) {
                self.formatter.push(line, Some(entry), &mut block.lines);
            }
            if news == News::Again {
                // Of what is between two of them, some may be with others.
                self.delivery += 1;
            }
        }
        if let Some(place) = &mut self.place {
            if let (At::Stream(last), Some(entry), true) =
                (&mut place.at, entries.last(), news != News::Again)
            {
                *last = entry.id.max(*last);
            }
            place.write(&mut block.place);
        }
        self.learn(entries.len(), bytes);
        self.relay.send(block)
    }

    /// Sends elements of a list, as the block of this number.
    pub fn send_elements(&mut self, elements: &[Vec<u8>], number: u64) -> Result<(), Ended> {
        let mut block = self.relay.block();
        for element in elements {
            self.formatter.push(element, None, &mut block.lines);
        }
        if let Some(place) = &mut self.place {
            place.at = At::List {
                block: number,
                elements: elements.len(),
            };
            place.write(&mut block.place);
        }
        let bytes = elements.iter().map(Vec::len).sum();
        self.learn(elements.len(), bytes);
        self.relay.send(block)
    }

    /// Waits until all that is under way is out. Returns how many blocks that were.
    pub fn settle(&mut self) -> Result<usize, Ended> {
        let blocks = self.relay.in_flight();
        while self.relay.in_flight() > 0 {
            self.relay.is_out(Duration::from_secs(1))?;
        }
        Ok(blocks)
    }

    /// Whether the file does not have it yet.
    fn is_new(&mut self, entry: &Entry, line: &[u8], news: News) -> bool {
        let (Some(kept), Some(place)) = (&mut self.place, &entry.place) else {
            return true;
        };
        let (generation, offset) = (place.generation, place.offset);
        let is_new = kept
            .runs
            .add(&place.source, generation, offset, line.len(), self.delivery);
        if !is_new && news != News::Again && !self.said_again {
            self.said_again = true;
            talk::warn(&format!(
                "{} was sent again from generation {generation}, offset {offset} on; what the file has already is \
                 left out",
                String::from_utf8_lossy(&place.source)
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

    /// The next block is to be about as large as is good, and not much larger than the one before.
    fn learn(&mut self, entries: usize, bytes: usize) {
        if entries > 0 {
            let fit = BLOCK_BYTES * entries / bytes.max(1);
            self.count = fit.clamp(1, MOST_ENTRIES.min(self.count * 2));
        }
    }
}

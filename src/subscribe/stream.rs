//! Receives a stream as one who is in no group: everything, from the last id that came on. Nobody who trims waits for him, so
//! what is gone before it came is said.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::WAIT;
use super::missing::Missing;
use super::passage::{News, Passage};
use super::place::At;
use super::retry::{Break, Health, retry};
use crate::broker::{Address, Extent, Id, Reading, StreamEntry};
use crate::cli::{self, From};
use crate::error::Result;

/// A reader of one stream.
pub struct Follower<'a> {
    options: &'a cli::Subscribe,
    address: &'a Address,
    key: &'a [u8],
    passage: Passage<'a>,
    /// The last id that came. None: nobody has looked yet where to begin.
    last: Option<Id>,
    missing: Missing,
}

impl<'a> Follower<'a> {
    pub fn new(
        options: &'a cli::Subscribe,
        address: &'a Address,
        key: &'a [u8],
        passage: Passage<'a>,
    ) -> Follower<'a> {
        let kept = passage.place.as_ref().map(|place| place.at);
        let read = passage.place.as_ref().and_then(|place| place.read);
        let last = match kept {
            Some(At::Stream(id)) if id > Id::START => Some(id),
            _ => None,
        };
        Follower {
            options,
            address,
            key,
            passage,
            last,
            missing: Missing::new(
                format!("redis {address}: the stream {}", key.escape_ascii()),
                read,
            ),
        }
    }

    /// Receives until `--count` lines, a signal, or an error that does not heal.
    pub fn run(mut self, stop: &AtomicBool) -> Result<()> {
        let what = format!("the stream {}", self.key.escape_ascii());
        retry(what, Duration::MAX, stop, |health| self.session(health))
    }

    fn session(&mut self, health: &mut Health) -> Result<(), Break> {
        let mut reading = Reading::open(self.address, self.key)?;
        let mut last = self.find_start(&mut reading)?;
        health.is_well(self.address);
        let mut asked = self.ask(&mut reading, last, 0, true)?;
        while !self.passage.is_done() {
            let (entries, extent) = reading.delivered()?;
            if let Some(extent) = extent {
                self.look_for_gap(last, &entries, &extent);
            }
            let is_all = entries.len() < asked;
            last = entries.last().map_or(last, |entry| entry.id);
            // So that Redis is not idle meanwhile; what nobody fetches any more costs nothing.
            asked = self.ask(&mut reading, last, entries.len(), is_all)?;
            self.last = Some(last);
            for entry in entries {
                self.passage.push_entry(entry, News::Continued);
            }
            if is_all || self.passage.is_block_full() {
                self.send(last)?;
            }
            if asked == 0 && !self.passage.is_done() {
                asked = self.ask(&mut reading, last, 0, true)?;
            }
        }
        self.send(last)?;
        Ok(self.passage.settle()?)
    }

    /// Asks for what comes behind so many entries that came and are not sent: a block, or where they were all that there is,
    /// the next. Returns how many it asked for: none, where they may be all that is wanted.
    fn ask(
        &self,
        reading: &mut Reading,
        last: Id,
        entries: usize,
        is_all: bool,
    ) -> Result<usize, Break> {
        let count = self.passage.count_behind(entries);
        let asked = match is_all {
            true => count,
            false => self.passage.entries_behind(entries),
        };
        if asked > 0 {
            reading.ask(last, asked, count, WAIT)?;
        }
        Ok(asked)
    }

    fn send(&mut self, last: Id) -> Result<(), Break> {
        if self.passage.has_entries() {
            self.passage.send(At::Stream(last), self.missing.read())?;
        }
        while self.passage.relay.is_full() {
            self.passage.relay.is_out(WAIT)?;
        }
        while self.passage.relay.is_out(Duration::ZERO)? {}
        Ok(())
    }

    /// The entries that came were read before the stream was looked at: some may be gone since.
    fn look_for_gap(&mut self, last: Id, entries: &[StreamEntry], extent: &Extent) {
        let start = extent.start();
        let (gone, there) = entries.split_at(entries.partition_point(|entry| entry.id <= start));
        self.missing.add(gone.len());
        self.missing
            .look(gone.last().map_or(last, |entry| entry.id), extent);
        self.missing.add(there.len());
    }

    /// The id behind which to go on.
    fn find_start(&mut self, reading: &mut Reading) -> Result<Id, Break> {
        let extent = reading.look()?.unwrap_or_default();
        let newest = extent.newest;
        let start = match (self.last, self.options.from) {
            (Some(last), _) if last > newest => {
                self.missing.say_lost_end(last, &extent);
                Id::START
            }
            (Some(last), _) => {
                self.missing.look_back(last, &extent);
                last
            }
            (None, From::Start) => Id::START,
            (None, From::End) => newest,
        };
        self.last = Some(start);
        Ok(start)
    }
}

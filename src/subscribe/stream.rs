//! Receives a stream as one who is in no group: everything, from the last id that came on.

use std::time::Duration;

use super::WAIT;
use super::passage::{News, Passage};
use super::place::At;
use super::retry::{Break, Health, retry};
use crate::broker::{Address, Id, Reading};
use crate::cli::{self, From};
use crate::error::Result;
use crate::talk;

/// Blocks that may be under way: some are written, and wait for the disk together, while the next are read.
pub const UNDER_WAY: usize = 8;

/// A reader of one stream.
pub struct Follower<'a> {
    pub options: &'a cli::Subscribe,
    pub address: &'a Address,
    pub key: &'a [u8],
    pub passage: Passage<'a>,
    /// The last id that came. None: nobody has looked yet where to begin.
    pub last: Option<Id>,
}

impl<'a> Follower<'a> {
    pub fn new(
        options: &'a cli::Subscribe,
        address: &'a Address,
        key: &'a [u8],
        passage: Passage<'a>,
    ) -> Follower<'a> {
        let kept = passage.place.as_ref().map(|place| place.at);
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
        }
    }

    /// Receives until `--count` lines, a signal, or an error that does not heal.
    pub fn run(mut self, stop: &std::sync::atomic::AtomicBool) -> Result<()> {
        let what = format!("the stream {}", self.key.escape_ascii());
        retry(what, stop, |health| self.session(health))
    }

    fn session(&mut self, health: &mut Health) -> Result<(), Break> {
        let mut reading = Reading::open(self.address, self.key)?;
        let mut last = self.find_start(&mut reading)?;
        health.is_well(self.address);
        reading.ask(last, self.passage.count(), WAIT)?;
        while !self.passage.is_done() {
            while self.passage.relay.in_flight() >= UNDER_WAY {
                self.passage.relay.is_out(WAIT)?;
            }
            while self.passage.relay.is_out(Duration::ZERO)? {}
            let delivery = reading.delivery()?;
            if let Some(entry) = delivery.entries.last() {
                last = entry.id;
            }
            // So that Redis is not idle meanwhile; what nobody fetches any more costs nothing.
            let count = self.passage.count_behind(delivery.entries.len());
            if count > 0 {
                reading.ask(last, count, WAIT)?;
            }
            self.last = Some(last);
            if !delivery.entries.is_empty() {
                self.passage
                    .send_entries(&delivery.entries, News::Continued)?;
            }
            if count == 0 && !self.passage.is_done() {
                reading.ask(last, self.passage.count(), WAIT)?;
            }
        }
        self.passage.settle()?;
        Ok(())
    }

    /// The id behind which to go on.
    fn find_start(&mut self, reading: &mut Reading) -> Result<Id, Break> {
        let newest = reading.last_id()?.unwrap_or(Id::START);
        let start = match (self.last, self.options.from) {
            (Some(last), _) if last > newest => {
                talk::warn(&format!(
                    "redis {}: the stream {} ends at {newest}, before what was read up to {last}: it was removed, or \
                     Redis has lost the end of it; reading it from its start",
                    self.address,
                    self.key.escape_ascii()
                ));
                Id::START
            }
            (Some(last), _) => last,
            (None, From::Start) => Id::START,
            (None, From::End) => newest,
        };
        self.last = Some(start);
        Ok(start)
    }
}

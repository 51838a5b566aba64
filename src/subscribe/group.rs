//! Receives a stream as one consumer of a group: first what it was given and has not acknowledged, then what is new, and
//! now and then what others have left.
//!
//! What is out is acknowledged with the next command. As long as a block is not out, the group is told now and then that
//! it is still in hand, so that nobody takes a slow consumer for a dead one.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::WAIT;
use super::passage::{News, Passage};
use super::retry::{Break, Health, retry};
use super::stream::UNDER_WAY;
use crate::broker::{Address, Consumer, Delivery, Id, Member};
use crate::cli::{self, From};
use crate::error::Result;
use crate::fault;
use crate::talk;

/// How often to look for what others have left.
const SHORTEST_ROUND: Duration = Duration::from_millis(50);
const LONGEST_ROUND: Duration = Duration::from_secs(5);

/// A consumer of a group.
pub struct Grouped<'a> {
    options: &'a cli::Subscribe,
    address: &'a Address,
    consumer: Consumer,
    passage: Passage<'a>,
    /// The ids of each block that is under way.
    in_flight: VecDeque<Vec<Id>>,
    /// What is out and not acknowledged yet.
    out: Vec<Id>,
    /// The group was there.
    has_group: bool,
    /// The newest entry that came to us.
    newest: Id,
    /// All of the group is acknowledged up to here.
    floor: Id,
    looked: Instant,
    told: Instant,
}

impl<'a> Grouped<'a> {
    pub fn new(
        options: &'a cli::Subscribe,
        address: &'a Address,
        consumer: Consumer,
        passage: Passage<'a>,
    ) -> Grouped<'a> {
        Grouped {
            options,
            address,
            consumer,
            passage,
            in_flight: VecDeque::new(),
            out: Vec::new(),
            has_group: false,
            newest: Id::START,
            floor: Id::START,
            looked: Instant::now(),
            told: Instant::now(),
        }
    }

    /// Receives until `--count` lines, a signal, or an error that does not heal.
    pub fn run(mut self, stop: &AtomicBool) -> Result<()> {
        let what = format!("{} as {}", self.consumer, self.consumer.name);
        let result = retry(what, stop, |health| self.session(health));
        if result.is_ok() && !self.out.is_empty() {
            talk::warn(&format!(
                "{}: {} entries are out, and could not be acknowledged: they come again",
                self.consumer,
                self.out.len()
            ));
        }
        result
    }

    fn session(&mut self, health: &mut Health) -> Result<(), Break> {
        let mut member = Member::open(self.address, &self.consumer)?;
        loop {
            match self.work(&mut member, health) {
                Err(Break::NoGroup) => self.make_group(&mut member)?,
                result => return result,
            }
        }
    }

    fn work(&mut self, member: &mut Member, health: &mut Health) -> Result<(), Break> {
        self.settle(member)?;
        if !self.passage.is_done() {
            self.redeliver(member, health)?;
            self.take_over(member)?;
        }
        while !self.passage.is_done() {
            if self.looked.elapsed() >= self.round() {
                self.take_over(member)?;
            } else {
                self.receive(member)?;
            }
        }
        self.settle(member)
    }

    fn round(&self) -> Duration {
        (self.options.claim_after / 4).clamp(SHORTEST_ROUND, LONGEST_ROUND)
    }

    /// What was given to this consumer before, and is not acknowledged.
    fn redeliver(&mut self, member: &mut Member, health: &mut Health) -> Result<(), Break> {
        let mut after = Id::START;
        loop {
            let delivery = member.pending(after, self.passage.count())?;
            health.is_well(self.address);
            self.has_group = true;
            let ids = delivery.entries.iter().map(|entry| entry.id);
            let Some(last) = ids.chain(delivery.gone.iter().copied()).max() else {
                return Ok(());
            };
            after = last;
            self.send(member, &delivery, News::Again)?;
            if self.passage.is_done() {
                return Ok(());
            }
        }
    }

    /// What is new.
    fn receive(&mut self, member: &mut Member) -> Result<(), Break> {
        self.collect(Duration::ZERO)?;
        let waits = self.in_flight.is_empty();
        let wait = waits.then(|| WAIT.min(self.round()));
        fault::point("before-acknowledge");
        let (oldest, delivery) = member.next(&self.out, self.passage.count(), wait)?;
        fault::point("after-acknowledge");
        self.out.clear();
        self.floor = oldest.map_or(self.newest, Id::before).max(self.floor);
        if let Some(entry) = delivery.entries.last() {
            self.newest = entry.id;
        } else if !waits {
            self.await_one(member)?;
        }
        self.send(member, &delivery, News::Fresh)
    }

    /// What others were given so long ago that they must be gone.
    fn take_over(&mut self, member: &mut Member) -> Result<(), Break> {
        // Else our own could be among it.
        self.settle(member)?;
        let (mut from, mut taken) = (Id::START, 0);
        while !self.passage.is_done() {
            let count = self.passage.count();
            let (next, delivery) = member.claim(self.options.claim_after, from, count)?;
            taken += delivery.entries.len();
            self.send(member, &delivery, News::Again)?;
            if next == Id::START {
                break;
            }
            from = next;
        }
        if taken > 0 {
            talk::warn(&format!(
                "{}: took over {taken} entries that others were given and have not acknowledged for {:?}",
                self.consumer, self.options.claim_after
            ));
        }
        self.looked = Instant::now();
        Ok(())
    }

    /// Sends off what was handed out, when there is room.
    fn send(&mut self, member: &mut Member, delivery: &Delivery, news: News) -> Result<(), Break> {
        if !delivery.gone.is_empty() {
            self.say_gone(&delivery.gone);
            self.out.extend_from_slice(&delivery.gone);
        }
        if delivery.entries.is_empty() {
            return Ok(());
        }
        while self.in_flight.len() >= UNDER_WAY {
            self.await_one(member)?;
        }
        let ids = delivery.entries.iter().map(|entry| entry.id).collect();
        self.passage.send_entries(&delivery.entries, news)?;
        self.in_flight.push_back(ids);
        Ok(())
    }

    fn say_gone(&self, gone: &[Id]) {
        let ids = gone.iter().min().zip(gone.iter().max());
        let Some((first, last)) = ids else {
            return;
        };
        talk::warn(&format!(
            "{}: {} entries, from {first} to {last}, were trimmed before they were acknowledged, and are lost to the \
             group",
            self.consumer,
            gone.len()
        ));
    }

    /// Learns of a block that is out by now, or within so long. False: there is none.
    fn collect(&mut self, wait: Duration) -> Result<bool, Break> {
        let mut any = false;
        while self
            .passage
            .relay
            .is_out(if any { Duration::ZERO } else { wait })?
        {
            self.out
                .extend(self.in_flight.pop_front().unwrap_or_default());
            any = true;
        }
        Ok(any)
    }

    /// Waits until a block is out, however long that takes.
    fn await_one(&mut self, member: &mut Member) -> Result<(), Break> {
        let beat = self.options.claim_after / 3;
        self.told = Instant::now();
        while !self.collect(WAIT.min(beat))? {
            if self.told.elapsed() >= beat {
                let ids: Vec<_> = self
                    .in_flight
                    .iter()
                    .flatten()
                    .chain(&self.out)
                    .copied()
                    .collect();
                member.keep(&ids)?;
                self.told = Instant::now();
            }
        }
        Ok(())
    }

    /// Waits until all that is under way is out, and acknowledges it.
    fn settle(&mut self, member: &mut Member) -> Result<(), Break> {
        while !self.in_flight.is_empty() {
            self.await_one(member)?;
        }
        if !self.out.is_empty() {
            fault::point("before-acknowledge");
            member.acknowledge(&self.out)?;
            fault::point("after-acknowledge");
            self.out.clear();
        }
        Ok(())
    }

    fn make_group(&mut self, member: &mut Member) -> Result<(), Break> {
        let has_place = self
            .passage
            .place
            .as_ref()
            .is_some_and(|place| place.runs.iter().next().is_some());
        let start = if self.has_group {
            let newest = member.last_id()?;
            let is_same_stream = newest.is_some_and(|newest| newest >= self.floor);
            let start = if is_same_stream {
                self.floor
            } else {
                Id::START
            };
            talk::warn(&format!(
                "{}: somebody has removed it, or Redis has lost it: made again, from {start} on; what was read and not \
                 acknowledged behind that comes again",
                self.consumer
            ));
            Some(start)
        } else if self.options.from == From::Start || has_place {
            Some(Id::START)
        } else {
            None
        };
        member.make_group(start)?;
        // What was given by the group that is gone cannot be acknowledged any more.
        while !self.in_flight.is_empty() {
            self.collect(WAIT)?;
        }
        self.out.clear();
        Ok(())
    }
}

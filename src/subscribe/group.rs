//! Receives a stream as one consumer of a group: first what it was given and has not acknowledged, then what is new, and
//! now and then what others have left.
//!
//! What is out is acknowledged soon, whatever else is in hand. As long as a block is not out, the group is told now and then
//! that it is still in hand, so that nobody takes a slow consumer for a dead one.
//!
//! A file has a group of its own where no other is named: then nobody trims what the file does not have.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::WAIT;
use super::missing::Missing;
use super::passage::{News, Passage};
use super::place::At;
use super::retry::{Break, Health, retry};
use crate::broker::{Address, Consumer, Delivered, Id, Member, Reach};
use crate::cli::{self, From};
use crate::error::Result;
use crate::{fault, signal, talk};

/// How often to look for what others have left.
const SHORTEST_ROUND: Duration = Duration::from_millis(50);
const LONGEST_ROUND: Duration = Duration::from_secs(5);
/// Who reads a group that is gone makes it again within this time; who has just begun, and knows less, leaves it to them.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Entries that may be in hand: the fewer, the longer it takes until they are out.
const FIRST_IN_HAND: usize = 500;
const LEAST_IN_HAND: usize = 64;
const MOST_IN_HAND: usize = 4_000;
const SHORT: Duration = Duration::from_millis(250);
const LONG: Duration = Duration::from_secs(1);

/// A consumer of a group.
pub struct Grouped<'a> {
    options: &'a cli::Subscribe,
    address: &'a Address,
    consumer: Consumer,
    passage: Passage<'a>,
    /// The group is one file's.
    is_own: bool,
    /// The entries of the block that is being filled, of those under way, and those that are out and not acknowledged yet.
    filling: Vec<Id>,
    in_hand: VecDeque<Hand>,
    out: Vec<Id>,
    /// What was handed out, and is not in the stream any more.
    gone: Vec<Id>,
    /// Entries that may be in hand.
    room: usize,
    /// There was as much as was asked for.
    is_busy: bool,
    /// The group was there.
    has_group: bool,
    /// All of the group is acknowledged up to here, and handed out up to there.
    floor: Id,
    delivered: Id,
    /// The floor that was kept last, and when.
    kept: (Id, Instant),
    missing: Missing,
    /// What a group that is gone had given us, and its successor will give to somebody again.
    repeats: BTreeSet<Id>,
    /// When the session began, and when it looked last for what others have left.
    since: Instant,
    looked: Instant,
}

/// A block that is under way.
struct Hand {
    ids: Vec<Id>,
    taken: Instant,
    /// When the group was told last that it is.
    told: Instant,
}

impl<'a> Grouped<'a> {
    pub fn new(
        options: &'a cli::Subscribe,
        address: &'a Address,
        consumer: Consumer,
        passage: Passage<'a>,
    ) -> Grouped<'a> {
        let floor = match passage.place.as_ref().map(|place| place.at) {
            Some(At::Stream(id)) => id,
            _ => Id::START,
        };
        let read = passage.place.as_ref().and_then(|place| place.read);
        let is_own = options.group.is_none();
        let reader = match is_own {
            true => format!("the stream {}", consumer.key.escape_ascii()),
            false => consumer.to_string(),
        };
        Grouped {
            options,
            address,
            consumer,
            passage,
            is_own,
            filling: Vec::new(),
            in_hand: VecDeque::new(),
            out: Vec::new(),
            gone: Vec::new(),
            room: FIRST_IN_HAND,
            is_busy: true,
            has_group: false,
            floor,
            delivered: floor,
            kept: (floor, Instant::now()),
            missing: Missing::new(format!("redis {address}: {reader}"), read),
            repeats: BTreeSet::new(),
            since: Instant::now(),
            looked: Instant::now(),
        }
    }

    /// Receives until `--count` lines, a signal, or an error that does not heal.
    pub fn run(mut self, stop: &AtomicBool) -> Result<()> {
        let what = match self.is_own {
            true => format!("the stream {}", self.consumer.key.escape_ascii()),
            false => format!("{} as {}", self.consumer, self.consumer.name),
        };
        let result = retry(what, self.beat().max(SHORT), stop, |health| {
            self.session(health)
        });
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
        (self.since, self.looked) = (Instant::now(), Instant::now());
        loop {
            match self.work(&mut member, health) {
                Err(Break::NoGroup) => {
                    member = Member::open(self.address, &self.consumer)?;
                    self.make_group(&mut member)?;
                }
                Err(Break::Ended) => return self.end(),
                result => return result,
            }
        }
    }

    fn work(&mut self, member: &mut Member, health: &mut Health) -> Result<(), Break> {
        self.keep(member)?;
        self.settle(member)?;
        if !self.passage.is_done() {
            self.redeliver(member, health)?;
        }
        while !self.passage.is_done() {
            if self.may_claim() {
                self.take_over(member)?;
            } else {
                self.receive(member)?;
            }
        }
        self.settle(member)?;
        // The others have acknowledged since, and who comes back is to know how far the group is.
        if self.passage.place.is_some() && !self.is_own {
            self.tend(member)?;
        }
        self.keep_floor()?;
        while !self.in_hand.is_empty() {
            self.collect(WAIT)?;
        }
        Ok(())
    }

    /// Nobody takes lines any more: what was taken is acknowledged, where Redis is there.
    fn end(&mut self) -> Result<(), Break> {
        if !self.out.is_empty() {
            let mut member = Member::open(self.address, &self.consumer)?;
            self.tend(&mut member)?;
        }
        Err(Break::Ended)
    }

    fn round(&self) -> Duration {
        (self.options.claim_after / 4).clamp(SHORTEST_ROUND, LONGEST_ROUND)
    }

    /// So often the group is told what is in hand.
    fn beat(&self) -> Duration {
        self.options.claim_after / 3
    }

    /// Redis may have been away when the session began, and the others could not say that they live.
    fn may_claim(&self) -> bool {
        !self.is_own
            && self.since.elapsed() >= self.options.claim_after
            && self.looked.elapsed() >= self.round()
    }

    /// What was given to this consumer before, and is not acknowledged.
    fn redeliver(&mut self, member: &mut Member, health: &mut Health) -> Result<(), Break> {
        let mut after = Id::START;
        while !self.passage.is_done() {
            let delivered = member.pending(after, self.passage.count())?;
            health.is_well(self.address);
            self.has_group = true;
            let ids = delivered.entries.iter().map(|entry| entry.id);
            let Some(last) = ids.chain(delivered.gone.iter().copied()).max() else {
                break;
            };
            after = last;
            self.take_in(delivered, News::Again)?;
            self.make_room(member)?;
        }
        self.say_gone();
        self.flush()
    }

    /// What is new.
    fn receive(&mut self, member: &mut Member) -> Result<(), Break> {
        self.collect(Duration::ZERO)?;
        let waits = self.in_hand.is_empty() && !self.is_busy;
        let wait = waits.then(|| WAIT.min(self.round()));
        let count = self.passage.count();
        let asked = match self.is_busy {
            true => self.passage.entries().min(self.room),
            false => count,
        };
        self.point("before-acknowledge");
        let (extent, reach) = member.next(&self.out, asked, count, wait)?;
        self.note(reach);
        if self.is_own {
            self.missing.look(self.delivered, &extent);
        }
        let (mut came, mut beside) = (0, None);
        for _ in (0..asked).step_by(count) {
            let delivered = member.delivered()?;
            came += delivered.entries.len();
            self.take_in(delivered, News::Fresh)?;
            // The answers that are still to come are in the way on this connection.
            while self.passage.relay.is_full() {
                self.rest(match &mut beside {
                    Some(beside) => beside,
                    none => none.insert(Member::open(self.address, &self.consumer)?),
                })?;
            }
        }
        self.flush()?;
        self.is_busy = came == asked;
        match (came, waits) {
            (0, true) if self.kept.1.elapsed() > LONG => self.keep_floor()?,
            (0, false) => self.rest(member)?,
            _ => {}
        }
        self.make_room(member)
    }

    /// What others were given so long ago that they must be gone.
    fn take_over(&mut self, member: &mut Member) -> Result<(), Break> {
        let (mut from, mut taken) = (Id::START, 0);
        while !self.passage.is_done() {
            let count = self.passage.count();
            let (next, mut delivered) = member.claim(self.options.claim_after, from, count)?;
            // Our own, where we were stopped for so long.
            let held: BTreeSet<Id> = self.held().collect();
            delivered.entries.retain(|entry| !held.contains(&entry.id));
            taken += delivered.entries.len();
            self.take_in(delivered, News::Again)?;
            self.make_room(member)?;
            if next == Id::START {
                break;
            }
            from = next;
        }
        self.say_gone();
        self.flush()?;
        if taken > 0 {
            talk::warn(&format!(
                "{}: took over {taken} entries that others were given and have not acknowledged for {:?}",
                self.consumer, self.options.claim_after
            ));
        }
        self.looked = Instant::now();
        Ok(())
    }

    /// Takes in what was handed out.
    fn take_in(&mut self, delivered: Delivered, news: News) -> Result<(), Break> {
        // Nobody else has anything of what a file's own group was given.
        let news = if self.is_own { News::Continued } else { news };
        self.gone.extend(delivered.gone);
        if news == News::Fresh {
            self.passage.begin();
        }
        for entry in delivered.entries {
            let id = entry.id;
            if self.repeats.remove(&id) || self.is_own && id <= self.floor {
                self.out.push(id);
                continue;
            }
            self.delivered = self.delivered.max(id);
            self.missing.add(1);
            self.filling.push(id);
            self.passage.push_entry(entry, news);
            if self.passage.is_block_full() {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Sends off what was taken in.
    fn flush(&mut self) -> Result<(), Break> {
        let Some(last) = self.filling.last() else {
            return Ok(());
        };
        if self.is_own {
            self.floor = self.floor.max(*last);
        }
        self.send()
    }

    fn send(&mut self) -> Result<(), Break> {
        let read = self.missing.read().filter(|_| self.is_own);
        self.passage.send(At::Stream(self.floor), read)?;
        self.kept = (self.floor, Instant::now());
        self.in_hand.push_back(Hand {
            ids: std::mem::take(&mut self.filling),
            taken: Instant::now(),
            told: Instant::now(),
        });
        Ok(())
    }

    /// Has the file's place say how far the group is, so that it is known where the group goes.
    fn keep_floor(&mut self) -> Result<(), Break> {
        match self.passage.place.is_some() && self.floor > self.kept.0 {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn held(&self) -> impl Iterator<Item = Id> {
        let under_way = self.in_hand.iter().flat_map(|hand| &hand.ids);
        under_way.chain(&self.filling).chain(&self.out).copied()
    }

    /// Of what was handed out some is not in the stream any more.
    fn say_gone(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        let Some((first, last)) = gone.iter().min().zip(gone.iter().max()) else {
            return;
        };
        let behind = gone.iter().filter(|id| !self.is_own || **id > self.floor);
        self.missing.add(behind.count());
        talk::warn(&format!(
            "{}: {} entries, from {first} to {last}, were trimmed before they were acknowledged, and are lost to the \
             group",
            self.consumer,
            gone.len()
        ));
        self.out.extend(gone);
    }

    fn point(&self, name: &str) {
        if !self.out.is_empty() {
            fault::point(name);
        }
    }

    /// Learns how far the group is, now that what was out is acknowledged.
    fn note(&mut self, reach: Reach) {
        self.point("after-acknowledge");
        self.out.clear();
        if !self.is_own {
            self.floor = self.floor.max(reach.floor());
        }
        self.delivered = self.delivered.max(reach.delivered);
    }

    /// Learns of blocks that are out by now, or of one within so long.
    fn collect(&mut self, wait: Duration) -> Result<(), Break> {
        let mut wait = wait;
        while self.passage.relay.is_out(wait)? {
            let Some(hand) = self.in_hand.pop_front() else {
                break;
            };
            let took = hand.taken.elapsed();
            let room = match (took < SHORT, took > LONG) {
                (true, _) => self.room * 2,
                (_, true) => self.room / 2,
                _ => self.room,
            };
            self.room = room.clamp(LEAST_IN_HAND, MOST_IN_HAND);
            self.out.extend(hand.ids);
            wait = Duration::ZERO;
        }
        Ok(())
    }

    /// Waits until more may be taken in hand.
    fn make_room(&mut self, member: &mut Member) -> Result<(), Break> {
        self.keep_in_time(member)?;
        let has_room = |this: &Self| {
            let entries: usize = this.in_hand.iter().map(|hand| hand.ids.len()).sum();
            entries < this.room && !this.passage.relay.is_full()
        };
        while !has_room(self) {
            self.rest(member)?;
        }
        Ok(())
    }

    /// Waits a moment for a block to be out.
    fn rest(&mut self, member: &mut Member) -> Result<(), Break> {
        self.collect(WAIT.min(self.beat()))?;
        self.tend(member)?;
        self.keep_in_time(member)
    }

    /// Acknowledges what is out, and looks whether the group is still there.
    fn tend(&mut self, member: &mut Member) -> Result<(), Break> {
        self.point("before-acknowledge");
        let (_, reach) = member.look(&self.out)?;
        self.note(reach);
        Ok(())
    }

    /// Tells the group what is in hand, where it has not heard of the oldest of it for a while.
    fn keep_in_time(&mut self, member: &mut Member) -> Result<(), Break> {
        let oldest = self.in_hand.iter().map(|hand| hand.told).min();
        match oldest.filter(|told| told.elapsed() >= self.beat()) {
            Some(_) => self.keep(member),
            None => Ok(()),
        }
    }

    fn keep(&mut self, member: &mut Member) -> Result<(), Break> {
        let ids: Vec<_> = self.held().collect();
        member.keep(&ids)?;
        for hand in &mut self.in_hand {
            hand.told = Instant::now();
        }
        Ok(())
    }

    /// Waits until all that is under way is out, and acknowledges it.
    fn settle(&mut self, member: &mut Member) -> Result<(), Break> {
        self.flush()?;
        while !self.in_hand.is_empty() {
            self.rest(member)?;
        }
        if !self.out.is_empty() {
            self.tend(member)?;
        }
        Ok(())
    }

    /// Makes the group where there is none: behind what is known to be acknowledged. What nobody can read any more is left
    /// out, so that the group's own place never stands before it.
    fn make_group(&mut self, member: &mut Member) -> Result<(), Break> {
        self.flush()?;
        let is_mine = self.has_group || self.is_own;
        if !is_mine && self.was_made_by_others(member)? {
            return Ok(());
        }
        let extent = member.stream()?.unwrap_or_default();
        let is_known = self.floor > Id::START;
        if extent.newest < self.floor {
            self.missing.say_lost_end(self.floor, &extent);
            (self.floor, self.delivered) = (Id::START, Id::START);
        }
        let start = self.floor.max(extent.start());
        if self.is_own {
            self.missing.look(self.floor, &extent);
            self.missing.look_back(self.floor, &extent);
        }
        if self.has_group || is_known {
            talk::warn(&format!(
                "{}: somebody has removed it, or Redis has lost it: made again, from {start} on; what was read and not \
                 acknowledged behind that comes again",
                self.consumer
            ));
        }
        let is_new = !self.has_group && !is_known;
        let at_end = is_new && self.options.from == From::End;
        member.make_group((!at_end).then_some(start))?;
        // What was given by the group that is gone cannot be acknowledged any more.
        self.repeats = self.held().collect();
        while !self.in_hand.is_empty() {
            self.collect(WAIT)?;
        }
        self.out.clear();
        Ok(())
    }

    /// Whether somebody who reads the group, and so knows where it was, makes it again.
    fn was_made_by_others(&mut self, member: &mut Member) -> Result<bool, Break> {
        let end = Instant::now() + LEFT_TO_OTHERS;
        while Instant::now() < end && !self.passage.is_done() {
            match member.stream()? {
                Some(extent) if extent.group.is_some() => return Ok(true),
                Some(extent) if extent.newest > Id::START => {}
                _ => break,
            }
            signal::sleep_until(Instant::now() + LOOK_AGAIN, || false);
        }
        Ok(false)
    }
}

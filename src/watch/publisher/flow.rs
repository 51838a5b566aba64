//! The batches on their way to Redis, and what is to be done around them. Pure: others send, and read the replies.
//!
//! One batch executes; one more was sent, up to its `EXEC`, and is held back until the first is seen to be good. Behind
//! them come, in order, the `doubtful`, the `queue` and the `ending`; nothing new is taken in before all of these are
//! done. While sources are `opening`, nothing is sent.

use std::collections::{BTreeSet, VecDeque};

use crate::broker::{Batch, Claim};
use crate::position::Progress;
use crate::watch::Ending;

/// A batch that the session has sent.
pub struct Flight {
    pub batch: Box<Batch>,
    pub claim: Claim,
}

/// What is in flight, and what comes next.
#[derive(Default)]
pub struct Flow {
    executing: Option<Flight>,
    held_back: Option<Flight>,
    /// Sources that are to be taken over, which is done while nothing is in flight.
    opening: BTreeSet<usize>,
    /// Batches that a session sent before it ended: their sources' records tell whether they have arrived.
    doubtful: VecDeque<Box<Batch>>,
    /// Batches that nobody has sent, or that have not arrived.
    queue: VecDeque<Box<Batch>>,
    /// What is to be done behind all of them.
    ending: Option<Ending>,
}

impl Flow {
    pub fn open(&mut self, source: usize) {
        self.opening.insert(source);
    }

    pub fn opened(&mut self, source: usize) {
        self.opening.remove(&source);
    }

    /// Whether every source was taken over that was to be.
    pub fn is_open(&self) -> bool {
        self.opening.is_empty()
    }

    pub fn opening(&self) -> impl Iterator<Item = usize> {
        self.opening.iter().copied()
    }

    pub fn push(&mut self, batch: Box<Batch>) {
        self.queue.push_back(batch);
    }

    pub fn end(&mut self, ending: Ending) {
        debug_assert!(
            self.ending.is_none(),
            "nothing is taken in behind an ending"
        );
        self.ending = Some(ending);
    }

    /// Whether something new may be taken in, if only to be queued: a source that is opened behind a `Forget` is a new one.
    pub fn may_take_in(&self) -> bool {
        self.ending.is_none()
    }

    /// Whether there is nothing to do but what is in flight.
    pub fn is_idle(&self) -> bool {
        let is_any_queued = !self.doubtful.is_empty() || !self.queue.is_empty();
        self.is_open() && !is_any_queued && self.ending.is_none()
    }

    pub fn is_in_flight(&self) -> bool {
        self.executing.is_some() || self.held_back.is_some()
    }

    /// Whether one more batch may be sent.
    pub fn has_room(&self) -> bool {
        self.held_back.is_none()
    }

    /// The next batch to send, where one may be.
    pub fn next_batch(&mut self) -> Option<Box<Batch>> {
        let may_send = self.is_open();
        let next = || self.doubtful.pop_front().or_else(|| self.queue.pop_front());
        may_send.then(next).flatten()
    }

    /// What is to be done behind the last batch, if all of them are through.
    pub fn next_ending(&mut self) -> Option<Ending> {
        let is_last = self.doubtful.is_empty() && self.queue.is_empty() && !self.is_in_flight();
        self.ending.take_if(|_| is_last)
    }

    pub fn sent(&mut self, flight: Flight) {
        debug_assert!(self.has_room(), "two batches are in flight at most");
        self.held_back = Some(flight);
    }

    pub fn executing(&self) -> Option<&Flight> {
        self.executing.as_ref()
    }

    /// The batch that is held back, where nothing executes that it would have to wait for.
    pub fn next_to_execute(&self) -> Option<&Flight> {
        self.held_back.as_ref().filter(|_| self.executing.is_none())
    }

    /// The batch that was held back is let go.
    pub fn let_go(&mut self) -> Option<&Flight> {
        debug_assert!(self.executing.is_none(), "one batch executes at a time");
        self.executing = self.held_back.take();
        self.executing.as_ref()
    }

    /// The batch that executed has arrived.
    pub fn arrived(&mut self) -> Option<Box<Batch>> {
        self.executing.take().map(|flight| flight.batch)
    }

    /// The session has ended, and nobody knows what has become of the batches in flight.
    pub fn land(&mut self) {
        let flights = [self.held_back.take(), self.executing.take()];
        for flight in flights.into_iter().flatten() {
            self.doubtful.push_front(flight.batch);
        }
    }

    /// The first batch that was in flight when its session ended.
    pub fn first_doubtful(&mut self) -> Option<&mut Batch> {
        self.doubtful.front_mut().map(|batch| &mut **batch)
    }

    /// The batches that are not in flight, in order.
    pub fn waiting(&self) -> impl Iterator<Item = &Batch> {
        let waiting = self.doubtful.iter().chain(&self.queue);
        waiting.map(|batch| &**batch)
    }

    /// Takes out, in order, the batches of a source that have arrived although no reply said so: up to the one that leads
    /// to where its record stands. Of other sources' batches nothing is known yet.
    pub fn take_arrived(
        &mut self,
        source: usize,
        epoch: u64,
        record: &Progress,
    ) -> VecDeque<Box<Batch>> {
        let mut batches = self.doubtful.iter();
        let last = batches.position(|batch| batch.leads(source, epoch) == Some(record));
        let mut arrived = VecDeque::new();
        let behind = self.doubtful.split_off(last.map_or(0, |last| last + 1));
        for batch in std::mem::replace(&mut self.doubtful, behind)
            .into_iter()
            .rev()
        {
            if batch.leads(source, epoch).is_some() {
                arrived.push_front(batch);
            } else {
                self.doubtful.push_front(batch);
            }
        }
        arrived
    }

    /// Where all sources were taken over, those of the doubtful batches that are still here have not arrived. Returns how
    /// many there are.
    pub fn settle(&mut self) -> usize {
        if !self.is_open() {
            return 0;
        }
        let missing = self.doubtful.len();
        self.doubtful.append(&mut self.queue);
        self.queue = std::mem::take(&mut self.doubtful);
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{Dates, FileId, Position};
    use std::time::SystemTime;

    fn at(offset: u64) -> Progress {
        Progress::at(Position {
            offset,
            ..Position::start(0, FileId::default())
        })
    }

    fn batch(source: usize, offset: u64) -> Box<Batch> {
        let now = SystemTime::now();
        let (as_of, made) = (now, now);
        let mut batch = Box::<Batch>::default();
        batch.source = source;
        batch.end = Some((at(offset), Dates { as_of, made }));
        batch
    }

    fn send(flow: &mut Flow) -> bool {
        let next = flow.next_batch();
        let claim = Claim {
            key: String::new(),
            before: Vec::new(),
            after: Vec::new(),
        };
        next.is_some_and(|batch| {
            flow.sent(Flight { batch, claim });
            true
        })
    }

    fn places(flow: &Flow) -> Vec<(usize, u64)> {
        let place = |batch: &Batch| Some((batch.source, batch.end.as_ref()?.0.current.offset));
        flow.waiting().filter_map(place).collect()
    }

    #[test]
    fn batches_that_were_in_flight_come_first_again_in_their_order() {
        let mut flow = Flow::default();
        for offset in 1..5 {
            flow.push(batch(1, offset));
        }
        assert!(send(&mut flow) && flow.let_go().is_some() && send(&mut flow));
        assert!(!flow.has_room() && flow.next_to_execute().is_none());
        flow.land();
        assert!(!flow.is_in_flight());
        assert_eq!(places(&flow), [(1, 1), (1, 2), (1, 3), (1, 4)]);
        flow.open(1);
        assert!(!send(&mut flow), "its source is not ours yet");
        assert_eq!(flow.take_arrived(1, 0, &at(1)).len(), 1);
        flow.opened(1);
        assert_eq!(flow.settle(), 1, "one had not arrived");
        assert!(send(&mut flow));
        assert_eq!(places(&flow), [(1, 3), (1, 4)]);
    }

    #[test]
    fn a_record_tells_of_its_own_sources_batches_and_of_those_that_were_sent() {
        let mut flow = Flow::default();
        flow.push(batch(1, 10));
        flow.push(batch(2, 10));
        flow.push(batch(1, 20));
        assert!(send(&mut flow) && flow.let_go().is_some() && send(&mut flow));
        flow.land();
        for (source, epoch, record) in [(1, 0, 20), (1, 1, 10), (2, 0, 9)] {
            assert_eq!(flow.take_arrived(source, epoch, &at(record)).len(), 0);
        }
        let arrived = flow.take_arrived(2, 0, &at(10));
        assert_eq!((arrived.len(), arrived[0].source), (1, 2));
        assert_eq!(places(&flow), [(1, 10), (1, 20)]);
    }

    #[test]
    fn an_ending_comes_behind_every_batch_and_before_anything_new() {
        let mut flow = Flow::default();
        flow.push(batch(1, 1));
        flow.end(Ending::Close(1));
        assert!(!flow.may_take_in() && flow.next_ending().is_none());
        assert!(send(&mut flow) && flow.next_ending().is_none());
        assert!(flow.let_go().is_some() && flow.arrived().is_some());
        assert!(flow.next_ending().is_some() && flow.is_idle());
    }
}

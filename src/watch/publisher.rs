//! The publishing thread: batches to Redis in order, two at a time, through every fault of Redis.
//!
//! It owns the session with Redis and says where each source goes on. Whatever goes wrong, the session is dropped; a
//! new one takes each source over again, and the commit record tells which of the batches that were sent have arrived.

mod flow;
mod resuming;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use super::bound::Bound;
use super::hold::{Holding, Judgement};
use super::outage::{After, Outage};
use super::refused::Refused;
use super::source::{Ownership, Source};
use super::{Answer, Shared, Work};
use crate::broker::{Arrived, Audience, Batch, Claim, Failure, Session, Subscriber};
use crate::cli::Delivery;
use crate::error::Result;
use crate::{signal, talk};
use flow::{Flight, Flow};

/// So many sources are taken over together.
const TOGETHER: usize = 500;
/// Shorter waits for a subscriber are its daily life.
const WORTH_SAYING: Duration = Duration::from_secs(1);
/// Slow subscribers are looked at so often.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub struct Publisher {
    shared: Arc<Shared>,
    work: Receiver<Work>,
    answers: Sender<Answer>,
    sources: BTreeMap<usize, Source>,
    flow: Flow,
    refused: Refused,
    hold: Holding,
    bound: Bound,
    outage: Outage,
    was_connected: bool,
}

impl Publisher {
    pub fn new(shared: Arc<Shared>, work: Receiver<Work>, answers: Sender<Answer>) -> Publisher {
        Publisher {
            refused: Refused::in_state_dir(&shared.options.state_dir),
            hold: Holding::new(shared.options.hold, shared.options.hold_for),
            bound: Bound::new(Arc::clone(&shared)),
            outage: Outage::new(&shared.options),
            shared,
            work,
            answers,
            sources: BTreeMap::new(),
            flow: Flow::default(),
            was_connected: false,
        }
    }

    /// Publishes until the reader has no more, or the watcher halts.
    pub fn run(mut self) -> Result<()> {
        while !self.shared.halts() {
            let failure = match self.run_session() {
                Ok(()) => break,
                Err(Failure::Fatal(error)) => return Err(error),
                Err(_) if self.shared.halts() => break,
                Err(failure) => failure,
            };
            self.flow.land();
            let after = self.outage.after(&failure);
            let failure = self.put_aside(failure);
            if let Some(failure) = failure.filter(|_| after == After::Wait) {
                let until = self.outage.wait(&failure)?;
                signal::sleep_until(until, || self.shared.halts());
            }
        }
        Ok(())
    }

    /// Publishes with one session. Ok: there is nothing more to do.
    fn run_session(&mut self) -> Result<(), Failure> {
        let (options, address) = (&self.shared.options, &self.shared.address);
        let mut session =
            Session::open(address, options, self.shared.home, self.outage.deadline())?;
        if std::mem::replace(&mut self.was_connected, true) {
            self.shared.counters.reconnects.fetch_add(1, Relaxed);
        }
        talk::detail(&format!("redis {address}: connected"));
        self.lapse(options.delivery);
        self.bound.begin(&self.outage)?;
        loop {
            let has_ended = self.send_ahead(&mut session)?;
            self.finish_first(&mut session)?;
            if !self.flow.is_in_flight() {
                self.take_over(&mut session)?;
                self.end_sources(&mut session)?;
                if has_ended && self.flow.is_idle() {
                    return Ok(());
                }
            }
            if self.shared.halts() {
                return Ok(());
            }
            self.execute_next(&mut session)?;
        }
    }

    /// A new session owns no source yet; those with batches are taken over together.
    fn lapse(&mut self, delivery: Delivery) {
        if delivery == Delivery::AtLeastOnce {
            return;
        }
        for state in self.sources.values_mut() {
            if matches!(state.stage, Ownership::Owned { .. }) {
                state.stage = Ownership::Lapsed;
            }
        }
        let sources: Vec<_> = self.flow.waiting().map(|batch| batch.source).collect();
        for source in sources.iter().filter(|it| self.sources.contains_key(it)) {
            self.flow.open(*source);
        }
    }

    /// Sends as many batches as may be in flight, if they are here; waits for one where there is nothing else to do. True:
    /// there will be no more.
    fn send_ahead(&mut self, session: &mut Session) -> Result<bool, Failure> {
        while self.flow.has_room() {
            if self.flow.is_idle() {
                match self.receive() {
                    Ok(()) => session.set_deadline(self.outage.deadline())?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(true),
                }
            }
            let Some(batch) = self.flow.next_batch() else {
                break;
            };
            self.send(session, batch)?;
        }
        Ok(false)
    }

    /// Takes in what the reader has; waits for it where nothing is in flight.
    fn receive(&mut self) -> Result<(), TryRecvError> {
        let work = if self.flow.is_in_flight() {
            self.work.try_recv()?
        } else {
            let work = self.work.recv().map_err(|_| TryRecvError::Disconnected)?;
            self.outage.ask();
            work
        };
        self.take_in(work);
        Ok(())
    }

    fn take_in(&mut self, work: Work) {
        match work {
            Work::Open(sources) => {
                for source in sources {
                    self.flow.open(source.id);
                    self.sources.insert(source.id, source);
                }
            }
            Work::Batch(batch) => {
                let state = self.sources.get(&batch.source);
                if state.is_some_and(|state| state.stage == Ownership::Lapsed) {
                    self.flow.open(batch.source);
                }
                self.flow.push(batch);
            }
            Work::End(ending) => self.flow.end(ending),
        }
    }

    fn send(&mut self, session: &mut Session, mut batch: Box<Batch>) -> Result<(), Failure> {
        let Some(claim) = self.claim(session, &batch) else {
            self.recycle(batch);
            return Ok(());
        };
        self.bound.enter(&mut batch);
        let sent = session.send(&mut batch, &claim);
        self.flow.sent(Flight { batch, claim });
        match sent {
            Ok(()) => self.execute_next(session),
            Err(failure) if session.is_closed() => {
                // The batch before may have arrived, or be the one that was refused.
                self.finish_first(session)?;
                Err(session.last_word().unwrap_or(failure))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Hears what came of the batch that executes. It stays in flight until it is known to have arrived.
    fn finish_first(&mut self, session: &mut Session) -> Result<(), Failure> {
        let Some(flight) = self.flow.executing() else {
            return Ok(());
        };
        let arrived = session.finish(&flight.batch, &flight.claim)?;
        self.acknowledge_first(&arrived);
        session.set_deadline(self.outage.deadline())
    }

    /// What a batch makes of its source's record. None: the batch is void.
    fn claim(&mut self, session: &Session, batch: &Batch) -> Option<Claim> {
        let state = self.sources.get_mut(&batch.source)?;
        if !state.accepts(batch) {
            return None;
        }
        let (end, dates) = batch.end.as_ref()?;
        let after = session.record(end, Some(*dates), &state.path);
        let Ownership::Owned { record } = &mut state.stage else {
            return None;
        };
        Some(Claim {
            key: state.key.clone(),
            before: std::mem::replace(record, after.clone()),
            after,
        })
    }

    /// Lets the batch that is held back go where nothing executes, if it may, and when those who listen, or the key that it
    /// goes to, are ready for more.
    fn execute_next(&mut self, session: &mut Session) -> Result<(), Failure> {
        let Some(Flight { batch, claim }) = self.flow.next_to_execute() else {
            return Ok(());
        };
        if let Some(audience) = session.check(batch, claim)? {
            self.hold_back(audience)?;
            session.set_deadline(self.outage.deadline())?;
        }
        self.wait_for_room()?;
        let flight = self.flow.let_go();
        flight.map_or(Ok(()), |flight| session.execute(&flight.batch))
    }

    /// Waits until there is room for the batch that is to execute, where that is in doubt.
    fn wait_for_room(&mut self) -> Result<(), Failure> {
        let next = self.flow.next_to_execute();
        let Some(Flight { batch, .. }) = next.filter(|flight| flight.batch.waits_for_room) else {
            return Ok(());
        };
        let began = Instant::now();
        self.bound.make_room(batch, &self.outage)?;
        self.outage.has_rested(began);
        Ok(())
    }

    /// Waits for those who listen.
    fn hold_back(&mut self, mut audience: Vec<Subscriber>) -> Result<(), Failure> {
        let mut looker = None;
        let began = Instant::now();
        loop {
            let why = match self.hold.judge(&audience, Instant::now()) {
                Judgement::Go => return Ok(()),
                Judgement::WaitForOne => "there is no subscriber (--hold absent)".to_string(),
                Judgement::WaitFor(slow) => {
                    self.outage.move_on();
                    let mebibytes = slow.pending >> 20;
                    format!("subscriber {} has {mebibytes} MiB to read", slow.address)
                }
                Judgement::GiveUp(stuck) => {
                    talk::warn(&format!(
                        "redis {}: subscriber {} has not read for {:?}: not waiting for it any more",
                        self.shared.address, stuck.address, self.shared.options.hold_for
                    ));
                    continue;
                }
            };
            let why = format!("redis {}: {why}", self.shared.address);
            self.outage.may_wait(&why, self.shared.halts())?;
            if began.elapsed() > WORTH_SAYING {
                self.outage.say_waiting(&format!("{why}; waiting for it"));
            }
            thread::sleep(LOOK_AGAIN);
            let looker = match &mut looker {
                Some(looker) => looker,
                None => looker.insert(Audience::open(
                    &self.shared.address,
                    self.outage.deadline(),
                )?),
            };
            audience = looker.look()?;
        }
    }

    /// The batch that executed has arrived.
    fn acknowledge_first(&mut self, arrived: &Arrived) {
        let counters = &self.shared.counters;
        counters.unheard.fetch_add(arrived.unheard, Relaxed);
        // The replies are exact, but only a list's tell.
        if let Some(entries) = arrived.backlog.or_else(|| self.bound.entries()) {
            counters.set_backlog(entries);
        }
        if let Some(batch) = self.flow.arrived() {
            self.acknowledge(batch);
        }
        self.outage.end(&self.shared.address);
    }

    /// A batch has arrived.
    fn acknowledge(&mut self, mut batch: Box<Batch>) {
        let lines = batch.lines as u64;
        let end = batch.end.take();
        if let (Some(state), Some((end, dates))) = (self.sources.get_mut(&batch.source), end) {
            debug_assert!(
                state.known.iter().all(|known| known.order() <= end.order()),
                "a batch leads on: from {:?} to {end:?}",
                state.known
            );
            (state.known, state.dates) = (Some(end.clone()), Some(dates));
            let (path, mailbox) = (&state.path, &self.shared.mailbox);
            mailbox.put(path, (end, dates.as_of), lines);
        }
        self.shared.counters.lines.fetch_add(lines, Relaxed);
        self.shared.counters.bytes.fetch_add(batch.bytes, Relaxed);
        self.shared.counters.batches.fetch_add(1, Relaxed);
        self.recycle(batch);
    }

    fn recycle(&self, batch: Box<Batch>) {
        // The reader may have ended: then nobody fills batches any more.
        let _ = self.answers.send(Answer::Batch(batch));
    }

    /// Where the failure is about lines that Redis refuses, these are kept elsewhere, and their batch goes without them: it
    /// is the first of those that were in flight. Returns what is left to be waited for.
    fn put_aside(&mut self, failure: Failure) -> Option<Failure> {
        let Failure::Refused { what, why } = &failure else {
            return Some(failure);
        };
        let Some(batch) = self.flow.first_doubtful() else {
            return Some(failure);
        };
        let (source, generation) = (batch.source, batch.generation);
        let lines = what.take_out(batch, self.shared.options.mode);
        let state = self.sources.get_mut(&source)?;
        if lines.is_empty() {
            return Some(failure);
        }
        match self.refused.keep(&state.path, generation, &lines, why) {
            Ok(kept_in) => {
                state.say_refused(&lines, why, &kept_in);
                let count = lines.len() as u64;
                self.shared.counters.refused.fetch_add(count, Relaxed);
                self.outage.move_on();
                None
            }
            Err(error) => {
                // The lines are out of their batch, and nowhere else: they are read again.
                if let Some(known) = state.known.clone() {
                    let dates = state.dates;
                    self.rewind(source, known, dates);
                }
                Some(Failure::Wait(error.to_string()))
            }
        }
    }
}

//! The publishing thread: batches to Redis in order, two at a time, through every fault of Redis.
//!
//! It owns the session with Redis and says where each source goes on. Whatever goes wrong, the session is dropped; a
//! new one takes each source over again, and the commit record tells which of the batches that were sent have arrived.

mod resuming;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::hold::{Hold, Verdict};
use super::refused::Refused;
use super::source::{Stage, State};
use super::trouble::{Trouble, out_of_time};
use super::{Answer, Shared, Work};
use crate::broker::{Arrived, Audience, Batch, Claim, Failure, Moves, Session, Subscriber};
use crate::cli::Delivery;
use crate::error::{Error, Result};
use crate::{signal, talk};

/// One batch executes, and one is held back behind it.
const IN_FLIGHT: usize = 2;
/// So many sources are taken over together.
const TOGETHER: usize = 500;
/// The shortest `timeout` that a Redis can have.
const REST: Duration = Duration::from_secs(1);
/// Shorter waits for a subscriber are its daily life.
const WORTH_SAYING: Duration = Duration::from_secs(1);
/// Slow subscribers are looked at so often.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub struct Publisher {
    shared: Arc<Shared>,
    work: Receiver<Work>,
    answers: Sender<Answer>,
    sources: BTreeMap<usize, State>,
    /// Sources to be taken over before anything else is sent.
    waiting: BTreeSet<usize>,
    /// Sent batches: the first executes, the second is held back until that is seen to be good.
    flying: VecDeque<(Box<Batch>, Claim)>,
    /// Batches to be sent before new ones, in order.
    again: VecDeque<Box<Batch>>,
    /// How many of these were under way when a session ended: it is not known yet whether they have arrived.
    doubtful: usize,
    /// A `Close` or `Forget`, behind all that is to be sent before it.
    ending: Option<Work>,
    refused: Refused,
    hold: Hold,
    backlog: Backlog,
    trouble: Trouble,
    was_connected: bool,
    /// When Redis last did something for us, or was last asked to.
    progressed: Instant,
    moves: Moves,
    /// It has not been asked for a while, and may have closed the connection for that (its `timeout`).
    rested: bool,
}

impl Publisher {
    pub fn new(shared: Arc<Shared>, work: Receiver<Work>, answers: Sender<Answer>) -> Publisher {
        Publisher {
            refused: Refused::in_state_dir(&shared.options.state_dir),
            hold: Hold::new(shared.options.hold, shared.options.hold_for),
            backlog: Backlog::new(&shared.options),
            shared,
            work,
            answers,
            sources: BTreeMap::new(),
            waiting: BTreeSet::new(),
            flying: VecDeque::new(),
            again: VecDeque::new(),
            doubtful: 0,
            ending: None,
            trouble: Trouble::default(),
            was_connected: false,
            progressed: Instant::now(),
            moves: Moves::default(),
            rested: false,
        }
    }

    /// Publishes until the reader has no more, or the watcher halts.
    pub fn run(mut self) -> Result<()> {
        while !self.shared.halts() {
            match self.run_session() {
                Ok(()) => break,
                Err(Failure::Fatal(error)) => return Err(error),
                Err(_) if self.shared.halts() => break,
                Err(failure) => {
                    self.land_all();
                    let rested = std::mem::take(&mut self.rested);
                    let is_led_on = self.moves.follow(&failure);
                    let waits = !rested && !is_led_on && !matches!(failure, Failure::Interrupted);
                    if !waits {
                        talk::detail(&format!("{failure}; connecting again"));
                    }
                    if let Some(failure) = self.put_aside(failure).filter(|_| waits) {
                        self.wait(&failure)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Nobody knows what has become of the batches in flight: they are to be sent again, unless they have arrived.
    fn land_all(&mut self) {
        self.doubtful += self.flying.len();
        while let Some((batch, _)) = self.flying.pop_back() {
            self.again.push_front(batch);
        }
    }

    /// Publishes with one session. Ok: there is nothing more to do.
    fn run_session(&mut self) -> Result<(), Failure> {
        let (options, address) = (&self.shared.options, &self.shared.address);
        let mut session = Session::open(address, options, self.deadline())?;
        if std::mem::replace(&mut self.was_connected, true) {
            self.shared.counters.reconnects.fetch_add(1, Relaxed);
        }
        talk::detail(&format!("redis {address}: connected"));
        self.lapse(options.delivery);
        self.backlog.begin(&self.shared, self.deadline())?;
        loop {
            let ended = self.send_ahead(&mut session)?;
            if let Some((batch, claim)) = self.flying.front() {
                let arrived = session.finish(batch, claim);
                // Kept in `flying` until it is known to have arrived.
                self.acknowledge_first(&arrived?);
                session.set_deadline(self.deadline())?;
            }
            if self.flying.is_empty() {
                self.take_over(&mut session)?;
                self.end_sources(&mut session)?;
            }
            if self.shared.halts() || ended && self.flying.is_empty() && self.again.is_empty() {
                return Ok(());
            }
            self.execute_first(&mut session)?;
        }
    }

    /// A new session owns no source yet; those with batches are taken over together.
    fn lapse(&mut self, delivery: Delivery) {
        if delivery == Delivery::AtLeastOnce {
            return;
        }
        for state in self.sources.values_mut() {
            if matches!(state.stage, Stage::Owned { .. }) {
                state.stage = Stage::Lapsed;
            }
        }
        let again = self.again.iter().map(|batch| batch.source);
        let known = again.filter(|source| self.sources.contains_key(source));
        self.waiting.extend(known);
    }

    /// Sends as many batches as may be in flight, if they are here; waits for one where none is in flight. True: there
    /// will be no more.
    fn send_ahead(&mut self, session: &mut Session) -> Result<bool, Failure> {
        loop {
            let in_flight = self.flying.len();
            let ended = self.send_next(session)?;
            if ended || self.flying.len() == in_flight || self.flying.len() == IN_FLIGHT {
                return Ok(ended);
            }
        }
    }

    /// Sends the next batch, behind the one that executes. True: there will be no more.
    fn send_next(&mut self, session: &mut Session) -> Result<bool, Failure> {
        if !self.waiting.is_empty() {
            return Ok(false);
        }
        let next = match self.again.pop_front() {
            Some(batch) => Work::Batch(batch),
            None if self.ending.is_some() => return Ok(false),
            None if self.flying.is_empty() => match self.work.recv() {
                Ok(work) => {
                    self.rested = self.progressed.elapsed() > REST;
                    self.progressed = Instant::now();
                    session.set_deadline(self.deadline())?;
                    work
                }
                Err(_) => return Ok(true),
            },
            None => match self.work.try_recv() {
                Ok(work) => work,
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => return Ok(true),
            },
        };
        match next {
            Work::Batch(batch) => self.send(session, batch)?,
            other => self.put_off(other),
        }
        Ok(false)
    }

    /// Keeps what cannot be done while batches are in flight.
    fn put_off(&mut self, work: Work) {
        match work {
            Work::Open(sources) => {
                for source in sources {
                    self.waiting.insert(source.id);
                    self.sources.insert(source.id, State::new(source));
                }
            }
            Work::Batch(batch) => {
                if self.is_lapsed(&batch) {
                    self.waiting.insert(batch.source);
                }
                self.again.push_back(batch);
            }
            other => self.ending = Some(other),
        }
    }

    fn is_lapsed(&self, batch: &Batch) -> bool {
        let state = self.sources.get(&batch.source);
        state.is_some_and(|state| state.stage == Stage::Lapsed)
    }

    fn send(&mut self, session: &mut Session, mut batch: Box<Batch>) -> Result<(), Failure> {
        if self.is_lapsed(&batch) {
            self.waiting.insert(batch.source);
            self.again.push_front(batch);
            return Ok(());
        }
        let Some(claim) = self.claim(session, &batch) else {
            self.recycle(batch);
            return Ok(());
        };
        self.backlog.enter(&mut batch);
        let sent = session.send(&mut batch, &claim);
        self.flying.push_back((batch, claim));
        sent?;
        if self.flying.len() == 1 {
            self.execute_first(session)?;
        }
        Ok(())
    }

    /// What a batch makes of its source's record. None: the batch is void.
    fn claim(&mut self, session: &Session, batch: &Batch) -> Option<Claim> {
        let state = self.sources.get_mut(&batch.source)?;
        match state.accepts(batch) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                self.refuse(batch.source, error);
                return None;
            }
        }
        let (end, dates) = batch.end.as_ref()?;
        let after = session.record(end, Some(*dates), &state.path);
        let Stage::Owned { record } = &mut state.stage else {
            return None;
        };
        Some(Claim {
            key: state.key.clone(),
            before: std::mem::replace(record, after.clone()),
            after,
        })
    }

    /// Lets the first batch in flight go, if it may, and when those who listen, or the key that it goes to, are ready for
    /// more.
    fn execute_first(&mut self, session: &mut Session) -> Result<(), Failure> {
        let Some((batch, claim)) = self.flying.front() else {
            return Ok(());
        };
        if let Some(audience) = session.check(batch, claim)? {
            self.hold_back(audience)?;
            session.set_deadline(self.deadline())?;
        }
        self.wait_for_room()?;
        match self.flying.front() {
            Some((batch, _)) => session.execute(batch),
            None => Ok(()),
        }
    }

    /// Waits until there is room for the first batch in flight, where that is in doubt.
    fn wait_for_room(&mut self) -> Result<(), Failure> {
        let deadline = self.deadline();
        let Some((batch, _)) = self
            .flying
            .front()
            .filter(|(batch, _)| batch.waits_for_room)
        else {
            return Ok(());
        };
        let began = Instant::now();
        self.backlog.make_room(batch, &self.shared, deadline)?;
        // As after a rest Redis may have closed the session's connection meanwhile.
        self.rested |= began.elapsed() > REST;
        Ok(())
    }

    /// Waits for those who listen.
    fn hold_back(&mut self, mut audience: Vec<Subscriber>) -> Result<(), Failure> {
        let mut looker = None;
        let began = Instant::now();
        loop {
            let why = match self.hold.judge(&audience, Instant::now()) {
                Verdict::Go => return Ok(()),
                Verdict::WaitForOne => "there is no subscriber (--hold absent)".to_string(),
                Verdict::WaitFor(slow) => {
                    self.progressed = Instant::now();
                    let mebibytes = slow.pending >> 20;
                    format!("subscriber {} has {mebibytes} MiB to read", slow.address)
                }
                Verdict::GiveUp(stuck) => {
                    talk::warn(&format!(
                        "redis {}: subscriber {} has not read for {:?}: not waiting for it any more",
                        self.shared.address, stuck.address, self.shared.options.hold_for
                    ));
                    continue;
                }
            };
            let why = format!("redis {}: {why}", self.shared.address);
            if self.shared.halts() {
                return Err(Failure::Wait(why));
            }
            if self.deadline().is_some_and(|end| end <= Instant::now()) {
                return Err(Failure::Fatal(self.out_of_time(&why)));
            }
            if began.elapsed() > WORTH_SAYING && !self.shared.options.once {
                self.trouble.say_waiting(&format!("{why}; waiting for it"));
            }
            thread::sleep(LOOK_AGAIN);
            let looker = match &mut looker {
                Some(looker) => looker,
                None => looker.insert(Audience::open(&self.shared.address, self.deadline())?),
            };
            audience = looker.look()?;
        }
    }

    fn out_of_time(&self, why: &str) -> Error {
        out_of_time(why, self.shared.options.timeout)
    }

    /// The first batch in flight has arrived.
    fn acknowledge_first(&mut self, arrived: &Arrived) {
        let counters = &self.shared.counters;
        counters.unheard.fetch_add(arrived.unheard, Relaxed);
        // The replies are exact, but only a list's tell.
        if let Some(entries) = arrived.backlog.or_else(|| self.backlog.entries()) {
            counters.set_backlog(entries);
        }
        if let Some((batch, _)) = self.flying.pop_front() {
            let more = !self.flying.is_empty();
            self.acknowledge(batch, more);
        }
        self.has_progressed();
    }

    /// A batch has arrived; `more` are under way.
    fn acknowledge(&mut self, mut batch: Box<Batch>, more: bool) {
        let lines = batch.lines as u64;
        let end = batch.end.take();
        if let (Some(state), Some((end, dates))) = (self.sources.get_mut(&batch.source), end) {
            (state.known, state.dates) = (Some(end.clone()), Some(dates));
            let (path, mailbox) = (&state.path, &self.shared.mailbox);
            mailbox.put(path, (end, dates.as_of), lines, more);
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

    /// With `--once`, when Redis must have done something for us.
    fn deadline(&self) -> Option<Instant> {
        let options = &self.shared.options;
        options.once.then(|| self.progressed + options.timeout)
    }

    fn has_progressed(&mut self) {
        self.progressed = Instant::now();
        self.rested = false;
        self.moves = Moves::default();
        self.trouble.end(&self.shared.address);
    }

    /// Where the failure is about lines that Redis refuses, these are kept elsewhere, and their batch goes without them.
    /// Returns what is left to be waited for.
    fn put_aside(&mut self, failure: Failure) -> Option<Failure> {
        let Failure::Refused { what, why } = &failure else {
            return Some(failure);
        };
        let mode = self.shared.options.mode;
        for index in 0..self.again.len() {
            let batch = &mut self.again[index];
            let source = batch.source;
            let generation = batch.generation;
            let lines = what.take_out(batch, mode);
            let state = self.sources.get_mut(&source);
            let Some(state) = state.filter(|_| !lines.is_empty()) else {
                continue;
            };
            return match self.refused.keep(&state.path, generation, &lines, why) {
                Ok(kept_in) => {
                    state.say_refused(&lines, why, &kept_in);
                    let count = lines.len() as u64;
                    self.shared.counters.refused.fetch_add(count, Relaxed);
                    self.progressed = Instant::now();
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
            };
        }
        Some(failure)
    }

    /// Redis cannot do it now: nothing moves, and it is tried again after a pause.
    fn wait(&mut self, failure: &Failure) -> Result<()> {
        let mut until = Instant::now() + self.trouble.pause();
        match self.deadline() {
            Some(deadline) if Instant::now() >= deadline => {
                return Err(self.out_of_time(&failure.to_string()));
            }
            Some(deadline) => until = until.min(deadline),
            None => self.trouble.say(&match failure {
                Failure::Wait(why) | Failure::Moved { why, .. } => {
                    format!("{why}; nothing is lost, trying again")
                }
                other => other.to_string(),
            }),
        }
        signal::sleep_until(until, || self.shared.halts());
        Ok(())
    }
}

//! The publishing thread: batches to Redis in order, two at a time, through every fault of Redis.
//!
//! It owns the session with Redis and says where each source goes on. Whatever goes wrong, the session is dropped; a
//! new one takes each source over again, and the commit record tells which of the batches that were sent have arrived.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Resume, Shared, Source, Work};
use crate::broker::{Batch, Claim, Failure, Session};
use crate::cli::{Delivery, Mode};
use crate::error::{Error, Result};
use crate::position::Progress;
use crate::talk;

/// One batch executes, and one is held back behind it.
const IN_FLIGHT: usize = 2;
/// The first pause after a failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How soon a pause notices that it is to end.
const SLICE: Duration = Duration::from_millis(20);
/// The same trouble is not said again within this time.
const SAY_AGAIN: Duration = Duration::from_secs(60);

pub struct Publisher {
    shared: Arc<Shared>,
    work: Receiver<Work>,
    pool: Sender<Box<Batch>>,
    resume: Sender<Resume>,
    sources: Vec<State>,
    /// A source that waits for its first take-over.
    opening: Option<Box<Source>>,
    /// Sent batches: the first executes, the second is held back until that is seen to be good.
    flying: VecDeque<(Box<Batch>, Claim)>,
    /// Batches to be sent before new ones, in order.
    again: VecDeque<Box<Batch>>,
    trouble: Trouble,
}

/// A source that is being published.
struct State {
    source: Source,
    /// The commit record's key.
    key: String,
    /// Up to here Redis has it.
    acknowledged: Progress,
    /// What the record is once all that was sent has executed.
    record: Vec<u8>,
    /// Whether the present session has taken it over.
    owned: bool,
    epoch: u64,
}

/// What keeps us waiting, and what was said of it.
#[derive(Default)]
struct Trouble {
    since: Option<Instant>,
    pauses: u32,
    said: Option<(String, Instant)>,
    /// Whether this trouble was said, so that its end is worth saying.
    announced: bool,
}

impl Publisher {
    pub fn new(
        shared: Arc<Shared>,
        work: Receiver<Work>,
        pool: Sender<Box<Batch>>,
        resume: Sender<Resume>,
    ) -> Publisher {
        Publisher {
            shared,
            work,
            pool,
            resume,
            sources: Vec::new(),
            opening: None,
            flying: VecDeque::new(),
            again: VecDeque::new(),
            trouble: Trouble::default(),
        }
    }

    /// Publishes until the reader has no more, or the watcher halts.
    pub fn run(mut self) -> Result<()> {
        while !self.shared.halts() {
            match self.run_session() {
                Ok(()) => break,
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::Wait(why)) => self.wait(&why)?,
            }
        }
        Ok(())
    }

    /// Publishes with one session. Ok: there is nothing more to do.
    fn run_session(&mut self) -> Result<(), Failure> {
        let options = &self.shared.options;
        let mut session = Session::open(&self.shared.address, options.mode, options.delivery)?;
        for state in &mut self.sources {
            state.owned = options.delivery == Delivery::AtLeastOnce;
        }
        loop {
            let ended = self.send_ahead(&mut session)?;
            if let Some((batch, claim)) = self.flying.front() {
                let unheard = session.finish(batch, claim);
                // Kept in `flying` until it is known to have arrived.
                self.acknowledge_first(unheard?);
            }
            if self.flying.is_empty() && self.opening.is_some() {
                self.open(&mut session)?;
            }
            if self.shared.halts() || ended && self.flying.is_empty() && self.again.is_empty() {
                return Ok(());
            }
            if let Some((batch, claim)) = self.flying.front() {
                session.execute(batch, claim)?;
            }
        }
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
        if self.opening.is_some() {
            return Ok(false);
        }
        let next = match self.again.pop_front() {
            Some(batch) => Work::Batch(batch),
            None if self.flying.is_empty() => match self.work.recv() {
                Ok(work) => work,
                Err(_) => return Ok(true),
            },
            None => match self.work.try_recv() {
                Ok(work) => work,
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => return Ok(true),
            },
        };
        match next {
            Work::Open(source) => self.opening = Some(source),
            Work::Batch(batch) => self.send(session, batch)?,
        }
        Ok(false)
    }

    fn send(&mut self, session: &mut Session, mut batch: Box<Batch>) -> Result<(), Failure> {
        let index = batch.source;
        if !self.sources[index].owned {
            self.again.push_front(batch);
            // A take-over reads its replies at once, so nothing else may be under way.
            return if self.flying.is_empty() {
                self.take_over_again(session, index)
            } else {
                Ok(())
            };
        }
        let state = &mut self.sources[index];
        let Some(end) = batch.end.as_ref().filter(|_| batch.epoch == state.epoch) else {
            self.recycle(batch);
            return Ok(());
        };
        let after = session.record(end, &state.source.path);
        let claim = Claim {
            key: state.key.clone(),
            before: std::mem::replace(&mut state.record, after.clone()),
            after,
        };
        let sent = session.send(&mut batch, &claim);
        self.flying.push_back((batch, claim));
        sent?;
        if self.flying.len() == 1 {
            let (batch, claim) = &self.flying[0];
            session.execute(batch, claim)?;
        }
        Ok(())
    }

    /// The first batch in flight has arrived.
    fn acknowledge_first(&mut self, unheard: u64) {
        self.shared.counters.unheard.fetch_add(unheard, Relaxed);
        if let Some((batch, _)) = self.flying.pop_front() {
            self.acknowledge(batch);
        }
        self.trouble.end(&self.shared.address.to_string());
    }

    fn acknowledge(&mut self, mut batch: Box<Batch>) {
        let state = &mut self.sources[batch.source];
        if let Some(end) = batch.end.take() {
            state.acknowledged = end.clone();
            let more = !self.flying.is_empty();
            self.shared
                .mailbox
                .put(&state.source.path, end, batch.lines as u64, more);
        }
        self.shared
            .counters
            .lines
            .fetch_add(batch.lines as u64, Relaxed);
        self.shared.counters.bytes.fetch_add(batch.bytes, Relaxed);
        self.recycle(batch);
    }

    fn recycle(&self, mut batch: Box<Batch>) {
        batch.clear();
        // The reader may have ended: then nobody fills batches any more.
        let _ = self.pool.send(batch);
    }

    /// Takes a new source over, and tells the reader where it goes on.
    fn open(&mut self, session: &mut Session) -> Result<(), Failure> {
        let Some(source) = self.opening.take() else {
            return Ok(());
        };
        let options = &self.shared.options;
        let key = format!("tailcast:commit:{}", source.name);
        let local = source
            .checkpoint
            .clone()
            .unwrap_or_else(|| source.initial.clone());
        let choose = |record: Option<&Progress>| match (record, &source.checkpoint) {
            // Where to begin is asked only when neither of them says.
            (Some(record), None) => record.clone(),
            (record, _) => go_on_from(options.mode, &local, record),
        };
        let forgotten = if options.reset {
            session.forget(&key)
        } else {
            Ok(())
        };
        let taken = forgotten.and_then(|()| match options.delivery {
            Delivery::ExactlyOnce => session.take_over(&key, &source.path, &choose),
            Delivery::AtLeastOnce => Ok((local.clone(), Vec::new())),
        });
        let (progress, record) = match taken {
            Ok(taken) => taken,
            Err(failure) => {
                self.opening = Some(source);
                return Err(failure);
            }
        };
        if source.checkpoint.as_ref() != Some(&progress) {
            self.shared
                .mailbox
                .put(&source.path, progress.clone(), 0, false);
        }
        let index = self.sources.len();
        self.sources.push(State {
            source: *source,
            key,
            acknowledged: progress.clone(),
            record,
            owned: true,
            epoch: 0,
        });
        self.trouble.end(&self.shared.address.to_string());
        let _ = self.resume.send(Resume {
            source: index,
            progress,
            epoch: 0,
        });
        Ok(())
    }

    /// Takes a source over once more, and drops those of its batches that turn out to have arrived.
    fn take_over_again(&mut self, session: &mut Session, index: usize) -> Result<(), Failure> {
        let state = &mut self.sources[index];
        let (mode, local) = (self.shared.options.mode, &state.acknowledged);
        let choose = |record: Option<&Progress>| go_on_from(mode, local, record);
        let (progress, record) = session.take_over(&state.key, &state.source.path, &choose)?;
        (state.record, state.owned) = (record, true);
        if progress == state.acknowledged {
            return Ok(());
        }
        let epoch = state.epoch;
        let is_ours = |batch: &Batch| batch.source == index && batch.epoch == epoch;
        let arrived = |batch: &Batch| is_ours(batch) && batch.end.as_ref() == Some(&progress);
        match self.again.iter().position(|batch| arrived(batch)) {
            Some(last) => {
                let sent: Vec<_> = self.again.drain(..=last).collect();
                for batch in sent.into_iter().rev() {
                    // Of other sources' batches nothing is known yet.
                    if batch.source == index {
                        self.arrived_unseen(batch)
                    } else {
                        self.again.push_front(batch)
                    }
                }
                self.sources[index].acknowledged = progress;
            }
            None => self.rewind(index, progress),
        }
        Ok(())
    }

    /// A batch whose reply was lost, and which the record shows to have arrived.
    fn arrived_unseen(&mut self, mut batch: Box<Batch>) {
        let state = &self.sources[batch.source];
        if let Some(end) = batch.end.take() {
            // The last of them decides: they come newest first, and a position never goes back.
            let newest = state.acknowledged.later(&end);
            self.shared.mailbox.put(
                &state.source.path,
                newest.clone(),
                batch.lines as u64,
                false,
            );
            self.sources[batch.source].acknowledged = newest;
        }
        self.shared
            .counters
            .lines
            .fetch_add(batch.lines as u64, Relaxed);
        self.shared.counters.bytes.fetch_add(batch.bytes, Relaxed);
        self.recycle(batch);
    }

    /// The record is somewhere else: another watcher has gone further, or Redis has lost what it had.
    fn rewind(&mut self, index: usize, progress: Progress) {
        let state = &mut self.sources[index];
        state.epoch += 1;
        talk::detail(&format!(
            "{}: going on from offset {} of generation {}, where its commit record stands",
            state.source.path.display(),
            progress.current.offset,
            progress.current.generation
        ));
        state.acknowledged = progress.clone();
        self.shared
            .mailbox
            .put(&state.source.path, progress.clone(), 0, false);
        let _ = self.resume.send(Resume {
            source: index,
            progress,
            epoch: state.epoch,
        });
    }

    /// Redis cannot do it now: nothing moves, and it is tried again after a pause.
    fn wait(&mut self, why: &str) -> Result<()> {
        while let Some((batch, _)) = self.flying.pop_back() {
            self.again.push_front(batch);
        }
        let options = &self.shared.options;
        let since = *self.trouble.since.get_or_insert_with(Instant::now);
        if !options.once {
            self.trouble.say(why);
        }
        let pause = pause_after(self.trouble.pauses, fastrand::f64());
        self.trouble.pauses += 1;
        let mut until = Instant::now() + pause;
        if options.once {
            let last = since + options.timeout;
            if Instant::now() >= last {
                let text = format!(
                    "{why}; not better within --timeout ({:?}), try again later",
                    options.timeout
                );
                return Err(Error::TryLater(text));
            }
            until = until.min(last);
        }
        while Instant::now() < until && !self.shared.halts() {
            thread::sleep(SLICE.min(until.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}

/// Which of the two positions is the truth.
fn go_on_from(mode: Mode, local: &Progress, record: Option<&Progress>) -> Progress {
    match (mode, record) {
        (_, None) => local.clone(),
        // What was published is gone from Redis: whoever knows of more is right.
        (Mode::Pubsub, Some(record)) => local.later(record),
        // If Redis has lost lines, it has lost the record with them: they are sent again.
        (Mode::Stream | Mode::List, Some(record)) => record.clone(),
    }
}

/// Doubles with each pause, and varies by a quarter so that many watchers do not come back at once.
fn pause_after(pauses: u32, chance: f64) -> Duration {
    let pause = FIRST_PAUSE
        .saturating_mul(1 << pauses.min(10))
        .min(LONGEST_PAUSE);
    pause.mul_f64(0.75 + 0.25 * chance)
}

impl Trouble {
    fn say(&mut self, why: &str) {
        let is_new = self.said.as_ref().is_none_or(|(said, when)| {
            said != why && !self.announced || when.elapsed() > SAY_AGAIN
        });
        if is_new {
            talk::warn(&format!("{why}; nothing is lost, trying again"));
            self.said = Some((why.to_string(), Instant::now()));
            self.announced = true;
        } else {
            talk::detail(why);
        }
    }

    fn end(&mut self, redis: &str) {
        if let Some(since) = self.since.take() {
            if std::mem::take(&mut self.announced) {
                talk::note(&format!(
                    "redis {redis}: publishing again after {:.1} s",
                    since.elapsed().as_secs_f64()
                ));
            }
            self.pauses = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{FileId, Position};

    fn at(generation: u64, offset: u64) -> Progress {
        Progress::at(Position {
            offset,
            ..Position::start(generation, FileId::default())
        })
    }

    #[test]
    fn the_later_position_counts_where_redis_keeps_nothing_and_the_record_where_it_does() {
        let cases = [
            (Mode::Pubsub, at(0, 100), None, at(0, 100)),
            (Mode::Pubsub, at(0, 100), Some(at(0, 200)), at(0, 200)),
            (Mode::Pubsub, at(0, 100), Some(at(0, 50)), at(0, 100)),
            (Mode::Pubsub, at(1, 10), Some(at(0, 50)), at(1, 10)),
            (Mode::Stream, at(0, 100), Some(at(0, 50)), at(0, 50)),
            (Mode::List, at(0, 100), Some(at(0, 200)), at(0, 200)),
            (Mode::List, at(0, 100), None, at(0, 100)),
        ];
        for (mode, local, record, expected) in cases {
            assert_eq!(
                go_on_from(mode, &local, record.as_ref()),
                expected,
                "{mode:?} {local:?} {record:?}"
            );
        }
    }

    #[test]
    fn a_pause_doubles_from_100_ms_to_5_s() {
        let pauses: Vec<_> = (0..8)
            .map(|pauses| pause_after(pauses, 1.0).as_millis())
            .collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(pause_after(40, 0.0).as_millis(), 3750);
    }
}

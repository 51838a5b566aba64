//! How Redis fares with us: what is said of an outage, once, how long it is waited for, and when to give up.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::broker::{Failure, Moves};
use crate::cli;
use crate::error::Error;
use crate::talk::{self, Once};

/// The shortest `timeout` that a Redis can have.
const REST: Duration = Duration::from_secs(1);

/// What keeps us waiting, and what was said of it.
pub struct Outage {
    /// With `--once`, Redis must do something for us within this time.
    timeout: Option<Duration>,
    /// When Redis last did, or was last asked to.
    progressed: Instant,
    /// Redis was asked for nothing for `REST`, and may have closed the connection because of its own `timeout`.
    was_idle: bool,
    moves: Moves,
    since: Option<Instant>,
    backoff: Backoff,
    said: Once,
    /// A subscriber is waited for.
    waiting: Once,
}

/// What to do after a session has ended.
#[derive(Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing is wrong: begin the next one at once, and in silence.
    Reconnect,
    Wait,
}

impl Outage {
    pub fn new(options: &cli::Watch) -> Outage {
        Outage {
            timeout: options.once.then_some(options.timeout),
            progressed: Instant::now(),
            was_idle: false,
            moves: Moves::default(),
            since: None,
            backoff: Backoff::default(),
            said: Once::default(),
            waiting: Once::default(),
        }
    }

    /// When Redis must have done something for us.
    pub fn deadline(&self) -> Option<Instant> {
        self.timeout.map(|timeout| self.progressed + timeout)
    }

    /// Redis is asked for something, after nobody had anything for it.
    pub fn ask(&mut self) {
        self.was_idle = self.progressed.elapsed() > REST;
        self.move_on();
    }

    /// The session's connection was not used since then.
    pub fn has_rested(&mut self, since: Instant) {
        self.was_idle |= since.elapsed() > REST;
    }

    /// The deadline is counted from now.
    pub fn move_on(&mut self) {
        self.progressed = Instant::now();
    }

    /// Redis has done something for us.
    pub fn end(&mut self, redis: &impl std::fmt::Display) {
        self.move_on();
        self.was_idle = false;
        self.moves = Moves::default();
        if let Some(since) = self.since.take() {
            self.said.over(&format!(
                "redis {redis}: publishing again after {:.1} s",
                since.elapsed().as_secs_f64()
            ));
            self.backoff = Backoff::default();
        }
    }

    /// A session has ended with this.
    pub fn after(&mut self, failure: &Failure) -> After {
        let was_idle = std::mem::take(&mut self.was_idle);
        let is_led_on = self.moves.follow(failure);
        if was_idle || is_led_on || matches!(failure, Failure::Interrupted) {
            talk::detail(&format!("{failure}; connecting again"));
            return After::Reconnect;
        }
        After::Wait
    }

    /// Until when to wait before the next try, and says so; an error where there is no time for one.
    pub fn wait(&mut self, failure: &Failure) -> Result<Instant, Error> {
        self.since.get_or_insert_with(Instant::now);
        let until = Instant::now() + self.backoff.pause();
        match self.deadline() {
            Some(deadline) if Instant::now() >= deadline => {
                return Err(self.out_of_time(&failure.to_string()));
            }
            Some(deadline) => return Ok(until.min(deadline)),
            None => self.said.go_on(&match failure {
                Failure::Wait(why) | Failure::Moved { why, .. } => {
                    format!("{why}; nothing is lost, trying again")
                }
                other => other.to_string(),
            }),
        }
        Ok(until)
    }

    /// Not a trouble, but worth knowing now and then.
    pub fn say_waiting(&mut self, text: &str) {
        if self.timeout.is_none() && self.waiting.is_news("") {
            talk::note(text);
        }
    }

    /// Sees that what keeps us waiting may be waited for on.
    pub fn may_wait(&self, why: &str, halts: bool) -> Result<(), Failure> {
        match self.deadline() {
            _ if halts => Err(Failure::Wait(why.into())),
            Some(deadline) if Instant::now() >= deadline => {
                Err(Failure::Fatal(self.out_of_time(why)))
            }
            _ => Ok(()),
        }
    }

    /// With `--once`, when Redis did nothing for us for so long.
    fn out_of_time(&self, why: &str) -> Error {
        let timeout = self.timeout.unwrap_or_default();
        Error::TryLater(format!(
            "{why}; not better within --timeout ({timeout:?}), try again later"
        ))
    }
}

//! Sessions with Redis, one after the other: what heals is waited for, and said once.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::relay::Ended;
use crate::backoff::Backoff;
use crate::broker::{Address, Failure, GroupFailure, Moves};
use crate::error::{Error, Result};
use crate::{signal, talk};

/// Why a session ended before its work was done.
pub enum Break {
    Redis(Failure),
    /// The group that it reads as is not there.
    NoGroup,
    /// Nobody takes lines any more.
    Ended,
}

impl From<Failure> for Break {
    fn from(failure: Failure) -> Break {
        Break::Redis(failure)
    }
}

impl From<GroupFailure> for Break {
    fn from(failure: GroupFailure) -> Break {
        match failure {
            GroupFailure::NoGroup => Break::NoGroup,
            GroupFailure::Other(failure) => Break::Redis(failure),
        }
    }
}

impl From<Ended> for Break {
    fn from(_: Ended) -> Break {
        Break::Ended
    }
}

/// Whether Redis is there, as far as was said.
pub struct Health {
    /// What is read, in words.
    what: String,
    /// A session has begun.
    is_known: bool,
    away: Option<Instant>,
    backoff: Backoff,
    /// No pause is longer.
    longest_pause: Duration,
    moves: Moves,
}

impl Health {
    /// A session has begun: Redis serves.
    pub fn is_well(&mut self, address: &Address) {
        self.backoff = Backoff::default();
        self.moves = Moves::default();
        let away = self.away.take();
        if !std::mem::replace(&mut self.is_known, true) {
            // Scripts wait for it.
            talk::note(&format!("subscribed to {} at redis {address}", self.what));
        } else if let Some(since) = away {
            let seconds = since.elapsed().as_secs_f64();
            talk::warn(&format!(
                "redis {address}: reading again after {seconds:.1} s"
            ));
        }
    }

    fn is_away(&mut self, why: &Failure) {
        match self.away {
            None => talk::warn(&format!("{why}; trying again")),
            Some(_) => talk::detail(&why.to_string()),
        }
        self.away.get_or_insert_with(Instant::now);
    }

    /// Waits before the next try, until a signal at most.
    fn rest(&mut self, stop: &AtomicBool) {
        let end = Instant::now() + self.backoff.pause().min(self.longest_pause);
        signal::sleep_until(end, || stop.load(Relaxed));
    }
}

/// Runs sessions until one has done its work, an error does not heal, or a signal comes while Redis is away.
pub fn retry(
    what: String,
    longest_pause: Duration,
    stop: &AtomicBool,
    mut session: impl FnMut(&mut Health) -> Result<(), Break>,
) -> Result<()> {
    let mut health = Health {
        what,
        is_known: false,
        away: None,
        backoff: Backoff::default(),
        longest_pause,
        moves: Moves::default(),
    };
    loop {
        let failure = match session(&mut health) {
            Ok(()) | Err(Break::Ended) => return Ok(()),
            Err(Break::NoGroup) => continue,
            Err(Break::Redis(failure)) => failure,
        };
        match failure {
            Failure::Fatal(error) => return Err(error),
            Failure::LostTurn(why) => {
                return Err(Error::TryLater(format!(
                    "{why}; give each subscriber a --consumer of its own"
                )));
            }
            // The next session sees the signal, once it has acknowledged what is out.
            Failure::Interrupted => continue,
            other if health.moves.follow(&other) => continue,
            other => health.is_away(&other),
        }
        if stop.load(Relaxed) {
            return Ok(());
        }
        health.rest(stop);
    }
}

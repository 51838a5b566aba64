//! Trouble with Redis: what is said of it, once, and how long it is waited for.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::error::Error;
use crate::talk::{self, Once};

/// What keeps us waiting, and what was said of it.
#[derive(Default)]
pub struct Trouble {
    since: Option<Instant>,
    said: Once,
    /// A subscriber is waited for.
    waiting: Once,
    backoff: Backoff,
}

impl Trouble {
    /// It has begun, or goes on. Returns how long to pause before the next try.
    pub fn pause(&mut self) -> Duration {
        self.since.get_or_insert_with(Instant::now);
        self.backoff.pause()
    }

    pub fn say(&mut self, text: &str) {
        self.said.go_on(text);
    }

    /// Not a trouble, but worth knowing now and then.
    pub fn say_waiting(&mut self, text: &str) {
        if self.waiting.is_news("") {
            talk::note(text);
        }
    }

    pub fn end(&mut self, redis: &impl std::fmt::Display) {
        if let Some(since) = self.since.take() {
            self.said.over(&format!(
                "redis {redis}: publishing again after {:.1} s",
                since.elapsed().as_secs_f64()
            ));
            self.backoff = Backoff::default();
        }
    }
}

/// With `--once`, when Redis did nothing for us for so long.
pub fn out_of_time(why: &str, timeout: Duration) -> Error {
    Error::TryLater(format!(
        "{why}; not better within --timeout ({timeout:?}), try again later"
    ))
}

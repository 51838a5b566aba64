//! Trouble with Redis: what is said of it, once, and how long it is waited for.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::error::Error;
use crate::talk;

/// The same trouble is not said again within this time.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// What keeps us waiting, and what was said of it.
#[derive(Default)]
pub struct Trouble {
    since: Option<Instant>,
    backoff: Backoff,
    said: Option<(String, Instant)>,
    /// Whether this trouble was said, so that its end is worth saying.
    announced: bool,
    /// When it was last said that a subscriber is waited for.
    waiting_said: Option<Instant>,
}

impl Trouble {
    /// It has begun, or goes on. Returns how long to pause before the next try.
    pub fn pause(&mut self) -> Duration {
        self.since.get_or_insert_with(Instant::now);
        self.backoff.pause()
    }

    pub fn say(&mut self, text: &str) {
        let is_new = self.said.as_ref().is_none_or(|(said, when)| {
            said != text && !self.announced || when.elapsed() > SAY_AGAIN
        });
        if is_new {
            talk::warn(text);
            self.said = Some((text.to_string(), Instant::now()));
            self.announced = true;
        } else {
            talk::detail(text);
        }
    }

    /// Not a trouble, but worth knowing now and then.
    pub fn say_waiting(&mut self, text: &str) {
        if self
            .waiting_said
            .is_none_or(|said| said.elapsed() > SAY_AGAIN)
        {
            self.waiting_said = Some(Instant::now());
            talk::note(text);
        }
    }

    pub fn end(&mut self, redis: &impl std::fmt::Display) {
        if let Some(since) = self.since.take() {
            if std::mem::take(&mut self.announced) {
                talk::note(&format!(
                    "redis {redis}: publishing again after {:.1} s",
                    since.elapsed().as_secs_f64()
                ));
            }
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

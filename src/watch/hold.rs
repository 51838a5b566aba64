//! Whether to publish on, given who listens: Redis cuts off a subscriber for which it has to hold too much.
//!
//! Pure: what was seen, and when, comes in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::broker::Subscriber;
use crate::cli;

/// Redis may hold so much for a subscriber; by default it cuts one off at 32 MiB, or at 8 MiB for a minute.
const ENOUGH: u64 = 4 << 20;

/// Who is waited for.
pub struct Holding {
    policy: cli::Hold,
    /// How long one that does not move is waited for.
    patience: Duration,
    /// By id: the least that was pending, and since when it is no less; None: it is given up.
    slow: BTreeMap<u64, (u64, Option<Instant>)>,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub enum Judgement {
    Go,
    /// Nobody is there.
    WaitForOne,
    /// This one has enough to read.
    WaitFor(Subscriber),
    /// This one does not move, and is not waited for any more; ask again.
    GiveUp(Subscriber),
}

impl Holding {
    pub fn new(policy: cli::Hold, patience: Duration) -> Holding {
        Holding {
            policy,
            patience,
            slow: BTreeMap::new(),
        }
    }

    pub fn judge(&mut self, audience: &[Subscriber], now: Instant) -> Judgement {
        if self.policy == cli::Hold::Absent && audience.is_empty() {
            return Judgement::WaitForOne;
        }
        let slow = audience.iter().filter(|one| one.pending > ENOUGH);
        // Who has read it all, or is gone, begins anew.
        self.slow
            .retain(|id, _| slow.clone().any(|one| one.id == *id));
        for subscriber in slow {
            let begun = (subscriber.pending, Some(now));
            let (least, since) = self.slow.entry(subscriber.id).or_insert(begun);
            let Some(unmoved) = since else {
                continue;
            };
            if subscriber.pending < *least {
                (*least, *unmoved) = (subscriber.pending, now);
            }
            if now.duration_since(*unmoved) < self.patience {
                return Judgement::WaitFor(subscriber.clone());
            }
            *since = None;
            return Judgement::GiveUp(subscriber.clone());
        }
        Judgement::Go
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: u64, mebibytes: u64) -> Subscriber {
        Subscriber {
            id,
            address: "a".into(),
            pending: mebibytes << 20,
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn one_with_enough_to_read_is_waited_for_while_it_moves_and_as_long_as_patience_lasts() {
        let mut hold = Holding::new(cli::Hold::Slow, seconds(30));
        let start = Instant::now();
        let mut judge = |at, audience: &[_]| hold.judge(audience, start + seconds(at));
        assert_eq!(judge(0, &[]), Judgement::Go);
        assert_eq!(judge(0, &[one(1, 4), one(2, 0)]), Judgement::Go);
        assert_eq!(judge(0, &[one(1, 9)]), Judgement::WaitFor(one(1, 9)));
        assert_eq!(
            judge(29, &[one(1, 8)]),
            Judgement::WaitFor(one(1, 8)),
            "it moves"
        );
        assert_eq!(judge(58, &[one(1, 8)]), Judgement::WaitFor(one(1, 8)));
        assert_eq!(judge(59, &[one(1, 8)]), Judgement::GiveUp(one(1, 8)));
        assert_eq!(judge(59, &[one(1, 8)]), Judgement::Go);
        let other = [one(1, 8), one(2, 5)];
        assert_eq!(
            judge(60, &other),
            Judgement::WaitFor(one(2, 5)),
            "others are"
        );
        assert_eq!(judge(61, &[one(1, 1)]), Judgement::Go);
        assert_eq!(
            judge(62, &[one(1, 5)]),
            Judgement::WaitFor(one(1, 5)),
            "it woke up"
        );
    }

    #[test]
    fn nobody_is_waited_for_only_where_that_was_asked_for() {
        for (policy, verdict) in [
            (cli::Hold::Slow, Judgement::Go),
            (cli::Hold::Absent, Judgement::WaitForOne),
        ] {
            let mut hold = Holding::new(policy, seconds(0));
            assert_eq!(hold.judge(&[], Instant::now()), verdict);
            assert_eq!(hold.judge(&[one(1, 0)], Instant::now()), Judgement::Go);
        }
    }
}

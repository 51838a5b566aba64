//! How much may still be sent to a stream or list before one has to look at it again, and what makes room there.
//!
//! Pure: what was seen, and when, comes in.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::broker::{Id, Standing, Trim};
use crate::cli::Retain;
use crate::order;

/// So many lines go to a key between two looks at it, at most.
const LOOK_AFTER: u64 = 10_000;
/// A key that few lines go to is looked at after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Whoever logs a line may choose its type, and so the key: then what is known of the keys is forgotten.
const MOST_KEYS: usize = 10_000;

/// What is known of the keys that lines go to.
pub struct Rooms {
    /// A key with so many lines that nobody is done with is full.
    limit: u64,
    rooms: HashMap<Vec<u8>, Room>,
}

/// A key, as it was when it was last looked at.
struct Room {
    /// Entries there when it was looked at, and what was sent since.
    length: u64,
    /// How many lines may go there before the next look; None: none.
    left: Option<u64>,
    looked: Instant,
}

impl Rooms {
    pub fn new(limit: u64) -> Rooms {
        Rooms {
            limit,
            rooms: HashMap::new(),
        }
    }

    /// The keys with the most entries, so many at most.
    pub fn longest(&self, most: usize) -> Vec<Vec<u8>> {
        let mut keys: Vec<_> = self.rooms.iter().collect();
        order::sort_by_key(&mut keys, |(_, room)| Reverse(room.length));
        let longest = keys.into_iter().take(most);
        longest.map(|(key, _)| key.clone()).collect()
    }

    /// How many entries are in all of them, with what is under way.
    pub fn entries(&self) -> u64 {
        self.rooms.values().map(|room| room.length).sum()
    }

    pub fn forget(&mut self) {
        self.rooms.clear();
    }

    /// Notes that so many lines are to go to a key. True: it is to be looked at before they do.
    pub fn enter(&mut self, key: &[u8], lines: u64, now: Instant) -> bool {
        if self.rooms.len() > MOST_KEYS {
            self.forget();
        }
        let Some(room) = self.rooms.get_mut(key) else {
            let room = Room {
                length: 0,
                left: None,
                looked: now,
            };
            self.rooms.insert(key.to_vec(), room);
            return true;
        };
        let is_recent = now.duration_since(room.looked) < LOOK_AGAIN;
        room.left = room.left.filter(|left| is_recent && *left > 0);
        room.left = room.left.map(|left| left.saturating_sub(lines));
        room.length += lines;
        room.left.is_none()
    }

    /// Whether a key is to be looked at before lines go there.
    pub fn is_due(&self, key: &[u8]) -> bool {
        self.rooms.get(key).is_none_or(|room| room.left.is_none())
    }

    /// A key was looked at, and so many lines go there now.
    pub fn looked(&mut self, key: &[u8], length: u64, lines: u64, now: Instant) {
        // Others may write there as well.
        let most = LOOK_AFTER.min((self.limit / 4).max(1));
        let left = self.limit.saturating_sub(length).min(most);
        let room = Room {
            length: length + lines,
            left: Some(left.saturating_sub(lines)),
            looked: now,
        };
        self.rooms.insert(key.to_vec(), room);
    }

    pub fn is_full(&self, length: u64) -> bool {
        length >= self.limit
    }

    /// How many lines may be kept where so many are to come.
    pub fn keep(&self, lines: u64) -> u64 {
        self.limit.saturating_sub(lines)
    }

    /// What to take from a stream, given what is there now and the time in its ids. Only what every group is done with,
    /// and of that what is not to be retained; but what is retained is to keep nobody waiting.
    pub fn trim(
        &self,
        step: TrimStep,
        retain: Retain,
        standing: &Standing,
        now: Duration,
    ) -> Option<Trim> {
        let length = standing.length;
        let before = standing.slowest()?.done_before;
        let spare = LOOK_AFTER.min(self.limit / 4);
        match (step, retain) {
            (TrimStep::Outdated, Retain::Lines(lines)) => Some(Trim::Cheaply {
                before,
                at_most: length.saturating_sub(lines),
            }),
            (TrimStep::Outdated, Retain::Age(age)) => {
                let ms = now.saturating_sub(age).as_millis();
                let cut = Id {
                    ms: u64::try_from(ms).unwrap_or(u64::MAX),
                    seq: 0,
                };
                let before = before.min(cut);
                let at_most = length;
                Some(Trim::Cheaply { before, at_most })
            }
            (TrimStep::Retained, _) if self.is_full(length) => Some(Trim::Cheaply {
                before,
                at_most: length - self.limit + spare,
            }),
            (TrimStep::Rest, _) if self.is_full(length) => Some(Trim::Exactly { before }),
            _ => None,
        }
    }
}

/// One after the other, until there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimStep {
    Outdated,
    Retained,
    Rest,
}

impl TrimStep {
    pub const ALL: [TrimStep; 3] = [TrimStep::Outdated, TrimStep::Retained, TrimStep::Rest];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Group;

    const ZERO: Duration = Duration::ZERO;

    fn id(ms: u64) -> Id {
        Id { ms, seq: 0 }
    }

    fn standing(length: u64, done_before: &[u64]) -> Standing {
        let group = |done_before: &u64| Group {
            name: b"g".to_vec(),
            done_before: id(*done_before),
            pending: 0,
        };
        Standing {
            length,
            groups: done_before.iter().map(group).collect(),
        }
    }

    #[test]
    fn a_key_is_looked_at_at_first_and_when_as_much_was_sent_as_there_was_room() {
        let start = Instant::now();
        let mut rooms = Rooms::new(100_000);
        assert!(rooms.enter(b"k", 1000, start), "nothing is known of it");
        rooms.looked(b"k", 97_500, 1000, start);
        assert_eq!(rooms.entries(), 98_500);
        assert!(!rooms.enter(b"k", 1000, start));
        assert!(!rooms.enter(b"k", 1000, start), "there were 500 left");
        assert_eq!(rooms.entries(), 100_500);
        assert!(!rooms.is_due(b"k"));
        assert!(rooms.enter(b"k", 1, start), "now it is full");
        assert!(rooms.is_due(b"k") && rooms.is_due(b"other"));
        assert!(rooms.is_full(100_000) && !rooms.is_full(99_999));
    }

    #[test]
    fn a_key_with_much_room_is_looked_at_now_and_then_all_the_same() {
        let start = Instant::now();
        for (limit, between) in [(1_000_000, 10_000), (8, 2), (1, 1)] {
            let mut rooms = Rooms::new(limit);
            rooms.looked(b"k", 0, 0, start);
            let free = (0..).take_while(|_| !rooms.enter(b"k", 1, start));
            assert_eq!(free.count(), between, "{limit}");
        }
        let mut rooms = Rooms::new(1000);
        rooms.looked(b"k", 0, 1, start);
        assert!(!rooms.enter(b"k", 1, start + Duration::from_secs(4)));
        assert!(rooms.enter(b"k", 1, start + Duration::from_secs(5)));
    }

    #[test]
    fn the_keys_that_are_known_are_not_without_end() {
        let mut rooms = Rooms::new(10);
        for number in 0..50_000_u32 {
            rooms.enter(&number.to_be_bytes(), 1, Instant::now());
        }
        assert!(rooms.longest(usize::MAX).len() <= MOST_KEYS + 1);
    }

    #[test]
    fn of_many_keys_those_with_most_entries_are_named() {
        let mut rooms = Rooms::new(1000);
        for length in 1..10_u8 {
            rooms.looked(&[length], length.into(), 0, Instant::now());
        }
        assert_eq!(rooms.longest(2), [[9], [8]]);
    }

    #[test]
    fn only_what_every_group_is_done_with_is_taken_away() {
        let rooms = Rooms::new(1000);
        let none = Retain::Lines(0);
        for step in TrimStep::ALL {
            let trim = rooms.trim(step, none, &standing(5000, &[]), ZERO);
            assert_eq!(trim, None, "without a group all is kept");
        }
        let trim = |step, length| rooms.trim(step, none, &standing(length, &[9, 7, 8]), ZERO);
        let cheaply = |at_most| {
            let before = id(7);
            Some(Trim::Cheaply { before, at_most })
        };
        assert_eq!(trim(TrimStep::Outdated, 10), cheaply(10));
        assert_eq!(
            [trim(TrimStep::Retained, 999), trim(TrimStep::Rest, 999)],
            [None; 2]
        );
        assert_eq!(trim(TrimStep::Retained, 1100), cheaply(350));
        assert_eq!(
            trim(TrimStep::Rest, 1000),
            Some(Trim::Exactly { before: id(7) })
        );
    }

    #[test]
    fn what_is_to_be_retained_stays_as_long_as_there_is_room() {
        let rooms = Rooms::new(1000);
        let trim = |retain, length, seconds| {
            let standing = standing(length, &[7_000_000]);
            rooms.trim(
                TrimStep::Outdated,
                retain,
                &standing,
                Duration::from_secs(seconds),
            )
        };
        let cheaply = |before, at_most| Some(Trim::Cheaply { before, at_most });
        assert_eq!(
            trim(Retain::Lines(300), 500, 0),
            cheaply(id(7_000_000), 200)
        );
        assert_eq!(trim(Retain::Lines(300), 300, 0), cheaply(id(7_000_000), 0));
        assert_eq!(trim(Retain::Lines(300), 10, 0), cheaply(id(7_000_000), 0));
        let minute = Retain::Age(Duration::from_secs(60));
        assert_eq!(trim(minute, 500, 6000), cheaply(id(5_940_000), 500));
        assert_eq!(trim(minute, 500, 9000), cheaply(id(7_000_000), 500));
        assert_eq!(trim(minute, 500, 30), cheaply(id(0), 500));
        let full = standing(1000, &[7]);
        let yields = rooms.trim(TrimStep::Retained, minute, &full, ZERO);
        assert_eq!(yields, cheaply(id(7), 250));
    }
}

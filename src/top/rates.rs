//! Counts of lines by type, and the rates that follow from them.
//!
//! Pure: the time comes in.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

/// A wider terminal than this shows no more of the past.
const SAMPLES: usize = 300;

/// So many types are told apart: a field that is no type, as a request's id, has another value in each line.
const MOST_TYPES: usize = 1000;
const OTHERS: &[u8] = b"(others)";

/// Lines of each type since the beginning.
#[derive(Debug, Default)]
pub struct Counts(HashMap<Vec<u8>, u64>);

impl Counts {
    pub fn add(&mut self, kind: &[u8]) {
        if let Some(count) = self.0.get_mut(kind) {
            *count += 1;
            return;
        }
        let kind = if self.0.len() < MOST_TYPES {
            kind
        } else {
            OTHERS
        };
        *self.0.entry(kind.to_vec()).or_default() += 1;
    }
}

/// A type's lines.
#[derive(Debug, Default, PartialEq)]
pub struct Rate {
    pub total: u64,
    /// Lines a second at each look, the last one last.
    pub history: VecDeque<f64>,
}

impl Rate {
    pub fn now(&self) -> f64 {
        self.history.back().copied().unwrap_or(0.0)
    }
}

/// The rates of all types.
#[derive(Debug)]
pub struct Rates {
    pub types: BTreeMap<String, Rate>,
    taken: Instant,
}

impl Rates {
    pub fn new(now: Instant) -> Rates {
        Rates {
            types: BTreeMap::new(),
            taken: now,
        }
    }

    /// A look at the counts.
    pub fn take(&mut self, counts: &Counts, now: Instant) {
        let seconds = now.duration_since(self.taken).as_secs_f64().max(0.001);
        self.taken = now;
        for (kind, total) in &counts.0 {
            // A type is of plain letters, which the route has seen to.
            let name = String::from_utf8_lossy(kind).into_owned();
            let rate = self.types.entry(name).or_default();
            let more = total - rate.total;
            rate.total = *total;
            if rate.history.len() == SAMPLES {
                rate.history.pop_front();
            }
            rate.history.push_back(more as f64 / seconds);
        }
    }

    /// Lines a second, of all types.
    pub fn now(&self) -> f64 {
        self.types.values().map(Rate::now).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_rate_is_of_what_came_since_the_last_look() {
        let start = Instant::now();
        let (mut counts, mut rates) = (Counts::default(), Rates::new(start));
        (0..10).for_each(|_| counts.add(b"INFO"));
        rates.take(&counts, start + Duration::from_secs(2));
        (0..3).for_each(|_| counts.add(b"INFO"));
        counts.add(b"ERROR");
        rates.take(&counts, start + Duration::from_secs(3));
        let info = &rates.types["INFO"];
        assert_eq!(
            (info.total, &info.history),
            (13, &VecDeque::from([5.0, 3.0]))
        );
        assert_eq!(rates.types["ERROR"].history, [1.0]);
        assert_eq!(rates.now(), 4.0);
        for second in 4..4 + 2 * SAMPLES as u64 {
            rates.take(&counts, start + Duration::from_secs(second));
        }
        assert_eq!(rates.types["INFO"].history.len(), SAMPLES);
    }

    #[test]
    fn a_field_that_is_no_type_does_not_grow_for_ever() {
        let (mut counts, start) = (Counts::default(), Instant::now());
        (0..3 * MOST_TYPES).for_each(|id| counts.add(id.to_string().as_bytes()));
        counts.add(b"0");
        let mut rates = Rates::new(start);
        rates.take(&counts, start + Duration::from_secs(1));
        assert_eq!(rates.types.len(), MOST_TYPES + 1);
        assert_eq!(rates.types["(others)"].total, 2 * MOST_TYPES as u64);
        assert_eq!(rates.types["0"].total, 2);
    }
}

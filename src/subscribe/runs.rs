//! Which lines of each log a file holds, so that none gets there twice.
//!
//! Pure. A line is known by its source, its generation and the offset at which it ends. What is held is kept as runs: from
//! one offset of a generation to another, all of it, or all of it that there is to be had here. They are forgotten before
//! they are too many: then a line may be repeated, but none is ever taken for one that is there and is not.

use std::collections::HashMap;

use crate::order;

/// Runs of one source; more are forgotten, the oldest first.
const MOST_RUNS: usize = 64;
/// Sources; more are forgotten, the one of which the last line is the longest ago first.
const MOST_SOURCES: usize = 10_000;

/// Lines of one generation that end behind `start`, up to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub generation: u64,
    pub start: u64,
    pub end: u64,
}

#[derive(Debug, Default)]
struct SourceRuns {
    /// In order, and without overlaps.
    runs: Vec<Run>,
    /// The delivery that brought its last line.
    delivery: u64,
    /// Where that line ends.
    last: (u64, u64),
    /// When it was, on the clock of `Runs`.
    used: u64,
}

/// The runs of every source.
#[derive(Debug, Default)]
pub struct Runs {
    sources: HashMap<Vec<u8>, SourceRuns>,
    /// Lines that were looked at.
    clock: u64,
}

impl Runs {
    /// A run that is known from before.
    pub fn restore(&mut self, source: Vec<u8>, run: Run) {
        self.sources.entry(source).or_default().runs.push(run);
    }

    /// Takes a line in; false: it is there already. `length` is the line's own. Within one `delivery` there is nothing
    /// between a line of a generation and the one before it.
    pub fn add(
        &mut self,
        source: &[u8],
        generation: u64,
        offset: u64,
        length: usize,
        delivery: u64,
    ) -> bool {
        let known = match self.sources.get_mut(source) {
            Some(known) => known,
            None => {
                self.make_room();
                self.sources.entry(source.to_vec()).or_default()
            }
        };
        self.clock += 1;
        known.used = self.clock;
        let follows = known.delivery == delivery;
        known.delivery = delivery;
        known.add(generation, offset, length as u64, follows)
    }

    fn make_room(&mut self) {
        if self.sources.len() < MOST_SOURCES {
            return;
        }
        let oldest = self.sources.iter().min_by_key(|(_, known)| known.used);
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.sources.remove(&name);
        }
    }

    /// Every run, source by source in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Run)> {
        let mut sources: Vec<_> = self.sources.iter().collect();
        order::sort_by_key(&mut sources, |(name, _)| *name);
        sources
            .into_iter()
            .flat_map(|(name, known)| known.runs.iter().map(|run| (name.as_slice(), run)))
    }
}

impl SourceRuns {
    fn add(&mut self, generation: u64, offset: u64, length: u64, follows: bool) -> bool {
        let behind = self
            .runs
            .partition_point(|run| (run.generation, run.start) < (generation, offset));
        let before = behind.checked_sub(1).map(|index| &mut self.runs[index]);
        let before = before.filter(|run| run.generation == generation);
        if before.as_ref().is_some_and(|run| offset <= run.end) {
            self.last = (generation, offset);
            return false;
        }
        // A newline, and a `\r` that is not the line's own.
        let start = offset.saturating_sub(length + 1);
        let before_it = follows && self.last.0 == generation;
        let last = self.last.1;
        self.last = (generation, offset);
        match before {
            Some(run) if start <= run.end + 1 || (before_it && last == run.end) => {
                run.end = offset;
                self.merge(behind - 1);
            }
            before => {
                let start = before.map_or(start, |run| start.max(run.end));
                let run = Run {
                    generation,
                    start,
                    end: offset,
                };
                self.runs.insert(behind, run);
                self.merge(behind);
            }
        }
        if self.runs.len() > MOST_RUNS {
            self.runs.remove(0);
        }
        true
    }

    /// Makes one of a run and the next, where they touch.
    fn merge(&mut self, index: usize) {
        let (run, next) = (self.runs[index], self.runs.get(index + 1));
        if let Some(next) = next.filter(|next| next.generation == run.generation)
            && next.start <= run.end
        {
            self.runs[index].end = next.end;
            self.runs.remove(index + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs_of(runs: &Runs) -> Vec<(u64, u64, u64)> {
        let run = |(_, run): (&[u8], &Run)| (run.generation, run.start, run.end);
        runs.iter().map(run).collect()
    }

    /// Lines of nine bytes and a newline that end at these tens of a generation.
    fn add(runs: &mut Runs, generation: u64, ends: &[u64], delivery: u64) -> Vec<bool> {
        let add = |end: &u64| runs.add(b"s", generation, end * 10, 9, delivery);
        ends.iter().map(add).collect()
    }

    #[test]
    fn what_is_there_is_told_and_what_is_not_is_taken_in() {
        let mut runs = Runs::default();
        assert_eq!(add(&mut runs, 3, &[1, 2, 3], 1), [true; 3]);
        assert_eq!(
            add(&mut runs, 3, &[1, 2, 3, 4], 2),
            [false, false, false, true]
        );
        assert_eq!(add(&mut runs, 4, &[1], 3), [true]);
        assert_eq!(add(&mut runs, 3, &[4, 5], 4), [false, true], "a late line");
        assert_eq!(runs_of(&runs), [(3, 0, 50), (4, 0, 10)]);
    }

    #[test]
    fn what_others_have_taken_is_not_taken_for_ours() {
        let mut runs = Runs::default();
        add(&mut runs, 0, &[1, 2], 1);
        add(&mut runs, 0, &[7, 8], 2);
        assert_eq!(runs_of(&runs), [(0, 0, 20), (0, 60, 80)]);
        // Claimed from another, out of order.
        assert_eq!(add(&mut runs, 0, &[5], 3), [true]);
        assert_eq!(
            add(&mut runs, 0, &[3, 4, 5, 6, 7], 4),
            [true, true, false, true, false]
        );
        assert_eq!(runs_of(&runs), [(0, 0, 80)]);
    }

    #[test]
    fn within_a_delivery_there_are_no_gaps() {
        let mut runs = Runs::default();
        // Empty lines, or those of another stream, lie between.
        add(&mut runs, 0, &[2, 5, 9], 1);
        assert_eq!(runs_of(&runs), [(0, 10, 90)]);
        add(&mut runs, 0, &[12], 2);
        assert_eq!(runs_of(&runs), [(0, 10, 90), (0, 110, 120)]);
        // A line that was there already goes before.
        assert_eq!(add(&mut runs, 0, &[12, 15], 3), [false, true]);
        assert_eq!(runs_of(&runs), [(0, 10, 90), (0, 110, 150)]);
    }

    #[test]
    fn a_line_without_its_carriage_return_is_a_neighbour() {
        let mut runs = Runs::default();
        assert!(runs.add(b"s", 0, 10, 8, 1));
        assert!(runs.add(b"s", 0, 20, 8, 2));
        assert_eq!(runs_of(&runs), [(0, 1, 20)]);
    }

    #[test]
    fn runs_and_sources_stay_few_and_the_newest_are_kept() {
        let mut runs = Runs::default();
        for n in 0..200 {
            add(&mut runs, n, &[1], n + 1);
        }
        assert_eq!(runs_of(&runs).len(), MOST_RUNS);
        assert_eq!(add(&mut runs, 199, &[1], 300), [false]);
        let mut runs = Runs::default();
        for n in 0..MOST_SOURCES as u64 + 5 {
            assert!(runs.add(&n.to_be_bytes(), 0, 10, 9, n));
        }
        assert_eq!(runs.sources.len(), MOST_SOURCES);
        assert!(!runs.add(&(MOST_SOURCES as u64).to_be_bytes(), 0, 10, 9, 1 << 40));
    }
}

//! From what is known of a log's generations and the files that lie there, to what is to be read, in which order.
//!
//! Pure: positions, the files' metadata and tests of their content come in, a plan goes out. It is used at the start,
//! and whenever a running watcher finds that the open files are no longer what there is.
//!
//! The files stand in the order in which they were the log. A generation of which lines were read is found by its
//! anchor; all that stands behind the newest of these is unread, whatever it is. A generation of which nothing was read
//! has no anchor, and needs none: it is read from its beginning, like every other unread file.

use super::siblings::{Candidate, Kind};
use crate::position::{FileId, Position};

/// What is known when a plan is made.
pub struct Known<'a> {
    /// How far each generation was read, newest first.
    pub positions: &'a [Position],
    /// The newest generation that is open and lies nowhere among the candidates.
    pub held: Option<u64>,
    /// No unread file gets a lower number: a progress never goes back.
    pub floor: u64,
}

/// A file to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Index into the candidates.
    pub candidate: usize,
    /// None: from the file's beginning.
    pub from: Option<Position>,
    pub generation: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In the order in which they are to be read.
    pub segments: Vec<Segment>,
    /// The newest generation of which lines were read, when it is nowhere among the candidates.
    pub lost: Option<Position>,
    /// Generations of which there is only a shorter copy, and the candidate that this is.
    pub shorter: Vec<(u64, usize)>,
}

/// Tests of candidate `i`.
pub struct Tests<'a> {
    /// It has the position's anchor right before the position's offset.
    pub holds: &'a dyn Fn(usize, &Position) -> bool,
    /// It is a copy of the position's file that was made before the last lines were read.
    pub is_shorter_copy: &'a dyn Fn(usize, &Position) -> bool,
    /// It was written after the last look: so it is unread, where no anchor can tell.
    pub is_new: &'a dyn Fn(usize) -> bool,
    /// It was not to be read before, or no longer, and is as it was.
    pub is_passed_over: &'a dyn Fn(usize) -> bool,
}

/// What is to be read of the candidates, which are sorted oldest first.
pub fn plan(known: &Known, candidates: &[Candidate], tests: &Tests) -> Plan {
    let newest_read = known.positions.iter().position(|p| p.offset > 0);
    let (unread, read) = known
        .positions
        .split_at(newest_read.unwrap_or(known.positions.len()));
    let Placed {
        mut segments,
        shorter,
        newest,
    } = place(unread, read, known.floor, candidates, tests);
    let newest_generation = newest.map(|(generation, _)| generation);
    let lost = read
        .first()
        .filter(|read| newest_generation != Some(read.generation));
    let behind = newest.map_or(0, |(_, index)| index + 1);
    let is_certain = !read.is_empty() && lost.is_none();
    let file_of = |candidate: &Candidate| unread.iter().find(|p| p.file == candidate.stat.id);
    // What is known to be unread, and what came after it.
    let first_unread = candidates.iter().position(|c| file_of(c).is_some());
    let is_unread = |index: &usize| {
        let candidate = &candidates[*index];
        match candidate.kind {
            Kind::Path => true,
            Kind::Other => false,
            _ if (tests.is_passed_over)(*index) => false,
            _ if is_certain || first_unread.is_some_and(|first| first <= *index) => true,
            _ => (tests.is_new)(*index),
        }
    };
    let mut last = read.first().map(|p| p.generation).max(known.held);
    for index in (behind..candidates.len()).filter(is_unread) {
        let number = file_of(&candidates[index]).map_or(known.floor, |p| p.generation);
        let generation = last.map_or(number, |last| number.max(last + 1));
        last = Some(generation);
        segments.push(Segment {
            candidate: index,
            from: None,
            generation,
        });
    }
    Plan {
        segments,
        lost: lost.copied(),
        shorter,
    }
}

/// Where generations were found.
#[derive(Default)]
struct Placed {
    /// Oldest first.
    segments: Vec<Segment>,
    shorter: Vec<(u64, usize)>,
    /// The newest one's number and candidate.
    newest: Option<(u64, usize)>,
}

/// Finds the generations of which lines were read, and those before them.
fn place(
    unread: &[Position],
    read: &[Position],
    floor: u64,
    candidates: &[Candidate],
    tests: &Tests,
) -> Placed {
    // A file that has been a newer generation is not an older one any more, whatever is in it.
    let mut newer: Vec<FileId> = unread.iter().map(|position| position.file).collect();
    let mut placed = Placed::default();
    let mut bound = candidates.len();
    for position in read {
        let found = find(position, &candidates[..bound], &newer, tests);
        newer.push(position.file);
        let Some((index, is_whole)) = found else {
            continue;
        };
        bound = index;
        placed.newest = placed.newest.or(Some((position.generation, index)));
        if is_whole {
            let is_path = candidates[index].kind == Kind::Path;
            let lowest = if is_path { floor } else { 0 };
            placed.segments.push(Segment {
                candidate: index,
                from: Some(*position),
                generation: position.generation.max(lowest),
            });
        } else {
            // There is nothing more in it, but what is behind it is unread.
            placed.shorter.push((position.generation, index));
        }
    }
    placed.segments.reverse();
    placed
}

/// The candidate that the position was taken in: the same inode first, then the newest; false: a shorter copy of it.
fn find(
    position: &Position,
    candidates: &[Candidate],
    newer: &[FileId],
    tests: &Tests,
) -> Option<(usize, bool)> {
    let fits = |index: &usize| {
        let candidate = &candidates[*index];
        if newer.contains(&candidate.stat.id) {
            return false;
        }
        if position.anchor.len > 0 {
            return (tests.holds)(*index, position);
        }
        // Nothing was read yet, so the inode decides; where only a number is known, the path is taken at its word.
        candidate.stat.id == position.file && position.offset == 0
            || position.file == FileId::default()
                && candidate.kind == Kind::Path
                && candidate.stat.size >= position.offset
    };
    let newest_first = || (0..candidates.len()).rev();
    let same_inode = newest_first().find(|index| candidates[*index].stat.id == position.file);
    let whole = same_inode
        .filter(fits)
        .or_else(|| newest_first().find(fits));
    let shorter = || newest_first().find(|index| (tests.is_shorter_copy)(*index, position));
    whole
        .map(|index| (index, true))
        .or_else(|| shorter().map(|index| (index, false)))
}

#[cfg(test)]
#[allow(clippy::type_complexity)] // tables of cases
mod tests {
    use super::*;
    use crate::file::siblings::Stat;
    use crate::position::Progress;
    use std::time::{Duration, SystemTime};

    const NONE: u64 = u64::MAX;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// A log that was rotated, oldest first; inode i+1 and last write at second i+1; the last one is the path.
    fn files(kinds: &[Kind]) -> Vec<Candidate> {
        let stat = |index: u64| Stat {
            id: FileId {
                dev: 1,
                ino: index + 1,
            },
            size: 1000,
            modified: at(index + 1),
            changed: at(index + 1),
        };
        let candidate = |(index, kind): (usize, &Kind)| Candidate {
            path: format!("file{index}").into(),
            stat: stat(index as u64),
            kind: *kind,
        };
        kinds.iter().enumerate().map(candidate).collect()
    }

    fn position(generation: u64, offset: u64, ino: u64) -> Position {
        let anchor = crate::position::Anchor {
            len: offset.min(64) as u8,
            hash: generation,
        };
        Position {
            generation,
            offset,
            file: FileId { dev: 1, ino },
            anchor,
        }
    }

    /// Runs the plan where generation g's anchor is held by the candidates `holders[g]`.
    fn run(
        progress: &Progress,
        candidates: &[Candidate],
        holders: &[&[usize]],
        since: u64,
    ) -> (Vec<(usize, u64, u64)>, bool) {
        let tests = Tests {
            holds: &|index, position| holders[position.generation as usize].contains(&index),
            is_shorter_copy: &|_, _| false,
            is_new: &|index| since != NONE && candidates[index].stat.modified > at(since),
            is_passed_over: &|_| false,
        };
        let positions: Vec<_> = progress.positions().copied().collect();
        let known = Known {
            positions: &positions,
            held: None,
            floor: progress.current.generation,
        };
        let plan = plan(&known, candidates, &tests);
        let short = |s: &Segment| {
            (
                s.candidate,
                s.from.map_or(0, |position| position.offset),
                s.generation,
            )
        };
        (
            plan.segments.iter().map(short).collect(),
            plan.lost.is_some(),
        )
    }

    #[test]
    fn the_anchor_decides_and_what_is_newer_follows_in_order() {
        use Kind::{Numbered, Other, Path};
        let rotated = files(&[Numbered(3), Numbered(2), Numbered(1), Path]);
        let current = |offset, ino| Progress::at(position(0, offset, ino));
        let cases: [(&str, Progress, &[&[usize]], u64, &[(usize, u64, u64)], bool); 8] = [
            (
                "nothing happened",
                current(70, 4),
                &[&[3]],
                NONE,
                &[(3, 70, 0)],
                false,
            ),
            (
                "rotated once by rename",
                current(70, 3),
                &[&[2]],
                NONE,
                &[(2, 70, 0), (3, 0, 1)],
                false,
            ),
            (
                "rotated three times",
                current(70, 1),
                &[&[0]],
                1,
                &[(0, 70, 0), (1, 0, 1), (2, 0, 2), (3, 0, 3)],
                false,
            ),
            (
                "copytruncate: our inode lost the anchor",
                current(70, 4),
                &[&[2]],
                3,
                &[(2, 70, 0), (3, 0, 1)],
                false,
            ),
            (
                "the anchor is in two files: the inode decides",
                current(9, 3),
                &[&[2, 3]],
                NONE,
                &[(2, 9, 0), (3, 0, 1)],
                false,
            ),
            (
                "copied, not yet truncated",
                current(70, 4),
                &[&[2, 3]],
                3,
                &[(3, 70, 0)],
                false,
            ),
            (
                "copied to a new inode",
                current(70, 99),
                &[&[3]],
                NONE,
                &[(3, 70, 0)],
                false,
            ),
            (
                "gone or compressed: what came after the checkpoint",
                current(70, 99),
                &[&[]],
                2,
                &[(2, 0, 1), (3, 0, 2)],
                true,
            ),
        ];
        for (what, progress, holders, since, segments, lost) in cases {
            assert_eq!(
                run(&progress, &rotated, holders, since),
                (segments.to_vec(), lost),
                "{what}"
            );
        }
        let with_other = files(&[Numbered(1), Other, Path]);
        assert_eq!(
            run(&current(70, 1), &with_other, &[&[0]], NONE).0,
            [(0, 70, 0), (2, 0, 1)],
            "a sibling that no rotation made is not the log"
        );
        assert_eq!(
            run(
                &current(70, 2),
                &files(&[Numbered(2), Numbered(1)]),
                &[&[1]],
                NONE
            )
            .0,
            [(1, 70, 0)],
            "no path yet"
        );
    }

    #[test]
    fn at_offset_0_the_end_of_the_generation_before_tells_what_is_unread() {
        use Kind::{Numbered, Path};
        let rotated = files(&[Numbered(2), Numbered(1), Path]);
        let second = Progress {
            current: position(1, 0, 3),
            older: vec![position(0, 70, 1)],
        };
        assert_eq!(
            run(&second, &rotated, &[&[0], &[]], NONE).0,
            [(0, 70, 0), (1, 0, 1), (2, 0, 2)],
            "a copytruncate went by"
        );
        assert_eq!(
            run(&second, &rotated, &[&[1], &[]], NONE).0,
            [(1, 70, 0), (2, 0, 1)],
            "nothing happened"
        );
        let after_an_empty_one = Progress {
            current: position(2, 0, 3),
            older: vec![position(1, 0, 3), position(0, 70, 1)],
        };
        assert_eq!(
            run(&after_an_empty_one, &rotated, &[&[0], &[], &[]], NONE).0,
            [(0, 70, 0), (1, 0, 2), (2, 0, 3)],
            "an empty generation hides no copy"
        );
        let first = Progress::at(position(0, 0, 3));
        assert_eq!(
            run(&first, &rotated, &[&[]], 1).0,
            [(1, 0, 0), (2, 0, 1)],
            "a copy made since the checkpoint"
        );
        assert_eq!(
            run(&first, &rotated, &[&[]], 2).0,
            [(2, 0, 0)],
            "older files are not ours"
        );
        assert_eq!(
            run(&first, &rotated, &[&[]], NONE).0,
            [(2, 0, 0)],
            "the first start"
        );
        let renamed = Progress::at(position(0, 0, 2));
        assert_eq!(
            run(&renamed, &rotated, &[&[]], NONE).0,
            [(1, 0, 0), (2, 0, 1)],
            "renamed before anything was read"
        );
    }

    #[test]
    fn a_rotated_file_that_was_still_drained_is_drained_first() {
        use Kind::{Numbered, Path};
        let rotated = files(&[Numbered(1), Path]);
        let progress = Progress {
            current: position(1, 80, 2),
            older: vec![position(0, 70, 1)],
        };
        assert_eq!(
            run(&progress, &rotated, &[&[0], &[1]], NONE).0,
            [(0, 70, 0), (1, 80, 1)]
        );
        assert_eq!(
            run(&progress, &rotated, &[&[], &[1]], NONE),
            (vec![(1, 80, 1)], false),
            "it may be gone"
        );
    }

    /// Tests that say no; a case overrides those that it is about.
    const NO: Tests = Tests {
        holds: &|_, _| false,
        is_shorter_copy: &|_, _| false,
        is_new: &|_| false,
        is_passed_over: &|_| false,
    };

    /// (candidate, generation) of what a plan reads from its beginning.
    fn unread(known: &Known, candidates: &[Candidate], tests: &Tests) -> Vec<(usize, u64)> {
        let plan = plan(known, candidates, tests);
        let from_start = plan.segments.iter().filter(|s| s.from.is_none());
        from_start.map(|s| (s.candidate, s.generation)).collect()
    }

    fn known(positions: &[Position]) -> Known<'_> {
        Known {
            positions,
            held: None,
            floor: positions[0].generation,
        }
    }

    #[test]
    fn behind_a_shorter_copy_all_is_unread_and_nothing_in_it() {
        use Kind::{Numbered, Path};
        let rotated = files(&[Numbered(2), Numbered(1), Path]);
        let tests = Tests {
            is_shorter_copy: &|index, _| index == 0,
            ..NO
        };
        let positions = [position(0, 70, 3)];
        let plan = plan(&known(&positions), &rotated, &tests);
        assert_eq!((plan.lost, plan.shorter), (None, vec![(0, 0)]));
        assert_eq!(
            unread(&known(&positions), &rotated, &tests),
            [(1, 1), (2, 2)]
        );
    }

    #[test]
    fn a_file_that_was_empty_later_is_no_longer_what_was_read_before() {
        use Kind::{Numbered, Path};
        let rotated = files(&[Numbered(1), Path]);
        // After a truncation the path gets the same bytes once more.
        let positions = [position(1, 0, 2), position(0, 70, 2)];
        let tests = Tests {
            holds: &|_, _| true,
            ..NO
        };
        assert_eq!(unread(&known(&positions), &rotated, &tests), [(1, 1)]);
    }

    #[test]
    fn what_is_given_up_is_not_read_again_and_what_is_held_keeps_its_number() {
        use Kind::{Numbered, Path};
        let rotated = files(&[Numbered(2), Numbered(1), Path]);
        let positions = [position(5, 70, 1)];
        let tests = Tests {
            holds: &|index, _| index == 0,
            is_passed_over: &|index| index == 1,
            ..NO
        };
        assert_eq!(unread(&known(&positions), &rotated, &tests), [(2, 6)]);
        let elsewhere = [position(5, 70, 99)];
        let held = Known {
            held: Some(7),
            ..known(&elsewhere)
        };
        let tests = Tests {
            is_new: &|index| index == 1,
            ..NO
        };
        assert_eq!(unread(&held, &rotated, &tests), [(1, 8), (2, 9)]);
    }

    #[test]
    fn a_generation_never_goes_back_behind_one_that_was_reached() {
        use Kind::{Numbered, Path};
        let rotated = files(&[Numbered(2), Numbered(1), Path]);
        // Generations 1 and 2 were seen empty; of these, 1 is the path by now, and there is a copy of it before.
        let positions = [position(2, 0, 99), position(1, 0, 3), position(0, 70, 1)];
        let tests = Tests {
            holds: &|index, _| index == 0,
            ..NO
        };
        assert_eq!(
            unread(&known(&positions), &rotated, &tests),
            [(1, 2), (2, 3)]
        );
    }
}

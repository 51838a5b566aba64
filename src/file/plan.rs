//! From a position and the files that lie there, to what is to be read, in which order.
//!
//! Pure: the files' metadata and a test for the anchor come in, a plan goes out. It is used at the start, and whenever
//! a running watcher finds that the open file is no longer what it was.

use std::time::SystemTime;

use super::siblings::{Candidate, Kind};
use crate::position::{FileId, Position, Progress};

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
    /// The file of the current position is nowhere among the readable ones.
    pub lost: bool,
}

/// What is to be read, given how far we got.
///
/// `holds(i, position)`: candidate i has the position's anchor right before its offset. `since`: when the position
/// was written down; where no anchor can tell, files last written later are taken as not yet read.
pub fn plan(
    progress: &Progress,
    candidates: &[Candidate],
    holds: &dyn Fn(usize, &Position) -> bool,
    since: Option<SystemTime>,
) -> Plan {
    let found = find(&progress.current, candidates, holds);
    let mut segments: Vec<Segment> = Vec::new();
    for position in progress.older.iter().rev() {
        let place = find(position, candidates, holds);
        if let Some(candidate) = place.filter(|index| Some(*index) != found) {
            segments.push(Segment {
                candidate,
                from: Some(*position),
                generation: position.generation,
            });
        }
    }
    // An empty generation proves nothing: its inode may be the path's, truncated once more since.
    let before = progress.older.iter().find(|older| older.offset > 0);
    let last_read = before.map(|before| {
        let same = |segment: &&Segment| segment.generation == before.generation;
        segments.iter().find(same).map(|segment| segment.candidate)
    });
    let unread = match found {
        Some(index) if progress.current.offset > 0 => newer_than(index, candidates),
        // At offset 0 there is no anchor, so a copytruncate may have gone by unseen.
        Some(index) => match last_read {
            Some(Some(last)) => newer_than(last, candidates),
            None if progress.current.generation == 0 => written_after(since, candidates),
            _ => newer_than(index, candidates),
        },
        None => written_after(since, candidates),
    };
    let mut generation = progress.current.generation;
    if let Some(candidate) = found.filter(|index| !unread.contains(index)) {
        segments.push(Segment {
            candidate,
            from: Some(progress.current),
            generation,
        });
        generation += 1;
    } else if found.is_none() {
        generation += 1;
    }
    let taken: Vec<_> = segments.iter().map(|segment| segment.candidate).collect();
    for candidate in unread.into_iter().filter(|index| !taken.contains(index)) {
        segments.push(Segment {
            candidate,
            from: None,
            generation,
        });
        generation += 1;
    }
    Plan {
        segments,
        lost: found.is_none(),
    }
}

/// The candidate that the position was taken in: the same inode first, then the path, then the newest.
fn find(
    position: &Position,
    candidates: &[Candidate],
    holds: &dyn Fn(usize, &Position) -> bool,
) -> Option<usize> {
    let fits = |index: &usize| {
        let candidate = &candidates[*index];
        if position.anchor.len > 0 {
            return holds(*index, position);
        }
        // Nothing was read yet, so the inode decides; where only a number is known, the path is taken at its word.
        candidate.stat.id == position.file && position.offset == 0
            || position.file == FileId::default()
                && candidate.kind == Kind::Path
                && candidate.stat.size >= position.offset
    };
    let same_inode =
        (0..candidates.len()).find(|index| candidates[*index].stat.id == position.file);
    same_inode
        .filter(fits)
        .or_else(|| (0..candidates.len()).rev().find(fits))
}

/// The files that were the log after the one at `index`, oldest first; the path is the last.
pub fn newer_than(index: usize, candidates: &[Candidate]) -> Vec<usize> {
    let is_next = |candidate: &Candidate| {
        candidate.kind != Kind::Other && candidate.is_newer_than(&candidates[index])
    };
    (0..candidates.len())
        .filter(|other| is_next(&candidates[*other]))
        .collect()
}

/// The files last written after a moment, oldest first; the path always.
pub fn written_after(since: Option<SystemTime>, candidates: &[Candidate]) -> Vec<usize> {
    let is_next = |candidate: &Candidate| match candidate.kind {
        Kind::Path => true,
        Kind::Other => false,
        Kind::Numbered(_) | Kind::Dated => {
            since.is_some_and(|since| candidate.stat.modified > since)
        }
    };
    (0..candidates.len())
        .filter(|index| is_next(&candidates[*index]))
        .collect()
}

#[cfg(test)]
#[allow(clippy::type_complexity)] // tables of cases
mod tests {
    use super::*;
    use crate::file::siblings::Stat;
    use std::time::Duration;

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
        let holds = |index: usize, position: &Position| {
            holders[position.generation as usize].contains(&index)
        };
        let since = (since != NONE).then(|| at(since));
        let plan = plan(progress, candidates, &holds, since);
        let short = |s: &Segment| {
            (
                s.candidate,
                s.from.map_or(0, |position| position.offset),
                s.generation,
            )
        };
        (plan.segments.iter().map(short).collect(), plan.lost)
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
}

//! What a tail does when the open files are no longer what there is: look at what lies beside the path, plan, open.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::time::SystemTime;

use super::copies::{end_of_copy, is_closed, is_untruncated_copy};
use super::open::{Open, holds, open_candidate};
use super::plan::{Known, Plan, Segment, Tests, plan};
use super::siblings::{Beside, Candidate, Kind, look_beside};
use super::{Tail, newest_first};
use crate::error::describe;
use crate::position::{FileId, Position};
use crate::talk;

impl Tail<'_> {
    /// Remembers where a generation ended that is no longer open.
    pub(super) fn finish(&mut self, end: Position) {
        let is_newer = |finished: Position| finished.generation < end.generation;
        if end.offset > 0 && self.finished.is_none_or(is_newer) {
            self.finished = Some(end);
        }
    }

    /// Whether nobody waits for late lines of a generation any more.
    fn is_finished(&self, generation: u64) -> bool {
        let is_it = |finished: Position| finished.generation == generation;
        self.finished.is_some_and(is_it) && self.files.iter().all(|o| o.generation != generation)
    }

    fn has_open(&self, id: FileId) -> bool {
        self.files.iter().any(|open| open.stat.id == id)
    }

    /// What is known of each generation, newest first.
    fn known(&self) -> Vec<Position> {
        if self.files.is_empty() {
            return self.waiting.positions().copied().collect();
        }
        let mut known: Vec<_> = self.files.iter().map(|open| open.end).collect();
        known.extend(self.finished);
        newest_first(known)
    }

    /// Opens what there is to read now, unless that is open already. Returns whether it was not.
    fn follow(&mut self) -> io::Result<bool> {
        let beside = self.look_beside()?;
        let held = self.files.iter().filter(|open| !beside.has(open.stat.id));
        let held = held.map(|open| open.generation).max();
        let mut plan = self.plan(held, &beside)?;
        plan.segments
            .retain(|segment| !self.is_finished(segment.generation));
        let is_read = |index: &usize| plan.segments.iter().any(|s| s.candidate == *index);
        let passed_over = (0..beside.candidates.len()).filter(|index| !is_read(index));
        self.passed_over = passed_over
            .map(|index| beside.candidates[index].stat)
            .collect();
        if plan.segments.is_empty() || self.is_followed(&plan, &beside) {
            return Ok(false);
        }
        // What may fail comes first, so that all is done or nothing.
        let files = self.open_segments(&beside.candidates, &plan.segments)?;
        let ends = self.ends(&plan, &beside)?;
        let lost = plan.lost.filter(|lost| held < Some(lost.generation));
        if let Some(lost) = lost {
            self.say_lost(&lost, &beside);
        }
        self.replace_files(files, &|open| !beside.has(open.stat.id));
        let is_open = |end: &Position| self.files.iter().any(|o| o.generation == end.generation);
        let gone: Vec<_> = ends.into_iter().filter(|end| !is_open(end)).collect();
        for end in gone {
            self.finish(end);
        }
        Ok(true)
    }

    /// Whether what is open, apart from files that lie nowhere any more, is what the plan wants.
    fn is_followed(&self, plan: &Plan, beside: &Beside) -> bool {
        let open: Vec<_> = self
            .files
            .iter()
            .filter(|o| beside.has(o.stat.id))
            .collect();
        let is_it = |(segment, open): (&Segment, &&Open)| {
            open.stat.id == beside.candidates[segment.candidate].stat.id
                && open.is_still(segment).unwrap_or(false)
        };
        open.len() == plan.segments.len() && plan.segments.iter().zip(&open).all(is_it)
    }

    /// Where each known generation ends; one that was copied before its last lines were read, in the copy, which can be
    /// told by that.
    fn ends(&self, plan: &Plan, beside: &Beside) -> io::Result<Vec<Position>> {
        let end = |known: Position| {
            let is_it = |(generation, _): &&(u64, usize)| *generation == known.generation;
            match plan.shorter.iter().find(is_it) {
                Some((generation, index)) => end_of_copy(&beside.candidates[*index], *generation),
                None => Ok(known),
            }
        };
        self.known().into_iter().map(end).collect()
    }

    /// Goes on with other files; those of the open ones that are held, though they lie nowhere any more, stay.
    fn replace_files(&mut self, mut files: VecDeque<Open>, is_held: &dyn Fn(&Open) -> bool) {
        let was_path = self.files.back().map(|open| open.stat.id);
        let is_path = files.back().map(|open| open.stat.id);
        if was_path.is_some() {
            let what = if was_path == is_path {
                "truncated"
            } else {
                "rotated"
            };
            talk::detail(&format!("{}: {what}", self.path.display()));
        }
        for old in std::mem::take(&mut self.files) {
            match files
                .iter_mut()
                .find(|open| open.generation == old.generation)
            {
                // The beginning of a line that was read of it stays read, where a look can tell that it is still there.
                Some(twin)
                    if old.end == twin.end
                        && old.end.offset > 0
                        && old.is_intact().unwrap_or(false) =>
                {
                    *twin = old;
                }
                None if is_held(&old) => files.push_back(old),
                _ => {}
            }
        }
        files.make_contiguous().sort_by_key(|open| open.generation);
        let older = files.len().saturating_sub(1);
        for open in files.iter_mut().take(older) {
            open.give_up_after(self.limits.rotate_wait);
        }
        self.files = files;
    }

    /// What is to be read; an error where the files moved on under the look.
    fn plan(&self, held: Option<u64>, beside: &Beside) -> io::Result<Plan> {
        let trouble = RefCell::new(None);
        let look = |held: io::Result<bool>| {
            held.unwrap_or_else(|error| {
                trouble.replace(Some(error));
                false
            })
        };
        let tests = Tests {
            holds: &|index, position| {
                let opened = open_candidate(&beside.candidates[index]);
                look(opened.and_then(|(file, _)| holds(&file, position)))
            },
            is_shorter_copy: &|index, position| {
                let candidate = &beside.candidates[index];
                let mut files = self.files.iter();
                let source = files.find(|open| open.generation == position.generation);
                let source = source.filter(|_| !self.has_open(candidate.stat.id));
                source.is_some_and(|open| look(open.was_copied_to(candidate)))
            },
            is_new: &|index| {
                let modified = beside.candidates[index].stat.modified;
                self.since.is_some_and(|since| modified > since)
            },
            is_passed_over: &|index| {
                let stat = &beside.candidates[index].stat;
                self.passed_over.iter().any(|old| old.is_unchanged(stat))
            },
        };
        let positions = self.known();
        let known = Known {
            positions: &positions,
            held,
            floor: self.progress().current.generation,
        };
        let plan = plan(&known, &beside.candidates, &tests);
        trouble.into_inner().map_or(Ok(plan), Err)
    }

    /// Whether there were files between the last one and this, or others instead of this, which are open now.
    pub(super) fn finds_other_files(&mut self) -> bool {
        let followed = self.follow();
        // Where the look fails, the bytes are left for the next one.
        let found = followed.as_ref().map_or(true, |changed| *changed);
        self.say_trouble_of(followed);
        found
    }

    /// What lies beside the path, without a copy of it that is not yet followed by the truncation, as its lines are still
    /// in the path; and without what may not be read.
    fn look_beside(&self) -> io::Result<Beside> {
        let mut beside = look_beside(&self.path, self.is_watched)?;
        let path = beside.candidates.last().cloned();
        let path = path.filter(|last| last.kind == Kind::Path);
        for candidate in std::mem::take(&mut beside.candidates) {
            if candidate.kind == Kind::Path || self.has_open(candidate.stat.id) {
                beside.candidates.push(candidate);
            } else if is_closed(&candidate) {
                beside
                    .closed
                    .push((candidate.path, candidate.stat.modified));
            } else {
                let is_copy = match &path {
                    Some(path) => is_untruncated_copy(&candidate, path)?,
                    None => false,
                };
                if !is_copy {
                    beside.candidates.push(candidate);
                }
            }
        }
        Ok(beside)
    }

    /// Opens segments; all or none, as a rotation may be renaming them at this moment.
    fn open_segments(
        &self,
        candidates: &[Candidate],
        segments: &[Segment],
    ) -> io::Result<VecDeque<Open>> {
        let open = |segment: &Segment| {
            let candidate = &candidates[segment.candidate];
            Open::new(candidate, segment, self.limits.max_line)
        };
        segments.iter().map(open).collect()
    }

    /// Follows the files; what stands in the way is said once, and it is tried again at the next poll.
    pub(super) fn try_to_follow(&mut self) -> bool {
        let followed = self.follow();
        let has_worked = followed.is_ok();
        self.say_trouble_of(followed);
        has_worked
    }

    fn say_trouble_of(&mut self, followed: io::Result<bool>) {
        match followed {
            Ok(_) => self.trouble.clear(),
            // The files have moved on between two looks, or are about to: the next poll sees where to.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::WouldBlock
                ) => {}
            Err(error) => self.say_trouble(format!(
                "open {}: {}",
                self.path.display(),
                describe(&error)
            )),
        }
    }

    fn say_lost(&self, position: &Position, beside: &Beside) {
        let path = self.path.display();
        let later = |time: &SystemTime| self.since.is_none_or(|since| *time >= since);
        let names = beside
            .closed
            .iter()
            .filter(|(_, time)| later(time))
            .map(|(name, _)| name.display().to_string());
        let names: Vec<_> = names.collect();
        if names.is_empty() {
            talk::note(&format!(
                "{path}: it is not the file that was read to offset {}; reading it from its start",
                position.offset
            ));
        } else {
            talk::warn(&format!(
                "{path}: rotated and compressed, or closed to this user, before it was read to its end: lines from offset \
                 {} on, and files after that, may have been missed; they are in {}",
                position.offset,
                names.join(", ")
            ));
        }
    }
}

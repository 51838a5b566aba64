//! What is to be done next with a log: a look around, or to read on.

use std::time::{Duration, Instant, SystemTime};

use super::generation::Generation;
use super::look::Looked;
use super::open::{Stat, Version, stat};
use super::{CLOCK_STEP, LOOK_AGAIN, Tail, open};
use crate::error::describe;
use crate::position::Position;

/// What is written and truncated within this time is taken to be seen.
const LATELY: Duration = Duration::from_secs(1);

/// When to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looking {
    /// At the next poll, whatever the path is.
    Due,
    /// When the path changes.
    Settled,
    /// The last look at a path that was so did not help: not before this time, while it stays so.
    Vain(Option<Version>, Instant),
    /// The last look could not be had, or could not open all: at this time, whatever the path is.
    Failed(Instant),
}

impl Looking {
    pub(super) fn has_failed(self, now: Instant) -> bool {
        matches!(self, Looking::Failed(until) if now < until)
    }
}

/// What a poll is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing changed, or there is nothing yet.
    Idle,
    /// The open file may have grown. Same size and another time count too: the read finds whether it is still ours.
    Read,
    /// The path has appeared, is another file, or was cut short: see what there is to read now.
    Look,
    /// What there is to read is not known yet, and nothing can be done about it now.
    Wait,
}

/// What the newest open file and a look at the path say. `looked_at`: the path as it was before the last look.
fn next_step(
    newest: Option<(&Position, Stat)>,
    path: Option<Stat>,
    was_absent: bool,
    looked_at: Option<Version>,
) -> Step {
    let Some((end, seen)) = newest else {
        return match path {
            Some(_) => Step::Look,
            None => Step::Idle,
        };
    };
    match path {
        // Removed, or renamed and not yet made anew: writers may still have it open.
        None if was_absent => Step::Read,
        None => Step::Look,
        Some(path) if path.id != seen.id || path.size < end.offset => Step::Look,
        // Nothing was read of it, so that no anchor tells of a truncation.
        Some(path) if end.offset == 0 && Some(path.version()) != looked_at => Step::Look,
        Some(path) if path.size != seen.size || path.modified != seen.modified => Step::Read,
        Some(_) => Step::Idle,
    }
}

impl Tail<'_> {
    /// Looks at the path, and follows it where it is another file. None: a look is not through yet.
    pub(super) fn step(&mut self, now: Instant) -> Option<Step> {
        self.polled = SystemTime::now() - CLOCK_STEP;
        self.looked_lately = now.saturating_duration_since(self.stepped) <= LATELY;
        self.stepped = now;
        let path = match stat(&self.place.path) {
            Ok(path) => path,
            Err(error) => {
                let name = self.place.path.display();
                self.say_trouble(format!("look at {name}: {}", describe(&error)));
                return Some(Step::Read);
            }
        };
        if let Some(newest) = self.chain.last_mut().filter(|g| !g.is_sought()) {
            // The file that is open may have another name by now, or none.
            let own = path.filter(|path| path.id == newest.stat.id);
            if let Some(stat) = own.or_else(|| newest.look()) {
                newest.note_size(stat.size);
            }
        }
        let newest = self.chain.last().filter(|g| !g.is_sought());
        let newest = newest.map(|g| (&g.end, g.stat));
        let step = match self.looking {
            Looking::Due | Looking::Failed(_) => Step::Look,
            _ => next_step(newest, path, self.was_absent, self.looked_at),
        };
        self.was_absent |= path.is_none();
        let state = path.map(|path| path.version());
        if step != Step::Look {
            self.was_absent = path.is_none();
            // Of what has grown, only a read tells whether it was truncated before; and while there is nothing, a file may
            // come and be rotated away between two polls.
            if step == Step::Idle && path.is_some() {
                self.has_seen_all();
            }
            return Some(step);
        }
        let is_vain =
            matches!(self.looking, Looking::Vain(at, until) if at == state && now < until);
        if is_vain || self.looking.has_failed(now) {
            return Some(Step::Read);
        }
        self.looked_at = state;
        match self.try_to_look() {
            Some(Looked::Pending) => {
                self.looking = Looking::Due;
                return None;
            }
            Some(Looked::Waiting) => {
                self.looking = Looking::Due;
                return Some(Step::Wait);
            }
            Some(Looked::Changed | Looked::Same) if self.is_short => {
                self.looking = Looking::Failed(now + LOOK_AGAIN);
            }
            Some(Looked::Changed) => {
                self.was_absent = path.is_none();
                self.looking = Looking::Settled;
                self.has_seen_all();
            }
            Some(Looked::Same) => {
                self.looking = Looking::Vain(state, now + LOOK_AGAIN);
                self.has_seen_all();
            }
            None => {}
        }
        Some(Step::Read)
    }

    /// What was changed before the path was looked at was seen; not so as long as something is sought.
    pub(super) fn has_seen_all(&mut self) {
        if !self.chain.iter().any(Generation::is_sought) {
            self.since = self.since.max(Some(self.polled));
            self.has_moved |= !self.is_dated;
        }
    }

    /// Looks; what stands in the way is said once, and it is tried again.
    pub(super) fn try_to_look(&mut self) -> Option<Looked> {
        match self.look() {
            Ok(looked) => {
                self.trouble.clear();
                Some(looked)
            }
            // The files have moved on under the look: the next one sees where to.
            Err(error) if open::is_absent(&error) => {
                self.looking = Looking::Due;
                None
            }
            Err(error) => {
                let name = self.place.path.display();
                self.say_trouble(format!("open {name}: {}", describe(&error)));
                self.looking = Looking::Failed(Instant::now() + LOOK_AGAIN);
                None
            }
        }
    }

    /// Whether a file is to be read although the path says nothing new.
    pub(super) fn is_any_due(&self, now: Instant) -> bool {
        let newest = self.chain.len().saturating_sub(1);
        self.chain
            .iter()
            .enumerate()
            .any(|(index, g)| !g.is_done() || index < newest && now >= g.next_look)
    }
}

//! When a file that was read to its end is closed.

use std::time::{Duration, Instant};

use super::{LATE_LOOK, Late, Sink, Tail};
use crate::position::{Gap, Position};
use crate::talk;

impl Tail<'_> {
    /// Drops a file that is read to its end when nobody will write to it any more. Of a renamed one that is silent, what
    /// has no newline is a line.
    pub(super) fn let_go(&mut self, index: usize, now: Instant, sink: &mut dyn Sink) -> Late {
        let (is_newest, is_older) = (index + 1 == self.chain.len(), index + 2 < self.chain.len());
        let generation = &mut self.chain[index];
        let is_gone = generation.look().is_none_or(|stat| stat.links == 0);
        if is_newest && !self.was_absent {
            return Late::Waits;
        }
        let is_silent = now.duration_since(generation.touched) >= self.limits.rotate_wait;
        generation.next_look = now + if is_silent { LATE_LOOK } else { Duration::ZERO };
        if !is_silent {
            return Late::Waits;
        }
        if !generation.is_copy && !generation.is_troubled() && generation.unread() > 0 {
            // What cannot be read now is tried again at the next look.
            return match generation.take_rest(&self.limits, sink) {
                Ok(Some(_)) => Late::Took,
                Ok(None) | Err(_) => Late::Waits,
            };
        }
        if !is_gone && !is_older {
            return Late::Waits;
        }
        self.close(index);
        Late::Closed
    }

    fn close(&mut self, index: usize) {
        let generation = self.chain.remove(index);
        let (end, rest, name) = (
            generation.end,
            generation.unread(),
            generation.name.display(),
        );
        if rest > 0 && generation.is_troubled() {
            let gap = Gap {
                generation: end.generation,
                offset: end.offset,
                bytes: Some(rest),
            };
            self.note_gap(gap, "it could not be read as long as it was there");
        } else if rest > 0 {
            talk::warn(&format!(
                "{name}: its last {rest} bytes, from offset {}, have no newline and were not published",
                end.offset
            ));
        }
        self.finish(end, generation.size());
    }

    fn finish(&mut self, end: Position, size: u64) {
        // One of the same number stood for this one before it was found.
        let is_newer = |old: Position| old.generation <= end.generation;
        if end.offset == 0 {
            self.given_up.push((end.file, size));
        } else {
            self.closed.push(end);
            if self.finished.is_none_or(is_newer) {
                self.finished = Some(end);
            }
        }
        self.claim();
    }

    /// An archive that ends too early, and is not in the making.
    pub(super) fn let_go_of_broken(&mut self, index: usize) {
        let generation = self.chain.remove(index);
        let end = generation.end;
        let gap = Gap {
            generation: end.generation,
            offset: end.offset,
            bytes: None,
        };
        self.note_gap(gap, &generation.trouble());
        self.finish(end, generation.size());
    }

    /// A rotated file that was cut: there is no more to be had from it.
    pub(super) fn let_go_of_cut(&mut self, index: usize) {
        let generation = self.chain.remove(index);
        if !generation.ended {
            let gap = Gap {
                generation: generation.end.generation,
                offset: generation.end.offset,
                bytes: None,
            };
            self.note_gap(gap, "the rotated file was truncated");
        }
        self.claim();
    }
}

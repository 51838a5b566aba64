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
        if is_newest && !self.was_absent && !self.is_short {
            return Late::Waits;
        }
        let is_silent = now.duration_since(generation.touched) >= self.limits.rotate_wait;
        generation.next_look = now + if is_silent { LATE_LOOK } else { Duration::ZERO };
        if !is_silent {
            return Late::Waits;
        }
        if !generation.is_copy && generation.unread() > 0 {
            // What cannot be read now is tried again at the next look.
            return match generation.take_rest(&self.limits, sink) {
                Ok(Some(_)) => Late::Took,
                Ok(None) | Err(_) => Late::Waits,
            };
        }
        if !is_gone && !is_older && !self.is_short {
            return Late::Waits;
        }
        self.close(index);
        Late::Closed
    }

    fn close(&mut self, index: usize) {
        let generation = self.chain.remove(index);
        let (end, rest) = (generation.end, generation.unread());
        if rest > 0 {
            talk::warn(&format!(
                "{}: its last {rest} bytes, from offset {}, have no newline and were not published",
                generation.name.display(),
                end.offset
            ));
        }
        self.finish(end, generation.size());
    }

    /// A file that cannot be read keeps its successors waiting for `--rotate-wait`. Returns which one is read next; None:
    /// they wait.
    pub(super) fn pass_refused(&mut self, index: usize, now: Instant) -> Option<usize> {
        let wait = self.limits.rotate_wait;
        let since = self.chain[index].refused_since();
        if let Some(since) = since.filter(|since| now.duration_since(*since) >= wait) {
            let id = self.chain[index].end.file;
            self.inspector.note_refused(id, since);
            self.let_go_of_unreadable(index);
            return Some(index);
        }
        self.chain[index].ended.then_some(index + 1)
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

    /// A rotated file that does not let itself be read to its end, and is not in the making.
    pub(super) fn let_go_of_unreadable(&mut self, index: usize) {
        let generation = self.chain.remove(index);
        let (end, rest) = (generation.end, generation.unread());
        if rest > 0 || !generation.ended {
            let gap = Gap {
                generation: end.generation,
                offset: end.offset,
                bytes: Some(rest).filter(|bytes| *bytes > 0),
            };
            self.note_gap(gap, &generation.trouble());
        }
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

//! Places along a file, by which a copy of it is known.

use super::PLACES;
use crate::lines::leading_nuls;
use crate::position::Anchor;

/// By this an earlier copy is known: the first bytes, and some places with their anchors, the sparser the further back.
#[derive(Debug, Default)]
pub struct Trail {
    pub(super) head: Vec<u8>,
    places: Vec<(u64, Anchor)>,
}

impl Trail {
    pub fn push(&mut self, offset: u64, anchor: Anchor) {
        if self.places.len() == PLACES {
            let mut index = 0;
            self.places.retain(|_| {
                index += 1;
                index > PLACES / 2 || index % 2 == 1
            });
        }
        self.places.push((offset, anchor));
    }

    /// Whether these first bytes of a file, at most 64, may be those of an earlier copy. None: they do not tell, as where
    /// both begin with a hole.
    pub fn begins_with(&self, head: &[u8]) -> Option<bool> {
        let known = self.head.len().min(head.len());
        let (own, head) = (&self.head[..known], &head[..known]);
        (own != head || leading_nuls(own) < known).then_some(own == head)
    }

    /// The last place that a file of this size must have, to be an earlier copy.
    pub fn place_before(&self, size: u64) -> Option<(u64, Anchor)> {
        let is_in = |place: &&(u64, Anchor)| place.0 <= size;
        self.places.iter().rev().find(is_in).copied()
    }

    pub fn places(&self) -> &[(u64, Anchor)] {
        &self.places
    }
}

//! What nobody can read any more: entries that were trimmed or deleted before they were read here.
//!
//! Told by counting: Redis 7 knows how many entries were ever added to a stream and how many are there, and the reader how
//! many were added up to the last one that he has read. Where none is left of those, the others that are gone are missing.

use crate::broker::{Extent, Id};
use crate::talk;

/// What one reader of a stream has not got, as far as was said.
pub struct Missing {
    /// Who reads what, in words.
    reader: String,
    /// Entries that were ever added up to the last one that was read. None: nobody knows.
    read: Option<u64>,
}

impl Missing {
    pub fn new(reader: String, read: Option<u64>) -> Missing {
        Missing { reader, read }
    }

    pub fn read(&self) -> Option<u64> {
        self.read
    }

    /// So many more were read.
    pub fn add(&mut self, entries: usize) {
        self.read = self.read.map(|read| read + entries as u64);
    }

    /// Says what is gone of the stream behind the `last` entry that was read. The stream is as it was when the next entries
    /// were read, or before.
    pub fn look(&mut self, last: Id, extent: &Extent) {
        if extent.newest == last && self.read.is_none() {
            self.read = extent.added();
        }
        let (Some(gone), true) = (extent.gone, extent.start() >= last) else {
            return;
        };
        let missing = gone.saturating_sub(self.read.unwrap_or(gone));
        if missing > 0 {
            talk::warn(&format!(
                "{}: {missing} entries behind {last}, up to {}, were trimmed or deleted before they were read: their lines are \
                 missing here",
                self.reader,
                extent.start()
            ));
        }
        self.read = Some(gone);
    }

    /// A Redis that does not tell is said to be one, behind a time in which anybody may have trimmed.
    pub fn look_back(&self, last: Id, extent: &Extent) {
        if extent.gone.is_none() && last > Id::START && extent.start() > last {
            talk::warn(&format!(
                "{}: entries behind {last}, up to {}, may have been trimmed before they were read: this Redis does not tell \
                 (7 or later does)",
                self.reader,
                extent.start()
            ));
        }
    }

    /// What is there ends before what was read.
    pub fn say_lost_end(&mut self, last: Id, extent: &Extent) {
        self.read = None;
        talk::warn(&format!(
            "{} ends at {}, before what was read up to {last}: it was removed, or Redis has lost the end of it; reading it \
             from its start",
            self.reader, extent.newest
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(oldest: Option<u64>, newest: u64, length: u64, gone: u64) -> Extent {
        let id = |ms| Id { ms, seq: 0 };
        Extent {
            oldest: oldest.map(id),
            newest: id(newest),
            length,
            gone: Some(gone),
            group: None,
        }
    }

    #[test]
    fn what_was_read_may_go_and_what_was_not_is_missing() {
        let last = Id { ms: 5, seq: 0 };
        for (read, extent, after) in [
            // Ten were ever added, five of them read: as far as these are there nothing else is gone.
            (Some(5), extent(Some(3), 10, 8, 2), Some(5)),
            (Some(5), extent(Some(6), 10, 5, 5), Some(5)),
            (Some(5), extent(Some(8), 10, 3, 7), Some(7)),
            (Some(5), extent(None, 10, 0, 10), Some(10)),
            (Some(5), extent(None, 5, 0, 5), Some(5)),
            // Who has just begun learns where it is.
            (None, extent(Some(3), 10, 8, 2), None),
            (None, extent(Some(6), 10, 5, 5), Some(5)),
            (None, extent(Some(3), 5, 3, 2), Some(5)),
        ] {
            let mut missing = Missing::new("r".into(), read);
            missing.look(last, &extent);
            assert_eq!(missing.read(), after, "{extent:?}");
        }
    }
}

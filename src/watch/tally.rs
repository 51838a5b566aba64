//! What the threads count, and what a count was at one moment.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counted by the thread to which it happens, a batch or an event at a time; read by who reports.
#[derive(Default)]
pub struct Counters {
    pub lines: AtomicU64,
    /// Lines that reached no subscriber.
    pub unheard: AtomicU64,
    /// Lines that Redis refused, and that are kept in the state directory.
    pub refused: AtomicU64,
    /// Lines in Redis that were dropped before everybody was done with them.
    pub dropped: AtomicU64,
    /// Bytes of the logs, published.
    pub bytes: AtomicU64,
    pub batches: AtomicU64,
    /// How often a connection was made to publish on.
    pub sessions: AtomicU64,
    pub gaps: AtomicU64,
    /// Bytes that are missing, where that is known.
    pub gap_bytes: AtomicU64,
    /// One more than the entries in Redis behind the last batch; 0: that is not known.
    backlog: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub lines: u64,
    pub unheard: u64,
    pub refused: u64,
    pub dropped: u64,
    pub bytes: u64,
    pub batches: u64,
    pub reconnects: u64,
    pub gaps: u64,
    pub gap_bytes: u64,
    pub backlog: Option<u64>,
}

/// A watched file, and its bytes that are not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    pub path: PathBuf,
    pub bytes: u64,
}

impl Counters {
    pub fn tally(&self) -> Tally {
        Tally {
            lines: self.lines.load(Relaxed),
            unheard: self.unheard.load(Relaxed),
            refused: self.refused.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            batches: self.batches.load(Relaxed),
            reconnects: self.sessions.load(Relaxed).saturating_sub(1),
            gaps: self.gaps.load(Relaxed),
            gap_bytes: self.gap_bytes.load(Relaxed),
            backlog: self.backlog.load(Relaxed).checked_sub(1),
        }
    }

    /// How many entries Redis keeps now.
    pub fn set_backlog(&self, entries: u64) {
        self.backlog.store(entries.saturating_add(1), Relaxed);
    }
}

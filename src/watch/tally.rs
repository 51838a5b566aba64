//! What the threads count, and what a count was at one moment.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::account::count;
use crate::talk::grouped;

/// A figure that only grows, and begins at 0 with the watcher: what each report makes of it.
pub struct Figure {
    /// Programs call it so: a key of `--stats`'s JSON, and of the metrics.
    pub name: &'static str,
    pub help: &'static str,
    pub of: fn(&Tally) -> u64,
    /// A line of `--stats` calls one of it so; empty: it says it elsewhere, or not.
    pub one: &'static str,
    /// The last word says so much of it, where there was any.
    pub last: Option<fn(u64) -> String>,
}

/// Makes counters, tally and `FIGURES` out of one table: a new figure is one line.
macro_rules! figures {
    ($($field:ident, $name:literal, $help:literal, $one:literal, $last:expr;)*) => {
        /// Counted by the thread to which it happens, a batch or an event at a time; read by who reports.
        pub struct Counters {
            $(pub $field: AtomicU64,)*
            backlog: AtomicU64,
        }

        /// The counts at one moment.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Tally {
            $(pub $field: u64,)*
            /// Entries in Redis behind the last batch, where that is known.
            pub backlog: Option<u64>,
        }

        impl Counters {
            pub fn new() -> Counters {
                Counters {
                    $($field: AtomicU64::new(0),)*
                    backlog: AtomicU64::new(UNKNOWN),
                }
            }

            pub fn tally(&self) -> Tally {
                let backlog = self.backlog.load(Relaxed);
                Tally {
                    $($field: self.$field.load(Relaxed),)*
                    backlog: (backlog != UNKNOWN).then_some(backlog),
                }
            }
        }

        pub const FIGURES: &[Figure] = &[
            $(Figure { name: $name, help: $help, of: |tally| tally.$field, one: $one, last: $last },)*
        ];
    };
}

figures! {
    lines, "lines", "Lines published to Redis.", "", None;
    bytes, "bytes", "Bytes of the logs published to Redis.", "", None;
    batches, "batches", "Batches that Redis has acknowledged.", "", None;
    reconnects, "reconnects", "Connections to Redis after the first.", "reconnect", None;
    refused, "refused_lines", "Lines that Redis refused, kept in the state directory.", "line refused",
        Some(|lines| format!("Redis refused {} more, which are kept in the state directory", grouped(lines)));
    dropped, "dropped_lines", "Lines dropped in Redis to make room (--when-full drop-oldest).", "line dropped",
        Some(|lines| format!("{} older ones were dropped to make room (--when-full drop-oldest)", grouped(lines)));
    unheard, "unheard_lines", "Lines published to no subscriber (pubsub).", "line to no subscriber", None;
    gaps, "gaps", "Places where bytes of a log could no longer be read.", "gap",
        Some(|gaps| format!("bytes were missing in {}, as was said", count(gaps, "place")));
    gap_bytes, "gap_bytes", "Bytes missing in these gaps, where that is known.", "", None;
}

/// Redis never holds so many entries.
const UNKNOWN: u64 = u64::MAX;

impl Counters {
    /// How many entries Redis keeps now.
    pub fn set_backlog(&self, entries: u64) {
        self.backlog.store(entries, Relaxed);
    }
}

/// A watched file, and its bytes that are not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    pub path: PathBuf,
    pub bytes: u64,
}

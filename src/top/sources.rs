//! Every source that has a commit record: how far it is, how fast it moves, and what of its log is not published, where
//! the log is on this host.

use std::thread;
use std::time::{Duration, Instant};

use super::{SharedSeen, retry, seen};
use crate::broker::{Address, Record, Records};
use crate::child::host_name;
use crate::cli;
use crate::file::{self, Place};
use crate::position::{Dates, Position};

/// A source, as it was at the last look.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveSource {
    pub name: String,
    pub generation: u64,
    /// How many files the path has been before that one.
    pub rotations: u64,
    pub offset: u64,
    /// Bytes a second, since the look before.
    pub rate: Option<f64>,
    /// Bytes that are not published; None: the log is not here, or cannot be read.
    pub lag: Option<u64>,
}

/// Looks again and again, through every fault of Redis.
pub fn look_on(options: &cli::Top, address: &Address, shared: &SharedSeen) {
    let host = host_name("").ok();
    let mut before: (Vec<LiveSource>, Instant) = (Vec::new(), Instant::now());
    let look_on = || {
        let mut records = Records::open(address)?;
        loop {
            let began = Instant::now();
            let sources = look(&records.read()?, options, host.as_deref(), &before);
            before = (sources.clone(), began);
            let mut seen = seen(shared);
            (seen.sources, seen.blind) = (Some(sources), None);
            drop(seen);
            // A thousand logs are not looked at all the time.
            let took = began.elapsed();
            thread::sleep(options.interval.saturating_sub(took).max(4 * took));
        }
    };
    retry(shared, |seen| &mut seen.blind, look_on);
}

fn look(
    records: &[(String, Record)],
    options: &cli::Top,
    host: Option<&str>,
    before: &(Vec<LiveSource>, Instant),
) -> Vec<LiveSource> {
    let seconds = before.1.elapsed();
    let of_record = |(name, record): &(String, Record)| {
        let current = &record.progress.current;
        let old = before.0.iter().find(|old| old.name == *name);
        LiveSource {
            name: name.clone(),
            generation: current.generation,
            rotations: record.progress.rotations(),
            offset: current.offset,
            rate: old.and_then(|old| rate(old, current, seconds)),
            lag: lag(name, record, options, host),
        }
    };
    records.iter().map(of_record).collect()
}

/// Bytes a second. None: it has gone back, as after a reset.
fn rate(old: &LiveSource, current: &Position, passed: Duration) -> Option<f64> {
    let more = if current.generation > old.generation {
        // What the file before had beyond the last look is not in the record.
        current.offset
    } else if current.generation == old.generation {
        current.offset.checked_sub(old.offset)?
    } else {
        return None;
    };
    Some(more as f64 / passed.as_secs_f64().max(0.001))
}

/// The log is here where the source is called after this host, or where the very file is here.
fn lag(name: &str, record: &Record, options: &cli::Top, host: Option<&str>) -> Option<u64> {
    let path = record.path.as_ref()?;
    let is_ours = host.is_some_and(|host| is_of_host(name, host));
    let is_here = || file::identify(path).is_some_and(|(id, _)| id == record.progress.current.file);
    if !is_ours && !is_here() {
        return None;
    }
    let place = Place {
        path: path.clone(),
        rotated: options.rotated.clone(),
    };
    let dates = record.dates.unwrap_or_else(Dates::now);
    file::unread(place, record.progress.clone(), dates).ok()
}

/// `HOST:/path`, or in a cluster `{HOST}:/path`.
fn is_of_host(name: &str, host: &str) -> bool {
    let rest = name.strip_prefix('{').unwrap_or(name).strip_prefix(host);
    rest.is_some_and(|rest| rest.starts_with(":/") || rest.starts_with("}:/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::FileId;

    #[test]
    fn a_source_moves_by_its_offset_and_begins_anew_with_its_generation() {
        let old = LiveSource {
            name: "h:/a".into(),
            generation: 1,
            rotations: 1,
            offset: 100,
            rate: None,
            lag: None,
        };
        let two = Duration::from_secs(2);
        let at = |generation, offset| Position {
            offset,
            ..Position::start(generation, FileId::default())
        };
        assert_eq!(rate(&old, &at(1, 300), two), Some(100.0));
        assert_eq!(rate(&old, &at(2, 50), two), Some(25.0));
        assert_eq!(rate(&old, &at(1, 50), two), None);
        assert_eq!(rate(&old, &at(0, 500), two), None);
    }

    #[test]
    fn a_source_is_of_the_host_that_its_name_begins_with() {
        for (name, is) in [
            ("web:/a.log", true),
            ("{web}:/a.log", true),
            ("web-1:/a.log", false),
            ("web", false),
            ("db:/web:/a", false),
        ] {
            assert_eq!(is_of_host(name, "web"), is, "{name}");
        }
    }
}

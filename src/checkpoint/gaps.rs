//! The gaps file of a log: how much of it was there and could not be read, and the last such gap.
//!
//!     total gaps bytes
//!     generation offset bytes unix-seconds
//!
//! `-` stands for bytes that nobody can count. The version before had a line for each gap, and for the older ones a
//! `sum gaps bytes`: these are counted once more, and taken over.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use super::folder::{open_own, replace};
use super::{GAPS, Store};
use crate::error::{Error, Result};
use crate::position::Gap;

impl Store {
    /// Writes down that bytes of a log are lost.
    pub fn note_gap(&self, log: &Path, gap: &Gap) -> Result<()> {
        let (gaps, missing) = self.gaps(log)?;
        let (gaps, missing) = (gaps + 1, missing.saturating_add(gap.bytes.unwrap_or(0)));
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since_1970.map_or(0, |since| since.as_secs());
        let bytes = gap.bytes.map_or("-".into(), |bytes| bytes.to_string());
        let (generation, offset) = (gap.generation, gap.offset);
        let text = format!("total {gaps} {missing}\n{generation} {offset} {bytes} {seconds}\n");
        let (path, temporary) = (self.name(log, GAPS), self.name(log, ".gaps.tmp"));
        replace(
            &path,
            &temporary,
            text.as_bytes(),
            None,
            "gaps-temp-written",
        )
        .map_err(|error| Error::io("write gaps", &path, &error))
    }

    /// How many gaps a log has had, and how many bytes are known to be missing.
    pub fn gaps(&self, log: &Path) -> Result<(u64, u64)> {
        let path = self.name(log, GAPS);
        let read = || -> io::Result<(u64, u64)> {
            let mut text = String::new();
            open_own(&path, File::options().read(true))?.read_to_string(&mut text)?;
            Ok(count(&text))
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((0, 0)),
            result => result.map_err(|error| Error::io("read gaps", &path, &error)),
        }
    }
}

/// Gaps and bytes. A line that was cut short, or that somebody edited, is still a gap.
fn count(text: &str) -> (u64, u64) {
    let mut sum = (0_u64, 0_u64);
    for line in text.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let number = |field: usize| fields.get(field).and_then(|text| text.parse().ok());
        let (gaps, bytes) = match fields[0] {
            "total" | "sum" => (number(1).unwrap_or(1), number(2)),
            _ => (1, number(2)),
        };
        sum = (
            sum.0.saturating_add(gaps),
            sum.1.saturating_add(bytes.unwrap_or(0)),
        );
        if fields[0] == "total" {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use crate::cli::Delivery;

    fn gap(offset: u64, bytes: Option<u64>) -> Gap {
        Gap {
            generation: 3,
            offset,
            bytes,
        }
    }

    #[test]
    fn gaps_are_counted_for_ever_in_a_file_that_does_not_grow() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path(), Delivery::ExactlyOnce).unwrap();
        let log = Path::new("/app.log");
        assert_eq!(store.gaps(log).unwrap(), (0, 0));
        store.note_gap(log, &gap(7, None)).unwrap();
        for offset in 0..100 {
            store.note_gap(log, &gap(offset, Some(10))).unwrap();
        }
        assert_eq!(store.gaps(log).unwrap(), (101, 1000));
        let text = fs::read_to_string(folder.path().join("%app.log.gaps")).unwrap();
        assert!(text.starts_with("total 101 1000\n3 99 10 1"), "{text}");
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn the_gaps_of_the_version_before_are_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path(), Delivery::ExactlyOnce).unwrap();
        let log = Path::new("/app.log");
        // Its last line was cut short.
        let before = "sum 5 50\n3 7 - 1700000000\n3 9 4 1700000000\n1 2";
        fs::write(folder.path().join("%app.log.gaps"), before).unwrap();
        assert_eq!(store.gaps(log).unwrap(), (8, 54));
        store.note_gap(log, &gap(0, Some(1))).unwrap();
        assert_eq!(store.gaps(log).unwrap(), (9, 55));
    }
}

//! The gaps file of a log: what of it was there and could not be read, a line for each gap.
//!
//!     generation offset bytes unix-seconds
//!
//! `-` stands for bytes that nobody can count. A file that grows long has its older half summed up in one line,
//! `sum gaps bytes`, so that counts stay right.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::SystemTime;

use super::folder::{create_anew, open_own};
use super::{GAPS, Store};
use crate::error::{Error, Result};
use crate::position::Gap;

const MOST_LINES: usize = 1000;
const SUM: &str = "sum";

impl Store {
    /// Writes down that bytes of a log are lost.
    pub fn note_gap(&self, log: &Path, gap: &Gap) -> Result<()> {
        let path = self.name(log, GAPS);
        let note = || -> io::Result<()> {
            let append = File::options().create(true).read(true).append(true).clone();
            let mut file = open_own(&path, &append)?;
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            let mut line = line_of(gap, SystemTime::now());
            if !text.is_empty() && !text.ends_with('\n') {
                line.insert(0, '\n');
            }
            if text.lines().count() < MOST_LINES {
                return file.write_all(line.as_bytes());
            }
            let temporary = self.name(log, ".gaps.tmp");
            create_anew(&temporary)?.write_all((sum_up(&text) + &line).as_bytes())?;
            fs::rename(&temporary, &path)
        };
        note().map_err(|error| Error::io("write gaps", &path, &error))
    }

    /// How many gaps a log has had, and how many bytes are known to be missing.
    pub fn gaps(&self, log: &Path) -> Result<(u64, u64)> {
        let path = self.name(log, GAPS);
        let read = || -> io::Result<(u64, u64)> {
            let mut text = String::new();
            open_own(&path, File::options().read(true))?.read_to_string(&mut text)?;
            Ok(count(text.lines()))
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((0, 0)),
            result => result.map_err(|error| Error::io("read gaps", &path, &error)),
        }
    }
}

fn line_of(gap: &Gap, now: SystemTime) -> String {
    let bytes = gap.bytes.map_or("-".into(), |bytes| bytes.to_string());
    let seconds = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    format!("{} {} {bytes} {seconds}\n", gap.generation, gap.offset)
}

/// Gaps and bytes. A line that was cut short, or that somebody edited, is still a gap.
fn count<'t>(lines: impl Iterator<Item = &'t str>) -> (u64, u64) {
    let number = |field: Option<&str>| field.and_then(|text| text.parse().ok());
    let of_line = |line: &str| {
        let mut fields = line.split(' ');
        if fields.next() == Some(SUM) {
            (
                number(fields.next()).unwrap_or(1),
                number(fields.next()).unwrap_or(0),
            )
        } else {
            (1, number(fields.nth(1)).unwrap_or(0))
        }
    };
    lines.map(of_line).fold((0, 0), |sum, one| {
        (sum.0.saturating_add(one.0), sum.1.saturating_add(one.1))
    })
}

/// The same gaps in half as many lines: the older half in one.
fn sum_up(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let (old, new) = lines.split_at(lines.len() / 2);
    let (gaps, bytes) = count(old.iter().copied());
    let new: String = new.iter().flat_map(|line| [line, "\n"]).collect();
    format!("{SUM} {gaps} {bytes}\n{new}")
}

#[cfg(test)]
mod tests {
    use super::*;
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
        for offset in 0..3000 {
            store.note_gap(log, &gap(offset, Some(10))).unwrap();
        }
        assert_eq!(store.gaps(log).unwrap(), (3001, 30_000));
        let text = fs::read_to_string(folder.path().join("%app.log.gaps")).unwrap();
        assert!(
            text.lines().count() <= MOST_LINES,
            "{}",
            text.lines().count()
        );
        assert!(
            text.lines().last().unwrap().starts_with("3 2999 10 1"),
            "{text}"
        );
    }

    #[test]
    fn a_line_that_was_cut_short_is_a_gap_and_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path(), Delivery::ExactlyOnce).unwrap();
        let log = Path::new("/app.log");
        fs::write(folder.path().join("%app.log.gaps"), "sum 5 50\n1 2").unwrap();
        store.note_gap(log, &gap(0, Some(1))).unwrap();
        assert_eq!(store.gaps(log).unwrap(), (7, 51));
    }
}

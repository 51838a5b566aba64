//! The commit record: how far Redis has a source, as a text beside the lines themselves.
//!
//! Pure. The text is the checkpoint's, with a last line of the session's own: its token, the mode it publishes in, the name
//! of its state directory, and when the progress was true.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::cli::{MODES, Mode};
use crate::error::{Error, Result};
use crate::position::{Dates, Progress};

/// What stands in a source's commit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub progress: Progress,
    /// None: nobody knows.
    pub dates: Option<Dates>,
    /// Which log it is of.
    pub path: Option<PathBuf>,
    /// How the lines before it were published.
    pub mode: Mode,
    /// The name of the state directory whose watcher wrote it; None where the version before wrote it.
    pub home: Option<u64>,
}

/// What a log of a host is called; no two paths are called the same.
pub fn source_name(host: &str, path: &Path) -> String {
    let Some(path) = path.to_str() else {
        let bytes = path.as_os_str().as_bytes();
        let escaped: String = bytes.utf8_chunks().map(escape).collect();
        return format!("{host}:{escaped}");
    };
    format!("{host}:{path}")
}

/// What is no UTF-8 as `\xFF`, and so the backslash twice.
fn escape(chunk: std::str::Utf8Chunk<'_>) -> String {
    let odd = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
    chunk.valid().replace('\\', "\\\\") + &odd.collect::<String>()
}

/// Where records are kept, as far as their keys say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordSlot {
    /// A lone Redis.
    Alone,
    /// A cluster, in the slot of the keys that the lines go to: those of this hash tag.
    WithTarget(String),
    /// A cluster, in a slot for all sources of a host, where lines go to channels, which have no slot.
    WithHost,
}

/// The key of a source's record.
pub fn key_of(source: &str, place: &RecordSlot) -> String {
    match place {
        RecordSlot::Alone => format!("tailcast:commit:{source}"),
        RecordSlot::WithTarget(tag) => format!("tailcast:commit:{{{tag}}}:{source}"),
        RecordSlot::WithHost => {
            let (host, path) = source.split_at(source.find(':').unwrap_or(source.len()));
            format!("tailcast:commit:{{{host}}}{path}")
        }
    }
}

/// The text for a progress of a log, as a session writes it.
pub fn write(
    progress: &Progress,
    dates: Option<Dates>,
    path: &Path,
    token: &str,
    mode: Mode,
    home: u64,
) -> Vec<u8> {
    let mut text = Vec::new();
    progress.write_text(path, &mut text);
    text.extend_from_slice(token.as_bytes());
    text.extend_from_slice(format!(" {} {home:016x}", mode.word()).as_bytes());
    if let Some(dates) = dates {
        text.extend_from_slice(format!(" {dates}").as_bytes());
    }
    text.push(b'\n');
    text
}

impl Record {
    /// Reads what `write` wrote. `stored` is None where something else than a string stands.
    pub fn parse(key: &str, stored: Option<&[u8]>) -> Result<Record> {
        let fail = |cause: &str| {
            let way_out =
                "delete the key, or run watch with --reset, to go on from the checkpoint or --from";
            Error::Failed(format!(
                "read commit record {key}: malformed: {cause}; {way_out}"
            ))
        };
        let value = stored.ok_or_else(|| fail("not a string"))?;
        let body = value.strip_suffix(b"\n").unwrap_or(value);
        let newline = body.iter().rposition(|byte| *byte == b'\n');
        let (text, session) = newline
            .map(|newline| body.split_at(newline + 1))
            .ok_or_else(|| fail("it has no session token"))?;
        let (progress, path) = Progress::parse(text).map_err(|cause| fail(&cause))?;
        let mut words = session.splitn(3, |byte| *byte == b' ').skip(1);
        let word = words.next();
        let mode = MODES.iter().find(|(name, _)| Some(name.as_bytes()) == word);
        let (_, mode) = mode.ok_or_else(|| fail("it names no mode"))?;
        let rest = words.next().and_then(|rest| str::from_utf8(rest).ok());
        let (home, dates) = split_home(rest.unwrap_or_default());
        Ok(Record {
            progress,
            dates: dates.parse().ok(),
            path,
            mode: *mode,
            home,
        })
    }
}

/// Splits `<home> <dates>`. The version before wrote the dates alone, which have a point in their first word.
fn split_home(text: &str) -> (Option<u64>, &str) {
    let (word, dates) = text.split_once(' ').unwrap_or((text, ""));
    match u64::from_str_radix(word, 16) {
        Ok(home) => (Some(home), dates),
        Err(_) => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::time::{Duration, UNIX_EPOCH};

    use crate::position::{FileId, Position};

    fn progress() -> Progress {
        Progress::at(Position {
            offset: 750,
            ..Position::start(3, FileId { dev: 1, ino: 2 })
        })
    }

    #[test]
    fn names_that_are_not_utf8_are_told_apart() {
        let name = |bytes: &[u8]| source_name("h", Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(name("/ü\\n".as_bytes()), "h:/ü\\n");
        assert_eq!(name(b"/a\xfe.log"), "h:/a\\xfe.log");
        assert_eq!(name(b"/\\a\xff.log"), "h:/\\\\a\\xff.log");
    }

    #[test]
    fn a_key_has_a_hash_tag_only_in_a_cluster() {
        for (place, key) in [
            (RecordSlot::Alone, "tailcast:commit:web-1:/a{b}.log"),
            (
                RecordSlot::WithTarget("logs".into()),
                "tailcast:commit:{logs}:web-1:/a{b}.log",
            ),
            (RecordSlot::WithHost, "tailcast:commit:{web-1}:/a{b}.log"),
        ] {
            assert_eq!(key_of("web-1:/a{b}.log", &place), key);
        }
        assert_eq!(key_of("db", &RecordSlot::WithHost), "tailcast:commit:{db}");
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let dates = Dates {
            as_of: UNIX_EPOCH + Duration::new(1_795_980_904, 5),
            made: UNIX_EPOCH + Duration::new(1_795_980_905, 120_000_000),
        };
        for (&(_, mode), dates) in MODES.iter().zip([Some(dates), None, Some(dates)]) {
            let text = write(&progress(), dates, Path::new("/a b"), "0f", mode, 7);
            let record = Record::parse("k", Some(&text)).unwrap();
            let expected = Record {
                progress: progress(),
                dates,
                path: Some("/a b".into()),
                mode,
                home: Some(7),
            };
            assert_eq!(record, expected);
        }
    }

    #[test]
    fn a_record_of_the_version_before_tells_no_home() {
        let text =
            "750 3 1:2 0:cbf29ce484222325 /a\n0f list 1795980904.000000005 1795980905.120000000\n";
        let record = Record::parse("k", Some(text.as_bytes())).unwrap();
        assert_eq!((record.home, record.mode), (None, Mode::List));
        assert_eq!(record.progress.rotations(), 3);
        assert!(record.dates.is_some());
    }

    #[test]
    fn what_is_no_record_is_refused_with_the_way_out() {
        for stored in [
            None,
            Some(&b""[..]),
            Some(b"abc"),
            Some(b"750\n"),
            Some(b"-1 x\n0f\n"),
        ] {
            let error = Record::parse("k", stored).unwrap_err().to_string();
            assert!(
                error.contains("record k") && error.contains("--reset"),
                "{error}"
            );
        }
    }
}

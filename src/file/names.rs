//! What the name of a file says about its being a rotated file of a log, and which of two rotated ones is older.
//!
//! Pure. A name never proves anything: it proposes candidates and their order, and content decides.

use std::cmp::Reverse;
use std::time::SystemTime;

use crate::order;

/// What a file is to a log, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The watched path itself.
    Path,
    /// `NAME.1`, `STEM.1.EXT`: the higher the older.
    Number(u32),
    /// `NAME-20260131`, `STEM.2026-01-31.0.EXT` and the like.
    Date,
    /// `NAME.old`, or `NAME` where only rotated files lie: there is one of them.
    Single,
    /// `STEM-1.EXT`: log4j's rotated file, or another log; it counts only beside one of its kind that is known.
    Weak,
    /// `NAME.json`, `NAME.bak`, `NAME~`, `NAME.gz`, or any name at all: counts only where it is proven to be a known file.
    Other,
}

/// A program that unpacks, called as `gzip -dc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Packing {
    pub ending: &'static str,
    pub program: &'static str,
    /// The exit code with which it only warns, as of bytes behind the archive.
    pub warning: Option<i32>,
}

/// The archives that are read.
const PACKINGS: [Packing; 4] = [
    Packing {
        ending: ".gz",
        program: "gzip",
        warning: Some(2),
    },
    Packing {
        ending: ".zst",
        program: "zstd",
        warning: None,
    },
    Packing {
        ending: ".xz",
        program: "xz",
        warning: Some(2),
    },
    Packing {
        ending: ".bz2",
        program: "bzip2",
        warning: None,
    },
];

/// What unpacks archives with this ending. None: nothing that is known here.
pub fn packing_program(ending: &str) -> Option<&'static str> {
    let packing = PACKINGS.iter().find(|packing| packing.ending == ending);
    packing.map(|packing| packing.program)
}

/// A file's name, as seen from a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub kind: Kind,
    /// What files whose names tell their order have in common; empty where the names do not tell it.
    pub series: String,
    /// Orders within a series: the lower the older.
    rank: Vec<i64>,
    pub packing: Option<Packing>,
}

impl Kind {
    /// Whether the name alone says that it is a rotated file of the log.
    pub fn is_rotated(self) -> bool {
        !matches!(self, Kind::Path | Kind::Other | Kind::Weak)
    }
}

impl Name {
    pub fn of_path() -> Name {
        Name::plain(Kind::Path)
    }

    pub fn of_stranger() -> Name {
        Name::plain(Kind::Other)
    }

    fn plain(kind: Kind) -> Name {
        Name {
            kind,
            series: String::new(),
            rank: Vec::new(),
            packing: None,
        }
    }

    /// What `entry` is to the log `name` in the same folder. None: nothing.
    pub fn of(entry: &[u8], name: &[u8]) -> Option<Name> {
        if entry == name {
            return None;
        }
        let (bare, packing) = unpacked(entry);
        let found = if let Some(rest) = bare.strip_prefix(name) {
            rotated(rest, "name")
        } else {
            let dot = name
                .iter()
                .rposition(|byte| *byte == b'.')
                .filter(|d| *d > 0)?;
            let (stem, ending) = name.split_at(dot);
            let infix = bare.strip_prefix(stem)?.strip_suffix(ending)?;
            rotated(infix, "stem")
        };
        let is_beside = entry
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(b".") || rest.starts_with(b"-") || rest == b"~");
        match found {
            Some(found) => Some(Name { packing, ..found }),
            None if bare == name => Some(Name {
                packing,
                ..Name::of_stranger()
            }),
            None => is_beside.then(Name::of_stranger),
        }
    }

    /// The same where only rotated files lie, so that the log's very name is that of one.
    pub fn of_rotated(entry: &[u8], name: &[u8]) -> Option<Name> {
        let (bare, packing) = unpacked(entry);
        if bare != name {
            return Name::of(entry, name);
        }
        Some(Name {
            packing,
            ..Name::plain(Kind::Single)
        })
    }
}

/// Whether the name is that of an archive, and what it is without that ending.
fn unpacked(entry: &[u8]) -> (&[u8], Option<Packing>) {
    for packing in PACKINGS {
        if let Some(bare) = entry.strip_suffix(packing.ending.as_bytes()) {
            return (bare, Some(packing));
        }
    }
    (entry, None)
}

/// The names of the logs that a file of this name may be a rotated one of, in the same folder.
pub fn logs_of(entry: &[u8]) -> Vec<Vec<u8>> {
    let (bare, packing) = unpacked(entry);
    let mut logs = Vec::new();
    if packing.is_some() {
        logs.push(bare.to_vec());
    }
    for at in (1..bare.len()).filter(|at| matches!(bare[*at], b'.' | b'-')) {
        let (stem, rest) = bare.split_at(at);
        if rotated(rest, "name").is_some() {
            logs.push(stem.to_vec());
        }
        let ends = (at + 1..bare.len()).filter(|end| bare[*end] == b'.');
        for end in ends {
            if rotated(&bare[at..end], "stem").is_some_and(|name| name.kind != Kind::Weak) {
                logs.push([stem, &bare[end..]].concat());
            }
        }
    }
    logs
}

/// The name of the log beside which a file of this name may be a rotated one, or a log of its own.
pub fn weak_log_of(entry: &[u8]) -> Option<Vec<u8>> {
    let (bare, _) = unpacked(entry);
    let dot = bare.iter().rposition(|byte| *byte == b'.')?;
    let dash = bare[..dot].iter().rposition(|byte| *byte == b'-')?;
    let is_weak = rotated(&bare[dash..dot], "stem").is_some_and(|name| name.kind == Kind::Weak);
    is_weak.then(|| [&bare[..dash], &bare[dot..]].concat())
}

/// A number of more digits than this is a date.
const NUMBER_DIGITS: usize = 4;
/// A date has at least these, as in `260131`.
const DATE_DIGITS: usize = 6;
const SINGLE: [&str; 5] = ["old", "prev", "previous", "last", "rotated"];
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// What stands between, or behind, the parts of a log's name, with the `.` or `-` that it begins with.
fn rotated(part: &[u8], place: &str) -> Option<Name> {
    let text = std::str::from_utf8(part).ok()?;
    let body = text.strip_prefix(['.', '-'])?;
    let separator = &text[..1];
    if SINGLE.contains(&body) && separator == "." {
        return Some(Name::plain(Kind::Single));
    }
    let (shape, runs) = shape_of(body)?;
    let digits: usize = runs.iter().map(|run| run.len()).sum();
    let rank = |run: &&str| run.parse::<i64>().unwrap_or(i64::MAX);
    let series = format!("{place}{separator}{shape}");
    if shape == "#" && digits <= NUMBER_DIGITS {
        return Some(match (separator, place) {
            (".", _) => Name {
                kind: Kind::Number(body.parse().ok()?),
                series,
                rank: vec![-rank(&body)],
                packing: None,
            },
            (_, "name") => Name::plain(Kind::Date),
            _ => Name {
                series,
                ..Name::plain(Kind::Weak)
            },
        });
    }
    if digits < DATE_DIGITS {
        return None;
    }
    let ordered = is_year_first(&runs);
    // Numbers and dates, or dates of several kinds, are not ordered among each other.
    let series = format!("{series} {}", runs[0].len());
    let mut numbers: Vec<_> = runs.iter().map(rank).collect();
    if !ordered && numbers.len() > 2 {
        // Only where their times do not tell: most such dates begin with the day.
        numbers.swap(0, 2);
    }
    Some(Name {
        series: if ordered { series } else { String::new() },
        rank: numbers,
        ..Name::plain(Kind::Date)
    })
}

/// A date's digits as `#`, and the digits. None: it is none.
fn shape_of(body: &str) -> Option<(String, Vec<&str>)> {
    let mut shape = String::new();
    let mut runs = Vec::new();
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_digit());
            let end = end.unwrap_or(rest.len());
            runs.push(&rest[..end]);
            shape.push('#');
            end
        } else if "-_.:+TZ".contains(first) {
            shape.push(first);
            1
        } else {
            let month = rest.get(..3)?.to_ascii_lowercase();
            if !MONTHS.contains(&month.as_str()) {
                return None;
            }
            shape.push('m');
            3
        };
        rest = &rest[length..];
    }
    (!runs.is_empty()).then_some((shape, runs))
}

/// Whether dates written so sort like their names: largest unit first, or seconds since 1970.
fn is_year_first(runs: &[&str]) -> bool {
    let first = runs[0];
    let begins = |century: &str| first.starts_with(century);
    let is_year = begins("19") || begins("20");
    let is_numbers = first.len() >= 8 && is_year || first.len() == 4 && is_year && runs.len() > 2;
    is_numbers || first.len() == 10 && begins("1")
}

/// Sorts rotated files oldest first: by a time; but those of one series among themselves by their names, as a late line
/// may be the last write of any of them, and clocks are set back.
pub fn sort_oldest_first<T: Clone>(files: &mut [T], look: impl Fn(&T) -> (SystemTime, Name)) {
    order::sort_by_key(files, |file| {
        let (modified, name) = look(file);
        (modified, name.rank)
    });
    let series: Vec<_> = files.iter().map(|file| look(file).1.series).collect();
    for (index, name) in series.iter().enumerate() {
        let is_weak = look(&files[index]).1.kind == Kind::Weak;
        if name.is_empty() || is_weak || series[..index].contains(name) {
            continue;
        }
        let places: Vec<_> = (index..series.len())
            .filter(|other| series[*other] == *name)
            .collect();
        let mut members: Vec<_> = places.iter().map(|at| files[*at].clone()).collect();
        // An archive stands before the file of the same name that it was made from.
        order::sort_by_key(&mut members, |member| {
            let (modified, name) = look(member);
            (name.rank, Reverse(name.packing.is_some()), modified)
        });
        for (at, member) in places.into_iter().zip(members) {
            files[at] = member;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_name_tells_what_a_rotation_has_made() {
        let table = [
            ("app.log.1", Some(Kind::Number(1))),
            ("app.log.1.gz", Some(Kind::Number(1))),
            ("app.log.2026", Some(Kind::Number(2026))),
            ("app.1.log", Some(Kind::Number(1))),
            ("app.12.log.zst", Some(Kind::Number(12))),
            ("app.log-20260131", Some(Kind::Date)),
            ("app.log-20260131-1769846400.xz", Some(Kind::Date)),
            ("app.log.2026-01-31_12-00-01", Some(Kind::Date)),
            ("app.log.01-02-2026", Some(Kind::Date)),
            ("app.log-31Jan2026", Some(Kind::Date)),
            ("app.log-1", Some(Kind::Date)),
            ("app-20260131.log", Some(Kind::Date)),
            ("app-2026-01-31.log", Some(Kind::Date)),
            ("app.2026-01-31.0.log", Some(Kind::Date)),
            ("app.log.old", Some(Kind::Single)),
            ("app-1.log", Some(Kind::Weak)),
            ("app.log.gz", Some(Kind::Other)),
            ("app.log.bak", Some(Kind::Other)),
            ("app.log~", Some(Kind::Other)),
            ("app.log.1~", Some(Kind::Other)),
            ("app.log.1.sha256", Some(Kind::Other)),
            ("app.log.1.7z", Some(Kind::Other)),
            ("app.log.tgz", Some(Kind::Other)),
            ("app.log.json", Some(Kind::Other)),
            ("app.log-notes", Some(Kind::Other)),
            ("app.log", None),
            ("app.logger", None),
            ("app-audit.log", None),
            ("application.log", None),
            ("other.log.1", None),
        ];
        for (entry, kind) in table {
            let name = Name::of(entry.as_bytes(), b"app.log");
            assert_eq!(name.map(|name| name.kind), kind, "{entry}");
        }
    }

    #[test]
    fn a_rotated_files_name_leads_back_to_its_logs() {
        let table = [
            ("app.log.1", vec!["app.log"]),
            ("app.log.1.gz", vec!["app.log.1", "app.log"]),
            ("app-20260131.log.gz", vec!["app-20260131.log", "app.log"]),
            ("app.log-20260131", vec!["app.log"]),
            ("app-20260131.log", vec!["app.log"]),
            (
                "app.2026-01-31.0.log",
                vec!["app.0.log", "app.log", "app.2026-01-31.log"],
            ),
            ("app-1.log", vec![]),
            ("app.log", vec![]),
            ("app-audit.log", vec![]),
        ];
        for (entry, logs) in table {
            let found = logs_of(entry.as_bytes());
            let found: Vec<_> = found
                .iter()
                .map(|log| String::from_utf8_lossy(log))
                .filter(|log| log.contains("log"))
                .collect();
            assert_eq!(found, logs, "{entry}");
        }
    }

    /// (name, seconds of last write), sorted.
    fn sorted(files: &[(&'static str, u64)]) -> Vec<&'static str> {
        let mut files = files.to_vec();
        sort_oldest_first(&mut files, |(name, seconds)| {
            let name = Name::of(name.as_bytes(), b"app.log").unwrap();
            (SystemTime::UNIX_EPOCH + Duration::from_secs(*seconds), name)
        });
        files.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn rotated_files_are_ordered_by_number_or_date_or_else_by_time() {
        let table: [&[(&'static str, u64)]; 11] = [
            // a late line makes .2 the last one written, and it is older all the same
            &[("app.log.10", 1), ("app.log.2", 9), ("app.log.1", 5)],
            &[("app.log.2.gz", 9), ("app.log.1", 5)],
            &[("app.1.log", 1), ("app.log.old", 4)],
            &[
                ("app.log-20260101", 9),
                ("app.log-20260102", 2),
                ("app.log-20260103", 2),
            ],
            &[
                ("app.2026-01-31.9.log", 5),
                ("app.2026-01-31.10.log", 4),
                ("app.2026-02-01.0.log", 3),
            ],
            // dates that do not sort
            &[("app.log.31-01-2026", 1), ("app.log.01-02-2026", 2)],
            &[("app.log-2", 1), ("app.log-1", 2)],
            &[("app-2.log", 1), ("app-1.log", 2)],
            &[("app.log.1.gz", 3), ("app.log.1", 2)],
            &[("app.log.1", 1), ("app.log.json", 2)],
            // two ways to write a date, and numbers
            &[
                ("app.log.20260101", 1),
                ("app.log.1767225600", 2),
                ("app.log.2", 3),
                ("app.log.20260102", 4),
                ("app.log.1", 5),
            ],
        ];
        for files in table {
            let mut shuffled = files.to_vec();
            shuffled.reverse();
            let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
            assert_eq!(sorted(&shuffled), names);
        }
    }
}

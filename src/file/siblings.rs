//! The files beside a log that a rotation has left there, and which of them come after which.
//!
//! Looks at names and metadata only; never follows a rotation by itself.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::position::FileId;

/// What one `stat` says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub id: FileId,
    /// Bytes.
    pub size: u64,
    /// Last write.
    pub modified: SystemTime,
    /// Last write, rename or change of mode.
    pub changed: SystemTime,
}

impl Stat {
    pub fn of(metadata: &Metadata) -> Stat {
        let time = |seconds: i64, nanoseconds: i64| {
            let part = Duration::from_nanos(nanoseconds.unsigned_abs());
            match u64::try_from(seconds) {
                Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + part,
                Err(_) => {
                    SystemTime::UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs()) + part
                }
            }
        };
        Stat {
            id: FileId {
                dev: metadata.dev(),
                ino: metadata.ino(),
            },
            size: metadata.size(),
            modified: time(metadata.mtime(), metadata.mtime_nsec()),
            changed: time(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether a later look at the same file finds it as it was, but for its name.
    pub fn is_unchanged(&self, later: &Stat) -> bool {
        (self.id, self.size, self.modified) == (later.id, later.size, later.modified)
    }
}

/// A file that may hold lines of the log: the path itself, or one that was rotated away from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub path: PathBuf,
    pub stat: Stat,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The watched path.
    Path,
    /// `NAME.1`: the higher the older.
    Numbered(u32),
    /// `NAME-20260131`, `NAME.old`: its time of last write tells.
    Dated,
    /// `NAME.json`: not what rotations are called; counts only where it holds our anchor.
    Other,
}

/// What lies beside a log at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// The readable ones, oldest first; the path itself, where it exists, last.
    pub candidates: Vec<Candidate>,
    /// Compressed ones, which cannot be searched, and what may not be read; with their time of last write.
    pub closed: Vec<(PathBuf, SystemTime)>,
}

impl Beside {
    /// Whether one of the candidates is this file.
    pub fn has(&self, id: FileId) -> bool {
        self.candidates
            .iter()
            .any(|candidate| candidate.stat.id == id)
    }
}

/// How often a listing is tried again while a rotation is renaming under it.
const LISTINGS: usize = 50;

/// Lists the path and its siblings `NAME.*` and `NAME-*`, without those that `is_watched` claims.
///
/// A rotation renames file by file; so it lists until two listings agree.
pub fn look_beside(path: &Path, is_watched: &dyn Fn(&Path) -> bool) -> io::Result<Beside> {
    let mut previous = list(path, is_watched)?;
    for _ in 0..LISTINGS {
        let next = list(path, is_watched)?;
        if same_names(&previous, &next) {
            return Ok(next);
        }
        previous = next;
    }
    Err(io::Error::other("its folder does not stop changing"))
}

fn same_names(a: &Beside, b: &Beside) -> bool {
    let names = |beside: &Beside| {
        beside
            .candidates
            .iter()
            .map(|c| (c.path.clone(), c.stat.id))
            .collect::<Vec<_>>()
    };
    names(a) == names(b) && a.closed.len() == b.closed.len()
}

fn list(path: &Path, is_watched: &dyn Fn(&Path) -> bool) -> io::Result<Beside> {
    let mut beside = Beside::default();
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(beside);
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => Some(entries),
        // A folder that may be searched and not listed: there is just the path.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        Err(error) => return Err(error),
    };
    for entry in entries.into_iter().flatten() {
        let entry = entry?;
        let Some(suffix) = suffix_of(&entry.file_name(), name).map(<[u8]>::to_vec) else {
            continue;
        };
        let sibling = folder.join(entry.file_name());
        let Some(metadata) = metadata(&sibling)?.filter(Metadata::is_file) else {
            continue;
        };
        let stat = Stat::of(&metadata);
        match kind_of(&suffix) {
            None => beside.closed.push((sibling, stat.modified)),
            Some(_) if is_watched(&sibling) => {}
            Some(kind) => beside.candidates.push(Candidate {
                path: sibling,
                stat,
                kind,
            }),
        }
    }
    sort_oldest_first(&mut beside.candidates);
    if let Some(metadata) = metadata(path)?.filter(Metadata::is_file) {
        beside.candidates.push(Candidate {
            path: path.into(),
            stat: Stat::of(&metadata),
            kind: Kind::Path,
        });
    }
    // A hard link is the same file once more; the one nearest to the path keeps it.
    let ids: Vec<_> = beside
        .candidates
        .iter()
        .map(|candidate| candidate.stat.id)
        .collect();
    let mut index = 0;
    beside.candidates.retain(|candidate| {
        index += 1;
        !ids[index..].contains(&candidate.stat.id)
    });
    beside.closed.sort();
    Ok(beside)
}

/// The metadata; None where there is no such file.
pub fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether `path` is called as a rotated file of `log` would be, in the same folder.
pub fn is_sibling_name(path: &Path, log: &Path) -> bool {
    match (path.file_name(), log.file_name()) {
        (Some(name), Some(log_name)) => {
            path.parent() == log.parent() && suffix_of(name, log_name).is_some()
        }
        _ => false,
    }
}

/// What follows `name.` or `name-`.
fn suffix_of<'a>(entry: &'a OsStr, name: &OsStr) -> Option<&'a [u8]> {
    let rest = entry.as_bytes().strip_prefix(name.as_bytes())?;
    match rest.split_first() {
        Some((b'.' | b'-', suffix)) if !suffix.is_empty() => Some(suffix),
        _ => None,
    }
}

/// A date, as in `NAME-20260131`.
const DATE_DIGITS: usize = 8;

const COMPRESSED: [&str; 9] = ["gz", "zst", "bz2", "xz", "lz4", "lzma", "Z", "zip", "br"];
const ROTATED: [&str; 6] = ["old", "bak", "prev", "previous", "last", "rotated"];

/// What a suffix says; None: closed.
fn kind_of(suffix: &[u8]) -> Option<Kind> {
    let text = String::from_utf8_lossy(suffix);
    let last = text.rsplit('.').next().unwrap_or_default();
    if COMPRESSED.contains(&last) {
        return None;
    }
    // Four digits at most: `NAME.2026` may be a number, `NAME.20260131` is a date, where higher is newer.
    Some(match text.parse() {
        Ok(number) if text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Kind::Numbered(number)
        }
        _ if text.bytes().any(|byte| byte.is_ascii_digit()) || ROTATED.contains(&text.as_ref()) => {
            Kind::Dated
        }
        _ => Kind::Other,
    })
}

/// By the time of last write; but files of one numbering, or of one pattern of dates, among themselves by their names,
/// as a late line may be the last write of any of them.
fn sort_oldest_first(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| (a.stat.modified, &a.path).cmp(&(b.stat.modified, &b.path)));
    let series: Vec<_> = candidates.iter().map(series_of).collect();
    for (index, name) in series.iter().enumerate() {
        if name.is_none() || series[..index].contains(name) {
            continue;
        }
        let places: Vec<_> = (index..series.len())
            .filter(|other| series[*other] == *name)
            .collect();
        let mut members: Vec<_> = places.iter().map(|at| candidates[*at].clone()).collect();
        members.sort_by_cached_key(|member| match member.kind {
            Kind::Numbered(number) => (Some(Reverse(number)), member.path.clone()),
            _ => (None, member.path.clone()),
        });
        for (at, member) in places.into_iter().zip(members) {
            candidates[at] = member;
        }
    }
}

/// What files whose names tell their order have in common. None: the name does not tell.
///
/// Dates do when they are written largest unit first, which logrotate asks of its `dateformat`.
fn series_of(candidate: &Candidate) -> Option<String> {
    match candidate.kind {
        Kind::Numbered(_) => Some(String::new()),
        Kind::Dated => {
            let shape = |letter: char| {
                if letter.is_ascii_digit() { '0' } else { letter }
            };
            let name = candidate.path.file_name()?.to_string_lossy();
            let digits = name.bytes().filter(u8::is_ascii_digit).count();
            (digits >= DATE_DIGITS).then(|| name.chars().map(shape).collect())
        }
        Kind::Path | Kind::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (name, seconds of last write), sorted.
    fn sorted(files: &[(&str, u64)]) -> Vec<String> {
        let mut candidates: Vec<_> = files
            .iter()
            .map(|(name, seconds)| {
                let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(*seconds);
                let stat = Stat {
                    id: FileId::default(),
                    size: 0,
                    modified,
                    changed: modified,
                };
                let suffix = suffix_of(OsStr::new(*name), OsStr::new("app.log")).unwrap();
                Candidate {
                    path: name.into(),
                    stat,
                    kind: kind_of(suffix).unwrap(),
                }
            })
            .collect();
        sort_oldest_first(&mut candidates);
        candidates
            .iter()
            .map(|candidate| candidate.path.display().to_string())
            .collect()
    }

    #[test]
    fn rotated_files_are_ordered_by_number_or_else_by_time() {
        // a late line makes .2 the last one written, and it is older all the same
        assert_eq!(
            sorted(&[("app.log.1", 5), ("app.log.10", 1), ("app.log.2", 9)]),
            ["app.log.10", "app.log.2", "app.log.1"]
        );
        assert_eq!(
            sorted(&[
                ("app.log-20260102", 2),
                ("app.log-20260101", 1),
                ("app.log-20260103", 2)
            ]),
            ["app.log-20260101", "app.log-20260102", "app.log-20260103"]
        );
        assert_eq!(
            sorted(&[("app.log-20260101", 9), ("app.log-20260102", 2)]),
            ["app.log-20260101", "app.log-20260102"],
            "the same with dates"
        );
        assert_eq!(
            sorted(&[("app.log.1", 5), ("app.log.old", 4), ("app.log.2", 9)]),
            ["app.log.old", "app.log.2", "app.log.1"]
        );
        assert_eq!(
            sorted(&[("app.log.1", 1), ("app.log.old", 2)]),
            ["app.log.1", "app.log.old"]
        );
        assert_eq!(
            sorted(&[("app.log.1", 1), ("app.log.json", 2)]),
            ["app.log.1", "app.log.json"]
        );
    }

    #[test]
    fn a_suffix_tells_what_a_rotation_has_made() {
        let cases = [
            ("1", Some(Kind::Numbered(1))),
            ("2026", Some(Kind::Numbered(2026))),
            ("20260131", Some(Kind::Dated)),
            ("20260131-1769846400", Some(Kind::Dated)),
            ("old", Some(Kind::Dated)),
            ("json", Some(Kind::Other)),
            ("+1", Some(Kind::Dated)),
            ("1.gz", None),
            ("20260131.zst", None),
        ];
        for (suffix, kind) in cases {
            assert_eq!(kind_of(suffix.as_bytes()), kind, "{suffix}");
        }
    }

    #[test]
    fn a_sibling_is_named_after_its_log_in_the_same_folder() {
        let log = Path::new("/var/log/app.log");
        for (path, is) in [
            ("/var/log/app.log.1", true),
            ("/var/log/app.log-20260131", true),
            ("/var/log/app.log", false),
            ("/var/log/app.log.", false),
            ("/var/log/app.logs", false),
            ("/var/log/old/app.log.1", false),
        ] {
            assert_eq!(is_sibling_name(Path::new(path), log), is, "{path}");
        }
    }
}

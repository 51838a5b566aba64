//! FILE arguments: absolute paths, and globs in the last component.
//!
//! `*`, `?` and `[...]` as in sh(1): a leading dot must be matched by a dot.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What a FILE argument names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    One(PathBuf),
    /// Whatever matches, now or later.
    Glob(PathBuf),
}

impl Files {
    /// Reads an absolute path; one that exists is never a glob.
    pub fn parse(path: PathBuf) -> Files {
        let has_glob = path
            .file_name()
            .is_some_and(|name| name.as_bytes().iter().any(|byte| b"*?[".contains(byte)));
        if has_glob && !path.exists() {
            Files::Glob(path)
        } else {
            Files::One(path)
        }
    }
}

/// The regular files that match, in order of name. A folder that is not there holds none.
pub fn expand(glob: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(pattern)) = (glob.parent(), glob.file_name()) else {
        return Ok(Vec::new());
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let path = folder.join(&name);
        if matches(pattern, &name) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn matches(pattern: &OsStr, name: &OsStr) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    name.starts_with(b".") <= pattern.starts_with(b".") && matches_bytes(pattern, name)
}

/// One backtracking point is enough: a later `*` makes an earlier one's choice moot.
fn matches_bytes(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(_) => {
                if let Some(length) = match_one(&pattern[p..], name[n]) {
                    (p, n) = (p + length, n + 1);
                    continue;
                }
            }
            None => {}
        }
        let Some((star_p, star_n)) = star else {
            return false;
        };
        star = Some((star_p, star_n + 1));
        (p, n) = (star_p + 1, star_n + 1);
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Matches one byte against the pattern's first item; returns the item's length.
fn match_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => match set_end(rest) {
            Some(end) => set_holds(&rest[..end], byte).then_some(end + 2),
            None => (byte == b'[').then_some(1),
        },
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// Where the `]` of a set is; one right at its beginning is a member.
fn set_end(set: &[u8]) -> Option<usize> {
    let skip = usize::from(matches!(set.first(), Some(b'!' | b'^'))) + 1;
    (skip..set.len()).find(|index| set[*index] == b']')
}

fn set_holds(set: &[u8], byte: u8) -> bool {
    let (negated, mut members) = match set {
        [b'!' | b'^', members @ ..] => (true, members),
        members => (false, members),
    };
    let mut holds = false;
    while let [first, rest @ ..] = members {
        if let [b'-', last, behind @ ..] = rest {
            holds |= (*first..=*last).contains(&byte);
            members = behind;
        } else {
            holds |= *first == byte;
            members = rest;
        }
    }
    holds != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_matches_as_in_the_shell() {
        let cases = [
            ("*.log", "app.log", true),
            ("*.log", ".log", false),
            (".*", ".log", true),
            ("*.log", "app.log.1", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-", false),
            ("app?.log", "app1.log", true),
            ("app?.log", "app.log", false),
            ("app[0-9].log", "app7.log", true),
            ("app[!0-9].log", "app7.log", false),
            ("app[]x].log", "app].log", true),
            ("app[.log", "app[.log", true),
            (r"app\*.log", "app*.log", true),
            (r"app\*.log", "appx.log", false),
            ("*", "", true),
        ];
        for (pattern, name, is) in cases {
            assert_eq!(
                matches(OsStr::new(pattern), OsStr::new(name)),
                is,
                "{pattern} {name}"
            );
        }
    }
}

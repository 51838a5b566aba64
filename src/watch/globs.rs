//! FILE arguments: absolute paths and globs, and which paths a glob matches.
//!
//! As in sh(1): `*`, `?` and `[...]` in any component, a leading dot only by a dot; `**` is any number of folders. Matching
//! is by the letters alone; `Walk` holds it against the folders that there are.

mod walk;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::order;

pub use walk::Walk;

/// What a FILE argument names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    One(PathBuf),
    /// Whatever matches, now or later.
    Glob(Glob),
}

impl Files {
    /// Reads an absolute path; one that exists is never a glob.
    pub fn parse(path: PathBuf) -> Files {
        let is_glob = path
            .as_os_str()
            .as_bytes()
            .iter()
            .any(|byte| b"*?[".contains(byte));
        if is_glob && fs::symlink_metadata(&path).is_err() {
            Files::Glob(Glob::new(path))
        } else {
            Files::One(path)
        }
    }
}

/// An absolute path with patterns in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    path: PathBuf,
    /// A part for each component behind the root; the last one is not `AnyDepth`.
    parts: Vec<GlobPart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum GlobPart {
    Name(OsString),
    Pattern(OsString),
    /// `**`
    AnyDepth,
}

impl Glob {
    pub fn new(path: PathBuf) -> Glob {
        let names = path.components().filter(|part| *part != Component::RootDir);
        let mut parts: Vec<_> = names.map(|name| GlobPart::new(name.as_os_str())).collect();
        // Two in a row are one, and at the end it is all that is in there.
        parts.dedup_by(|a, b| *a == GlobPart::AnyDepth && *b == GlobPart::AnyDepth);
        if parts.last() == Some(&GlobPart::AnyDepth) {
            parts.push(GlobPart::Pattern("*".into()));
        }
        Glob { path, parts }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that all matches are in, and which part its entries are held against.
    fn root(&self) -> (PathBuf, usize) {
        let folders = &self.parts[..self.parts.len().saturating_sub(1)];
        let names = folders.iter().map_while(|part| match part {
            GlobPart::Name(name) => Some(name),
            _ => None,
        });
        let root: Vec<_> = names.collect();
        let path = std::iter::once(OsStr::new("/")).chain(root.iter().map(|name| name.as_os_str()));
        (path.collect(), root.len())
    }

    /// Pushes a part and those that may stand in its place: behind `**`, as it may be no folder at all.
    fn begin(&self, part: usize, out: &mut Vec<usize>) {
        out.push(part);
        if self.parts.get(part) == Some(&GlobPart::AnyDepth) {
            out.push(part + 1);
        }
    }

    /// Which parts stand behind a name that is held against this one.
    fn step(&self, part: usize, name: &OsStr, out: &mut Vec<usize>) {
        match self.parts.get(part) {
            Some(GlobPart::AnyDepth) if !is_hidden(name) => self.begin(part, out),
            Some(GlobPart::Name(own)) if own == name => self.begin(part + 1, out),
            Some(GlobPart::Pattern(pattern)) if matches_name(pattern, name) => {
                self.begin(part + 1, out)
            }
            _ => {}
        }
    }
}

impl GlobPart {
    fn new(name: &OsStr) -> GlobPart {
        if name == "**" {
            GlobPart::AnyDepth
        } else if name.as_bytes().iter().any(|byte| br"*?[\".contains(byte)) {
            GlobPart::Pattern(name.into())
        } else {
            GlobPart::Name(name.into())
        }
    }
}

/// Whether a glob matches an absolute path, by the letters alone.
pub fn matches(glob: &Glob, path: &Path) -> bool {
    let mut parts = Vec::new();
    glob.begin(0, &mut parts);
    for name in path.iter().skip(1) {
        let mut next = Vec::new();
        for part in parts {
            glob.step(part, name, &mut next);
        }
        order::sort(&mut next);
        next.dedup();
        parts = next;
    }
    parts.contains(&glob.parts.len())
}

/// What a glob's matches are left out by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exclude {
    /// This name, in whatever folder.
    Name(OsString),
    Path(Glob),
}

impl Exclude {
    /// Reads `--exclude`: without a `/` it is a name, else a path.
    pub fn parse(pattern: &Path) -> io::Result<Exclude> {
        let name = pattern.as_os_str();
        Ok(if name.as_bytes().contains(&b'/') {
            Exclude::Path(Glob::new(std::path::absolute(pattern)?))
        } else {
            Exclude::Name(name.into())
        })
    }

    fn holds(&self, path: &Path) -> bool {
        match self {
            Exclude::Name(pattern) => path
                .file_name()
                .is_some_and(|name| matches_name(pattern, name)),
            Exclude::Path(glob) => matches(glob, path),
        }
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".")
}

/// Whether a pattern matches a name.
fn matches_name(pattern: &OsStr, name: &OsStr) -> bool {
    is_hidden(name) <= is_hidden(pattern) && matches_bytes(pattern.as_bytes(), name.as_bytes())
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
mod tests;

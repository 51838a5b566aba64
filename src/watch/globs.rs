//! FILE arguments: absolute paths and globs, and the walk that finds what matches.
//!
//! As in sh(1): `*`, `?` and `[...]` in any component, a leading dot only by a dot. `**` is any number of folders, none
//! of them a symlink, so that there are no cycles. A folder is listed again only when it changed: an idle scan costs a
//! stat for each folder, however many files there are.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Clocks of file systems tick coarsely: what changed so shortly before it was listed may change again within a tick.
const TICK: Duration = Duration::from_millis(50);
/// The tick of those that count whole seconds, or two.
const SLOW_TICK: Duration = Duration::from_secs(2);
/// After so long a folder is listed anyhow: network file systems may show a change late.
const LIST_ANYHOW: Duration = Duration::from_secs(10);

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
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Name(OsString),
    Pattern(OsString),
    /// `**`
    AnyDepth,
}

impl Glob {
    pub fn new(path: PathBuf) -> Glob {
        let names = path.components().filter(|part| *part != Component::RootDir);
        let mut parts: Vec<_> = names.map(|name| Part::new(name.as_os_str())).collect();
        // Two in a row are one, and at the end it is all that is in there.
        parts.dedup_by(|a, b| *a == Part::AnyDepth && *b == Part::AnyDepth);
        if parts.last() == Some(&Part::AnyDepth) {
            parts.push(Part::Pattern("*".into()));
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
            Part::Name(name) => Some(name),
            _ => None,
        });
        let root: Vec<_> = names.collect();
        let path = std::iter::once(OsStr::new("/")).chain(root.iter().map(|name| name.as_os_str()));
        (path.collect(), root.len())
    }

    /// Pushes a part and those that may stand in its place: behind `**`, as it may be no folder at all.
    fn begin(&self, part: usize, out: &mut Vec<usize>) {
        out.push(part);
        if self.parts.get(part) == Some(&Part::AnyDepth) {
            out.push(part + 1);
        }
    }

    /// Which parts stand behind a name that is held against this one.
    fn step(&self, part: usize, name: &OsStr, out: &mut Vec<usize>) {
        match self.parts.get(part) {
            Some(Part::AnyDepth) if !is_hidden(name) => self.begin(part, out),
            Some(Part::Name(own)) if own == name => self.begin(part + 1, out),
            Some(Part::Pattern(pattern)) if matches_name(pattern, name) => {
                self.begin(part + 1, out)
            }
            _ => {}
        }
    }
}

impl Part {
    fn new(name: &OsStr) -> Part {
        if name == "**" {
            Part::AnyDepth
        } else if name.as_bytes().iter().any(|byte| br"*?[\".contains(byte)) {
            Part::Pattern(name.into())
        } else {
            Part::Name(name.into())
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
        next.sort_unstable();
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

/// What a walk found.
#[derive(Debug, Default)]
pub struct Scan {
    /// Regular files and links to such, in order.
    pub matches: Vec<PathBuf>,
    /// Folders that cannot be listed; what was known of them still stands among the matches.
    pub errors: Vec<(PathBuf, io::Error)>,
    /// Whether anything was listed again since the scan before.
    pub changed: bool,
}

/// Finds the globs' matches, again and again.
#[derive(Debug)]
pub struct Walk {
    rules: Rules,
    roots: Vec<Folder>,
    scan: Scan,
}

#[derive(Debug)]
struct Rules {
    globs: Vec<Glob>,
    excludes: Vec<Exclude>,
}

/// A part of one of the globs, against which the entries of a folder are held.
type Wanted = (usize, usize);

/// A folder that the walk came to.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    wanted: Vec<Wanted>,
    /// None: it is to be listed.
    listed: Option<Listed>,
    /// Names of the matches in it.
    files: Vec<OsString>,
    /// Links that would match if they led to anything.
    dangling: Vec<OsString>,
    folders: Vec<Folder>,
}

/// The folder as it was right before it was listed.
#[derive(Debug)]
struct Listed {
    stamp: Stamp,
    at: Instant,
    /// It may have changed since without a sign.
    unsure: bool,
}

/// Device, inode, mtime and ctime: one of them differs where a folder has changed.
type Stamp = (u64, u64, SystemTime, (i64, i64));

impl Walk {
    pub fn new(globs: &[Glob], excludes: &[Exclude]) -> Walk {
        let mut roots: BTreeMap<PathBuf, Vec<Wanted>> = BTreeMap::new();
        for (index, glob) in globs.iter().enumerate() {
            let (root, part) = glob.root();
            let mut parts = Vec::new();
            glob.begin(part, &mut parts);
            let wanted = parts.into_iter().map(|part| (index, part));
            roots.entry(root).or_default().extend(wanted);
        }
        let roots = roots.into_iter();
        Walk {
            rules: Rules {
                globs: globs.into(),
                excludes: excludes.into(),
            },
            roots: roots
                .map(|(path, wanted)| Folder::new(path, wanted))
                .collect(),
            scan: Scan::default(),
        }
    }

    /// Looks at every folder, and lists those that changed.
    pub fn scan(&mut self) -> &Scan {
        let (rules, scan) = (&self.rules, &mut self.scan);
        scan.errors.clear();
        scan.changed = false;
        for root in &mut self.roots {
            scan.changed |= root.look(rules, &mut scan.errors);
        }
        if scan.changed {
            scan.matches.clear();
            for root in &self.roots {
                root.collect(&mut scan.matches);
            }
            scan.matches.sort_unstable();
            scan.matches.dedup();
        }
        scan
    }
}

impl Rules {
    /// What is wanted of an entry's own entries, or of the entry where a glob ends. Behind a link `**` goes no further.
    fn step(&self, wanted: &[Wanted], name: &OsStr, is_link: bool) -> Vec<Wanted> {
        let mut next = Vec::new();
        for (index, part) in wanted {
            let glob = &self.globs[*index];
            if is_link && glob.parts[*part] == Part::AnyDepth {
                continue;
            }
            let mut parts = Vec::new();
            glob.step(*part, name, &mut parts);
            next.extend(parts.into_iter().map(|part| (*index, part)));
        }
        next.sort_unstable();
        next.dedup();
        next
    }

    /// Whether a glob ends here.
    fn is_end(&self, (index, part): &Wanted) -> bool {
        *part == self.globs[*index].parts.len()
    }

    /// The name that is wanted, where it is one name only.
    fn name(&self, (index, part): &Wanted) -> Option<&OsStr> {
        match self.globs[*index].parts.get(*part) {
            Some(Part::Name(name)) => Some(name),
            _ => None,
        }
    }

    fn excludes(&self, path: &Path) -> bool {
        self.excludes.iter().any(|exclude| exclude.holds(path))
    }
}

impl Folder {
    fn new(path: PathBuf, wanted: Vec<Wanted>) -> Folder {
        Folder {
            path,
            wanted,
            listed: None,
            files: Vec::new(),
            dangling: Vec::new(),
            folders: Vec::new(),
        }
    }

    /// Whether anything was listed again, here or below.
    fn look(&mut self, rules: &Rules, errors: &mut Vec<(PathBuf, io::Error)>) -> bool {
        let mut changed = match self.list_if_changed(rules) {
            Ok(changed) => changed,
            Err(error) => {
                self.listed = None;
                errors.push((self.path.clone(), error));
                false
            }
        };
        for folder in &mut self.folders {
            changed |= folder.look(rules, errors);
        }
        changed
    }

    fn list_if_changed(&mut self, rules: &Rules) -> io::Result<bool> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => metadata,
            Ok(_) => return Ok(self.clear()),
            Err(error) if is_absence(&error) => return Ok(self.clear()),
            Err(error) => return Err(error),
        };
        let stamp = stamp_of(&metadata)?;
        if self
            .listed
            .as_ref()
            .is_some_and(|it| it.still_holds(&stamp))
            && !self
                .dangling
                .iter()
                .any(|name| self.path.join(name).exists())
        {
            return Ok(false);
        }
        let listed = Listed::now(stamp);
        self.list(rules)?;
        self.listed = Some(listed);
        Ok(true)
    }

    /// The folder is not there. Whether that is new.
    fn clear(&mut self) -> bool {
        let was_there = self.listed.take().is_some();
        self.files.clear();
        self.dangling.clear();
        self.folders.clear();
        was_there
    }

    /// Takes in what is there now; a folder in it that was known keeps what is known of it.
    fn list(&mut self, rules: &Rules) -> io::Result<()> {
        let mut now = Folder::new(self.path.clone(), self.wanted.clone());
        let names: Option<Vec<_>> = self.wanted.iter().map(|want| rules.name(want)).collect();
        match names {
            // A folder that may be searched but not listed is no hindrance to who knows the name.
            Some(mut names) => {
                names.sort_unstable();
                names.dedup();
                for name in names {
                    match fs::symlink_metadata(self.path.join(name)) {
                        Ok(metadata) => now.take(rules, name.into(), metadata.file_type()),
                        Err(error) if is_absence(&error) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            None => {
                for entry in fs::read_dir(&self.path)? {
                    let entry = entry?;
                    if let Ok(kind) = entry.file_type() {
                        now.take(rules, entry.file_name(), kind);
                    }
                }
            }
        }
        now.files.sort_unstable();
        let known = std::mem::take(&mut self.folders).into_iter();
        let mut known: BTreeMap<_, _> = known.map(|old| (old.path.clone(), old)).collect();
        for folder in &mut now.folders {
            let old = known.remove(&folder.path);
            if let Some(old) = old.filter(|old| old.wanted == folder.wanted) {
                *folder = old;
            }
        }
        *self = now;
        Ok(())
    }

    fn take(&mut self, rules: &Rules, name: OsString, kind: FileType) {
        let wanted = rules.step(&self.wanted, &name, kind.is_symlink());
        if wanted.is_empty() {
            return;
        }
        let path = self.path.join(&name);
        let kind = if kind.is_symlink() {
            match fs::metadata(&path) {
                Ok(target) => target.file_type(),
                Err(_) => return self.dangling.push(name),
            }
        } else {
            kind
        };
        let (ends, goes_on): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|want| rules.is_end(want));
        if kind.is_file() && !ends.is_empty() && !rules.excludes(&path) {
            self.files.push(name);
        } else if kind.is_dir() && !goes_on.is_empty() {
            self.folders.push(Folder::new(path, goes_on));
        }
    }

    fn collect(&self, out: &mut Vec<PathBuf>) {
        out.extend(self.files.iter().map(|name| self.path.join(name)));
        for folder in &self.folders {
            folder.collect(out);
        }
    }
}

impl Listed {
    fn now(stamp: Stamp) -> Listed {
        let (_, _, modified, _) = stamp;
        let whole = modified
            .duration_since(SystemTime::UNIX_EPOCH)
            .is_ok_and(|time| time.subsec_nanos() == 0);
        let tick = if whole { SLOW_TICK } else { TICK };
        let now = SystemTime::now();
        // A clock that runs ahead, as a file server's may, is never sure of anything near.
        let age = now
            .duration_since(modified)
            .unwrap_or_else(|ahead| ahead.duration());
        Listed {
            stamp,
            at: Instant::now(),
            unsure: age < tick,
        }
    }

    fn still_holds(&self, stamp: &Stamp) -> bool {
        self.stamp == *stamp && !self.unsure && self.at.elapsed() < LIST_ANYHOW
    }
}

fn stamp_of(metadata: &Metadata) -> io::Result<Stamp> {
    Ok((
        metadata.dev(),
        metadata.ino(),
        metadata.modified()?,
        (metadata.ctime(), metadata.ctime_nsec()),
    ))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
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

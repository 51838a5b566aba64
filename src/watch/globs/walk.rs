//! Finds what globs match, again and again.
//!
//! A folder is listed again only when it changed: an idle scan costs a stat for each folder, however many files there are.
//! `**` follows no link, so that there are no cycles.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

use super::{Exclude, Glob, GlobPart, matches};
use crate::file::{Listed, is_absent};
use crate::order;

/// What a walk found.
#[derive(Debug, Default)]
pub struct Walked {
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
    rules: Patterns,
    roots: Vec<Folder>,
    scan: Walked,
}

#[derive(Debug)]
struct Patterns {
    globs: Vec<Glob>,
    excludes: Vec<Exclude>,
}

/// A part of one of the globs, against which the entries of a folder are held.
type Wanted = (usize, usize);

/// A folder that the walk came to.
#[derive(Debug, Default)]
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
            rules: Patterns {
                globs: globs.into(),
                excludes: excludes.into(),
            },
            roots: roots
                .map(|(path, wanted)| Folder::new(path, wanted))
                .collect(),
            scan: Walked::default(),
        }
    }

    /// Whether a path would be a match if it were there.
    pub fn may_match(&self, path: &Path) -> bool {
        self.rules.globs.iter().any(|glob| matches(glob, path)) && !self.rules.excludes(path)
    }

    /// Looks at every folder, and lists those that changed.
    pub fn scan(&mut self) -> &Walked {
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
            order::sort(&mut scan.matches);
            scan.matches.dedup();
        }
        scan
    }
}

impl Patterns {
    /// What is wanted of an entry's own entries, or of the entry where a glob ends. Behind a link `**` goes no further.
    fn step(&self, wanted: &[Wanted], name: &OsStr, is_link: bool) -> Vec<Wanted> {
        let mut next = Vec::new();
        for (index, part) in wanted {
            let glob = &self.globs[*index];
            if is_link && glob.parts[*part] == GlobPart::AnyDepth {
                continue;
            }
            let mut parts = Vec::new();
            glob.step(*part, name, &mut parts);
            next.extend(parts.into_iter().map(|part| (*index, part)));
        }
        order::sort(&mut next);
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
            Some(GlobPart::Name(name)) => Some(name),
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
            ..Folder::default()
        }
    }

    /// Whether anything was listed again, here or below.
    fn look(&mut self, rules: &Patterns, errors: &mut Vec<(PathBuf, io::Error)>) -> bool {
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

    fn list_if_changed(&mut self, rules: &Patterns) -> io::Result<bool> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => metadata,
            Ok(_) => return Ok(self.clear()),
            Err(error) if is_absent(&error) => return Ok(self.clear()),
            Err(error) => return Err(error),
        };
        let known = self.listed.as_ref();
        let mut dangling = self.dangling.iter();
        if known.is_some_and(|known| known.still_holds(&metadata))
            && !dangling.any(|name| self.path.join(name).exists())
        {
            return Ok(false);
        }
        let listed = Listed::now(&metadata)?;
        self.list(rules)?;
        self.listed = Some(listed);
        Ok(true)
    }

    /// The folder is not there. Whether that is new.
    fn clear(&mut self) -> bool {
        let (path, wanted) = (self.path.clone(), self.wanted.clone());
        let was = std::mem::replace(self, Folder::new(path, wanted));
        was.listed.is_some()
    }

    /// Takes in what is there now; a folder in it that was known keeps what is known of it.
    fn list(&mut self, rules: &Patterns) -> io::Result<()> {
        let mut now = Folder::new(self.path.clone(), self.wanted.clone());
        let names: Option<Vec<_>> = self.wanted.iter().map(|want| rules.name(want)).collect();
        match names {
            // A folder that may be searched but not listed is no hindrance to who knows the name.
            Some(mut names) => {
                order::sort(&mut names);
                names.dedup();
                for name in names {
                    match fs::symlink_metadata(self.path.join(name)) {
                        Ok(metadata) => now.take(rules, name.into(), metadata.file_type()),
                        Err(error) if is_absent(&error) => {}
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
        order::sort(&mut now.files);
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

    fn take(&mut self, rules: &Patterns, name: OsString, kind: FileType) {
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

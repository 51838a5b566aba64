//! What lies beside a log at one moment: one listing of each folder, for all logs and patterns that look there, and who
//! has which file open.
//!
//! Looks at names and metadata; the only thing it says of a file is what the system says.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use super::listing::Listed;
use super::names::{self, Kind, Name, sort_oldest_first};
use super::open::{Stat, is_absent, stat, stat_entry};
use crate::order;
use crate::position::FileId;

/// Where a log is, and where its rotated files are looked for besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    /// `--rotated`: beside the log where they are relative.
    pub rotated: Vec<PathBuf>,
}

/// A file that may be, or have been, the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub path: PathBuf,
    pub stat: Stat,
    pub name: Name,
}

impl Candidate {
    /// By this it stands among others: when it was born, which the next one was after it; an archive is born at any time,
    /// and has its original's time of last write.
    fn time(&self) -> SystemTime {
        let born = self.stat.born.filter(|_| self.name.packing.is_none());
        born.unwrap_or(self.stat.modified)
    }
}

/// What the logs of one process share: listings, and which source has which file open.
#[derive(Debug, Default)]
pub struct Surroundings {
    listings: RefCell<HashMap<PathBuf, Rc<Listing>>>,
    claims: RefCell<HashMap<FileId, usize>>,
    strays: RefCell<HashMap<FileId, PathBuf>>,
}

/// A folder's entries, sorted by name, with their inodes.
#[derive(Debug)]
struct Listing {
    entries: Vec<(Box<[u8]>, u64)>,
    listed: Listed,
}

/// Links that lead to links, as many as the system follows.
const MOST_LINKS: usize = 40;
/// How often a look is tried again while a rotation is renaming under it.
const LOOKS: usize = 50;

impl Surroundings {
    /// Says which files a source has open now, and which it had.
    pub fn claim(&self, source: usize, had: &[FileId], has: &[FileId]) {
        let mut claims = self.claims.borrow_mut();
        for file in had {
            if claims.get(file) == Some(&source) {
                claims.remove(file);
            }
        }
        for file in has {
            claims.entry(*file).or_insert(source);
        }
    }

    /// The source that has a file open.
    pub fn owner(&self, file: FileId) -> Option<usize> {
        self.claims.borrow().get(&file).copied()
    }

    /// Says which matches of patterns nobody has read yet: one may be what a log was until it got another name.
    pub fn set_strays(&self, strays: HashMap<FileId, PathBuf>) {
        *self.strays.borrow_mut() = strays;
    }

    pub fn is_stray(&self, file: FileId) -> bool {
        self.strays.borrow().contains_key(&file)
    }

    /// Gives the memory of listings back that nobody has asked for lately.
    pub fn forget_listings(&self) {
        self.listings
            .borrow_mut()
            .retain(|_, listing| !listing.listed.is_old());
    }

    fn list(&self, folder: &Path) -> io::Result<Rc<Listing>> {
        let metadata = fs::metadata(folder)?;
        let known = self.listings.borrow().get(folder).cloned();
        if let Some(listing) = known.filter(|known| known.listed.still_holds(&metadata)) {
            return Ok(listing);
        }
        let listed = Listed::now(&metadata)?;
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            entries.push((entry.file_name().as_bytes().into(), entry.ino()));
        }
        order::sort(&mut entries);
        let listing = Rc::new(Listing { entries, listed });
        self.listings
            .borrow_mut()
            .insert(folder.into(), Rc::clone(&listing));
        Ok(listing)
    }

    /// The path's own file and what may be its rotated ones, oldest first, the path's own last; and names like those of
    /// other things. A file of `known` is found under any name. A rotation renames file by file; so it looks until two
    /// looks agree, and believes the first: what was there when its last file was looked at, the second has listed.
    pub fn look(&self, place: &Place, known: &[FileId]) -> io::Result<(Vec<Candidate>, Vec<Name>)> {
        let mut previous = self.look_once(place, known)?;
        for _ in 0..LOOKS {
            let next = self.look_once(place, known)?;
            let names = |look: &[Candidate]| -> Vec<_> {
                look.iter().map(|c| (c.path.clone(), c.stat.id)).collect()
            };
            if names(&previous.0) == names(&next.0) {
                return Ok(previous);
            }
            previous = next;
        }
        Err(io::Error::other("its folder does not stop changing"))
    }

    /// Whether there are files that are called as a log's rotated ones.
    pub fn has_rotated(&self, place: &Place) -> bool {
        let is_rotated =
            |(_, name): &(PathBuf, Name)| name.kind.is_rotated() || name.packing.is_some();
        homes(place).into_iter().any(|home| {
            let listing = self.list(&home.folder);
            listing.is_ok_and(|it| alike(&it, &home, &[]).iter().any(is_rotated))
        })
    }

    fn look_once(
        &self,
        place: &Place,
        known: &[FileId],
    ) -> io::Result<(Vec<Candidate>, Vec<Name>)> {
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for home in homes(place) {
            match self.list(&home.folder) {
                Ok(listing) => {
                    for (path, name) in alike(&listing, &home, known) {
                        match candidate(path, name, known)? {
                            Ok(candidate) => found.push(candidate),
                            Err(name) => others.push(name),
                        }
                    }
                }
                // A folder that may be searched and not listed: there is just the path.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let strays = self.strays.borrow();
        for path in known.iter().filter_map(|file| strays.get(file)) {
            found.extend(candidate(path.clone(), Name::of_stranger(), known)?.ok());
        }
        let own = stat(&place.path)?;
        let mut seen: HashSet<_> = own.iter().map(|stat| stat.id).collect();
        // A file with several names counts once: rather as a rotated one than as any other.
        order::sort_by_key(&mut found, |candidate| candidate.name.kind == Kind::Other);
        found.retain(|candidate| seen.insert(candidate.stat.id));
        drop_doubled_archives(&mut found);
        sort_oldest_first(&mut found, |c| (c.time(), c.name.clone()));
        found.extend(own.map(|stat| Candidate {
            path: place.path.clone(),
            stat,
            name: Name::of_path(),
        }));
        Ok((found, others))
    }
}

/// A folder to look in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Home {
    folder: PathBuf,
    /// What the log is called there.
    name: Vec<u8>,
    /// Only rotated files lie there, so that what has the log's very name is one.
    is_rotated: bool,
}

/// Beside the path, beside what it links to, and where `--rotated` says.
fn homes(place: &Place) -> Vec<Home> {
    let home = |path: &Path| {
        Some(Home {
            folder: path.parent()?.to_path_buf(),
            name: path.file_name()?.as_bytes().to_vec(),
            is_rotated: false,
        })
    };
    let own: Vec<_> = [Some(place.path.clone()), link_target(&place.path)]
        .into_iter()
        .flatten()
        .filter_map(|path| home(&path))
        .collect();
    let mut homes = own.clone();
    for Home { folder, name, .. } in &own {
        homes.extend(place.rotated.iter().map(|dir| Home {
            folder: folder.join(dir),
            name: name.clone(),
            is_rotated: true,
        }));
    }
    let mut seen = HashSet::new();
    homes.retain(|home| seen.insert((home.folder.clone(), home.name.clone())));
    homes
}

/// Where a link leads at last, also while there is nothing. None: it is no link, or leads round in a circle.
pub fn link_target(path: &Path) -> Option<PathBuf> {
    let next = |path: &PathBuf| Some(path.parent()?.join(fs::read_link(path).ok()?));
    let mut links = std::iter::successors(next(&path.to_path_buf()), next);
    let target = links.by_ref().take(MOST_LINKS).last()?;
    if links.next().is_some() {
        return None;
    }
    let folder = fs::canonicalize(target.parent()?).ok()?;
    Some(folder.join(target.file_name()?))
}

/// The entries of a folder that are called as a log's rotated files would be, or are known by their inodes.
fn alike(listing: &Listing, home: &Home, known: &[FileId]) -> Vec<(PathBuf, Name)> {
    let name = home.name.as_slice();
    let dot = name
        .iter()
        .rposition(|byte| *byte == b'.')
        .filter(|d| *d > 0);
    let stem = &name[..dot.unwrap_or(name.len())];
    let name_of = if home.is_rotated {
        Name::of_rotated
    } else {
        Name::of
    };
    let entries = &listing.entries;
    let first = entries.partition_point(|(entry, _)| **entry < *stem);
    let like_it = entries[first..]
        .iter()
        .take_while(|(entry, _)| entry.starts_with(stem));
    let by_name = like_it.filter_map(|(entry, _)| Some((entry, name_of(entry, name)?)));
    let is_known = |ino: u64| known.iter().any(|file| file.ino == ino);
    let is_other = |entry: &[u8]| entry != name && name_of(entry, name).is_none();
    let by_inode = entries
        .iter()
        .filter(|(entry, ino)| is_known(*ino) && is_other(entry))
        .map(|(entry, _)| (entry, Name::of_stranger()));
    by_name
        .chain(by_inode)
        .map(|(entry, name)| (home.folder.join(OsStr::from_bytes(entry)), name))
        .collect()
}

/// A regular file as a candidate; or just its name, if it is something else. A link is that, unless it leads to a file
/// that is known: so `app.log.1` may be the link that `app.log` was.
fn candidate(
    path: PathBuf,
    name: Name,
    known: &[FileId],
) -> io::Result<std::result::Result<Candidate, Name>> {
    if let Some(stat) = stat_entry(&path)? {
        return Ok(Ok(Candidate { path, stat, name }));
    }
    // A link to nowhere, or to where we may not look, is something else.
    let target = fs::canonicalize(&path).ok();
    let target = target.and_then(|path| Some((stat_entry(&path).ok().flatten()?, path)));
    Ok(match target {
        Some((stat, path)) if known.contains(&stat.id) => Ok(Candidate { path, stat, name }),
        _ => Err(name),
    })
}

/// An archive beside the file that it was made from is being made, or is that file once more.
fn drop_doubled_archives(found: &mut Vec<Candidate>) {
    let paths: HashSet<_> = found.iter().map(|c| c.path.clone()).collect();
    found.retain(|candidate| {
        candidate.name.packing.is_none() || !paths.contains(&candidate.path.with_extension(""))
    });
}

/// The logs whose rotated file a path is, by its name: they stand in the same folder, or where that is the folder of their
/// rotated files (`rotated`).
pub fn logs_of(path: &Path, rotated: &[PathBuf]) -> Vec<PathBuf> {
    let Some((folder, name)) = path.parent().zip(path.file_name()) else {
        return Vec::new();
    };
    let logs = names::logs_of(name.as_bytes());
    let in_folder = |home: &Path| -> Vec<PathBuf> {
        let paths = logs.iter().map(|log| home.join(OsStr::from_bytes(log)));
        paths.collect()
    };
    let mut paths = in_folder(folder);
    for dir in rotated.iter().filter(|dir| folder.ends_with(dir)) {
        // Of a folder that is named in full nobody knows how far above it the log lies.
        let (first, most) = match dir.is_absolute() {
            true => (1, usize::MAX),
            false => (dir.components().count(), 1),
        };
        for home in folder.ancestors().skip(first).take(most) {
            paths.extend(in_folder(home));
            paths.push(home.join(name));
        }
    }
    paths
}

/// The log whose rotated file a path may be, or another log beside it: `app.log` of `app-1.log`.
pub fn weak_log_of(path: &Path) -> Option<PathBuf> {
    let (folder, name) = path.parent().zip(path.file_name())?;
    let log = names::weak_log_of(name.as_bytes())?;
    Some(folder.join(OsStr::from_bytes(&log)))
}

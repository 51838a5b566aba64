//! Which paths are watched: the FILE arguments, what their patterns match, what each is called, and whether it may be.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::globs::{Exclude, Files, Glob, Walk};
use crate::broker::source_name;
use crate::checkpoint::{Lock, Store, unwatchable};
use crate::child::host_name;
use crate::error::{Error, Result};
use crate::file::{self, Surroundings};
use crate::position::{Dates, FileId, Position, Progress};
use crate::talk;

/// What FILE arguments name, taken apart.
pub struct Named {
    pub ones: Vec<PathBuf>,
    pub globs: Vec<Glob>,
    pub walk: Walk,
    pub naming: Naming,
}

impl Named {
    pub fn new(files: &[PathBuf], exclude: &[PathBuf], source: Option<&str>) -> Result<Named> {
        let files = parse_files(files)?;
        let naming = Naming::new(&files, source)?;
        let (mut ones, mut globs) = (Vec::new(), Vec::new());
        for file in files {
            match file {
                Files::One(path) if ones.contains(&path) => {}
                Files::One(path) => ones.push(path),
                Files::Glob(glob) => globs.push(glob),
            }
        }
        let walk = Walk::new(&globs, &parse_excludes(exclude)?);
        Ok(Named {
            ones,
            globs,
            walk,
            naming,
        })
    }
}

fn parse_files(files: &[PathBuf]) -> Result<Vec<Files>> {
    let parse = |file: &PathBuf| {
        std::path::absolute(file)
            .map_err(|error| unwatchable(file, &error))
            .map(Files::parse)
    };
    files.iter().map(parse).collect()
}

fn parse_excludes(patterns: &[PathBuf]) -> Result<Vec<Exclude>> {
    let parse = |pattern: &PathBuf| {
        Exclude::parse(pattern).map_err(|error| Error::io("exclude", pattern, &error))
    };
    patterns.iter().map(parse).collect()
}

/// The files that FILE arguments name now, each with its source's name.
pub fn named_sources(
    files: &[PathBuf],
    exclude: &[PathBuf],
    source: Option<&str>,
    rotated: &[PathBuf],
) -> Result<Vec<(PathBuf, String)>> {
    let mut named = Named::new(files, exclude, source)?;
    let scan = named.walk.scan();
    if let Some((folder, error)) = scan.errors.first() {
        return Err(Error::io("list", folder, error));
    }
    let mut paths: BTreeSet<_> = named.ones.into_iter().collect();
    let matches: BTreeSet<_> = scan.matches.iter().cloned().collect();
    let is_rotated = |path: &PathBuf| {
        let mut logs = file::logs_of(path, rotated).into_iter();
        logs.any(|log| paths.contains(&log) || matches.contains(&log))
    };
    let own: Vec<_> = matches.iter().filter(|path| !is_rotated(path)).collect();
    paths.extend(own.into_iter().cloned());
    Ok(paths
        .into_iter()
        .map(|path| (path.clone(), named.naming.name(&path)))
        .collect())
}

/// What sources are called: `<host>:<absolute path>`; `--source` names one file, or stands for the host of several.
pub struct Naming {
    host: String,
    is_whole: bool,
}

impl Naming {
    fn new(files: &[Files], source: Option<&str>) -> Result<Naming> {
        let named = || host_name("name the source with --source");
        let host = source.map_or_else(named, |source| Ok(source.to_string()))?;
        Ok(Naming {
            host,
            is_whole: source.is_some() && matches!(files, [Files::One(_)]),
        })
    }

    pub fn name(&self, path: &Path) -> String {
        if self.is_whole {
            self.host.clone()
        } else {
            source_name(&self.host, path)
        }
    }
}

/// A path that is let in: nobody else watches it, and its checkpoint is sound.
pub struct Admitted {
    pub name: String,
    /// With when it was true.
    pub checkpoint: Option<(Progress, Dates)>,
    pub lock: Lock,
}

/// What it takes to let a path in.
pub struct Admission<'w> {
    pub store: &'w Store,
    pub naming: Naming,
    pub surroundings: &'w Surroundings,
    /// Where rotated files lie besides.
    pub rotated: &'w [PathBuf],
    pub reset: bool,
    /// Matches that are not let in, and what they were then.
    passed: HashMap<PathBuf, Passed>,
    /// The files among them that are taken, under whatever name.
    taken: HashSet<FileId>,
    /// The files that logs have closed lately, and how far these were read: where one is a match, it goes on there.
    closed: HashMap<FileId, (Position, Instant)>,
}

/// A match may be seen so much later than its file is closed.
const CLOSED_LATELY: Duration = Duration::from_secs(60);

/// Why a match is not let in.
#[derive(Debug, PartialEq, Eq)]
enum Passed {
    /// It is, or was, open as a known log's: so it stays, whatever it is called.
    Taken(FileId),
    /// It may be a rotated file of a log.
    Quiet,
    /// It could not be watched, which was said.
    Failed(String),
}

impl<'w> Admission<'w> {
    pub fn new(
        store: &'w Store,
        naming: Naming,
        surroundings: &'w Surroundings,
        rotated: &'w [PathBuf],
        reset: bool,
    ) -> Admission<'w> {
        Admission {
            store,
            naming,
            surroundings,
            rotated,
            reset,
            passed: HashMap::new(),
            taken: HashSet::new(),
            closed: HashMap::new(),
        }
    }

    /// Lets a path in, without its checkpoint where that is to be forgotten (`reset`); an error says why it cannot be watched.
    pub fn admit(&self, path: &Path, reset: bool) -> Result<Admitted> {
        check_file(path)?;
        let lock = self.store.lock(path)?;
        if reset {
            self.store.remove(path)?;
        }
        let checkpoint = self.store.read(path)?;
        Ok(Admitted {
            name: self.naming.name(path),
            checkpoint,
            lock,
        })
    }

    /// Lets a pattern's match in, unless it is a watched log's own by another name. `watched` says of a path whether it is
    /// watched, and since when its checkpoint stands. An error, once, where it cannot be watched; it is tried again.
    pub fn admit_match(
        &mut self,
        path: &Path,
        watched: &dyn Fn(&Path) -> Option<Option<SystemTime>>,
    ) -> Result<Option<Admitted>> {
        let mut logs = file::logs_of(path, self.rotated).into_iter();
        if logs.any(|log| watched(&log).is_some()) {
            return Ok(None);
        }
        let Some((id, modified)) = file::identify(path) else {
            return self.judge(path, self.reset);
        };
        let is_open = self.surroundings.owner(id).is_some();
        if !is_open
            && let Some((end, _)) = self.closed.get(&id)
            && file::was_read(path, *end)
        {
            self.begin_behind(*end, path)?;
            // Begun by this very watcher: there is nothing to forget.
            return self.judge(path, false);
        }
        if is_open || self.taken.contains(&id) {
            if self.taken.insert(id) {
                let path = path.display();
                talk::detail(&format!("{path}: watched already, by another name"));
            }
            self.passed.insert(path.into(), Passed::Taken(id));
            return Ok(None);
        }
        // What may be a rotated file of a log, and was not written since that was last read, is one.
        let since = file::weak_log_of(path).and_then(|log| watched(&log).flatten());
        if since.is_some_and(|since| modified <= since) && !self.store.file_of(path).exists() {
            self.passed.insert(path.into(), Passed::Quiet);
            return Ok(None);
        }
        self.judge(path, self.reset)
    }

    fn judge(&mut self, path: &Path, reset: bool) -> Result<Option<Admitted>> {
        match self.admit(path, reset) {
            Ok(found) => {
                self.passed.remove(path);
                Ok(Some(found))
            }
            Err(error) => {
                let failed = Passed::Failed(error.to_string());
                match self.passed.insert(path.into(), failed) {
                    Some(Passed::Failed(said)) if said == error.to_string() => Ok(None),
                    _ => Err(error),
                }
            }
        }
    }

    /// A log has closed a file, which it has read up to here. As a match of its own it goes on there: also in a later process,
    /// which knows of it only by its checkpoint.
    pub fn note_closed(&mut self, end: Position) -> Result<()> {
        let now = Instant::now();
        self.closed
            .retain(|_, (_, closed)| now.duration_since(*closed) < CLOSED_LATELY);
        self.closed.insert(end.file, (end, now));
        let is_it = |(path, passed): (&PathBuf, &mut Passed)| {
            let is_it = *passed == Passed::Taken(end.file);
            is_it.then(|| *passed = Passed::Quiet)?;
            file::was_read(path, end).then(|| path.clone())
        };
        let matches: Vec<_> = self.passed.iter_mut().filter_map(is_it).collect();
        matches
            .iter()
            .try_for_each(|path| self.begin_behind(end, path))
    }

    fn begin_behind(&self, end: Position, path: &Path) -> Result<()> {
        if self.store.file_of(path).exists() {
            return Ok(());
        }
        let progress = Progress::at(end).renumbered(self.store.new_generation()?);
        let written = self.store.write(path, &progress, SystemTime::now());
        written.map_err(|error| Error::io("write the checkpoint of", path, &error))
    }

    /// A match may be a log's file under another name, which that one says: then it is asked for again.
    pub fn give_way(&mut self, path: PathBuf) {
        self.passed.insert(path, Passed::Quiet);
    }

    /// The matches that are to be asked for again, although no folder has changed.
    pub fn undecided(&self) -> Vec<PathBuf> {
        let is_open = |(_, passed): &(&PathBuf, &Passed)| !matches!(passed, Passed::Taken(_));
        let undecided = self.passed.iter().filter(is_open);
        undecided.map(|(path, _)| path.clone()).collect()
    }

    /// Whether a match could not be watched.
    pub fn has_failed(&self) -> bool {
        let mut passed = self.passed.values();
        passed.any(|passed| matches!(passed, Passed::Failed(_)))
    }

    /// Forgets what was said of matches that are not there any more.
    pub fn keep(&mut self, matches: &[PathBuf]) {
        if self.passed.is_empty() {
            return;
        }
        let there: HashSet<_> = matches.iter().collect();
        self.passed.retain(|path, _| there.contains(path));
        let ids = self.passed.values().filter_map(|passed| match passed {
            Passed::Taken(id) => Some(*id),
            Passed::Quiet | Passed::Failed(_) => None,
        });
        self.taken = ids.collect();
    }
}

/// Sees that a path, if it is there, is a file that can be read.
pub fn check_file(path: &Path) -> Result<()> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unwatchable(path, &error)),
    };
    if metadata.is_dir() {
        let hint = "name the files in it, as in 'FOLDER/*.log'";
        return Err(Error::Failed(format!(
            "watch {}: is a directory; {hint}",
            path.display()
        )));
    }
    if !metadata.is_file() {
        let text = format!("watch {}: not a regular file", path.display());
        return Err(Error::Failed(text));
    }
    file::check(path).map_err(|error| unwatchable(path, &error))
}

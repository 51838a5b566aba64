//! The state directory: a checkpoint, a lock and the known gaps of each log, how they are read, written and forgotten.
//!
//! Writing waits for the disk, so it has a thread of its own behind the `Mailbox`.

mod folder;
mod gaps;
mod identity;
mod mailbox;

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::cli::Delivery;
use crate::error::{Error, Result, describe};
use crate::order;
use crate::position::{Dates, Progress, fnv1a};
use crate::talk;
use folder::{is_at, is_full, open_own, remove, why_unsafe};

pub use folder::{create_anew, lock as lock_file, open_own as open_unlinked, replace};
pub use mailbox::{Cadence, Mailbox};

const CHECKPOINT: &str = ".checkpoint";
const LOCK: &str = ".lock";
const GAPS: &str = ".gaps";

/// A name that would be longer is cut, and gets a hash: file systems take 255 bytes.
const LONGEST_NAME: usize = 200;
const KEPT_OF_LONGER: usize = 120;

/// The state directory.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    /// Redis holds the positions too, so that a full disk is no reason to stop.
    has_record: bool,
    /// There was no room at the start, which was said.
    is_full: bool,
}

/// Held while a watcher runs; the system frees it with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    /// None: there is no room for the file, so that Redis alone keeps two watchers apart.
    file: Option<File>,
}

impl Store {
    /// Makes the state directory where there is none, and sees that it is ours alone and can be written to. A full disk
    /// is an error only where Redis holds no commit record.
    pub fn create(folder: &Path, delivery: Delivery) -> Result<Store> {
        let mut store = Store {
            has_record: delivery == Delivery::ExactlyOnce,
            ..Store::at(folder)
        };
        let (verb, error) = match store.prepare() {
            Ok(()) => return Ok(store),
            Err(failed) => failed,
        };
        let text = Error::io(verb, folder, &error);
        if !store.can_do_without(&error) {
            let way_out = "choose another with --state-dir";
            return Err(Error::Failed(format!("{text}; {way_out}")));
        }
        store.is_full = true;
        let comfort = "going on without checkpoints, as Redis holds the positions too";
        talk::warn(&format!("{text}; {comfort}"));
        Ok(store)
    }

    /// The state directory as it is, to read from.
    pub fn at(folder: &Path) -> Store {
        Store {
            folder: folder.into(),
            has_record: false,
            is_full: false,
        }
    }

    /// What failed, as a verb and its cause.
    fn prepare(&self) -> Result<(), (&'static str, io::Error)> {
        folder::create_private(&self.folder).map_err(|error| ("create state directory", error))?;
        let metadata =
            fs::metadata(&self.folder).map_err(|error| ("read state directory", error))?;
        if let Some(why) = why_unsafe(&metadata) {
            let error = io::Error::other(format!("{why} (chmod 700 if it is tailcast's alone)"));
            return Err(("trust state directory", error));
        }
        folder::probe(&self.folder).map_err(|error| ("write to state directory", error))
    }

    /// Whether an error is but want of room, and Redis has what cannot be written.
    fn can_do_without(&self, error: &io::Error) -> bool {
        let no_folder = self.is_full && error.kind() == io::ErrorKind::NotFound;
        self.has_record && (is_full(error) || no_folder)
    }

    /// The checkpoint file of a log: its absolute path with `/` as `%`, then `.checkpoint`.
    pub fn file_of(&self, log: &Path) -> PathBuf {
        self.name(log, CHECKPOINT)
    }

    /// Where the lines of a log are kept that Redis has refused, and the earlier ones.
    pub fn refused_files(&self, log: &Path) -> [PathBuf; 2] {
        let file = |ending| with_ending(short_name(log), ending);
        [".refused", ".refused.1"].map(|ending| self.folder.join("refused").join(file(ending)))
    }

    fn name(&self, log: &Path, ending: &str) -> PathBuf {
        self.folder.join(with_ending(short_name(log), ending))
    }

    /// Makes this process the only watcher of a log with this state directory.
    pub fn lock(&self, log: &Path) -> Result<Lock> {
        let path = self.name(log, LOCK);
        let create = File::options().create(true).write(true).clone();
        loop {
            let file = match open_own(&path, &create) {
                Ok(file) => file,
                Err(error) if self.can_do_without(&error) => return Ok(Lock { file: None }),
                Err(error) => return Err(Error::io("open lock", &path, &error)),
            };
            match folder::lock(&file, &path) {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(locked(log, &path)),
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path, &error)),
            }
            // Whoever forgot the log meanwhile has unlinked what we hold, and a third one would hold another.
            if is_at(&file, &path).map_err(|error| Error::io("lock", &path, &error))? {
                return Ok(Lock { file: Some(file) });
            }
        }
    }

    /// Why the state directory could not be used. None: it could, as far as can be told without trying.
    pub fn why_unusable(&self) -> io::Result<Option<String>> {
        folder::why_unusable(&self.folder)
    }

    /// The process that watches a log with this state directory, if that is known.
    pub fn holder(&self, log: &Path) -> Option<u32> {
        folder::holder(&self.name(log, LOCK))
    }

    /// Reads a log's checkpoint and when it was true. None: there is none yet. The file is left as it is.
    pub fn read(&self, log: &Path) -> Result<Option<(Progress, Dates)>> {
        let path = self.file_of(log);
        match read_checkpoint(&path)? {
            Some(it) if it.log.as_ref().is_none_or(|named| named == log) => {
                Ok(Some((it.progress, it.dates)))
            }
            Some(Checkpoint { log: other, .. }) => {
                let other = other.unwrap_or_default();
                let cause = format!("it is of another log, {}", other.display());
                Err(malformed(&path, &cause))
            }
            None => Ok(None),
        }
    }

    /// Replaces a log's checkpoint, all or nothing; `sync` makes it last. Its time is `as_of`: what
    /// was written to the log before lies behind the position.
    pub fn write(&self, log: &Path, progress: &Progress, as_of: SystemTime) -> io::Result<()> {
        let path = self.file_of(log);
        let temporary = self.name(log, ".checkpoint.tmp");
        let mut text = Vec::new();
        progress.write_text(log, &mut text);
        folder::replace(
            &path,
            &temporary,
            &text,
            Some(as_of),
            "checkpoint-temp-written",
        )
    }

    /// Waits until the disk knows what was replaced: one wait does for many checkpoints.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    /// Forgets a log's checkpoint, and keeps in mind how far its generations have come.
    pub fn remove(&self, log: &Path) -> Result<()> {
        // What is malformed tells no number, and is in the way.
        if let Ok(Some((progress, _))) = self.read(log) {
            self.note_forgotten(progress.current.generation)?;
        }
        remove_all([self.file_of(log)])
    }

    /// Forgets all that is known of a log, its lock last: so only whoever holds it can.
    pub fn forget(&self, log: &Path, lock: Lock) -> Result<()> {
        self.remove(log)?;
        remove_all([self.name(log, GAPS)])?;
        remove_all(self.refused_files(log))?;
        let path = self.name(log, LOCK);
        match lock.file {
            Some(file) if is_at(&file, &path).unwrap_or(false) => remove_all([path]),
            _ => Ok(()),
        }
    }

    /// The logs that are gone, and whose checkpoint was not written for so long.
    pub fn stale(&self, older_than: Duration) -> Vec<PathBuf> {
        let mut logs = self.logs(older_than);
        logs.retain(|log| is_gone(log));
        logs
    }

    /// The logs whose checkpoint was not written for so long.
    pub fn logs(&self, older_than: Duration) -> Vec<PathBuf> {
        // What cannot be read now is looked at another time.
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let checkpoints = entries.map(|entry| entry.path()).filter(|path| {
            let name = path.as_os_str().as_bytes();
            name.ends_with(CHECKPOINT.as_bytes())
        });
        let is_old = |path: &PathBuf| {
            let made = fs::symlink_metadata(path).and_then(|metadata| made(&metadata));
            made.is_ok_and(|made| age(made) >= older_than)
        };
        let log_of = |path: PathBuf| read_checkpoint(&path).ok().flatten()?.log;
        let mut logs: Vec<_> = checkpoints.filter(is_old).filter_map(log_of).collect();
        order::sort(&mut logs);
        logs.dedup();
        logs
    }
}

/// What stands in a checkpoint file.
struct Checkpoint {
    progress: Progress,
    /// None: it is a lone number.
    log: Option<PathBuf>,
    dates: Dates,
}

fn read_checkpoint(path: &Path) -> Result<Option<Checkpoint>> {
    let read = || -> io::Result<(Vec<u8>, Dates)> {
        let mut file = open_own(path, File::options().read(true))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let metadata = file.metadata()?;
        let (as_of, made) = (metadata.modified()?, made(&metadata)?);
        Ok((text, Dates { as_of, made }))
    };
    let (text, dates) = match read() {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read checkpoint", path, &error)),
    };
    let parsed = Progress::parse(&text).map_err(|cause| malformed(path, &cause));
    let (progress, log) = parsed?;
    Ok(Some(Checkpoint {
        progress,
        log,
        dates,
    }))
}

/// When a file was made, or was last written to where its file system does not tell.
fn made(metadata: &fs::Metadata) -> io::Result<SystemTime> {
    metadata.created().or_else(|_| metadata.modified())
}

fn malformed(path: &Path, cause: &str) -> Error {
    let way_out = "mend it or delete it, or run watch with --reset, which forgets the position";
    let path = path.display();
    Error::Failed(format!("read checkpoint {path}: {cause}; {way_out}"))
}

fn locked(log: &Path, path: &Path) -> Error {
    Error::TryLater(format!(
        "{}: another watcher is running (it holds {})",
        log.display(),
        path.display()
    ))
}

fn remove_all(paths: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    paths
        .into_iter()
        .try_for_each(|path| remove(&path).map_err(|error| Error::io("remove", &path, &error)))
}

fn is_gone(log: &Path) -> bool {
    fs::metadata(log).is_err_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    })
}

/// The name of a log's files, without their endings. One that would be too long, or that could be another log's (as
/// `/a/b` and `/a%b` are the same then), is the end of it and a hash, and does not begin with a `%`.
fn short_name(log: &Path) -> Vec<u8> {
    let path = log.as_os_str().as_bytes();
    let whole: Vec<u8> = path
        .iter()
        .map(|byte| if *byte == b'/' { b'%' } else { *byte })
        .collect();
    if whole.len() + CHECKPOINT.len() <= LONGEST_NAME && !path.contains(&b'%') {
        return whole;
    }
    let start = whole.len().saturating_sub(KEPT_OF_LONGER);
    let in_letter = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    let cut = whole[start..].iter().take(3).take_while(in_letter).count();
    let end = whole[start + cut..]
        .iter()
        .skip_while(|byte| **byte == b'%');
    let hash = format!(".{:016x}", fnv1a(path));
    end.copied().chain(hash.into_bytes()).collect()
}

fn with_ending(mut name: Vec<u8>, ending: &str) -> OsString {
    name.extend(ending.bytes());
    OsString::from_vec(name)
}

/// How long ago a checkpoint was written; zero where the clock was set back since.
pub fn age(written: SystemTime) -> Duration {
    SystemTime::now()
        .duration_since(written)
        .unwrap_or_default()
}

/// An error with the words of `describe`, for a path that cannot be watched.
pub fn unwatchable(path: &Path, error: &io::Error) -> Error {
    Error::Failed(format!("watch {}: {}", path.display(), describe(error)))
}

#[cfg(test)]
mod tests;

//! The state directory as a folder: ours alone, and its files never reached through a link.
//!
//! Whoever else may write there could set links where we write, or positions where we read; so such a folder is refused,
//! and no file is opened by a name alone.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::fault;
use crate::signal::{O_NOFOLLOW, O_NONBLOCK, user_and_group};

const ANYBODY_WRITES: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;

/// Makes a folder that only we may enter, where there is none.
pub fn create_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Sees that a file can be written there.
pub fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".probe.{}", std::process::id()));
    let written = create_anew(&path)?.write_all(b"tailcast");
    written.and(fs::remove_file(&path))
}

/// Why a folder is not safe to keep state in; None: it is.
pub fn why_unsafe(folder: &Metadata) -> Option<&'static str> {
    judge(
        (folder.uid(), folder.gid()),
        folder.mode(),
        user_and_group(),
    )
}

/// As ssh and sudo judge: root may write anywhere anyhow. Our own group may write too: where each user has a group of
/// their own, folders are made so.
fn judge(owner: (u32, u32), mode: u32, we: (u32, u32)) -> Option<&'static str> {
    if owner.0 != we.0 && owner.0 != 0 {
        Some("it belongs to another user")
    } else if mode & ANYBODY_WRITES != 0 {
        Some("everybody may write to it")
    } else if mode & GROUP_WRITES != 0 && owner.1 != we.1 {
        Some("its group may write to it")
    } else {
        None
    }
}

/// Why state cannot be kept in a folder, judged by its owner and mode alone. A folder that is not there can be made.
pub fn why_unusable(folder: &Path) -> io::Result<Option<String>> {
    let metadata = match fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !metadata.is_dir() {
        return Ok(Some("not a directory".into()));
    }
    if let Some(why) = why_unsafe(&metadata) {
        return Ok(Some(why.into()));
    }
    let (we, group) = user_and_group();
    let write = match () {
        () if metadata.uid() == we => 0o200,
        () if metadata.gid() == group => GROUP_WRITES,
        () => ANYBODY_WRITES,
    };
    let may_write = we == 0 || metadata.mode() & write != 0;
    Ok((!may_write).then(|| "we may not write to it".into()))
}

/// How often a lock is tried for whose owner has ended, with a pause of a millisecond.
const TRIES: usize = 1000;

/// Locks a file, or says that another process has it. A process that was killed while it started another one leaves its
/// locks to that until it is on its way: so a lock whose owner has ended, or that nobody is seen to own, is waited for.
pub fn lock(file: &File, path: &Path) -> Result<(), TryLockError> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if holder(path).is_none_or(has_ended) => {
                thread::sleep(Duration::from_millis(1));
            }
            result => return result,
        }
    }
    file.try_lock()
}

fn has_ended(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// The process that holds a lock on a file, as Linux lists them; so nobody need take it to know.
pub fn holder(path: &Path) -> Option<u32> {
    let inode = fs::metadata(path).ok()?.ino().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, process, file, ..] = fields[..] else {
            return None;
        };
        let is_it = file.rsplit(':').next() == Some(&inode);
        is_it.then(|| process.parse().ok()).flatten()
    })
}

/// Makes a file that was not there, so that it is no link; what is left of an earlier try is removed first.
pub fn create_anew(path: &Path) -> io::Result<File> {
    match File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            File::create_new(path)
        }
        result => result,
    }
}

/// Replaces a file by this text, all or nothing. Its time is `as_of`, or else the present one. Lasting once the folder is
/// synced.
pub fn replace(
    path: &Path,
    temporary: &Path,
    text: &[u8],
    as_of: Option<SystemTime>,
    written: &str,
) -> io::Result<()> {
    let write = || {
        let mut file = create_anew(temporary)?;
        file.write_all(text)?;
        if let Some(as_of) = as_of {
            file.set_modified(as_of)?;
        }
        file.sync_all()?;
        fault::point(written);
        fs::rename(temporary, path)
    };
    write().inspect_err(|_| {
        // What is left of it would only keep a full disk full.
        let _ = fs::remove_file(temporary);
    })
}

/// Opens a file as `how` says, never through a link, and without waiting for anything.
pub fn open_own(path: &Path, how: &OpenOptions) -> io::Result<File> {
    let file = how
        .clone()
        .custom_flags(O_NOFOLLOW | O_NONBLOCK)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("not a regular file"))
    }
}

/// Whether a path still names this open file.
pub fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a file; one that is not there is as good.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether there is no room, rather than anything wrong: a full or read-only disk, a quota, a limit of file sizes.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_folder_that_others_may_write_to_is_not_safe() {
        let (root, ann, bob) = (0, 1000, 1001);
        let cases = [
            ((ann, ann), 0o700, (ann, ann), true),
            ((ann, ann), 0o755, (ann, ann), true),
            ((ann, ann), 0o775, (ann, ann), true),
            ((root, ann), 0o770, (ann, ann), true),
            ((ann, 8), 0o775, (ann, ann), false),
            ((ann, ann), 0o777, (ann, ann), false),
            ((root, root), 0o1777, (root, root), false),
            ((root, root), 0o1777, (ann, ann), false),
            ((bob, bob), 0o700, (ann, ann), false),
            ((bob, bob), 0o700, (root, root), false),
            ((bob, ann), 0o770, (ann, ann), false),
        ];
        for (owner, mode, we, is_safe) in cases {
            let verdict = judge(owner, mode, we);
            assert_eq!(verdict.is_none(), is_safe, "{owner:?} {mode:o} {we:?}");
        }
    }

    #[test]
    fn neither_a_link_nor_a_fifo_is_taken_for_our_file() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, &link).unwrap();
        assert!(open_own(&link, File::options().read(true)).is_err());
        assert!(open_own(&link, File::options().append(true).create(true)).is_err());
        create_anew(&link).unwrap().write_all(b"ours").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(fs::read(&link).unwrap(), b"ours");
        let fifo = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        assert!(open_own(&fifo, File::options().read(true)).is_err());
    }
}

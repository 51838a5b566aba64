//! One open file: what it is, its bytes at an offset, its anchors, and where its next bytes are that are no hole.
//!
//! Opening never blocks and, for siblings, never follows a link: in a folder that an application owns, a name may be
//! made to lead anywhere. What was opened is asked what it is; only a regular file is read.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::position::{ANCHOR_LEN, Anchor, FileId, Position};
use crate::signal::{O_NOFOLLOW, O_NONBLOCK, next_data};

/// What one `stat` says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub id: FileId,
    /// Bytes.
    pub size: u64,
    /// Last write.
    pub modified: SystemTime,
    /// Last write, rename, removal or change of mode.
    pub changed: SystemTime,
    /// When it was made; not every file system says.
    pub born: Option<SystemTime>,
    /// Names that it has.
    pub links: u64,
}

/// By this a file is seen to change.
pub type Version = (FileId, u64, SystemTime);

impl Stat {
    pub fn version(&self) -> Version {
        (self.id, self.size, self.modified)
    }

    pub fn of(metadata: &Metadata) -> Stat {
        let stat = Stat {
            id: FileId::of(metadata),
            size: metadata.size(),
            modified: time(metadata.mtime(), metadata.mtime_nsec()),
            changed: time(metadata.ctime(), metadata.ctime_nsec()),
            born: metadata.created().ok(),
            links: metadata.nlink(),
        };
        #[cfg(test)]
        let stat = seen_as::stat(stat);
        stat
    }

    /// Of a file of which only this is known.
    pub fn unknown(id: FileId) -> Stat {
        Stat {
            id,
            size: 0,
            modified: SystemTime::UNIX_EPOCH,
            changed: SystemTime::UNIX_EPOCH,
            born: None,
            links: 0,
        }
    }

    /// How long ago it was written or renamed. Longer than anything where that was in the future: the clock was set back,
    /// and nobody is to wait for it.
    pub fn age(&self) -> Duration {
        let age = SystemTime::now().duration_since(self.changed);
        age.unwrap_or(Duration::MAX)
    }
}

fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let start = if seconds < 0 {
        SystemTime::UNIX_EPOCH - whole
    } else {
        SystemTime::UNIX_EPOCH + whole
    };
    start + Duration::from_nanos(nanoseconds.unsigned_abs())
}

/// The regular file that a path leads to now; None: there is none.
pub fn stat(path: &Path) -> io::Result<Option<Stat>> {
    regular(std::fs::metadata(path))
}

/// The same without following a link at its end.
pub fn stat_entry(path: &Path) -> io::Result<Option<Stat>> {
    regular(std::fs::symlink_metadata(path))
}

fn regular(looked: io::Result<Metadata>) -> io::Result<Option<Stat>> {
    match looked {
        Ok(metadata) => Ok(metadata.is_file().then(|| Stat::of(&metadata))),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error says that there is no such file.
pub fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// No descriptor is left, in the process or in the system; these numbers are the same on every Unix.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// Whether an error says only what the system lacks for the moment, and so nothing of the file.
pub fn is_shortage(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, OutOfMemory, WouldBlock};
    let is_passing = matches!(error.kind(), Interrupted | OutOfMemory | WouldBlock);
    is_passing || matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

/// Whether a link at the end of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    Follow,
    Refuse,
}

/// Opens a regular file to read, and says what it is.
pub fn open(path: &Path, links: Links) -> io::Result<(File, Stat)> {
    let flags = match links {
        Links::Follow => O_NONBLOCK,
        Links::Refuse => O_NONBLOCK | O_NOFOLLOW,
    };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok((file, Stat::of(&metadata)))
}

/// Descriptors that held files leave to the connection, the checkpoint and an archive's program.
const SPARE: usize = 8;

/// Sees that a file may stay open. An error: the system, or the process, would be short of descriptors.
pub fn leave_spare(file: &File) -> io::Result<()> {
    let spare: io::Result<Vec<_>> = (0..SPARE).map(|_| file.try_clone()).collect();
    spare.map(drop)
}

/// Fills the buffer from an offset on; fewer bytes only where the file ends.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The at most `length` bytes before an offset; fewer where the file is shorter.
pub fn bytes_before(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let length = length.min(usize::try_from(offset).unwrap_or(length));
    let mut bytes = vec![0; length];
    let filled = read_at(file, &mut bytes, offset - length as u64)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// The anchor of an offset. None: the file is shorter.
pub fn anchor_at(file: &File, offset: u64) -> io::Result<Option<Anchor>> {
    let wanted = offset.min(ANCHOR_LEN as u64) as usize;
    let before = bytes_before(file, offset, ANCHOR_LEN)?;
    Ok((before.len() == wanted).then(|| Anchor::of(&before)))
}

/// Whether a file has an anchor right before an offset.
pub fn holds(file: &File, offset: u64, anchor: Anchor) -> io::Result<bool> {
    let length = usize::from(anchor.len);
    let before = bytes_before(file, offset, length)?;
    Ok(before.len() == length && Anchor::of(&before) == anchor)
}

/// A place in a file, with its anchor.
pub fn position_at(file: &File, offset: u64, start: Position) -> io::Result<Position> {
    let anchor = anchor_at(file, offset)?.unwrap_or(Anchor::NONE);
    Ok(Position {
        offset,
        anchor,
        ..start
    })
}

/// Bytes of a copy's ends that are compared with its original.
const COMPARED: usize = 64 * 1024;

/// Whether a file of this size equals the beginning of another one, as far as its two ends tell.
pub fn equals_beginning(copy: &File, size: u64, original: &File) -> io::Result<bool> {
    let first = size.min(COMPARED as u64);
    let ends = |file| -> io::Result<_> {
        Ok((
            bytes_before(file, first, COMPARED)?,
            bytes_before(file, size, COMPARED)?,
        ))
    };
    let (copied, own) = (ends(copy)?, ends(original)?);
    Ok(copied.0.len() as u64 == first && copied == own)
}

/// The offset behind the last newline of a file.
pub fn last_line_end(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let bytes = bytes_before(file, end, COMPARED)?;
        if let Some(newline) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(end - (bytes.len() - newline - 1) as u64);
        }
        if bytes.is_empty() {
            break;
        }
        end -= bytes.len() as u64;
    }
    Ok(0)
}

/// The first offset from here on that is not in a hole of the file; the offset itself where the system cannot tell.
pub fn skip_hole(file: &File, offset: u64) -> u64 {
    next_data(file, offset).unwrap_or(offset).max(offset)
}

/// What another file system than the present one would say, for the random histories.
#[cfg(test)]
pub mod seen_as {
    use std::cell::Cell;
    use std::time::{Duration, SystemTime};

    use super::Stat;

    #[derive(Clone, Copy)]
    pub struct FileSystem {
        has_births: bool,
        /// Its clock goes in whole seconds.
        is_coarse: bool,
    }

    impl FileSystem {
        pub const REAL: FileSystem = FileSystem {
            has_births: true,
            is_coarse: false,
        };
        /// As ext4 with inodes of 128 bytes, ext3, vfat.
        pub const COARSE: FileSystem = FileSystem {
            has_births: false,
            is_coarse: true,
        };
    }

    thread_local! {
        static SEEN_AS: Cell<FileSystem> = const { Cell::new(FileSystem::REAL) };
    }

    /// For this thread, from now on.
    pub fn set(system: FileSystem) {
        SEEN_AS.set(system);
    }

    pub fn stat(stat: Stat) -> Stat {
        let FileSystem {
            has_births,
            is_coarse,
        } = SEEN_AS.get();
        let cut = |time: SystemTime| match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) if is_coarse => SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()),
            _ => time,
        };
        Stat {
            modified: cut(stat.modified),
            changed: cut(stat.changed),
            born: stat.born.filter(|_| has_births),
            ..stat
        }
    }
}

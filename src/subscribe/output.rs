//! `--output FILE`: lines appended to a file, and beside it a text that says how far the file is proven.
//!
//! `FILE.place` is replaced after every block (temporary file, fsync, rename, fsync of the folder), once the block itself
//! is on the disk. So after a crash at any moment the file is cut back to what its place says; what is behind it comes
//! again. `FILE.lock` is held meanwhile. Where no place is to be kept (`pubsub`), lines are just appended.
//!
//! Rotation: before a renamed file's successor gets a line, the place names the successor; so whichever of the two has an
//! unproven end is the one that the place names, and is found beside FILE by its inode.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::checkpoint::{lock_file, open_unlinked, replace};
use crate::error::{Error, Result, describe};
use crate::fault;
use crate::position::{ANCHOR_LEN, Anchor, FileId};
use crate::talk;

/// A file that lines are appended to, from its opening to the end of the program.
pub struct Output {
    path: PathBuf,
    file: File,
    id: FileId,
    /// Bytes that are proven, and the last few of them.
    length: u64,
    tail: Vec<u8>,
    keeps_place: bool,
    /// The place's text, without its first line.
    place: Vec<u8>,
    _lock: File,
}

/// Of the file that a place is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Proven {
    length: u64,
    id: FileId,
    anchor: Anchor,
}

impl Output {
    /// Opens it, makes it where there is none, and cuts it back to what is proven. Without `keeps_place` there is nothing
    /// that proves anything.
    pub fn open(path: &Path, keeps_place: bool) -> Result<Output> {
        let lock = lock(path)?;
        let kept = if keeps_place { read_place(path)? } else { None };
        let file = open_or_create(path)?;
        let id = FileId::of(&stat(&file, path)?);
        let mut output = Output {
            path: path.into(),
            file,
            id,
            length: 0,
            tail: Vec::new(),
            keeps_place,
            place: Vec::new(),
            _lock: lock,
        };
        if let Some((proven, place)) = kept {
            output.place = place;
            output.cut_back(&proven)?;
        }
        output.begin()?;
        Ok(output)
    }

    /// What was kept with the last block that is in the file; empty where there is none.
    pub fn place(&self) -> &[u8] {
        &self.place
    }

    /// Goes back to what is proven, in the file that it is proven of.
    fn cut_back(&mut self, proven: &Proven) -> Result<()> {
        let file = || {
            self.file
                .try_clone()
                .map_err(|error| self.error("open", &error))
        };
        let what = if self.id == proven.id {
            Some(file()?)
        } else {
            // A copy of it is as good: inodes are a hint, what stands before the place is the proof.
            let is_copy = proven.length > 0 && proven.holds_for(&self.file);
            let copy = if is_copy { Some(file()?) } else { None };
            find_beside(&self.path, proven.id).or(copy)
        };
        let Some(file) = what else {
            if proven.length > 0 {
                self.say(
                    "the file that it went on is gone, or packed: its last lines may come again",
                );
            }
            return Ok(());
        };
        let length = stat(&file, &self.path)?.len();
        if !proven.holds_for(&file) {
            self.say("somebody has truncated or changed it: going on at its end");
        } else if length > proven.length {
            file.set_len(proven.length)
                .and_then(|()| file.sync_all())
                .map_err(|error| self.error("cut back", &error))?;
            let unproven = length - proven.length;
            talk::detail(&format!(
                "{}: {unproven} bytes at its end were not proven: they come again",
                self.path.display()
            ));
        }
        Ok(())
    }

    /// Takes the file as it is for proven; what is behind its last newline is made a line.
    fn begin(&mut self) -> Result<()> {
        self.take_as_it_is()?;
        if self.tail.last().is_some_and(|byte| *byte != b'\n') {
            self.append(b"\n")?;
        }
        self.keep_place()
    }

    fn take_as_it_is(&mut self) -> Result<()> {
        let metadata = stat(&self.file, &self.path)?;
        (self.id, self.length) = (FileId::of(&metadata), metadata.len());
        self.tail = tail_of(&self.file, self.length, ANCHOR_LEN)
            .map_err(|error| self.error("read", &error))?;
        Ok(())
    }

    /// Returns when the lines are in the file, and the place too.
    pub fn write(&mut self, lines: &[u8], place: &[u8]) -> Result<()> {
        self.follow_rotation()?;
        self.expect_unchanged()?;
        if !lines.is_empty() {
            self.append(lines)?;
            fault::point("output-written");
        }
        self.place.clear();
        self.place.extend_from_slice(place);
        self.keep_place()
    }

    /// Goes on in a new file where somebody has renamed or removed the one that is open.
    pub fn follow_rotation(&mut self) -> Result<()> {
        match fs::metadata(&self.path) {
            Ok(metadata) if FileId::of(&metadata) == self.id => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.error("read", &error));
            }
            _ => {}
        }
        self.file = open_or_create(&self.path)?;
        self.begin()
    }

    /// Somebody may have truncated it (copytruncate), or have written to it: it is not cut back behind their back.
    fn expect_unchanged(&mut self) -> Result<()> {
        let length = stat(&self.file, &self.path)?.len();
        if length == self.length {
            return Ok(());
        }
        self.say(if length < self.length {
            "somebody has truncated it: going on at its end"
        } else {
            "somebody else writes to it too: going on behind that"
        });
        self.begin()
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = (&self.file).write_all(bytes);
        let synced = written.and_then(|()| match self.keeps_place {
            true => self.file.sync_data(),
            false => Ok(()),
        });
        if let Err(error) = synced {
            // Half a block is of no use to anybody; where it stays, the next start cuts it off.
            let _ = self.file.set_len(self.length);
            let way_out =
                "what is not in it is not acknowledged, and comes when subscribe is started again";
            let text = self.error("write", &error);
            return Err(Error::Failed(format!("{text}; {way_out}")));
        }
        self.length += bytes.len() as u64;
        let last = &bytes[bytes.len().saturating_sub(ANCHOR_LEN)..];
        self.tail.extend_from_slice(last);
        self.tail
            .drain(..self.tail.len().saturating_sub(ANCHOR_LEN));
        Ok(())
    }

    fn keep_place(&self) -> Result<()> {
        if !self.keeps_place {
            return Ok(());
        }
        let path = beside(&self.path, ".place");
        let proven = Proven {
            length: self.length,
            id: self.id,
            anchor: Anchor::of(&self.tail),
        };
        let mut text = proven.to_text().into_bytes();
        text.extend_from_slice(&self.place);
        let temporary = beside(&self.path, ".place.tmp");
        replace(&path, &temporary, &text, None, "place-written")
            .and_then(|()| File::open(folder_of(&self.path))?.sync_all())
            .map_err(|error| Error::io("write", &path, &error))
    }

    fn say(&self, what: &str) {
        talk::warn(&format!("{}: {what}", self.path.display()));
    }

    fn error(&self, verb: &str, error: &io::Error) -> Error {
        Error::io(verb, &self.path, error)
    }
}

impl Proven {
    /// Whether the bytes before the proven length are those that were there.
    fn holds_for(&self, file: &File) -> bool {
        let tail = tail_of(file, self.length, usize::from(self.anchor.len));
        tail.is_ok_and(|tail| Anchor::of(&tail) == self.anchor)
    }

    fn to_text(self) -> String {
        let Proven { length, id, anchor } = self;
        format!(
            "{length} {}:{} {}:{:016x}\n",
            id.dev, id.ino, anchor.len, anchor.hash
        )
    }

    fn parse(row: &str) -> Option<Proven> {
        let mut fields = row.split(' ');
        let length = fields.next()?.parse().ok()?;
        let (dev, ino) = fields.next()?.split_once(':')?;
        let (len, hash) = fields.next()?.split_once(':')?;
        Some(Proven {
            length,
            id: FileId {
                dev: dev.parse().ok()?,
                ino: ino.parse().ok()?,
            },
            anchor: Anchor {
                len: len.parse().ok()?,
                hash: u64::from_str_radix(hash, 16).ok()?,
            },
        })
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn stat(file: &File, path: &Path) -> Result<Metadata> {
    file.metadata()
        .map_err(|error| Error::io("read", path, &error))
}

fn open_or_create(path: &Path) -> Result<File> {
    // What is no file may make whoever opens it wait, as a FIFO does.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Error::Failed(format!(
            "open {}: not a regular file, which could be cut back; leave --output out, and redirect",
            path.display()
        )));
    }
    let file = File::options()
        .create(true)
        .read(true)
        .append(true)
        .open(path);
    file.map_err(|error| Error::io("open", path, &error))
}

/// Makes this process the only one that appends to the file.
fn lock(path: &Path) -> Result<File> {
    let name = beside(path, ".lock");
    let file = open_unlinked(&name, File::options().create(true).write(true))
        .map_err(|error| Error::io("open lock", &name, &error))?;
    match lock_file(&file, &name) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::TryLater(format!(
            "{}: another subscribe appends to it (it holds {})",
            path.display(),
            name.display()
        ))),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &name, &error)),
    }
}

/// What is proven, and the rest of the text. None: there is no place yet.
fn read_place(path: &Path) -> Result<Option<(Proven, Vec<u8>)>> {
    let name = beside(path, ".place");
    let mut text = Vec::new();
    match open_unlinked(&name, File::options().read(true)) {
        Ok(mut file) => file
            .read_to_end(&mut text)
            .map_err(|error| Error::io("read", &name, &error))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", &name, &error)),
    };
    let end = text.iter().position(|byte| *byte == b'\n');
    let row = end.and_then(|end| std::str::from_utf8(&text[..end]).ok());
    match (row.and_then(Proven::parse), end) {
        (Some(proven), Some(end)) => Ok(Some((proven, text.split_off(end + 1)))),
        _ => Err(malformed(
            path,
            "its first line is not length, dev:inode and anchor",
        )),
    }
}

/// A place that says nothing.
pub fn malformed(path: &Path, why: &str) -> Error {
    Error::Failed(format!(
        "read {}: {why}; choose another --output, or delete the place, which begins anew behind what the file holds",
        beside(path, ".place").display()
    ))
}

/// The last bytes before an offset.
fn tail_of(file: &File, offset: u64, most: usize) -> io::Result<Vec<u8>> {
    let start = offset.saturating_sub(most as u64);
    let mut tail = vec![0; (offset - start) as usize];
    file.read_exact_at(&mut tail, start)?;
    Ok(tail)
}

/// The file of this inode in the same folder: FILE under the name that a rotation gave it.
fn find_beside(path: &Path, id: FileId) -> Option<File> {
    let entries = fs::read_dir(folder_of(path)).ok()?.flatten();
    let mut files = entries.filter(|entry| {
        let metadata = entry.metadata();
        metadata.is_ok_and(|metadata| metadata.is_file() && FileId::of(&metadata) == id)
    });
    let name = files.next()?.path();
    match open_unlinked(&name, File::options().read(true).write(true)) {
        Ok(file) => Some(file),
        Err(error) => {
            talk::warn(&format!("open {}: {}", name.display(), describe(&error)));
            None
        }
    }
}

#[cfg(test)]
mod tests;

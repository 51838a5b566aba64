//! Lines that Redis refuses: kept as their own bytes, with place and reason, a file for each source.
//!
//! An entry is `<end offset> <generation> <bytes> <reason>`, a newline, the line's bytes, a newline. It is on disk before
//! the position moves past the line; so a crash between the two finds it there, and does not write it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::broker::Removed;
use crate::checkpoint::{Store, open_unlinked};
use crate::error::{Error, Result};
use crate::fault;

/// The folder of these files.
pub struct Refused {
    store: Store,
    folder: PathBuf,
    /// What stands in the files that were looked into: (generation, end offset).
    known: BTreeMap<PathBuf, BTreeSet<(u64, u64)>>,
}

impl Refused {
    pub fn in_state_dir(state_dir: &Path) -> Refused {
        Refused {
            store: Store::at(state_dir),
            folder: state_dir.join("refused"),
            known: BTreeMap::new(),
        }
    }

    /// Appends lines of a log, of this generation, that are not there yet. Returns where they are kept.
    pub fn keep(
        &mut self,
        log: &Path,
        generation: u64,
        lines: &[Removed],
        reason: &str,
    ) -> Result<PathBuf> {
        let path = self.path_of(log);
        self.append(&path, generation, lines, reason)
            .map_err(|error| Error::io("keep refused lines in", &path, &error))?;
        fault::point("refused-lines-kept");
        Ok(path)
    }

    fn path_of(&self, log: &Path) -> PathBuf {
        let name = self.store.file_of(log).with_extension("refused");
        self.folder.join(name.file_name().unwrap_or_default())
    }

    fn append(
        &mut self,
        path: &Path,
        generation: u64,
        lines: &[Removed],
        reason: &str,
    ) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        let how = File::options()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .clone();
        let mut file = open_unlinked(path, &how)?;
        if !self.known.contains_key(path) {
            let (places, whole) = read_places(&file)?;
            // The rest was cut off by a crash, or by a disk that was full.
            file.set_len(whole)?;
            self.known.insert(path.into(), places);
        }
        let known = self.known.entry(path.into()).or_default();
        let reason = reason.replace('\n', " ");
        let mut text = Vec::new();
        for Removed { line, end } in lines {
            if !known.contains(&(generation, *end)) {
                let head = format!("{end} {generation} {} {reason}\n", line.len());
                text.extend_from_slice(head.as_bytes());
                text.extend_from_slice(line);
                text.push(b'\n');
            }
        }
        if let Err(error) = file.write_all(&text).and_then(|()| file.sync_all()) {
            self.known.remove(path);
            return Err(error);
        }
        known.extend(lines.iter().map(|removed| (generation, removed.end)));
        fs::File::open(&self.folder)?.sync_all()
    }
}

/// How many lines of a log Redis has refused.
pub fn count_refused(state_dir: &Path, log: &Path) -> Result<u64> {
    let path = Refused::in_state_dir(state_dir).path_of(log);
    let count = File::open(&path).and_then(|file| Ok(read_places(&file)?.0.len() as u64));
    match count {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        counted => counted.map_err(|error| Error::io("read refused lines in", &path, &error)),
    }
}

/// The places of the entries in a file, and how far it is whole.
fn read_places(file: &File) -> io::Result<(BTreeSet<(u64, u64)>, u64)> {
    let size = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    let (mut places, mut whole) = (BTreeSet::new(), 0);
    let mut head = String::new();
    loop {
        head.clear();
        let length = reader.read_line(&mut head)? as u64;
        let mut numbers = head.split(' ').map(str::parse::<u64>);
        let (Some(Ok(end)), Some(Ok(generation)), Some(Ok(bytes))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return Ok((places, whole));
        };
        let next = whole + length + bytes + 1;
        if next > size {
            return Ok((places, whole));
        }
        places.insert((generation, end));
        reader.seek(SeekFrom::Start(next))?;
        whole = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(line: &[u8], end: u64) -> Removed {
        let line = line.to_vec();
        Removed { line, end }
    }

    #[test]
    fn a_line_is_kept_once_as_its_own_bytes_also_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let log = Path::new("/var/log/app.log");
        let keep = |lines: &[Removed]| {
            let mut refused = Refused::in_state_dir(folder.path());
            refused.keep(log, 3, lines, "too\nlong").unwrap()
        };
        let path = keep(&[removed(b"a\nb\0", 10)]);
        assert!(path.ends_with("refused/%var%log%app.log.refused"));
        keep(&[removed(b"a\nb\0", 10), removed(b"c", 20)]);
        let whole = b"10 3 4 too long\na\nb\0\n20 3 1 too long\nc\n";
        assert_eq!(fs::read(&path).unwrap(), whole);
        for torn in [whole.len() - 1, whole.len() - 5, whole.len() - 14] {
            fs::write(&path, &whole[..torn]).unwrap();
            keep(&[removed(b"c", 20)]);
            assert_eq!(fs::read(&path).unwrap(), whole, "cut after {torn}");
        }
    }
}

//! Lines that Redis refuses: kept as their own bytes, with place and reason, a file for each source.
//!
//! An entry is `<end offset> <generation> <bytes> <reason>`, a newline, the line's bytes, a newline. It is on disk before
//! the position moves past the line; so a crash between the two finds it there, and does not write it again. A file that
//! has become large is put aside, in place of the one before; so there are two of a log at most.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::broker::Removed;
use crate::checkpoint::{Store, open_unlinked};
use crate::error::{Error, Result};
use crate::{fault, talk};

/// A file is put aside before it would grow beyond so many bytes.
const LARGEST: u64 = 64 << 20;

/// The files of refused lines.
pub struct Refused {
    store: Store,
    largest: u64,
    /// The file that was last written to, and what stands in it: (generation, end offset).
    known: Option<(PathBuf, BTreeSet<(u64, u64)>)>,
}

impl Refused {
    pub fn in_state_dir(state_dir: &Path) -> Refused {
        Refused {
            store: Store::at(state_dir),
            largest: LARGEST,
            known: None,
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
        let [path, earlier] = self.store.refused_files(log);
        let known = self.known.take();
        let mut known = known.filter(|(of, _)| *of == path).map(|(_, known)| known);
        self.append([&path, &earlier], &mut known, generation, lines, reason)
            .map_err(|error| Error::io("keep refused lines in", &path, &error))?;
        self.known = known.map(|known| (path.clone(), known));
        fault::point("refused-lines-kept");
        Ok(path)
    }

    /// Appends to the first of two files, which becomes the second where it is large. `known` is what stands there.
    fn append(
        &self,
        [path, earlier]: [&Path; 2],
        known: &mut Option<BTreeSet<(u64, u64)>>,
        generation: u64,
        lines: &[Removed],
        reason: &str,
    ) -> io::Result<()> {
        let folder = path.parent().unwrap_or(path);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let mut how = File::options();
        how.read(true).append(true).create(true).mode(0o600);
        let mut file = open_unlinked(path, &how)?;
        let known = match known {
            Some(known) => known,
            None => {
                let (places, whole) = read_places(&file)?;
                // The rest was cut off by a crash, or by a disk that was full.
                file.set_len(whole)?;
                known.insert(places)
            }
        };
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
        let size = file.metadata()?.len();
        if size > 0 && !text.is_empty() && size + text.len() as u64 > self.largest {
            put_aside(path, earlier)?;
            known.clear();
            file = open_unlinked(path, &how)?;
        }
        file.write_all(&text)?;
        file.sync_all()?;
        known.extend(lines.iter().map(|removed| (generation, removed.end)));
        File::open(folder)?.sync_all()
    }
}

/// Whoever has not looked at the earlier file for so long never will; but it is said.
fn put_aside(path: &Path, earlier: &Path) -> io::Result<()> {
    let had_earlier = earlier.exists();
    fs::rename(path, earlier)?;
    if had_earlier {
        let file = earlier.display();
        talk::warn(&format!(
            "{file}: the refused lines that were in it are dropped, as later ones have filled the next file"
        ));
    }
    Ok(())
}

/// How many lines of a log that Redis has refused are kept.
pub fn count_refused(state_dir: &Path, log: &Path) -> Result<u64> {
    let mut lines = 0;
    for path in Store::at(state_dir).refused_files(log) {
        match File::open(&path).and_then(|file| read_places(&file)) {
            Ok((places, _)) => lines += places.len() as u64,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read refused lines in", &path, &error)),
        }
    }
    Ok(lines)
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
        // What is in the buffer is not read again.
        reader.seek_relative(bytes as i64 + 1)?;
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

    #[test]
    fn however_many_lines_are_refused_two_files_and_what_stands_in_one_is_all_that_grows() {
        let folder = tempfile::tempdir().unwrap();
        let mut refused = Refused::in_state_dir(folder.path());
        refused.largest = 1000;
        let mut keep = |log: &str, end| {
            let lines = [removed(b"a line", end)];
            refused.keep(Path::new(log), 3, &lines, "why").unwrap();
            refused.known.as_ref().map_or(0, |(_, known)| known.len())
        };
        for end in 0..150 {
            assert!(keep("/a.log", end) < 100 && keep("/b.log", end) < 100);
        }
        // The one that was kept last is known, wherever it stands.
        let files = || fs::read_dir(folder.path().join("refused")).unwrap();
        let size = || -> u64 {
            files()
                .map(|it| it.unwrap().metadata().unwrap().len())
                .sum()
        };
        let before = size();
        keep("/a.log", 149);
        assert_eq!((files().count(), size()), (4, before));
        assert!(before <= 4000);
        let count = count_refused(folder.path(), Path::new("/a.log")).unwrap();
        assert!((40..100).contains(&count), "{count}");
    }
}

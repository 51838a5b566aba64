//! What a state directory knows beyond single logs: its random name, by which a commit record tells whose it is, and the
//! highest generation that it has forgotten, so that no log gets one twice.
//!
//!     name highest
//!
//! A line of always the same length, written over in place while the file is locked: so no watcher misses another's
//! number, and a crash leaves the old line or the new one.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Store;
use super::folder::open_own;
use crate::error::{Error, Result};

const FILE: &str = "identity";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    name: u64,
    /// 0: nothing was forgotten yet.
    highest: u64,
}

impl Store {
    /// The random name of this state directory. Where there is no room to write it down, it is that of this process.
    pub fn home(&self) -> Result<u64> {
        Ok(self.update(|_| {})?.name)
    }

    /// The same, where it was written down.
    pub fn known_home(&self) -> Result<Option<u64>> {
        Ok(self.identity()?.map(|identity| identity.name))
    }

    /// The generation that a log begins with: no file of its source has had it before, even if nobody remembers the
    /// source. Rotations may be faster than milliseconds, and clocks go back.
    pub fn new_generation(&self) -> Result<u64> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = since_1970.map_or(0, |since| since.as_millis() as u64);
        let forgotten = self.identity()?.map_or(0, |identity| identity.highest);
        Ok(now.max(forgotten + 1))
    }

    /// No log will begin at a generation up to this.
    pub fn note_forgotten(&self, generation: u64) -> Result<()> {
        self.update(|identity| identity.highest = identity.highest.max(generation))?;
        Ok(())
    }

    /// None: nothing was written down yet.
    fn identity(&self) -> Result<Option<Identity>> {
        let path = self.identity_file();
        let read = || read_line(&mut open_own(&path, File::options().read(true))?);
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => result.map_err(|error| unreadable("read", &path, &error)),
        }
    }

    fn update(&self, change: impl FnOnce(&mut Identity)) -> Result<Identity> {
        let path = self.identity_file();
        let mut new = Identity {
            name: fastrand::u64(..),
            highest: 0,
        };
        let update = |new: &mut Identity| -> io::Result<()> {
            let create = File::options().create(true).read(true).write(true).clone();
            let mut file = open_own(&path, &create)?;
            file.lock()?;
            let old = read_line(&mut file)?;
            *new = old.unwrap_or(*new);
            change(new);
            if old != Some(*new) {
                let line = format!("{:016x} {:020}\n", new.name, new.highest);
                file.write_all_at(line.as_bytes(), 0)?;
                file.sync_all()?;
            }
            Ok(())
        };
        match update(&mut new) {
            Err(error) if !self.can_do_without(&error) => Err(unreadable("write", &path, &error)),
            _ => Ok(new),
        }
    }

    fn identity_file(&self) -> PathBuf {
        self.folder.join(FILE)
    }
}

/// None: the file is empty, as after a crash before its first line.
fn read_line(file: &mut File) -> io::Result<Option<Identity>> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    if text.is_empty() {
        return Ok(None);
    }
    let parse = || {
        let (name, highest) = text.trim_end().split_once(' ')?;
        let name = u64::from_str_radix(name, 16).ok()?;
        Some(Identity {
            name,
            highest: highest.parse().ok().filter(|highest| *highest < u64::MAX)?,
        })
    };
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "not a name and a number");
    parse().ok_or_else(malformed).map(Some)
}

fn unreadable(verb: &str, path: &Path, error: &io::Error) -> Error {
    let text = Error::io(&format!("{verb} identity"), path, error);
    match error.kind() {
        io::ErrorKind::InvalidData => Error::Failed(format!("{text}; delete it")),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Delivery;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path(), Delivery::ExactlyOnce).unwrap();
        (folder, store)
    }

    #[test]
    fn a_state_directory_keeps_its_name_and_another_has_another() {
        let [(_one, store), (_other, other)] = [store(), store()];
        let name = store.home().unwrap();
        store.note_forgotten(7).unwrap();
        assert_eq!(store.home().unwrap(), name);
        assert_ne!(other.home().unwrap(), name);
    }

    #[test]
    fn a_number_that_was_forgotten_never_comes_again_although_the_clock_goes_back() {
        let (_folder, store) = store();
        let now = store.new_generation().unwrap();
        assert!(now > 1_700_000_000_000, "{now}");
        let ahead = now * 2;
        store.note_forgotten(ahead).unwrap();
        store.note_forgotten(3).unwrap();
        assert_eq!(store.new_generation().unwrap(), ahead + 1);
    }

    #[test]
    fn a_malformed_identity_is_an_error_that_names_the_way_out() {
        let (folder, store) = store();
        std::fs::write(folder.path().join(FILE), "what").unwrap();
        for error in [
            store.home().unwrap_err(),
            store.new_generation().unwrap_err(),
        ] {
            assert!(
                error
                    .to_string()
                    .contains("identity: not a name and a number; delete it"),
                "{error}"
            );
        }
    }
}

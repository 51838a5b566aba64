//! Whether what is known of a folder's entries still holds, so that looking into an idle folder costs a stat.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime};

/// Clocks of file systems tick coarsely: a folder that changed so shortly before it was listed may change again within a
/// tick.
const TICK: Duration = Duration::from_millis(50);
/// The tick of file systems that count whole seconds, or two.
const SLOW_TICK: Duration = Duration::from_secs(2);
/// A folder is listed anyhow after so long: network file systems may show a change late.
const LIST_ANYHOW: Duration = Duration::from_secs(10);

/// A folder as it was right before it was listed.
#[derive(Debug)]
pub struct Listed {
    stamp: Stamp,
    at: Instant,
    /// The folder may have changed since without a sign.
    is_unsure: bool,
}

/// Device, inode, mtime and ctime: one of them differs where a folder has changed.
type Stamp = (u64, u64, SystemTime, (i64, i64));

impl Listed {
    /// The folder is about to be listed.
    pub fn now(folder: &Metadata) -> io::Result<Listed> {
        let modified = folder.modified()?;
        let since_1970 = modified.duration_since(SystemTime::UNIX_EPOCH);
        let is_whole = since_1970.is_ok_and(|time| time.subsec_nanos() == 0);
        let tick = if is_whole { SLOW_TICK } else { TICK };
        let age = SystemTime::now().duration_since(modified);
        Ok(Listed {
            stamp: stamp_of(folder)?,
            at: Instant::now(),
            // A clock that runs ahead, as a file server's may, is never sure of anything near.
            is_unsure: age.unwrap_or_else(|ahead| ahead.duration()) < tick,
        })
    }

    pub fn still_holds(&self, folder: &Metadata) -> bool {
        let is_same = stamp_of(folder).is_ok_and(|stamp| stamp == self.stamp);
        is_same && !self.is_unsure && !self.is_old()
    }

    pub fn is_old(&self) -> bool {
        self.at.elapsed() >= LIST_ANYHOW
    }
}

fn stamp_of(folder: &Metadata) -> io::Result<Stamp> {
    Ok((
        folder.dev(),
        folder.ino(),
        folder.modified()?,
        (folder.ctime(), folder.ctime_nsec()),
    ))
}

//! Who writes and rotates the log of a history, and what it knows of every line.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// A file that the path has been.
#[derive(Default)]
pub struct Log {
    pub lines: Vec<String>,
    /// The half line that it ends in.
    begun: Option<String>,
    /// An end without a newline that nobody waits for: it is the last line.
    pub end: Option<String>,
    /// Something of it was destroyed: those that had not come out by then.
    pub doubtful: HashSet<String>,
    /// Whoever reads had it open for certain.
    pub seen: bool,
    /// What was there of it before a line was read may be gone without a trace, or lie in an archive.
    pub untold: bool,
    /// So many lines were there at the last poll.
    looked_at: usize,
    /// Lines that came and were truncated away between two polls, as the guarantees say of a log that is emptied.
    pub unseen: HashSet<String>,
}

/// A rotated log.
#[derive(Debug, Clone, Copy)]
struct Rotated {
    log: usize,
    number: usize,
    is_packed: bool,
}

pub struct Writer {
    folder: TempDir,
    /// Oldest first; the last one is the path's own while that is there.
    pub logs: Vec<Log>,
    /// Newest first.
    rotated: Vec<Rotated>,
    present: bool,
    /// Copied and not yet truncated: nothing may be written.
    pub copied: bool,
    /// Lines that were completed after their file was rotated.
    pub late: HashSet<String>,
    /// Ends without a newline that may come out, once.
    pub loose: HashSet<String>,
    /// Those that a copytruncate tore, and that are never lines as long as nothing was packed or destroyed.
    torn: HashSet<String>,
    /// Something was destroyed; else nothing is missing.
    pub destroyed: bool,
    written: usize,
    /// Whether the tail waits for late lines; if not, there are none.
    pub waits: bool,
}

impl Writer {
    pub fn new(waits: bool) -> Writer {
        let mut writer = Writer {
            folder: tempfile::tempdir().unwrap(),
            logs: vec![Log::default()],
            rotated: Vec::new(),
            present: true,
            copied: false,
            late: HashSet::new(),
            loose: HashSet::new(),
            torn: HashSet::new(),
            destroyed: false,
            written: 0,
            waits,
        };
        writer.write(1);
        writer
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("app.log")
    }

    fn path_of(&self, rotated: Rotated) -> PathBuf {
        let ending = if rotated.is_packed { ".gz" } else { "" };
        let name = format!("app.log.{}{ending}", rotated.number);
        self.folder.path().join(name)
    }

    fn append(&self, path: PathBuf, text: &str) {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Waits for the next step of the clock by which files are born: those of one step cannot be told by age.
    fn step_clock(&self) {
        let probe = || {
            let path = self.folder.path().join("probe");
            let _ = fs::remove_file(&path);
            let born = fs::write(&path, "").and_then(|()| fs::metadata(&path)?.created());
            born.unwrap()
        };
        let now = probe();
        while probe() == now {}
    }

    fn create(&mut self) {
        if !self.present {
            self.step_clock();
            self.append(self.path(), "");
            self.logs.push(Log::default());
            self.present = true;
        }
    }

    fn next_line(&mut self) -> String {
        self.written += 1;
        // Of all lengths, and all of the same beginning.
        format!("line {}{}", "-".repeat(self.written * 7 % 90), self.written)
    }

    fn last(&mut self) -> &mut Log {
        self.logs.last_mut().unwrap()
    }

    pub fn write(&mut self, count: usize) {
        if self.copied {
            return;
        }
        self.create();
        self.complete_in(None);
        for _ in 0..count {
            let line = self.next_line();
            self.append(self.path(), &format!("{line}\n"));
            self.last().lines.push(line);
        }
    }

    pub fn begin(&mut self) {
        if self.copied {
            return;
        }
        self.create();
        if self.last().begun.is_none() {
            let mut line = self.next_line();
            line.truncate(line.len() / 2);
            // Unlike every other half.
            line += &format!("half {}", self.written);
            self.append(self.path(), &line);
            self.last().begun = Some(line);
        }
    }

    /// Completes the half line in a rotated file, or in the path's.
    fn complete_in(&mut self, rotated: Option<Rotated>) {
        let (log, path) = match rotated {
            Some(rotated) => (rotated.log, self.path_of(rotated)),
            None if self.present => (self.logs.len() - 1, self.path()),
            None => return,
        };
        if let Some(begun) = self.logs[log].begun.take() {
            self.written += 1;
            let rest = format!(" completed {}", self.written);
            self.append(path, &format!("{rest}\n"));
            let line = begun + &rest;
            if rotated.is_some() {
                self.late.insert(line.clone());
            }
            self.logs[log].lines.push(line);
        }
    }

    fn places(&self) -> Vec<Option<Rotated>> {
        let late = if self.waits {
            self.rotated.as_slice()
        } else {
            &[]
        };
        // The newest may be a copy in the making.
        let rotated = late[usize::from(self.copied && self.waits)..].iter();
        let rotated = rotated
            .filter(|rotated| !rotated.is_packed)
            .copied()
            .map(Some);
        let path = (self.present && !self.copied).then_some(None);
        path.into_iter().chain(rotated).collect()
    }

    pub fn complete(&mut self, choice: usize) {
        let is_begun = |place: &Option<Rotated>| {
            let log = place.map_or(self.logs.len() - 1, |rotated| rotated.log);
            self.logs[log].begun.is_some()
        };
        let begun: Vec<_> = self.places().into_iter().filter(is_begun).collect();
        if !begun.is_empty() {
            self.complete_in(begun[choice % begun.len()]);
        }
    }

    pub fn complete_all(&mut self) {
        for place in self.places() {
            self.complete_in(place);
        }
    }

    /// Makes room for the next rotated file.
    fn shift(&mut self) {
        for at in (0..self.rotated.len()).rev() {
            let from = self.path_of(self.rotated[at]);
            self.rotated[at].number += 1;
            fs::rename(from, self.path_of(self.rotated[at])).unwrap();
        }
        let newest = Rotated {
            log: self.logs.len() - 1,
            number: 1,
            is_packed: false,
        };
        self.rotated.insert(0, newest);
    }

    pub fn rename(&mut self, create: bool) {
        if !self.present || self.copied {
            return;
        }
        self.shift();
        fs::rename(self.path(), self.path_of(self.rotated[0])).unwrap();
        self.present = false;
        if !self.waits {
            let log = self.last();
            log.end = log.begun.take().filter(|begun| !begun.is_empty());
        }
        if create {
            self.create();
        }
    }

    /// Copies a part, or more of it where the copy has begun.
    pub fn copy(&mut self, quarters: usize) {
        if !self.present {
            return;
        }
        if !self.copied {
            self.step_clock();
            self.shift();
            self.copied = true;
        }
        let bytes = fs::read(self.path()).unwrap();
        let part = (bytes.len() * quarters.min(4)).div_ceil(4);
        if part == bytes.len() {
            // What is written on is not in the copy.
            let begun = self.last().begun.clone();
            self.torn.extend(begun.filter(|begun| !begun.is_empty()));
        }
        let to = self.path_of(self.rotated[0]);
        let there = fs::metadata(&to).map_or(0, |metadata| metadata.len() as usize);
        let copy = OpenOptions::new().append(true).create(true).open(to);
        copy.unwrap()
            .write_all(&bytes[there.min(part)..part])
            .unwrap();
    }

    pub fn truncate(&mut self) {
        if !self.copied {
            return;
        }
        self.copy(4);
        self.cut();
    }

    pub fn cut(&mut self) {
        File::options()
            .write(true)
            .open(self.path())
            .unwrap()
            .set_len(0)
            .unwrap();
        self.copied = false;
        // What was begun is torn: its first half stands in the copy, where nobody completes it.
        let begun = self.last().begun.take();
        let log = self.last();
        log.untold = true;
        log.unseen = log.lines[log.looked_at..].iter().cloned().collect();
        self.torn.extend(begun.clone());
        self.logs.push(Log {
            begun: begun.map(|_| String::new()),
            ..Log::default()
        });
    }

    // What somebody else does.

    /// A file of a rotation long ago; what followed it is gone.
    pub fn leave_older(&self) {
        let path = self.folder.path().join("app.log.900");
        self.append(path.clone(), "a line from before\n");
        let time = SystemTime::now() - Duration::from_secs(3600);
        File::options()
            .append(true)
            .open(path)
            .and_then(|file| file.set_modified(time))
            .unwrap();
    }

    /// Nobody completes it any more, and it may come out as it is.
    fn loosen(&mut self, log: usize) {
        let log = &mut self.logs[log];
        let end = log.begun.take().or(log.end.take());
        self.loose.extend(end.filter(|end| !end.is_empty()));
        self.loose.extend(self.torn.drain());
    }

    pub fn pack(&mut self, choice: usize) {
        let first = usize::from(self.copied);
        let plain: Vec<_> = (first..self.rotated.len())
            .filter(|at| !self.rotated[*at].is_packed)
            .collect();
        if plain.is_empty() {
            return;
        }
        let at = plain[choice % plain.len()];
        let gzip = Command::new("gzip")
            .arg(self.path_of(self.rotated[at]))
            .status();
        assert!(gzip.unwrap().success());
        self.rotated[at].is_packed = true;
        // For all that an archive says, it may be any one before it of which nothing was read.
        let log = self.rotated[at].log;
        self.logs[..log]
            .iter_mut()
            .for_each(|log| log.untold = true);
        self.loosen(log);
    }

    /// From now on, what has not come out of it may never do.
    fn doubt(&mut self, log: usize, arrived: &[String]) {
        self.destroyed = true;
        let log = &mut self.logs[log];
        let missing = log.lines.iter().filter(|line| !arrived.contains(line));
        log.doubtful.extend(missing.cloned());
    }

    fn destroy(&mut self, log: usize, arrived: &[String]) {
        self.doubt(log, arrived);
        self.loosen(log);
    }

    pub fn remove(&mut self, choice: usize, arrived: &[String]) {
        let first = usize::from(self.copied);
        if self.rotated.len() == first {
            return;
        }
        let at = first + choice % (self.rotated.len() - first);
        fs::remove_file(self.path_of(self.rotated[at])).unwrap();
        let log = self.rotated.remove(at).log;
        self.destroy(log, arrived);
    }

    pub fn remove_live(&mut self, arrived: &[String]) {
        if !self.present || self.copied {
            return;
        }
        self.step_clock();
        fs::remove_file(self.path()).unwrap();
        self.present = false;
        self.destroy(self.logs.len() - 1, arrived);
    }

    /// `: > app.log`
    pub fn zap(&mut self, arrived: &[String]) {
        if !self.present || self.copied {
            return;
        }
        self.step_clock();
        self.doubt(self.logs.len() - 1, arrived);
        self.cut();
        self.loose.extend(self.torn.drain());
    }

    /// `cp app.log app.log.bak`
    pub fn back_up(&self) {
        if self.present {
            fs::copy(self.path(), self.folder.path().join("app.log.bak")).unwrap();
        }
    }

    /// The path is polled.
    pub fn look_at(&mut self) {
        if self.present {
            let log = self.last();
            log.looked_at = log.lines.len();
        }
    }

    /// Whoever reads has read the file that is there.
    pub fn see(&mut self) {
        if self.present {
            self.last().seen = true;
        }
    }
}

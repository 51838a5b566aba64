//! Who writes and rotates the log of a history, and what it knows of every line.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use tempfile::TempDir;

/// A file that the path has been.
#[derive(Default)]
pub struct Log {
    pub lines: Vec<String>,
    /// The half line that it ends in.
    begun: Option<String>,
}

pub struct Writer {
    folder: TempDir,
    /// Oldest first; the last one is the path's own while that is there.
    pub logs: Vec<Log>,
    /// What stands in the files `.1`, `.2` and so on.
    pub rotated: Vec<usize>,
    present: bool,
    /// Copied and not yet truncated: nothing may be written.
    pub copied: bool,
    /// Lines that were completed after their file was rotated.
    pub late: HashSet<String>,
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
            written: 0,
            waits,
        };
        writer.write(1);
        writer
    }

    pub fn path(&self, number: usize) -> PathBuf {
        let suffix = if number == 0 {
            String::new()
        } else {
            format!(".{number}")
        };
        self.folder.path().join(format!("app.log{suffix}"))
    }

    fn append(&self, number: usize, text: &str) {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(self.path(number));
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
            self.append(0, "");
            self.logs.push(Log::default());
            self.present = true;
        }
    }

    fn next_line(&mut self) -> String {
        self.written += 1;
        // Of all lengths, and all of the same beginning.
        format!("line {}{}", "-".repeat(self.written * 7 % 90), self.written)
    }

    pub fn write(&mut self, count: usize) {
        if self.copied {
            return;
        }
        self.create();
        self.complete_in(0);
        for _ in 0..count {
            let line = self.next_line();
            self.append(0, &format!("{line}\n"));
            self.logs.last_mut().unwrap().lines.push(line);
        }
    }

    pub fn begin(&mut self) {
        if self.copied {
            return;
        }
        self.create();
        if self.logs.last().unwrap().begun.is_none() {
            let mut line = self.next_line();
            line.truncate(line.len() / 2);
            self.append(0, &line);
            self.logs.last_mut().unwrap().begun = Some(line);
        }
    }

    /// The log that stands in a file.
    fn log_in(&self, number: usize) -> Option<usize> {
        match number {
            0 => self.present.then(|| self.logs.len() - 1),
            _ => self.rotated.get(number - 1).copied(),
        }
    }

    pub fn complete_in(&mut self, number: usize) {
        let Some(log) = self.log_in(number) else {
            return;
        };
        if let Some(begun) = self.logs[log].begun.take() {
            self.written += 1;
            let rest = format!(" completed {}", self.written);
            self.append(number, &format!("{rest}\n"));
            let line = begun + &rest;
            if number > 0 {
                self.late.insert(line.clone());
            }
            self.logs[log].lines.push(line);
        }
    }

    pub fn complete(&mut self, choice: usize) {
        let is_open = |number: &usize| *number == 0 || self.waits;
        let is_begun = |number: &usize| {
            let log = self.log_in(*number);
            log.is_some_and(|log| self.logs[log].begun.is_some()) && !(self.copied && *number <= 1)
        };
        let begun: Vec<_> = (0..=self.rotated.len())
            .filter(is_open)
            .filter(is_begun)
            .collect();
        if !begun.is_empty() {
            self.complete_in(begun[choice % begun.len()]);
        }
    }

    fn shift(&mut self) {
        for number in (1..=self.rotated.len()).rev() {
            fs::rename(self.path(number), self.path(number + 1)).unwrap();
        }
    }

    pub fn rename(&mut self, create: bool) {
        if !self.present || self.copied {
            return;
        }
        self.shift();
        fs::rename(self.path(0), self.path(1)).unwrap();
        self.rotated.insert(0, self.logs.len() - 1);
        self.present = false;
        if !self.waits {
            self.finish_last();
        }
        if create {
            self.create();
        }
    }

    /// Nobody waits for the other half of a line in a renamed file: what is there is the line.
    fn finish_last(&mut self) {
        if let Some(log) = self.logs.last_mut()
            && let Some(begun) = log.begun.take().filter(|begun| !begun.is_empty())
        {
            self.late.insert(begun.clone());
            log.lines.push(begun);
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
            self.rotated.insert(0, self.logs.len() - 1);
        }
        let bytes = fs::read(self.path(0)).unwrap();
        let part = (bytes.len() * quarters.min(4)).div_ceil(4);
        let there = fs::metadata(self.path(1)).map_or(0, |metadata| metadata.len() as usize);
        let copy = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path(1));
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
            .open(self.path(0))
            .unwrap()
            .set_len(0)
            .unwrap();
        self.copied = false;
        // What was begun is torn: its first half stands in the copy, where nobody completes it.
        let begun = self.logs.last_mut().unwrap().begun.take();
        self.logs.push(Log {
            lines: Vec::new(),
            begun: begun.map(|_| String::new()),
        });
    }
}

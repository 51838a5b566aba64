//! One log: all files that its path has been, what became of each, and what is known of every line.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use fastrand::Rng;

use crate::naming::Naming;
use crate::util::*;

pub type Arrived = HashSet<Vec<u8>>;

/// How a log is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Rename,
    Copytruncate,
    Both,
}

/// How a log is kept; drawn once for each.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The watched path, below the scene's logs.
    pub name: String,
    /// The watched path is a link to this file.
    pub target: Option<String>,
    /// The folder of rotated files, where it is not the log's own.
    pub olddir: Option<String>,
    pub naming: Naming,
    pub style: Style,
    pub packer: Option<Packer>,
    /// The writer does not append, but goes on at its own offset.
    pub holes: bool,
    /// Rotated files are waited for, so late lines are written to them.
    pub late: bool,
}

/// A line that was written.
pub struct Line {
    pub text: String,
    /// Completed after its file was rotated: may arrive before or after lines of newer files.
    pub late: bool,
    /// Its file was destroyed before it was known to have arrived.
    pub doubtful: bool,
    /// Its file was truncated while a watcher ran, which may not have seen it by then.
    pub unseen: bool,
}

/// A file that the path has been.
#[derive(Default)]
pub struct Generation {
    pub lines: Vec<Line>,
    /// What was written of the last line, and what is to come.
    half: Option<(String, String)>,
    /// An end without a newline, that never gets one.
    pub end: Option<End>,
    /// A watcher has had it open for certain.
    pub seen: bool,
    /// What a watcher that read nothing of it had of it may be gone without a trace, or may lie in an archive.
    pub untold: bool,
}

pub struct End {
    pub text: String,
    /// It was torn off by a copytruncate, which never makes it a line.
    pub torn: bool,
}

/// Where a rotated generation lies.
struct Rotated {
    generation: usize,
    number: usize,
    packed: Option<Packer>,
}

pub struct Log {
    pub setup: Setup,
    pub generations: Vec<Generation>,
    /// Those on disk, newest first.
    rotated: Vec<Rotated>,
    rotations: usize,
    /// Whether the path is there, and is the last generation.
    pub present: bool,
    /// Something of it was destroyed; else there is no gap to be said.
    pub destroyed: bool,
    /// The writer that does not append.
    writer: Option<File>,
    written: usize,
}

impl Log {
    pub fn new(scene: &Scene, setup: Setup) -> Log {
        let folder = |name: &str| fs::create_dir_all(scene.path(name)).expect("create a folder");
        if let Some(target) = &setup.target {
            folder(target.rsplit_once('/').expect("a folder").0);
            std::os::unix::fs::symlink(scene.path(target), scene.path(&setup.name)).expect("link");
        }
        if let Some(olddir) = &setup.olddir {
            folder(olddir);
        }
        Log {
            setup,
            generations: Vec::new(),
            rotated: Vec::new(),
            rotations: 0,
            present: false,
            destroyed: false,
            writer: None,
            written: 0,
        }
    }

    /// The file itself, where the path is a link.
    pub fn file(&self) -> &str {
        self.setup.target.as_deref().unwrap_or(&self.setup.name)
    }

    fn last(&mut self) -> &mut Generation {
        self.generations.last_mut().expect("a generation")
    }

    /// A watcher has read the file that is there now.
    pub fn see(&mut self) {
        if self.present {
            self.last().seen = true;
        }
    }

    // What the writer does.

    /// A line unlike every other also in its last bytes, wherever it is cut, of one of many lengths.
    fn next_text(&mut self) -> String {
        self.written += 1;
        let padding = format!("{}.", self.written).repeat(90);
        let padding = &padding[..self.written * 7919 % 90];
        format!(
            r#"{{"id":"{name} {number}","type":"INFO","message":"{padding} {number} of {name}"}}"#,
            name = self.setup.name,
            number = self.written,
        )
    }

    fn append(&mut self, scene: &Scene, text: &str) {
        let file = self.file().to_owned();
        if !self.setup.holes {
            return scene.append(&file, text);
        }
        let writer = self.writer.get_or_insert_with(|| {
            let mut options = OpenOptions::new();
            let mut opened = options
                .write(true)
                .open(scene.path(&file))
                .expect("open a log");
            opened.seek(SeekFrom::End(0)).expect("seek");
            opened
        });
        writer.write_all(text.as_bytes()).expect("write");
    }

    /// Before there is a watcher, a file of an earlier rotation; what followed it is gone.
    pub fn leave_older(&self, scene: &Scene) -> String {
        let number = if self.setup.naming.shifts() { 900 } else { 0 };
        let name = self.rotated_name(number);
        scene.append(&name, "a line from before\nand another\n");
        scene.age(&name, Duration::from_secs(3600));
        step_clock(scene);
        format!("{name} is there")
    }

    /// Makes the file be there.
    pub fn create(&mut self, scene: &Scene) {
        if !self.present {
            scene.append(self.file(), "");
            self.generations.push(Generation::default());
            (self.present, self.writer) = (true, None);
        }
    }

    /// Completes a pending half line first, as a writer would.
    pub fn write(&mut self, scene: &Scene, count: usize) -> String {
        self.create(scene);
        let mut text = String::new();
        if let Some((begun, rest)) = self.last().half.take() {
            text += &format!("{rest}\n");
            self.add(begun + &rest);
        }
        for _ in 0..count {
            let line = self.next_text();
            text += &format!("{line}\n");
            self.add(line);
        }
        self.append(scene, &text);
        format!("write {count} to {}", self.file())
    }

    fn add(&mut self, text: String) {
        self.last().lines.push(Line {
            text,
            late: false,
            doubtful: false,
            unseen: false,
        });
    }

    pub fn write_half(&mut self, scene: &Scene, rng: &mut Rng) -> Option<String> {
        self.create(scene);
        if self.last().half.is_some() {
            return None;
        }
        let whole = self.next_text();
        // Behind the number, so that no two halves are alike.
        let number = whole.find(',').expect("a comma");
        let (begun, rest) = whole.split_at(rng.usize(number..whole.len()));
        self.last().half = Some((begun.into(), rest.into()));
        self.append(scene, begun);
        Some(format!("write half a line to {}", self.file()))
    }

    /// Completes a half line, wherever it is by now: in the log, or late in a renamed file.
    pub fn finish_half(&mut self, scene: &Scene, rng: &mut Rng) -> Option<String> {
        if self.present && self.last().half.is_some() && rng.bool() {
            return Some(self.write(scene, 0));
        }
        let begun = |r: &&Rotated| self.generations[r.generation].half.is_some();
        let rotated = rng.choice(self.rotated.iter().filter(begun).collect::<Vec<_>>())?;
        let name = self.name_of(rotated);
        let generation = &mut self.generations[rotated.generation];
        let (begun, rest) = generation.half.take().expect("filtered");
        scene.append(&name, format!("{rest}\n"));
        generation.lines.push(Line {
            text: begun + &rest,
            late: true,
            doubtful: false,
            unseen: false,
        });
        Some(format!("finish the half line in {name}"))
    }

    pub fn finish_halves(&mut self, scene: &Scene) {
        let mut rng = Rng::with_seed(0);
        let pending = |log: &Log| log.generations.iter().any(|g| g.half.is_some());
        while pending(self) {
            self.finish_half(scene, &mut rng);
        }
    }

    // What logrotate does.

    fn name_of(&self, rotated: &Rotated) -> String {
        let name = self.rotated_name(rotated.number);
        match rotated.packed {
            Some(packer) => format!("{name}.{}", packer.extension),
            None => name,
        }
    }

    fn rotated_name(&self, number: usize) -> String {
        let (folder, file) = self.file().rsplit_once('/').unwrap_or((".", self.file()));
        let folder = self.setup.olddir.as_deref().unwrap_or(folder);
        format!("{folder}/{}", self.setup.naming.name(file, number))
    }

    /// Makes room for the next rotated file; returns its number.
    fn next_number(&mut self, scene: &Scene) -> usize {
        self.rotations += 1;
        if !self.setup.naming.shifts() {
            return self.rotations;
        }
        for at in (0..self.rotated.len()).rev() {
            let from = self.name_of(&self.rotated[at]);
            self.rotated[at].number += 1;
            scene.rename(&from, &self.name_of(&self.rotated[at]));
        }
        1
    }

    fn push_rotated(&mut self, number: usize) {
        let generation = self.generations.len() - 1;
        let rotated = Rotated {
            generation,
            number,
            packed: None,
        };
        self.rotated.insert(0, rotated);
    }

    pub fn rotate(&mut self, scene: &Scene, rng: &mut Rng) -> Option<String> {
        if !self.present {
            return None;
        }
        step_clock(scene);
        let by_rename = match self.setup.style {
            Style::Rename => true,
            Style::Copytruncate => false,
            // Where the names do not say in which order they were made, and the births of the files neither.
            Style::Both if self.setup.naming == Naming::Unsorted => true,
            Style::Both => rng.bool(),
        };
        let number = self.next_number(scene);
        let to = self.rotated_name(number);
        if by_rename {
            scene.rename(self.file(), &to);
            self.push_rotated(number);
            (self.present, self.writer) = (false, None);
            if !self.setup.late {
                self.abandon_half(self.generations.len() - 1, false);
            }
            let create = rng.bool();
            if create {
                self.create(scene);
            }
            return Some(format!("rename to {to}, create: {create}"));
        }
        scene.copytruncate(self.file(), &to);
        self.push_rotated(number);
        self.begin_truncated();
        Some(format!("copytruncate to {to}"))
    }

    /// A half line is torn, and what is written on of it is a line of its own.
    fn begin_truncated(&mut self) {
        let rest = self.last().half.as_ref().map(|(_, rest)| rest.clone());
        self.abandon_half(self.generations.len() - 1, true);
        self.last().untold = true;
        // Numbered: every line is told by its text, and two torn ones may end alike.
        let torn = format!("torn {} of {}: ", self.generations.len(), self.setup.name);
        self.generations.push(Generation {
            half: rest.map(|rest| (String::new(), torn + &rest)),
            ..Generation::default()
        });
    }

    /// Nobody completes it any more.
    fn abandon_half(&mut self, generation: usize, torn: bool) {
        let generation = &mut self.generations[generation];
        if let Some((text, _)) = generation.half.take()
            && !text.is_empty()
        {
            generation.end = Some(End { text, torn });
        }
    }

    /// Compresses all rotated files that are not, or with `delaycompress` all but the newest.
    pub fn compress(&mut self, scene: &Scene, rng: &mut Rng) -> Option<String> {
        let packer = self.setup.packer?;
        let delay = usize::from(rng.bool());
        let mut open: Vec<usize> = (delay..self.rotated.len())
            .filter(|at| self.rotated[*at].packed.is_none())
            .collect();
        if rng.bool() {
            open.reverse();
        }
        let mut names = Vec::new();
        for at in open {
            let name = self.name_of(&self.rotated[at]);
            match rng.u8(0..4) {
                0 => pack_slowly(scene, &name, packer, rng),
                _ => _ = scene.pack(&name, packer),
            }
            scene.remove(&name);
            self.rotated[at].packed = Some(packer);
            self.may_be_another(self.rotated[at].generation);
            // Whoever has it open writes into nothing now.
            self.abandon_half(self.rotated[at].generation, false);
            names.push(name);
        }
        (!names.is_empty()).then(|| format!("compress {}", names.join(", ")))
    }

    /// A generation was packed: for all that its archive says, it may be any one before it of which nothing was read.
    fn may_be_another(&mut self, packed: usize) {
        let before = self.generations[..packed].iter_mut();
        before.for_each(|generation| generation.untold = true);
    }

    // What destroys lines.

    /// From now on, lines of this generation that have not arrived may never do.
    fn doubt(&mut self, generation: usize, arrived: &Arrived) {
        self.destroyed = true;
        let generation = &mut self.generations[generation];
        for line in &mut generation.lines {
            line.doubtful |= !arrived.contains(line.text.as_bytes());
        }
    }

    /// Removes the oldest rotated file, as `rotate N` does, or any.
    pub fn delete_rotated(
        &mut self,
        scene: &Scene,
        rng: &mut Rng,
        arrived: &Arrived,
    ) -> Option<String> {
        let oldest = self.rotated.len().checked_sub(1)?;
        let at = if rng.u8(0..3) > 0 {
            oldest
        } else {
            rng.usize(0..=oldest)
        };
        let rotated = self.rotated.remove(at);
        let name = self.name_of(&rotated);
        scene.remove(&name);
        self.doubt(rotated.generation, arrived);
        self.abandon_half(rotated.generation, false);
        Some(format!("delete {name}"))
    }

    pub fn delete_live(&mut self, scene: &Scene, arrived: &Arrived) -> Option<String> {
        if !self.present {
            return None;
        }
        step_clock(scene);
        scene.remove(self.file());
        self.destroy_live(arrived);
        (self.present, self.writer) = (false, None);
        Some(format!("delete {}", self.file()))
    }

    /// `: > app.log`
    pub fn truncate_live(
        &mut self,
        scene: &Scene,
        arrived: &Arrived,
        is_watched: bool,
    ) -> Option<String> {
        if !self.present {
            return None;
        }
        step_clock(scene);
        File::options()
            .write(true)
            .open(scene.path(self.file()))
            .and_then(|f| f.set_len(0))
            .expect("truncate a log");
        self.doubt(self.generations.len() - 1, arrived);
        for line in &mut self.last().lines {
            line.unseen = is_watched && line.doubtful;
        }
        self.begin_truncated();
        Some(format!("truncate {} for good", self.file()))
    }

    fn destroy_live(&mut self, arrived: &Arrived) {
        let live = self.generations.len() - 1;
        self.doubt(live, arrived);
        self.abandon_half(live, false);
        // A copy is told from a file that was renamed by its original only.
        let ends = self.generations.iter_mut().filter_map(|g| g.end.as_mut());
        ends.for_each(|end| end.torn = false);
    }

    /// Cuts an archive in half.
    pub fn spoil(&mut self, scene: &Scene, rng: &mut Rng, arrived: &Arrived) -> Option<String> {
        let packed = |r: &&Rotated| r.packed.is_some();
        let rotated = rng.choice(self.rotated.iter().filter(packed).collect::<Vec<_>>())?;
        let (name, generation) = (self.name_of(rotated), rotated.generation);
        let archive = File::options()
            .write(true)
            .open(scene.path(&name))
            .expect("open");
        let size = archive.metadata().expect("stat").len();
        archive.set_len(size / 2).expect("cut an archive");
        self.doubt(generation, arrived);
        Some(format!("cut {name} in half"))
    }

    // What is no log.

    /// `cp` or `cp -p` beside the log.
    pub fn back_up(&mut self, scene: &Scene, rng: &mut Rng) -> Option<String> {
        if !self.present {
            return None;
        }
        let ending = ["bak", "orig", "~", "2~"][rng.usize(0..4)];
        let dot = if ending == "~" { "" } else { "." };
        let (from, to) = (
            scene.path(self.file()),
            scene.path(&format!("{}{dot}{ending}", self.file())),
        );
        let modified = fs::metadata(&from)
            .and_then(|m| m.modified())
            .expect("stat");
        fs::copy(&from, &to).expect("copy a log");
        let keep_times = rng.bool();
        if keep_times {
            let copy = File::options().append(true).open(&to).expect("open");
            copy.set_modified(modified).expect("set the time");
        }
        Some(format!("cp to {to:?}, times kept: {keep_times}"))
    }

    pub fn add_stranger(&mut self, scene: &Scene, rng: &mut Rng) -> String {
        let (ending, bytes): (&str, &[u8]) = [
            ("1.sha256", &b"9f86d081884c7d65  app.log.1\n"[..]),
            ("1.7z", b"7z\xbc\xaf\x27\x1c\0\x04 a stranger\n\n"),
            ("1.gpg", b"\x85\x02\x0c\x03 a stranger\n\xff\xfe\n"),
            ("tgz", b"\x1f\x8b\x08\0 a stranger\n\n"),
        ][rng.usize(0..4)];
        let name = format!("{}.{ending}", self.file());
        scene.append(&name, bytes);
        format!("add to the stranger {name}")
    }
}

/// Makes an archive in two goes, with a while in between.
fn pack_slowly(scene: &Scene, name: &str, packer: Packer, rng: &mut Rng) {
    let bytes = scene.packed(name, packer);
    let archive = format!("{name}.{}", packer.extension);
    let (begin, rest) = bytes.split_at(rng.usize(0..bytes.len()));
    scene.append(&archive, begin);
    std::thread::sleep(Duration::from_millis(rng.u64(0..40)));
    scene.append(&archive, rest);
    // As the programs do, and logrotate.
    let modified = fs::metadata(scene.path(name)).and_then(|file| file.modified());
    scene
        .open(&archive)
        .set_modified(modified.expect("stat"))
        .expect("set the time");
}

/// Waits for the next step of the clock by which files are born: rotations are never as near as that.
fn step_clock(scene: &Scene) {
    let probe = || {
        let path = scene.home().join("probe");
        let _ = fs::remove_file(&path);
        fs::write(&path, "")
            .and_then(|()| fs::metadata(&path)?.created())
            .expect("probe the clock")
    };
    let now = probe();
    while probe() == now {}
}

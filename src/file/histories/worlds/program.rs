//! A program that writes a log and rotates it, one operation on the disk at a time; and what stands in which file.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use fastrand::Rng;
use tempfile::TempDir;

#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub name: &'static str,
    pub live: &'static str,
    pub rotated: &'static str,
    pub order: Order,
    pub way: Way,
    pub packed: Packed,
}

/// How rotated files are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Each gets the next number at each rotation; the newest has this one.
    Shift(usize),
    /// The newest has the highest number.
    Up,
    Date,
    /// As local time does in autumn.
    DateGoesBack,
    /// Each file has its name from the start, and a link leads to the newest.
    Link,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Rename,
    CopyTruncate,
    /// Renamed, copied from there to its place, and removed.
    RenameCopy,
    /// What was packed is overwritten with random bytes before it is removed.
    Shred,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed {
    No,
    /// The archive has the time of its file, or that of the packing.
    KeepsTime,
    NewTime,
}

/// One operation.
#[derive(Debug, Clone)]
enum Step {
    Write(usize),
    /// Into the file that was the log, after it was renamed.
    WriteLate,
    Rename(PathBuf, PathBuf),
    Create(PathBuf),
    Link(PathBuf),
    /// Half of a copy, or of an archive, which the second one completes.
    BeginCopy(PathBuf, PathBuf),
    Copy(PathBuf, PathBuf),
    BeginPack(PathBuf, PathBuf),
    Pack(PathBuf, PathBuf),
    Truncate,
    Shred(PathBuf),
    Remove(PathBuf),
}

pub struct Program {
    folder: TempDir,
    style: Style,
    rng: Rng,
    steps: VecDeque<Step>,
    /// It has it open.
    file: Option<(File, PathBuf)>,
    /// What stands in each file.
    content: BTreeMap<PathBuf, Vec<usize>>,
    lines: Vec<String>,
    /// Lines from here on are to come out.
    first: usize,
    late: HashSet<usize>,
    /// They were in the log when somebody looked.
    seen: HashSet<usize>,
    rotations: usize,
    /// Rotated files that are kept; none is removed by copytruncate's.
    keep: usize,
    kept: VecDeque<PathBuf>,
}

impl Program {
    pub fn new(style: Style, mut rng: Rng) -> Program {
        let keep = [99, 99, 99, 2, 4][rng.usize(..5)];
        Program {
            folder: tempfile::tempdir().expect("a folder"),
            style,
            rng,
            steps: VecDeque::new(),
            file: None,
            content: BTreeMap::new(),
            lines: Vec::new(),
            first: 0,
            late: HashSet::new(),
            seen: HashSet::new(),
            rotations: 0,
            keep,
            kept: VecDeque::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The watched path.
    pub fn live(&self) -> PathBuf {
        self.path(self.style.live)
    }

    /// One operation more, in words.
    pub fn operate(&mut self) -> String {
        if self.steps.is_empty() {
            self.plan();
        }
        let Some(step) = self.steps.pop_front() else {
            return String::new();
        };
        self.take(&step);
        // Often within one step of the clock of files.
        if self.rng.u8(..) < 160 {
            self.step_clock();
        }
        format!("{step:?}").replace(&*self.folder.path().to_string_lossy(), "")
    }

    /// Ends a rotation that is under way, so that everything lies in its place.
    pub fn finish_rotation(&mut self) {
        while self.file.is_none() || !self.steps.is_empty() {
            self.operate();
        }
    }

    pub fn is_rotating(&self) -> bool {
        let is_write = |step: &Step| matches!(step, Step::Write(_) | Step::WriteLate);
        self.file.is_none() || !self.steps.iter().all(is_write)
    }

    pub fn write_last(&mut self) {
        self.take(&Step::Write(1));
    }

    /// What lies in rotated files by now is old.
    pub fn begin_to_count(&mut self) {
        let present = self
            .file
            .as_ref()
            .and_then(|(_, path)| self.content.get(path));
        let first = present.and_then(|lines| lines.first().copied());
        self.first = first.unwrap_or(self.lines.len());
    }

    /// Somebody looks.
    pub fn see(&mut self) {
        if let Some((_, path)) = &self.file
            && let Some(lines) = self.content.get(path)
        {
            self.seen.extend(lines);
        }
    }

    pub fn counted(&self) -> impl Iterator<Item = &String> {
        self.lines[self.first..].iter()
    }

    fn number(line: &str) -> usize {
        line.rsplit(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(usize::MAX)
    }

    pub fn is_counted(&self, line: &str) -> bool {
        (self.first..self.lines.len()).contains(&Self::number(line))
    }

    pub fn is_late(&self, line: &str) -> bool {
        self.late.contains(&Self::number(line))
    }

    pub fn was_seen(&self, line: &str) -> bool {
        self.seen.contains(&Self::number(line))
    }

    pub fn on_disk(&self) -> HashSet<String> {
        let all = self.content.values().flatten();
        all.map(|number| self.lines[*number].clone()).collect()
    }

    /// Waits for the next step of the clock by which files are born.
    fn step_clock(&self) {
        let probe = || {
            let path = self.path("clock");
            let _ = fs::remove_file(&path);
            let made = fs::write(&path, "").and_then(|()| fs::metadata(&path)?.modified());
            made.expect("a time")
        };
        let now = probe();
        while probe() == now {}
        let _ = fs::remove_file(self.path("clock"));
    }

    fn write(&mut self, count: usize, is_late: bool) {
        let Some((file, path)) = &mut self.file else {
            return;
        };
        for _ in 0..count {
            let number = self.lines.len();
            let line = format!(
                "line {}{} {number}",
                "-".repeat(number * 7 % 90),
                self.rotations
            );
            file.write_all(format!("{line}\n").as_bytes())
                .expect("write");
            self.content.entry(path.clone()).or_default().push(number);
            self.lines.push(line);
            if is_late {
                self.late.insert(number);
            }
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Write(count) => self.write(*count, false),
            Step::WriteLate => self.write(1, true),
            Step::Rename(from, to) => {
                self.make_folder(to);
                fs::rename(from, to).expect("rename");
                let content = self.content.remove(from).unwrap_or_default();
                self.content.insert(to.clone(), content);
                if let Some((_, path)) = &mut self.file
                    && path == from
                {
                    path.clone_from(to);
                }
            }
            Step::Create(path) => {
                self.step_clock();
                self.make_folder(path);
                let file = OpenOptions::new().append(true).create(true).open(path);
                self.file = Some((file.expect("create"), path.clone()));
                self.content.insert(path.clone(), Vec::new());
            }
            Step::Link(target) => {
                let (link, new) = (self.live(), self.path("link.new"));
                symlink(target, &new)
                    .and_then(|()| fs::rename(new, link))
                    .expect("link");
            }
            Step::BeginCopy(from, to) => {
                self.make_folder(to);
                self.fill(to, &fs::read(from).expect("read"), true);
            }
            Step::Copy(from, to) => {
                self.fill(to, &fs::read(from).expect("read"), false);
                let content = self.content.get(from).cloned();
                self.content.insert(to.clone(), content.unwrap_or_default());
            }
            Step::BeginPack(from, to) => self.fill(to, &gzip(from), true),
            Step::Pack(from, to) => {
                self.fill(to, &gzip(from), false);
                if self.style.packed == Packed::KeepsTime {
                    let time = fs::metadata(from).and_then(|file| file.modified());
                    set_time(to, time.expect("a time"));
                }
                let content = self.content.get(from).cloned();
                self.content.insert(to.clone(), content.unwrap_or_default());
            }
            Step::Truncate => {
                if let Some((file, path)) = &self.file {
                    file.set_len(0).expect("truncate");
                    self.content.insert(path.clone(), Vec::new());
                }
            }
            Step::Shred(path) => {
                let length = fs::metadata(path).expect("stat").len();
                let noise: Vec<u8> = (0..length).map(|_| self.rng.u8(..)).collect();
                let file = OpenOptions::new().write(true).open(path);
                file.expect("open").write_all(&noise).expect("shred");
                self.content.insert(path.clone(), Vec::new());
            }
            Step::Remove(path) => {
                let _ = fs::remove_file(path);
                self.content.remove(path);
            }
        }
    }

    fn make_folder(&self, path: &Path) {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("a folder");
        }
    }

    /// Writes a file to its half, or to its end.
    fn fill(&self, path: &Path, bytes: &[u8], is_half: bool) {
        let there = fs::metadata(path).map_or(0, |file| file.len() as usize);
        let end = if is_half {
            bytes.len() / 2
        } else {
            bytes.len()
        };
        let file = OpenOptions::new().append(true).create(true).open(path);
        let rest = &bytes[there.min(end)..end];
        file.expect("open").write_all(rest).expect("write");
    }

    fn rotated(&self, number: usize) -> PathBuf {
        let long = format!("@4000000{:017x}", 0x6b00_0000_0000_u64 + number as u64);
        let name = self.style.rotated.replace('#', &number.to_string());
        self.path(&name.replace('@', &long))
    }

    /// What it does next: some lines, and perhaps a rotation.
    fn plan(&mut self) {
        if self.file.is_none() {
            let first = match self.style.order {
                Order::Link => self.rotated(0),
                _ => self.live(),
            };
            self.steps.push_back(Step::Create(first.clone()));
            if self.style.order == Order::Link {
                self.steps.push_back(Step::Link(first));
            }
            return;
        }
        for _ in 0..[1, 1, 2, 4][self.rng.usize(..4)] {
            let count = [1, 1, 2, 6][self.rng.usize(..4)];
            self.steps.push_back(Step::Write(count));
        }
        if self.rng.u8(..) < 154 {
            self.rotations += 1;
            self.plan_rotation();
            if self.rng.u8(..) < 154 {
                self.steps.push_back(Step::Write(1));
            }
        }
    }

    fn plan_rotation(&mut self) {
        if self.style.order == Order::Link {
            return self.plan_next_target();
        }
        let live = self.live();
        let to = self.plan_room();
        let packed = archive(&to);
        match self.style.way {
            Way::CopyTruncate if self.style.packed != Packed::No => {
                self.steps.extend([
                    Step::BeginPack(live.clone(), packed.clone()),
                    Step::Pack(live, packed),
                    Step::Truncate,
                ]);
            }
            Way::CopyTruncate => self.steps.extend([
                Step::BeginCopy(live.clone(), to.clone()),
                Step::Copy(live, to.clone()),
                Step::Truncate,
            ]),
            Way::RenameCopy => {
                let between = self.path("app.log.tmp");
                self.steps.extend([
                    Step::Rename(live.clone(), between.clone()),
                    Step::BeginCopy(between.clone(), to.clone()),
                    Step::Copy(between.clone(), to.clone()),
                    Step::Remove(between),
                    Step::Create(live),
                ]);
            }
            Way::Rename | Way::Shred => {
                self.steps.push_back(Step::Rename(live.clone(), to.clone()));
                if self.rng.u8(..) < 76 {
                    self.steps.push_back(Step::WriteLate);
                }
                self.steps.push_back(Step::Create(live));
                self.plan_packing(&to);
            }
        }
        self.plan_removal(to);
    }

    fn plan_next_target(&mut self) {
        let (old, new) = (
            self.rotated(self.rotations - 1),
            self.rotated(self.rotations),
        );
        self.steps
            .extend([Step::Create(new.clone()), Step::Link(new)]);
        self.plan_packing(&old);
        self.plan_removal(old);
    }

    /// Makes room for the next rotated file; returns its path.
    fn plan_room(&mut self) -> PathBuf {
        match self.style.order {
            Order::Shift(first) => {
                for number in (first..first + self.kept.len()).rev() {
                    let (from, to) = (self.rotated(number), self.rotated(number + 1));
                    for (from, to) in [(archive(&from), archive(&to)), (from, to)] {
                        if self.content.contains_key(&from) {
                            self.steps.push_back(Step::Rename(from, to));
                        }
                    }
                }
                self.rotated(first)
            }
            Order::Up | Order::Link => self.rotated(self.rotations),
            Order::Date => self.rotated(20_260_000 + self.rotations),
            Order::DateGoesBack => {
                let back = if self.rotations.is_multiple_of(3) {
                    2
                } else {
                    0
                };
                // None is taken twice.
                self.rotated(20_260_000 + self.rotations * 10 - back * 10 - back)
            }
        }
    }

    fn plan_packing(&mut self, path: &Path) {
        if self.style.packed == Packed::No {
            return;
        }
        let (from, to) = (path.to_path_buf(), archive(path));
        self.steps.extend([
            Step::BeginPack(from.clone(), to.clone()),
            Step::Pack(from.clone(), to),
        ]);
        if self.style.way == Way::Shred {
            self.steps.push_back(Step::Shred(from.clone()));
        }
        self.steps.push_back(Step::Remove(from));
    }

    fn plan_removal(&mut self, newest: PathBuf) {
        self.kept.push_back(newest);
        if self.kept.len() <= self.keep {
            return;
        }
        let oldest = self.kept.pop_front();
        let oldest = match self.style.order {
            Order::Shift(first) => Some(self.rotated(first + self.keep)),
            _ => oldest,
        };
        for path in oldest.iter().flat_map(|path| [path.clone(), archive(path)]) {
            self.steps.push_back(Step::Remove(path));
        }
    }
}

fn archive(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

fn gzip(path: &Path) -> Vec<u8> {
    let packed = Command::new("gzip")
        .arg("-cn")
        .stdin(File::open(path).expect("open"))
        .output();
    packed.expect("gzip").stdout
}

fn set_time(path: &Path, time: SystemTime) {
    let file = OpenOptions::new().append(true).open(path);
    file.and_then(|file| file.set_modified(time))
        .expect("set a time");
}

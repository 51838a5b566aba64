//! Random histories of a log, played on real files against a model that knows which lines must come out.
//!
//! The tail is polled by hand, so nothing depends on time, and a history that fails is made small.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// What happens to the log, or to who reads it.
#[derive(Debug, Clone)]
enum Event {
    Write(usize),
    /// Half a line.
    Begin,
    /// The other half, in whichever file the first one stands.
    Complete(usize),
    Rename {
        create: bool,
    },
    /// The first part of a copytruncate: so much of the file, in 1/4.
    Copy(usize),
    /// The second part; before it, so many lines that are in no copy, and are read before they are gone.
    Truncate(usize),
    Poll(usize),
    /// It ends, and begins anew where it had got to; with the so manieth commit from now on, or at once.
    Restart(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (1_usize..6).prop_map(Event::Write),
        2 => Just(Event::Begin),
        2 => any::<usize>().prop_map(Event::Complete),
        3 => any::<bool>().prop_map(|create| Event::Rename { create }),
        3 => (1_usize..5).prop_map(Event::Copy),
        3 => (0_usize..8).prop_map(|lines| Event::Truncate(lines.saturating_sub(4))),
        5 => (1_usize..4).prop_map(Event::Poll),
        2 => (0_usize..4).prop_map(Event::Restart),
    ]
}

/// A file that the path has been.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    /// The half line that it ends in.
    begun: Option<String>,
}

struct History {
    folder: TempDir,
    /// Oldest first; the last one is the path's own while that is there.
    logs: Vec<Log>,
    /// What stands in the files `.1`, `.2` and so on.
    rotated: Vec<usize>,
    present: bool,
    /// Copied and not yet truncated: nothing may be written.
    copied: bool,
    /// Lines that were completed after their file was rotated.
    late: HashSet<String>,
    written: usize,
    /// Whether the tail waits for late lines; if not, there are none.
    waits: bool,
    told: Told,
}

/// What the sink was told.
struct Told {
    batch: usize,
    pending: Vec<String>,
    committed: Vec<String>,
    progress: Progress,
    /// When that was.
    dates: Dates,
    /// Commits until it wants no more.
    left: Option<usize>,
}

impl Sink for Told {
    fn has_room(&mut self) -> bool {
        true
    }

    fn discard(&mut self) {
        self.pending.clear();
    }

    fn line(&mut self, line: &[u8], _generation: u64, _end: u64) -> bool {
        self.pending
            .push(String::from_utf8_lossy(line).into_owned());
        self.pending.len() >= self.batch
    }

    fn commit(&mut self, progress: Progress, as_of: SystemTime) -> ControlFlow<()> {
        match &mut self.left {
            Some(0) => return ControlFlow::Break(()),
            Some(left) => *left -= 1,
            None => {}
        }
        let place = |progress: &Progress| (progress.current.generation, progress.current.offset);
        let later = self.progress.later(&progress);
        assert_eq!(
            place(&later),
            place(&progress),
            "a progress never goes back"
        );
        let made = SystemTime::now();
        (self.progress, self.dates) = (progress, Dates { as_of, made });
        self.committed.append(&mut self.pending);
        ControlFlow::Continue(())
    }
}

impl History {
    fn new(batch: usize, waits: bool) -> History {
        let mut history = History {
            folder: tempfile::tempdir().unwrap(),
            logs: vec![Log::default()],
            rotated: Vec::new(),
            present: true,
            copied: false,
            late: HashSet::new(),
            written: 0,
            waits,
            told: Told {
                batch,
                pending: Vec::new(),
                committed: Vec::new(),
                progress: Progress::at(Position::start(0, FileId::default())),
                dates: Dates::now(),
                left: None,
            },
        };
        history.write(1);
        history
    }

    fn path(&self, number: usize) -> PathBuf {
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

    fn write(&mut self, count: usize) {
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

    fn begin(&mut self) {
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

    fn complete_in(&mut self, number: usize) {
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

    fn complete(&mut self, choice: usize) {
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

    fn rename(&mut self, create: bool) {
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
    fn copy(&mut self, quarters: usize) {
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

    fn truncate(&mut self) {
        if !self.copied {
            return;
        }
        self.copy(4);
        self.cut();
    }

    fn cut(&mut self) {
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

    fn resume<'w>(&self, surroundings: &'w Surroundings) -> Tail<'w> {
        let limits = Limits {
            rotate_wait: Duration::from_secs(if self.waits { 3600 } else { 0 }),
            max_line: 1 << 20,
        };
        let progress = self.told.progress.clone();
        let place = Place {
            path: self.path(0),
            rotated: Vec::new(),
        };
        Tail::resume(
            0,
            place,
            limits,
            surroundings,
            progress,
            Some(self.told.dates),
        )
    }

    /// Polls so often, or to the end; anew from the last commit where the sink wanted no more.
    fn poll<'w>(
        &mut self,
        surroundings: &'w Surroundings,
        tail: &mut Tail<'w>,
        times: Option<usize>,
        buffer: &mut [u8],
    ) {
        let mut idle = 0;
        let mut polls = 0;
        while times.map_or(idle < 3, |times| polls < times) {
            polls += 1;
            assert!(polls < 1_000, "it never comes to an end");
            match tail.poll(Instant::now(), buffer, &mut self.told) {
                Polled::Idle => idle += 1,
                Polled::Read | Polled::NoRoom => idle = 0,
                Polled::Stopped => {
                    self.told.left = None;
                    self.told.pending.clear();
                    *tail = self.resume(surroundings);
                }
            }
        }
    }

    fn play(&mut self, events: &[Event], chunk: usize) {
        let mut buffer = vec![0; chunk];
        let surroundings = &Surroundings::default();
        let mut tail = self.resume(surroundings);
        self.poll(surroundings, &mut tail, None, &mut buffer);
        for event in events {
            match event {
                Event::Write(count) => self.write(*count),
                Event::Begin => self.begin(),
                Event::Complete(choice) => self.complete(*choice),
                Event::Rename { create } => self.rename(*create),
                Event::Copy(quarters) => self.copy(*quarters),
                Event::Truncate(lines) => {
                    // (An empty copy tells nothing at all.)
                    let is_empty = fs::metadata(self.path(0)).is_ok_and(|file| file.len() == 0);
                    if self.copied && *lines > 0 && !is_empty {
                        self.copy(4);
                        self.copied = false;
                        self.write(*lines);
                        // One that is down meanwhile finds the copy shorter, and cannot know it.
                        self.told.left = None;
                        self.poll(surroundings, &mut tail, None, &mut buffer);
                        self.cut();
                        self.poll(surroundings, &mut tail, Some(1), &mut buffer);
                        continue;
                    }
                    self.truncate();
                }
                Event::Poll(times) => self.poll(surroundings, &mut tail, Some(*times), &mut buffer),
                Event::Restart(0) => {
                    self.told.pending.clear();
                    tail = self.resume(surroundings);
                }
                Event::Restart(commits) => self.told.left = Some(*commits),
            }
        }
        self.truncate();
        let last = if self.waits { self.rotated.len() } else { 0 };
        for number in 0..=last {
            self.complete_in(number);
        }
        self.write(1);
        self.told.left = None;
        self.poll(surroundings, &mut tail, None, &mut buffer);
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let written: Vec<_> = self.logs.iter().flat_map(|log| &log.lines).collect();
        let arrived = &self.told.committed;
        let lost: Vec<_> = written
            .iter()
            .filter(|line| !arrived.contains(line))
            .collect();
        prop_assert!(lost.is_empty(), "lost: {lost:?}");
        let repeated: Vec<_> = (1..arrived.len())
            .filter(|at| arrived[..*at].contains(&arrived[*at]))
            .map(|at| &arrived[at])
            .collect();
        prop_assert!(repeated.is_empty(), "repeated: {repeated:?}");
        prop_assert_eq!(
            written.len(),
            arrived.len(),
            "written: {:?}, arrived: {:?}",
            written,
            arrived
        );
        let punctual = |line: &&String| !self.late.contains(*line);
        prop_assert_eq!(
            written.into_iter().filter(punctual).collect::<Vec<_>>(),
            arrived.iter().filter(punctual).collect::<Vec<_>>(),
            "out of order"
        );
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_rotation_leaves_readable_comes_out_once_and_in_order(
        events in prop::collection::vec(event(), 1..40),
        batch in 1_usize..5,
        chunk in 80_usize..400,
        waits in any::<bool>(),
    ) {
        let mut history = History::new(batch, waits);
        history.play(&events, chunk);
        history.check()?;
    }
}

#[test]
fn a_file_that_was_closed_is_known_by_its_inode_although_another_has_its_bytes() {
    use Event::*;
    let events = [
        Write(1),
        Rename { create: false },
        Write(1),
        Rename { create: false },
        Begin,
        Poll(1),
        Rename { create: false },
        Poll(2),
        Begin,
        Copy(1),
    ];
    let mut history = History::new(1, false);
    history.play(&events, 80);
    history.check().unwrap();
}

#[test]
fn a_new_file_gets_no_number_that_was_used_already() {
    use Event::*;
    let events = [
        Rename { create: true },
        Rename { create: false },
        Begin,
        Copy(1),
        Truncate(1),
        Write(1),
        Copy(1),
    ];
    let mut history = History::new(1, false);
    history.play(&events, 80);
    history.check().unwrap();
}

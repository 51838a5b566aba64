//! Random histories of a log, played on real files against a model that knows which lines must come out.
//!
//! The tail is polled by hand, so nothing depends on time, and a history that fails is made small.

mod writer;

use std::fs;

use proptest::prelude::*;

use super::*;
use writer::Writer;

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

struct History {
    writer: Writer,
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
        History {
            writer: Writer::new(waits),
            told: Told {
                batch,
                pending: Vec::new(),
                committed: Vec::new(),
                progress: Progress::at(Position::start(0, FileId::default())),
                dates: Dates::now(),
                left: None,
            },
        }
    }

    fn resume<'w>(&self, surroundings: &'w Surroundings) -> Tail<'w> {
        let limits = Limits {
            rotate_wait: Duration::from_secs(if self.writer.waits { 3600 } else { 0 }),
            max_line: 1 << 20,
        };
        let progress = self.told.progress.clone();
        let place = Place {
            path: self.writer.path(0),
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
                Event::Write(count) => self.writer.write(*count),
                Event::Begin => self.writer.begin(),
                Event::Complete(choice) => self.writer.complete(*choice),
                Event::Rename { create } => self.writer.rename(*create),
                Event::Copy(quarters) => self.writer.copy(*quarters),
                Event::Truncate(lines) => {
                    // (An empty copy tells nothing at all.)
                    let is_empty =
                        fs::metadata(self.writer.path(0)).is_ok_and(|file| file.len() == 0);
                    if self.writer.copied && *lines > 0 && !is_empty {
                        self.writer.copy(4);
                        self.writer.copied = false;
                        self.writer.write(*lines);
                        // One that is down meanwhile finds the copy shorter, and cannot know it.
                        self.told.left = None;
                        self.poll(surroundings, &mut tail, None, &mut buffer);
                        self.writer.cut();
                        self.poll(surroundings, &mut tail, Some(1), &mut buffer);
                        continue;
                    }
                    self.writer.truncate();
                }
                Event::Poll(times) => self.poll(surroundings, &mut tail, Some(*times), &mut buffer),
                Event::Restart(0) => {
                    self.told.pending.clear();
                    tail = self.resume(surroundings);
                }
                Event::Restart(commits) => self.told.left = Some(*commits),
            }
        }
        self.writer.truncate();
        let last = if self.writer.waits {
            self.writer.rotated.len()
        } else {
            0
        };
        for number in 0..=last {
            self.writer.complete_in(number);
        }
        self.writer.write(1);
        self.told.left = None;
        self.poll(surroundings, &mut tail, None, &mut buffer);
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let written: Vec<_> = self.writer.logs.iter().flat_map(|log| &log.lines).collect();
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
        let punctual = |line: &&String| !self.writer.late.contains(*line);
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

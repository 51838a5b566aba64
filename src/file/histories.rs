//! Random histories of a log, played on real files against a model that knows which lines must come out.
//!
//! The tail is polled by hand, so nothing depends on time, and a history that fails is made small.

mod found;
mod worlds;
mod writer;

use std::collections::HashSet;
use std::fs;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use writer::{Log, Writer};

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
    /// The sink takes nothing from now on, or takes again.
    Block,
    Pack(usize),
    /// A rotated file.
    Remove(usize),
    RemoveLive,
    /// Without a copy.
    Zap,
    BackUp,
}

/// With what others than logrotate do, and what destroys lines.
fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        24 => event(),
        2 => Just(Event::Block),
        3 => (0_usize..4).prop_map(Event::Pack),
        2 => (0_usize..4).prop_map(Event::Remove),
        1 => Just(Event::RemoveLive),
        1 => Just(Event::Zap),
        1 => Just(Event::BackUp),
    ]
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
    /// It has more in it than what logrotate does.
    is_destructive: bool,
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
    is_blocked: bool,
    gaps: usize,
}

impl Sink for Told {
    fn has_room(&mut self) -> bool {
        !self.is_blocked
    }

    fn discard(&mut self) {
        self.pending.clear();
    }

    fn line(&mut self, line: &[u8], _generation: u64, _end: u64) -> bool {
        self.pending
            .push(String::from_utf8_lossy(line).into_owned());
        self.pending.len() >= self.batch
    }

    fn commit(&mut self, progress: Progress, dates: Dates) -> ControlFlow<()> {
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
        (self.progress, self.dates) = (progress, dates);
        self.committed.append(&mut self.pending);
        ControlFlow::Continue(())
    }
}

impl History {
    fn new(batch: usize, waits: bool) -> History {
        History {
            is_destructive: false,
            writer: Writer::new(waits),
            told: Told {
                batch,
                pending: Vec::new(),
                committed: Vec::new(),
                progress: Progress::at(Position::start(0, FileId::default())),
                dates: Dates::now(),
                left: None,
                is_blocked: false,
                gaps: 0,
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
            path: self.writer.path(),
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
            assert!(polls < 2_000, "it never comes to an end");
            let polled = tail.poll(Instant::now(), buffer, &mut self.told);
            self.writer.look_at();
            self.told.gaps += tail.say_gaps().len();
            match polled {
                Polled::Idle if times.is_none() && tail.looking == Looking::Due => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Polled::Idle | Polled::NoRoom => idle += 1,
                Polled::Read => idle = 0,
                Polled::Stopped => {
                    self.told.left = None;
                    self.told.pending.clear();
                    *tail = self.resume(surroundings);
                }
            }
        }
        if times.is_none() && !self.told.is_blocked {
            self.writer.see();
        }
    }

    fn play(&mut self, events: &[Event], chunk: usize) {
        let mut buffer = vec![0; chunk];
        let surroundings = &Surroundings::default();
        let mut tail = self.resume(surroundings);
        self.poll(surroundings, &mut tail, None, &mut buffer);
        for event in events {
            // Where content is gone, times decide; and no two such things are done within a step of the clock.
            if self.is_destructive && !matches!(event, Event::Poll(_)) {
                std::thread::sleep(CLOCK_STEP);
            }
            match event {
                Event::Write(count) => self.writer.write(*count),
                Event::Begin => self.writer.begin(),
                Event::Complete(choice) => self.writer.complete(*choice),
                Event::Rename { create } => self.writer.rename(*create),
                Event::Copy(quarters) => self.writer.copy(*quarters),
                Event::Truncate(lines) => {
                    // (An empty copy tells nothing at all.)
                    let is_empty =
                        fs::metadata(self.writer.path()).is_ok_and(|file| file.len() == 0);
                    if self.writer.copied && *lines > 0 && !is_empty && !self.told.is_blocked {
                        self.writer.copy(4);
                        self.writer.copied = false;
                        self.writer.write(*lines);
                        // One that is down meanwhile finds the copy shorter, and cannot know it.
                        self.told.left = None;
                        self.poll(surroundings, &mut tail, None, &mut buffer);
                        self.writer.cut();
                        while {
                            self.poll(surroundings, &mut tail, Some(1), &mut buffer);
                            tail.looking == Looking::Due
                        } {}
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
                Event::Block => self.told.is_blocked ^= true,
                Event::Pack(choice) => self.writer.pack(*choice),
                Event::Remove(choice) => self.writer.remove(*choice, &self.told.committed),
                Event::RemoveLive => self.writer.remove_live(&self.told.committed),
                Event::Zap => self.writer.zap(&self.told.committed),
                Event::BackUp => self.writer.back_up(),
            }
        }
        self.writer.truncate();
        self.writer.complete_all();
        self.writer.write(1);
        (self.told.left, self.told.is_blocked) = (None, false);
        self.poll(surroundings, &mut tail, None, &mut buffer);
        self.told.pending.clear();
        tail = self.resume(surroundings);
        self.poll(surroundings, &mut tail, None, &mut buffer);
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let arrived = &self.told.committed;
        let came: HashSet<_> = arrived.iter().collect();
        let logs = &self.writer.logs;
        let lines =
            |log: &'_ Log| -> Vec<String> { log.lines.iter().chain(&log.end).cloned().collect() };
        let lost = |line: &String| !came.contains(line);
        let required = logs.iter().flat_map(|log| {
            let is_certain = |line: &String| !log.doubtful.contains(line);
            lines(log).into_iter().filter(is_certain)
        });
        let missing: Vec<_> = required.filter(lost).collect();
        prop_assert!(missing.is_empty(), "lost: {missing:?}");
        let repeated: Vec<_> = (1..arrived.len())
            .filter(|at| arrived[..*at].contains(&arrived[*at]))
            .map(|at| &arrived[at])
            .collect();
        prop_assert!(repeated.is_empty(), "repeated: {repeated:?}");
        let all: Vec<_> = logs.iter().flat_map(lines).collect();
        let is_known = |line: &&String| all.contains(line) || self.writer.loose.contains(*line);
        let strange: Vec<_> = arrived.iter().filter(|line| !is_known(line)).collect();
        prop_assert!(strange.is_empty(), "never written: {strange:?}");
        let is_end = |line: &String| logs.iter().any(|log| log.end.as_ref() == Some(line));
        let is_punctual = |line: &&String| {
            !self.writer.late.contains(*line) && !self.writer.loose.contains(*line) && !is_end(line)
        };
        prop_assert_eq!(
            all.iter()
                .filter(|line| came.contains(line))
                .filter(is_punctual)
                .collect::<Vec<_>>(),
            arrived.iter().filter(is_punctual).collect::<Vec<_>>(),
            "out of order"
        );
        prop_assert!(
            self.writer.destroyed || self.told.gaps == 0,
            "a gap, and nothing is missing"
        );
        let of_known = logs.iter().filter(|log| {
            log.seen && !log.untold || log.lines.iter().any(|line| came.contains(line))
        });
        let silent: Vec<_> = of_known
            .flat_map(|log| log.lines.iter().filter(|line| !log.unseen.contains(*line)))
            .filter(|line| lost(line) && !self.writer.late.contains(*line))
            .collect();
        prop_assert!(
            silent.is_empty() || self.told.gaps > 0,
            "lost without a word: {silent:?}"
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing is destroyed, and whoever comes at last finds it all.
    #[test]
    fn who_saw_each_step_and_who_saw_none_read_the_same_lines(
        events in prop::collection::vec(event(), 1..40),
        batch in 1_usize..5,
        chunk in 80_usize..400,
    ) {
        let steps = events.into_iter().filter_map(|event| match event {
            Event::Poll(_) | Event::Restart(_) => None,
            Event::Truncate(_) => Some(Event::Truncate(0)),
            event => Some(event),
        });
        let unseen: Vec<_> = steps.collect();
        let seen: Vec<_> = unseen.iter().flat_map(|step| [step.clone(), Event::Poll(2)]).collect();
        let lines_of = |events: &[Event]| {
            let mut history = History::new(batch, true);
            history.play(events, chunk);
            history.check()?;
            history.told.committed.sort();
            Ok::<_, TestCaseError>(history.told.committed)
        };
        prop_assert_eq!(lines_of(&seen)?, lines_of(&unseen)?);
    }
}

/// `PROPTEST_CASES` plays more of them. Most of their time they wait for the clock, and so they are played side by side.
#[test]
fn what_is_destroyed_is_said_and_nothing_else() {
    const SIDE_BY_SIDE: u32 = 8;
    let is_asked = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = if is_asked {
        ProptestConfig::default().cases
    } else {
        40
    };
    let config = ProptestConfig {
        cases: cases.div_ceil(SIDE_BY_SIDE),
        failure_persistence: None,
        max_shrink_iters: 3_000,
        ..ProptestConfig::default()
    };
    let events = prop::collection::vec(any_event(), 1..40);
    let input = (
        events,
        1_usize..5,
        80_usize..400,
        any::<bool>(),
        any::<bool>(),
    );
    let play = |(events, batch, chunk, has_older, waits): (Vec<Event>, _, _, _, _)| {
        let mut history = History::new(batch, waits);
        history.is_destructive = true;
        if has_older {
            history.writer.leave_older();
        }
        history.play(&events, chunk);
        history.check()
    };
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                let played = TestRunner::new(config.clone()).run(&input, play);
                played.unwrap_or_else(|failure| panic!("{failure}"));
            });
        }
    });
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

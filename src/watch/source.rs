//! A source that is being published: where it stands, and where it goes on from when its record is taken over.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::{Source, account};
use crate::broker::{Batch, Record, Removed};
use crate::cli::Mode;
use crate::error::{Error, Result};
use crate::position::{Dates, Progress};
use crate::talk::Once;

/// A source, as the publisher knows it.
pub struct State {
    pub path: PathBuf,
    pub name: String,
    /// The commit record's key, from the first take-over on.
    pub key: String,
    pub stage: Stage,
    /// Up to here it is published, as far as is known here; None: nothing is known.
    pub known: Option<Progress>,
    /// When that, or else the place to begin, was true. None: nobody knows, as only an older version's record says how far.
    pub dates: Option<Dates>,
    /// Where to begin when neither we nor the record know.
    pub initial: Progress,
    /// Batches of earlier resumptions are void.
    pub epoch: u64,
    turns: Turns,
    refusals: Once,
}

/// Whose the source's commit record is.
#[derive(PartialEq, Eq)]
pub enum Stage {
    /// Not taken over yet: the reader waits to hear where to begin.
    Fresh,
    /// An earlier session's; to be taken over when there is something to send.
    Lapsed,
    /// The present session's; `record` is what it will be once all that was sent has executed.
    Owned { record: Vec<u8> },
}

impl State {
    pub fn new(source: Source) -> State {
        State {
            key: String::new(),
            name: source.name,
            path: source.path,
            stage: Stage::Fresh,
            known: source.checkpoint,
            dates: Some(source.dates),
            initial: source.initial,
            epoch: 0,
            turns: Turns::default(),
            refusals: Once::default(),
        }
    }

    /// Where to go on from, given what stands in the commit record.
    pub fn choose(
        &self,
        mode: Mode,
        reset: bool,
        record: Option<&Record>,
    ) -> Result<(Progress, Option<Dates>)> {
        let is_forgotten = reset && self.stage == Stage::Fresh;
        let record = record.filter(|_| !is_forgotten);
        if let Some(error) = of_another_log(&self.path, record) {
            return Err(error);
        }
        let known = self.known.as_ref();
        let chosen = go_on_from(mode, known, record).unwrap_or_else(|| self.initial.clone());
        let dates = dates_of(&chosen, known.unwrap_or(&self.initial), self.dates, record);
        Ok((chosen, dates))
    }

    /// Where it begins, and why, in words; before it is known here.
    pub fn begins(&self, progress: &Progress, reset: bool) -> String {
        let checkpoint = self.known.as_ref();
        account::begins(&self.path, progress, checkpoint, &self.initial, reset)
    }

    /// The record was found at `progress`, where nobody here has put it: the reader begins there anew.
    pub fn rewind(&mut self, progress: &Progress, dates: Option<Dates>) {
        self.epoch += 1;
        self.turns.found_at = Some(progress.current.generation);
        (self.known, self.dates) = (Some(progress.clone()), dates);
    }

    /// Whether a batch may be sent. An error: others write this record for another file.
    pub fn accepts(&mut self, batch: &Batch) -> Result<bool> {
        let Some((end, _)) = batch.end.as_ref().filter(|_| batch.epoch == self.epoch) else {
            return Ok(false);
        };
        if self.turns.is_of_another_file(end) {
            return Err(Error::Failed(format!(
                "watch {}: another watcher keeps taking over its commit record {} for another file of the same name; \
                 name one of the two with --source",
                self.path.display(),
                self.key,
            )));
        }
        Ok(true)
    }
}

impl State {
    /// Says what was refused; who logs such a line all the time is not to flood our log as well.
    pub fn say_refused(&mut self, lines: &[Removed], why: &str, kept_in: &Path) {
        let text = format!(
            "{}: {why}; {} of its lines, the last one before offset {}, are kept in {}, and those behind them go on",
            self.path.display(),
            lines.len(),
            lines.last().map_or(0, |removed| removed.end),
            kept_in.display(),
        );
        self.refusals.go_on(&text);
    }
}

/// Why a record cannot be gone by for a log.
pub fn of_another_log(path: &Path, record: Option<&Record>) -> Option<Error> {
    let other = record?.path.as_ref().filter(|other| *other != path)?;
    Some(Error::Failed(format!(
        "watch {}: its commit record is of another log, {other:?}; name one of the two with --source, or run watch with \
         --reset to forget the other's position",
        path.display()
    )))
}

/// Which position is the truth: what is known here, or what the record says. None: nobody knows.
pub fn go_on_from(
    mode: Mode,
    known: Option<&Progress>,
    record: Option<&Record>,
) -> Option<Progress> {
    let (Some(known), Some(record)) = (known, record) else {
        return record.map(|record| &record.progress).or(known).cloned();
    };
    // Redis keeps the lines that such a record counts: if it has lost some, it has lost the record with them, and they
    // are sent again. Lines that were published otherwise are gone from Redis: whoever knows of more is right.
    let keeps = |mode| mode != Mode::Pubsub;
    Some(if keeps(mode) && keeps(record.mode.unwrap_or(mode)) {
        record.progress.clone()
    } else {
        known.later(&record.progress)
    })
}

/// When a progress was true that was chosen from a known one and a record.
pub fn dates_of(
    chosen: &Progress,
    known: &Progress,
    dates: Option<Dates>,
    record: Option<&Record>,
) -> Option<Dates> {
    let record = record.filter(|record| record.progress == *chosen);
    let made = SystemTime::now();
    match record.and_then(|record| record.dates) {
        Some(recorded) => Some(recorded),
        None if chosen == known => dates,
        None if known.later(chosen) == *chosen => dates.map(|dates| Dates { made, ..dates }),
        // Of a place further back nobody knows when it was the present one.
        None => None,
    }
}

/// Tells two watchers of one file, which take turns and repeat nothing, from two of different files: where one of
/// these takes over, it does not find its file at the record's position, and begins it anew as a further generation.
#[derive(Default)]
struct Turns {
    /// The record's generation at the last take-over, until the next batch comes.
    found_at: Option<u64>,
    /// How many take-overs in a row were followed by another generation.
    broken: u32,
    last: Option<Instant>,
}

/// So many in a row are no chance, unless
const BROKEN_TURNS: u32 = 3;
/// they are as far apart as this.
const SOON: Duration = Duration::from_secs(60);

impl Turns {
    fn is_of_another_file(&mut self, end: &Progress) -> bool {
        let Some(generation) = self.found_at.take() else {
            return false;
        };
        let goes_on = end
            .positions()
            .any(|position| position.generation == generation);
        let is_soon = self.last.is_some_and(|last| last.elapsed() < SOON);
        self.last = Some(Instant::now());
        self.broken = match (goes_on, is_soon) {
            (true, _) => 0,
            (false, true) => self.broken + 1,
            (false, false) => 1,
        };
        self.broken >= BROKEN_TURNS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{FileId, Position};

    fn at(generation: u64, offset: u64) -> Progress {
        Progress::at(Position {
            offset,
            ..Position::start(generation, FileId::default())
        })
    }

    #[test]
    fn the_record_counts_alone_only_where_redis_keeps_what_it_counts() {
        use Mode::{List, Pubsub, Stream};
        let [low, known, high, later] = [at(0, 50), at(0, 100), at(0, 200), at(1, 10)].map(Some);
        let cases = [
            (Pubsub, &known, None, &known),
            (Pubsub, &known, Some((&high, Pubsub)), &high),
            (Pubsub, &known, Some((&low, Pubsub)), &known),
            (Pubsub, &later, Some((&low, Pubsub)), &later),
            (Pubsub, &None, Some((&low, List)), &low),
            (Stream, &known, Some((&low, Stream)), &low),
            (Stream, &known, Some((&low, List)), &low),
            (Stream, &known, Some((&low, Pubsub)), &known),
            (Pubsub, &known, Some((&low, List)), &known),
            (List, &known, Some((&high, List)), &high),
            (List, &known, None, &known),
            (List, &None, None, &None),
        ];
        for (mode, known, record, expected) in cases {
            let record = record.map(|(progress, mode)| Record {
                progress: progress.clone().expect("a position"),
                dates: None,
                path: None,
                mode: Some(mode),
            });
            assert_eq!(
                go_on_from(mode, known.as_ref(), record.as_ref()).as_ref(),
                expected.as_ref(),
                "{mode:?} {known:?} {record:?}"
            );
        }
    }

    #[test]
    fn only_turns_that_begin_the_file_anew_again_and_again_are_of_another_file() {
        let mut turns = Turns::default();
        let mut turn = |found, end| {
            turns.found_at = Some(found);
            turns.is_of_another_file(&end)
        };
        assert_eq!([turn(0, at(1, 9)), turn(2, at(3, 9))], [false; 2]);
        assert!(!turn(3, at(3, 20)), "a turn that goes on: it is one file");
        assert_eq!([turn(3, at(4, 9)), turn(5, at(6, 9))], [false; 2]);
        assert!(turn(7, at(8, 9)));
    }
}

//! A source that is being published: where it stands, and where it goes on from when its record is taken over.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::account;
use crate::broker::{Batch, Record, Removed};
use crate::cli::{self, Mode};
use crate::error::{Error, Result};
use crate::file::{self, Place};
use crate::position::{Dates, Progress};
use crate::talk::Once;

/// A source, as the publisher knows it.
pub struct Source {
    /// Chosen by the reader, and never used again; a batch names its source by it.
    pub id: usize,
    /// The absolute path.
    pub path: PathBuf,
    /// `<host>:<path>`, or `--source`.
    pub name: String,
    /// The commit record's key, from the first take-over on.
    pub key: String,
    pub stage: Ownership,
    /// Up to here it is published, as far as is known here; None: nothing is known.
    pub known: Option<Progress>,
    /// When that, or else the place to begin, was true. None: nobody knows.
    pub dates: Option<Dates>,
    /// Where to begin when neither we nor the record know.
    pub initial: Progress,
    /// Batches of earlier resumptions are void.
    pub epoch: u64,
    refusals: Once,
}

/// Whose the source's commit record is.
#[derive(PartialEq, Eq)]
pub enum Ownership {
    /// Not taken over yet: the reader waits to hear where to begin.
    Fresh,
    /// An earlier session's; to be taken over when there is something to send.
    Lapsed,
    /// The present session's; `record` is what it will be once all that was sent has executed.
    Owned { record: Vec<u8> },
}

impl Source {
    /// A source at the place that its checkpoint says, where it has one.
    pub fn new(
        id: usize,
        path: PathBuf,
        name: String,
        checkpoint: Option<Progress>,
        dates: Dates,
        initial: Progress,
    ) -> Source {
        Source {
            id,
            path,
            name,
            key: String::new(),
            stage: Ownership::Fresh,
            known: checkpoint,
            dates: Some(dates),
            initial,
            epoch: 0,
            refusals: Once::default(),
        }
    }

    /// Where to go on from, given what stands in the commit record.
    pub fn choose(
        &self,
        options: &cli::Watch,
        home: u64,
        record: Option<&Record>,
    ) -> Result<(Progress, Option<Dates>)> {
        let is_forgotten = options.reset && self.stage == Ownership::Fresh;
        let forgotten = record.filter(|_| is_forgotten);
        let record = record.filter(|_| !is_forgotten);
        let known = self.known.as_ref();
        let place = Place {
            path: self.path.clone(),
            rotated: options.rotated.clone(),
        };
        if let Some(error) = of_another_log(&place, known, home, record) {
            return Err(error);
        }
        let chosen = match go_on_from(options.mode, known, record) {
            Some(chosen) if record.is_some() || !chosen.is_bare_offset() => chosen,
            begun => {
                let highest = forgotten.map_or(0, |it| it.progress.current.generation);
                let first = self.initial.first.max(highest.saturating_add(1));
                let begun = begun.unwrap_or_else(|| self.initial.clone());
                begun.renumbered(first)
            }
        };
        let dates = dates_of(&chosen, known.unwrap_or(&self.initial), self.dates, record);
        Ok((chosen, dates))
    }

    /// Where it begins, and why, in words; before it is known here.
    pub fn begins(&self, progress: &Progress, reset: bool) -> String {
        let because = account::because(progress, self.known.as_ref(), &self.initial, reset);
        let (path, place) = (self.path.display(), account::place(progress));
        format!("{path}: begins at {place}: {because}")
    }

    /// The record was found at `progress`, where nobody here has put it: the reader begins there anew.
    pub fn rewind(&mut self, progress: &Progress, dates: Option<Dates>) {
        self.epoch += 1;
        (self.known, self.dates) = (Some(progress.clone()), dates);
    }

    /// Whether a batch may be sent.
    pub fn accepts(&self, batch: &Batch) -> bool {
        batch.end.is_some() && batch.epoch == self.epoch
    }

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

/// Why a record cannot be gone by for a log: it names another path, or another host's file of the same path. `home` is
/// the name of our state directory.
pub fn of_another_log(
    place: &Place,
    known: Option<&Progress>,
    home: u64,
    record: Option<&Record>,
) -> Option<Error> {
    let record = record?;
    let why = match record.path.as_ref().filter(|path| **path != place.path) {
        Some(other) => format!(
            "{other:?}; name one of the two with --source, or run watch with --reset to forget the other's position"
        ),
        None if is_of_another_host(place, known?, home, record) => {
            "another host's of the same name, as none of its files is here, and ours is; name one of the two with --source, \
             or delete the record where there is but one"
                .into()
        }
        None => return None,
    };
    let path = place.path.display();
    Some(Error::Failed(format!(
        "watch {path}: its commit record is of another log, {why}"
    )))
}

/// Whether a record that another state directory's watcher wrote goes on from where we were, and yet names none of the
/// files that lie here, while ours do. A record that stands before our position is one that Redis has fallen back to.
fn is_of_another_host(place: &Place, known: &Progress, home: u64, record: &Record) -> bool {
    let theirs = &record.progress;
    let is_ours = record.home.is_none_or(|name| name == home);
    if is_ours || theirs.current.generation < known.current.generation {
        return false;
    }
    let still_there = |progress| file::still_there(place.clone(), progress);
    // What cannot be looked at now is no proof.
    still_there(theirs).is_ok_and(|files| files.is_empty())
        && still_there(known).is_ok_and(|files| files.iter().any(|end| end.offset > 0))
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
    Some(if keeps(mode) && keeps(record.mode) {
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
                mode,
                home: None,
            });
            assert_eq!(
                go_on_from(mode, known.as_ref(), record.as_ref()).as_ref(),
                expected.as_ref(),
                "{mode:?} {known:?} {record:?}"
            );
        }
    }
}

//! How far behind each file is: the file, its checkpoint and its commit record side by side.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::broker::{Address, Failure, Record, count_kept, forget_records, read_records};
use crate::checkpoint::{Store, age};
use crate::cli::{self, Delivery, From};
use crate::error::{Error, Result, describe};
use crate::escape;
use crate::file::{Place, Tail, unread};
use crate::position::{Dates, Progress};
use crate::stdout;
use crate::table::{self, Column};
use crate::talk;
use crate::watch::{count_refused, dates_of, named_sources};

/// What is known of one file.
struct Row {
    path: PathBuf,
    /// Bytes; None: the file is not there.
    size: Option<u64>,
    checkpoint: Option<Progress>,
    /// Seconds since the checkpoint was written.
    age: Option<f64>,
    record: Option<Progress>,
    /// Bytes that are not published, in the file and in those rotated away since; or why that is not known.
    lag: std::result::Result<u64, String>,
    /// How often something was missing that could no longer be read, and how many bytes, where that was known.
    gaps: (u64, u64),
    /// Lines that Redis has refused, and that are kept in the state directory.
    refused: u64,
    /// Entries that lie in the target's stream or list, of all sources; None: there is neither.
    backlog: Option<u64>,
}

/// Prints a row for each file. An error when a lag is over `--max-lag`.
pub fn run(options: &cli::Status) -> Result<()> {
    let address = Address::parse(&options.server)?;
    if let Some(source) = &options.forget {
        return forget(options, &address, source);
    }
    let store = Store::at(&options.state_dir);
    let sources = named_sources(
        &options.files,
        &options.exclude,
        options.source.as_deref(),
        &options.rotated,
    )?;
    let names: Vec<_> = sources.iter().map(|(_, name)| name.clone()).collect();
    let (records, backlog) = match read_records(&address, &names, &options.target) {
        Ok(records) => {
            let backlog = count_kept(&address, options.target.as_bytes());
            let records = records.into_iter().collect::<Result<Vec<_>>>()?;
            (records, backlog.unwrap_or_default())
        }
        Err(Failure::Fatal(error)) => return Err(error),
        Err(failure) => {
            talk::warn(&format!("{failure}; the commit records are not shown"));
            (sources.iter().map(|_| None).collect(), None)
        }
    };
    let mut rows = Vec::new();
    for ((path, _), record) in sources.into_iter().zip(records) {
        let place = Place {
            path,
            rotated: options.rotated.clone(),
        };
        let refused = count_refused(&options.state_dir, &place.path)?;
        rows.push(Row {
            refused,
            backlog,
            ..row(place, &store, record)?
        });
    }
    let text = if options.json {
        json_text(&rows)
    } else {
        table_text(&rows)
    };
    stdout::write(text.as_bytes())?;
    rows.iter()
        .try_for_each(|row| verdict(row, options.max_lag))
}

/// Removes the commit record of a source that is no more, and keeps in mind how far its numbers came, where the clock alone
/// would not.
fn forget(options: &cli::Status, address: &Address, source: &str) -> Result<()> {
    let fail = |cause: String| Error::Failed(format!("forget {source}: {cause}"));
    let names = [source.to_owned()];
    let read = read_records(address, &names, &options.target).and_then(|records| {
        let record = records.into_iter().next().transpose();
        record.map(Option::flatten).map_err(Failure::Fatal)
    });
    let of_redis = |failure: Failure| match failure {
        Failure::Fatal(error) => error,
        failure => fail(failure.to_string()),
    };
    let Some(record) = read.map_err(of_redis)? else {
        let way_out = "tailcast top lists the sources that have one";
        return Err(fail(format!("it has no commit record; {way_out}")));
    };
    let store = Store::at(&options.state_dir);
    let is_ours = record.home.is_some() && record.home == store.known_home()?;
    let log = record.path.filter(|_| is_ours);
    if let Some(process) = log.and_then(|log| store.holder(&log)) {
        return Err(fail(format!("process {process} watches it")));
    }
    let generation = record.progress.current.generation;
    if generation >= store.new_generation()? {
        Store::create(&options.state_dir, Delivery::AtLeastOnce)?.note_forgotten(generation)?;
    }
    forget_records(address, source, &options.target).map_err(of_redis)?;
    talk::note(&format!("forgot the commit record of {source}"));
    Ok(())
}

/// What is not known is no small lag.
fn verdict(row: &Row, max_lag: Option<u64>) -> Result<()> {
    let path = row.path.display();
    match &row.lag {
        Err(why) => Err(Error::Failed(format!(
            "status of {path}: its lag is not known: {why}"
        ))),
        Ok(lag) if max_lag.is_some_and(|limit| *lag > limit) => Err(Error::Failed(format!(
            "{path}: {lag} bytes behind, over --max-lag"
        ))),
        Ok(_) => Ok(()),
    }
}

fn row(place: Place, store: &Store, record: Option<Record>) -> Result<Row> {
    let path = place.path.clone();
    let checkpoint = store.read(&path)?;
    let dates = checkpoint.as_ref().map(|(_, dates)| *dates);
    let checkpoint = checkpoint.map(|(progress, _)| progress);
    let size = match std::fs::metadata(&path) {
        Ok(metadata) => Some(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::io("read", &path, &error)),
    };
    if size.is_none() && checkpoint.is_none() && record.is_none() {
        return Err(Error::Failed(format!(
            "status of {}: no such file, and no checkpoint of it",
            path.display()
        )));
    }
    let furthest = match (&checkpoint, &record) {
        (Some(checkpoint), Some(record)) => checkpoint.later(&record.progress),
        (Some(known), None) => known.clone(),
        (None, Some(record)) => record.progress.clone(),
        (None, None) => Tail::initial(&path, From::Start, 0)?,
    };
    let known = checkpoint.as_ref().unwrap_or(&furthest);
    let as_of = dates_of(&furthest, known, dates, record.as_ref()).unwrap_or_else(Dates::now);
    Ok(Row {
        path,
        size,
        checkpoint,
        age: dates.map(|dates| age(dates.made).as_secs_f64()),
        record: record.map(|record| record.progress),
        lag: unread(place.clone(), furthest, as_of).map_err(|error| describe(&error)),
        gaps: store.gaps(&place.path)?,
        refused: 0,
        backlog: None,
    })
}

impl Row {
    fn offset(&self) -> Option<u64> {
        let checkpoint = self.checkpoint.as_ref();
        checkpoint.map(|progress| progress.current.offset)
    }

    fn generation(&self) -> Option<u64> {
        let known = self.checkpoint.as_ref().or(self.record.as_ref());
        known.map(Progress::rotations)
    }
}

/// The titles of `table_text`'s columns.
const TITLES: &str = "FILE SIZE OFFSET LAG AGE GENERATION RECORD GAPS MISSING REFUSED BACKLOG";

fn table_text(rows: &[Row]) -> String {
    let or_dash = |value: Option<u64>| value.map_or("-".into(), |value| value.to_string());
    let cells = |row: &Row| {
        let record = row.record.as_ref().map(|progress| progress.current.offset);
        vec![
            row.path.display().to_string(),
            or_dash(row.size),
            or_dash(row.offset()),
            or_dash(row.lag.as_ref().ok().copied()),
            row.age.map_or("-".into(), |age| format!("{age:.1}s")),
            or_dash(row.generation()),
            or_dash(record),
            row.gaps.0.to_string(),
            row.gaps.1.to_string(),
            row.refused.to_string(),
            or_dash(row.backlog),
        ]
    };
    let mut lines = vec![TITLES.split(' ').map(String::from).collect()];
    lines.extend(rows.iter().map(cells));
    let mut columns = [Column::Right(0); 11];
    columns[0] = Column::Left(0);
    table::lines(&columns, &lines).join("\n") + "\n"
}

/// An array with an object for each file; what is not known is null.
fn json_text(rows: &[Row]) -> String {
    let position = |progress: &Progress| json!({"offset": progress.current.offset, "generation": progress.rotations()});
    let object = |row: &Row| {
        json!({
            "file": row.path.to_string_lossy(),
            "size": row.size,
            "offset": row.offset(),
            "generation": row.generation(),
            "lag": row.lag.as_ref().ok(),
            "gaps": row.gaps.0,
            "gap_bytes": row.gaps.1,
            "refused_lines": row.refused,
            "backlog": row.backlog,
            "checkpoint_age_seconds": row.age,
            "record": row.record.as_ref().map(position),
        })
    };
    let array = Value::Array(rows.iter().map(object).collect());
    escape::json(&format!("{array:#}\n"))
}

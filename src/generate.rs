//! The log generator: mimics an application that appends random JSON log lines to a file.
//!
//! Owns the lines' format and schedule. Behaves as a decent application does: one write per line, and a
//! rotated file is reopened before the next one. Knows nothing of Redis.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::calendar::civil_from_days;
use crate::cli;
use crate::error::{Error, Result};
use crate::position::FileId;
use crate::{signal, stdout, talk};

const TYPES: [&str; 4] = ["INFO", "WARNING", "ERROR", "DEBUG"];
const MESSAGES: [&str; 5] = [
    "User logged in",
    "Failed login attempt",
    "Database connection error",
    "API request received",
    "Data processing completed",
];

/// Without an interval, lines are gathered up to about this many bytes before they are written.
const BLOCK: usize = 64 * 1024;

/// A line that is late by no more than this was not paused before.
const LATE: Duration = Duration::from_millis(50);

/// Writes lines until `count` is reached or `stop` is set.
///
/// # Errors
/// `Failed` if the file cannot be opened or written; `ClosedPipe` if it is standard output and the reader has
/// gone.
pub fn run(options: &cli::Generate, stop: &AtomicBool) -> Result<()> {
    let mut sink = Appender::open(&options.file)?;
    let name = sink.name();
    if !options.quiet {
        talk::note(&format!("appending to {name}, {}", pace(options.interval)));
    }
    let written = write_lines(options, &mut sink, stop)?;
    if !options.quiet {
        talk::note(&format!(
            "wrote {written} {} to {name}",
            if written == 1 { "line" } else { "lines" }
        ));
    }
    Ok(())
}

fn pace(interval: Duration) -> String {
    if interval.is_zero() {
        return "as fast as it goes".to_owned();
    }
    format!("a line every {interval:?}")
}

/// Writes a line, or without an interval a block of them, whenever one is due. Returns how many lines were
/// written.
fn write_lines(options: &cli::Generate, sink: &mut Appender, stop: &AtomicBool) -> Result<u64> {
    let block = if options.interval.is_zero() { BLOCK } else { 1 };
    let seed = options.seed;
    let mut random = seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
    let mut written = 0;
    let mut due = Instant::now();
    let mut lines = Vec::with_capacity(BLOCK + 256);
    while options.count.is_none_or(|count| written < count) {
        if !signal::sleep_until(due, || stop.load(Relaxed)) {
            break;
        }
        lines.clear();
        let left = options.count.map_or(u64::MAX, |count| count - written);
        written += push_lines(&mut random, block, left, &mut lines);
        sink.append(&lines)?;
        due = next_due(due, options.interval, Instant::now());
    }
    Ok(written)
}

/// When the next line is due. Counts from when the last one was due, not from when it came, so small delays
/// do not add up; but after a pause (a suspended machine, a stopped process) the missed lines are not made up
/// for in a burst.
fn next_due(last: Instant, interval: Duration, now: Instant) -> Instant {
    let due = last + interval;
    if due + LATE < now {
        now + interval
    } else {
        due
    }
}

/// Where the lines go.
enum Appender {
    File(LogFile),
    Stdout,
}

impl Appender {
    fn open(path: &Path) -> Result<Appender> {
        if path == Path::new("-") {
            return Ok(Appender::Stdout);
        }
        LogFile::open(path).map(Appender::File)
    }

    fn name(&self) -> String {
        match self {
            Appender::File(file) => file.path.display().to_string(),
            Appender::Stdout => "standard output".to_owned(),
        }
    }

    /// Appends whole lines in one write, if the system takes them in one.
    fn append(&mut self, lines: &[u8]) -> Result<()> {
        match self {
            Appender::File(file) => file.append(lines),
            Appender::Stdout => stdout::write(lines),
        }
    }
}

/// A log file, and which file it was that its path led to.
struct LogFile {
    path: PathBuf,
    file: File,
    id: FileId,
}

impl LogFile {
    fn open(path: &Path) -> Result<LogFile> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.map_err(|cause| open_error(path, &cause))?;
        let metadata = file
            .metadata()
            .map_err(|cause| Error::io("stat", path, &cause))?;
        Ok(LogFile {
            path: path.to_owned(),
            file,
            id: FileId::of(&metadata),
        })
    }

    fn append(&mut self, lines: &[u8]) -> Result<()> {
        if self.was_rotated() {
            *self = LogFile::open(&self.path)?;
        }
        self.file
            .write_all(lines)
            .map_err(|cause| Error::io("write", &self.path, &cause))
    }

    /// Whether the path leads to another file by now, or to none.
    fn was_rotated(&self) -> bool {
        match fs::metadata(&self.path) {
            Ok(metadata) => FileId::of(&metadata) != self.id,
            Err(cause) => cause.kind() == io::ErrorKind::NotFound,
        }
    }
}

/// The system says only "no such file or directory" where it is the folder that is missing.
fn open_error(path: &Path, cause: &io::Error) -> Error {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    match parent {
        Some(folder) if cause.kind() == io::ErrorKind::NotFound && !folder.exists() => {
            Error::Failed(format!(
                "open {}: there is no folder {}; create it first",
                path.display(),
                folder.display()
            ))
        }
        _ => Error::io("open", path, cause),
    }
}

/// Appends random lines until there are `most` of them or `bytes` bytes. Returns how many.
fn push_lines(random: &mut fastrand::Rng, bytes: usize, most: u64, out: &mut Vec<u8>) -> u64 {
    let mut count = 0;
    while count < most && out.len() < bytes {
        // A clock before 1970 is wrong anyway.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        push_line(random, now, out);
        count += 1;
    }
    count
}

/// Appends one line, stamped with this time since 1970.
fn push_line(random: &mut fastrand::Rng, now: Duration, out: &mut Vec<u8>) {
    let kind = TYPES[random.usize(..TYPES.len())];
    let message = MESSAGES[random.usize(..MESSAGES.len())];
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    let (year, month, day) = civil_from_days(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let line = format!(
        "{{\"timestamp\":\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z\",\
         \"type\":\"{kind}\",\"message\":\"{message}\"}}\n"
    );
    out.extend_from_slice(line.as_bytes());
}

#[cfg(test)]
mod tests;

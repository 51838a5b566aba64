//! The log generator: mimics an application that appends random JSON log lines to a file.
//!
//! Owns the lines' format and schedule. Behaves as a decent application does: one write per line, and a
//! rotated file is reopened before the next one. Knows nothing of Redis.

use std::fs::{self, File, OpenOptions};
use std::io::{self, StdoutLock, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::calendar::civil_from_days;
use crate::cli;
use crate::error::{Error, Result};
use crate::{signal, talk};

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
    let mut sink = Sink::open(&options.file)?;
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
fn write_lines(options: &cli::Generate, sink: &mut Sink, stop: &AtomicBool) -> Result<u64> {
    let block = if options.interval.is_zero() { BLOCK } else { 1 };
    let mut writer = LineWriter::new(options.seed);
    let mut written = 0;
    let mut due = Instant::now();
    let mut lines = Vec::with_capacity(BLOCK + 256);
    while options.count.is_none_or(|count| written < count) {
        if !signal::sleep_until(due, || stop.load(Relaxed)) {
            break;
        }
        lines.clear();
        let left = options.count.map_or(u64::MAX, |count| count - written);
        written += writer.push_lines(block, left, &mut lines);
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
enum Sink {
    File(LogFile),
    Stdout(StdoutLock<'static>),
}

impl Sink {
    fn open(path: &Path) -> Result<Sink> {
        if path == Path::new("-") {
            return Ok(Sink::Stdout(io::stdout().lock()));
        }
        LogFile::open(path).map(Sink::File)
    }

    fn name(&self) -> String {
        match self {
            Sink::File(file) => file.path.display().to_string(),
            Sink::Stdout(_) => "standard output".to_owned(),
        }
    }

    /// Appends whole lines in one write, if the system takes them in one.
    fn append(&mut self, lines: &[u8]) -> Result<()> {
        match self {
            Sink::File(file) => file.append(lines),
            Sink::Stdout(stdout) => stdout
                .write_all(lines)
                .and_then(|()| stdout.flush())
                .map_err(|cause| Error::stdout(&cause)),
        }
    }
}

/// A log file, and which file it was that its path led to.
struct LogFile {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
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
            identity: identity(&metadata),
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
            Ok(metadata) => identity(&metadata) != self.identity,
            Err(cause) => cause.kind() == io::ErrorKind::NotFound,
        }
    }
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
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

/// Makes random lines.
struct LineWriter {
    random: fastrand::Rng,
    clock: Clock,
}

impl LineWriter {
    fn new(seed: Option<u64>) -> LineWriter {
        let random = seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        LineWriter {
            random,
            clock: Clock::new(),
        }
    }

    /// Appends lines until there are `most` of them or `bytes` bytes. Returns how many.
    fn push_lines(&mut self, bytes: usize, most: u64, out: &mut Vec<u8>) -> u64 {
        let mut count = 0;
        while count < most && out.len() < bytes {
            // A clock before 1970 is wrong anyway.
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            self.push_line(now, out);
            count += 1;
        }
        count
    }

    /// Appends one line, stamped with this time since 1970.
    fn push_line(&mut self, now: Duration, out: &mut Vec<u8>) {
        let kind = TYPES[self.random.usize(..TYPES.len())];
        let message = MESSAGES[self.random.usize(..MESSAGES.len())];
        out.extend_from_slice(b"{\"timestamp\":\"");
        self.clock.push(now, out);
        out.extend_from_slice(b"\",\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\",\"message\":\"");
        out.extend_from_slice(message.as_bytes());
        out.extend_from_slice(b"\"}\n");
    }
}

/// Writes times as RFC 3339 in UTC. Keeps the text of the last second, as a million lines fall into few of them.
struct Clock {
    second: u64,
    text: String,
}

impl Clock {
    fn new() -> Clock {
        Clock {
            second: 0,
            text: format_second(0),
        }
    }

    fn push(&mut self, now: Duration, out: &mut Vec<u8>) {
        if now.as_secs() != self.second {
            self.second = now.as_secs();
            self.text = format_second(self.second);
        }
        out.extend_from_slice(self.text.as_bytes());
        out.push(b'.');
        let mut micros = now.subsec_micros();
        let mut digits = [b'0'; 6];
        for digit in digits.iter_mut().rev() {
            *digit += (micros % 10) as u8;
            micros /= 10;
        }
        out.extend_from_slice(&digits);
        out.push(b'Z');
    }
}

/// `2026-01-31T08:15:30` for seconds since 1970.
fn format_second(second: u64) -> String {
    let (year, month, day) = civil_from_days(second / 86_400);
    let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests;

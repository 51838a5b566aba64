//! The log generator: mimics an application that appends random JSON log lines to a file.
//!
//! Owns the lines' format and schedule. Behaves as a decent application does: one write per line, and a
//! rotated file is reopened before the next one. Knows nothing of Redis.

use std::fs::{self, File, OpenOptions};
use std::io::{self, StdoutLock, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::calendar::civil_from_days;
use crate::cli;
use crate::error::{Error, Result};
use crate::talk;

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

/// The longest sleep, so that a signal is soon noticed. Being late by no more than this is not a pause.
const NAP: Duration = Duration::from_millis(50);

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
        if !wait_until(due, stop) {
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
    if due + NAP < now { now + interval } else { due }
}

/// Sleeps until then. False as soon as `stop` is set.
fn wait_until(due: Instant, stop: &AtomicBool) -> bool {
    while !stop.load(Ordering::Relaxed) {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(NAP));
    }
    false
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
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn options(file: PathBuf, count: u64) -> cli::Generate {
        cli::Generate {
            file,
            interval: Duration::ZERO,
            count: Some(count),
            seed: Some(1),
            quiet: true,
        }
    }

    fn generate(options: &cli::Generate) -> Result<()> {
        run(options, &AtomicBool::new(false))
    }

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_is_as_the_design_shows_it() {
        let mut writer = LineWriter::new(Some(1));
        let mut out = Vec::new();
        let now = Duration::from_micros(1_769_847_330_000_000);
        for micros in [123_456, 7, 1_000_000] {
            writer.push_line(now + Duration::from_micros(micros), &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        let stamps = [
            "2026-01-31T08:15:30.123456Z",
            "2026-01-31T08:15:30.000007Z",
            "2026-01-31T08:15:31.000000Z",
        ];
        for (line, stamp) in text.lines().zip(stamps) {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let (kind, message) = (
                value["type"].as_str().unwrap(),
                value["message"].as_str().unwrap(),
            );
            assert!(
                TYPES.contains(&kind) && MESSAGES.contains(&message),
                "{line}"
            );
            let want =
                format!(r#"{{"timestamp":"{stamp}","type":"{kind}","message":"{message}"}}"#);
            assert_eq!(line, want);
        }
    }

    #[test]
    fn a_seed_repeats_a_run() {
        let texts = |seed| {
            let mut out = Vec::new();
            let mut writer = LineWriter::new(Some(seed));
            (0..50).for_each(|_| writer.push_line(Duration::ZERO, &mut out));
            out
        };
        assert_eq!(texts(1), texts(1));
        assert_ne!(texts(1), texts(2));
    }

    #[test]
    fn every_type_and_message_comes_up() {
        let mut out = Vec::new();
        let mut writer = LineWriter::new(Some(3));
        (0..500).for_each(|_| writer.push_line(Duration::ZERO, &mut out));
        let text = String::from_utf8(out).unwrap();
        for word in TYPES.iter().chain(&MESSAGES) {
            assert!(text.contains(word), "{word}");
        }
    }

    #[test]
    fn exactly_count_lines_are_appended_in_blocks_and_one_by_one() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("app.log");
        let mut want = 0;
        for (count, interval) in [(0, 0), (1, 0), (5000, 0), (0, 1), (3, 1)] {
            let interval = Duration::from_millis(interval);
            generate(&cli::Generate {
                interval,
                ..options(path.clone(), count)
            })
            .unwrap();
            want += count as usize;
            assert_eq!(lines(&path).len(), want);
        }
    }

    #[test]
    fn the_schedule_neither_drifts_nor_bursts() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let table = [
            ("on time", 0, 1000, 0, 1000),
            ("a little late", 0, 1000, 30, 1000),
            (
                "later than the next is due, by a nap at most",
                0,
                10,
                60,
                10,
            ),
            ("after a pause", 0, 10, 61, 71),
            ("after a long pause", 1000, 1000, 9500, 10_500),
        ];
        for (what, last, interval, now, want) in table {
            let due = next_due(at(last), Duration::from_millis(interval), at(now));
            assert_eq!(due - start, at(want) - start, "{what}");
        }
    }

    #[test]
    fn a_stop_ends_the_longest_wait() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("app.log");
        let stop = AtomicBool::new(false);
        let slow = cli::Generate {
            interval: Duration::from_secs(3600),
            ..options(path.clone(), 9)
        };
        thread::scope(|scope| {
            let running = scope.spawn(|| run(&slow, &stop));
            while !path.exists() || lines(&path).is_empty() {
                thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
            let asked = Instant::now();
            running.join().unwrap().unwrap();
            assert!(asked.elapsed() < Duration::from_secs(2));
        });
        assert_eq!(lines(&path).len(), 1);
    }

    #[test]
    fn a_rotated_or_removed_file_is_reopened() {
        let dir = TempDir::new().unwrap();
        let (path, old) = (dir.path().join("app.log"), dir.path().join("app.log.1"));
        let mut log = LogFile::open(&path).unwrap();
        log.append(b"1\n").unwrap();
        fs::rename(&path, &old).unwrap();
        log.append(b"2\n").unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"1\n");
        assert_eq!(fs::read(&path).unwrap(), b"2\n");
        fs::remove_file(&path).unwrap();
        log.append(b"3\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"3\n");
    }

    #[test]
    fn a_truncated_file_is_appended_to_from_its_new_end() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("app.log");
        let mut log = LogFile::open(&path).unwrap();
        log.append(b"before\n").unwrap();
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        log.append(b"after\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after\n");
    }

    #[test]
    fn what_cannot_be_written_is_named_with_the_reason() {
        let dir = TempDir::new().unwrap();
        let missing = dir.path().join("none").join("app.log");
        let folder = dir.path().to_owned();
        let (here, none) = (folder.display().to_string(), dir.path().join("none"));
        for (path, want) in [
            (
                missing.clone(),
                format!(
                    "open {}: there is no folder {}; create it first",
                    missing.display(),
                    none.display()
                ),
            ),
            (folder, format!("open {here}: is a directory")),
            (
                "/dev/full".into(),
                "write /dev/full: no space left on device".to_owned(),
            ),
        ] {
            assert_eq!(generate(&options(path, 1)).unwrap_err().to_string(), want);
        }
    }
}

//! The log watcher: its threads, and what they pass to each other.
//!
//!     reader  --batches-->  publisher  --positions-->  checkpoint writer
//!
//! The reader polls and encodes, the publisher commits to Redis, the writer saves positions. Batches come from a pool
//! of a few, so a stalled Redis stops the reading and memory stays flat; meanwhile the log file is the buffer. The
//! calling thread waits for a signal or an end, and shows the progress. The only file that spawns and joins.

mod globs;
mod publisher;
mod reader;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::{Address, Batch};
use crate::checkpoint::{Cadence, Mailbox, Store};
use crate::cli;
use crate::error::{Error, Result};
use crate::position::Progress;
use crate::talk;
use publisher::Publisher;
use reader::Reader;

pub use reader::named_sources;

/// One batch is filled, one waits, one is sent and one executes.
const BATCHES: usize = 4;
/// How long the batch in flight may take to end after a signal.
const GRACE: Duration = Duration::from_millis(1500);
/// How soon a signal is noticed, and how often the progress line is drawn anew.
const TICK: Duration = Duration::from_millis(250);

/// From the reader to the publisher.
enum Work {
    /// A source is to be taken over; the answer is a `Resume`.
    Open(Box<Source>),
    Batch(Box<Batch>),
}

/// What the publisher must know of a watched file.
struct Source {
    /// The absolute path.
    path: PathBuf,
    /// `<host>:<path>`, or `--source`.
    name: String,
    /// What the checkpoint says.
    checkpoint: Option<Progress>,
    /// Where to begin when neither checkpoint nor record says.
    initial: Progress,
}

/// From the publisher to the reader: read this source from here on.
struct Resume {
    source: usize,
    progress: Progress,
    /// Batches of earlier resumptions are void.
    epoch: u64,
}

/// What the threads count, for the progress line and the last word.
#[derive(Default)]
struct Counters {
    lines: AtomicU64,
    /// Lines that reached no subscriber.
    unheard: AtomicU64,
    /// Bytes of the logs, published.
    bytes: AtomicU64,
    /// Bytes that are there and not read yet.
    unread: AtomicU64,
}

/// What the threads share.
struct Shared {
    options: cli::Watch,
    address: Address,
    mailbox: Mailbox,
    counters: Counters,
    /// A signal came, or a thread failed: finish what is in flight, begin nothing new.
    halt: AtomicBool,
}

/// Watches until a signal, or with `--once` to the end of every file.
pub fn run(options: &cli::Watch, stop: &AtomicBool) -> Result<()> {
    let address = Address::parse(&options.redis)?;
    let store = Store::create(&options.state_dir)?;
    let reader = Reader::prepare(options, &store)?;
    if !options.once {
        talk::note(&format!(
            "watching {}, publishing to redis {address}",
            reader.describe()
        ));
    }
    let cadence = Cadence {
        lines: options.checkpoint_lines,
        interval: options.checkpoint_interval,
    };
    let shared = Arc::new(Shared {
        options: options.clone(),
        address,
        mailbox: Mailbox::new(cadence),
        counters: Counters::default(),
        halt: AtomicBool::new(false),
    });
    let started = Instant::now();
    let writer = thread::spawn({
        let (shared, store) = (Arc::clone(&shared), store.clone());
        move || shared.mailbox.write_all(&store)
    });
    let shipped = ship(reader, &shared, stop);
    shared.mailbox.close();
    let written = writer
        .join()
        .unwrap_or_else(|_| Err(Error::Failed("the checkpoint writer panicked".into())));
    talk::progress("");
    talk_last_word(&shared, started.elapsed());
    shipped.and(written)
}

/// Runs reader and publisher to their end.
fn ship(reader: Reader, shared: &Arc<Shared>, stop: &AtomicBool) -> Result<()> {
    let (work_in, work) = mpsc::channel();
    let (pool_in, pool) = mpsc::channel();
    let (resume_in, resume) = mpsc::channel();
    let (ended_in, ended) = mpsc::channel();
    for _ in 0..BATCHES {
        // Cannot fail: the receiver stands in this function.
        let _ = pool_in.send(Box::default());
    }
    let reading = thread::spawn({
        let (shared, ended) = (Arc::clone(shared), ended_in.clone());
        move || _ = ended.send(reader.run(&shared, &work_in, &pool, &resume))
    });
    thread::spawn({
        let shared = Arc::clone(shared);
        move || _ = ended_in.send(Publisher::new(shared, work, pool_in, resume_in).run())
    });
    let result = wait_for_both(&ended, shared, stop);
    // The publisher is not joined: it may hang in a system call on a dead Redis. What it has not heard of as committed
    // is not in the checkpoint, and the next start asks the commit record.
    let read = reading
        .join()
        .map_err(|_| Error::Failed("the reader panicked".into()));
    result.and(read)
}

/// Waits for the reader's and the publisher's end; after a signal or a failure not for long.
fn wait_for_both(
    ended: &mpsc::Receiver<Result<()>>,
    shared: &Shared,
    stop: &AtomicBool,
) -> Result<()> {
    let mut result = Ok(());
    let mut running = 2;
    let mut deadline: Option<Instant> = None;
    let mut progress = ProgressLine::new();
    while running > 0 && deadline.is_none_or(|deadline| Instant::now() < deadline) {
        match ended.recv_timeout(TICK) {
            Ok(end) => {
                running -= 1;
                if end.is_err() {
                    shared.halt.store(true, Relaxed);
                }
                result = result.and(end);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return result.and(Err(Error::Failed(
                    "a thread of the watcher panicked".into(),
                )));
            }
        }
        if stop.load(Relaxed) {
            shared.halt.store(true, Relaxed);
        }
        if shared.halt.load(Relaxed) {
            deadline = deadline.or_else(|| Some(Instant::now() + GRACE));
        }
        progress.draw(&shared.counters);
    }
    result
}

/// The catch-up's one line on a terminal.
struct ProgressLine {
    wanted: bool,
    started: Instant,
    drawn: Instant,
}

/// A backlog shorter than this is gone before one has read of it.
const WORTH_A_LINE: u64 = 16 * 1024 * 1024;
const REDRAW: Duration = Duration::from_millis(500);

impl ProgressLine {
    fn new() -> ProgressLine {
        ProgressLine {
            wanted: talk::wants_progress(),
            started: Instant::now(),
            drawn: Instant::now(),
        }
    }

    fn draw(&mut self, counters: &Counters) {
        if !self.wanted || self.drawn.elapsed() < REDRAW {
            return;
        }
        self.drawn = Instant::now();
        let (done, rest) = (counters.bytes.load(Relaxed), counters.unread.load(Relaxed));
        if rest < WORTH_A_LINE {
            talk::progress("");
            return;
        }
        let lines = counters.lines.load(Relaxed);
        talk::progress(&progress_text(done, rest, lines, self.started.elapsed()));
    }
}

/// Percent, lines a second, and time left, from bytes done and to do.
fn progress_text(done: u64, rest: u64, lines: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let percent = 100.0 * done as f64 / (done + rest).max(1) as f64;
    let left = if done == 0 {
        "?".into()
    } else {
        let left = (rest as f64 / (done as f64 / seconds)) as u64;
        if left >= 3600 {
            format!("{}h{:02}m", left / 3600, left / 60 % 60)
        } else {
            format!("{}m{:02}s", left / 60, left % 60)
        }
    };
    format!(
        "catching up: {percent:.1} %, {:.0} lines/s, {left} left",
        lines as f64 / seconds
    )
}

fn talk_last_word(shared: &Shared, took: Duration) {
    let (lines, unheard) = (
        shared.counters.lines.load(Relaxed),
        shared.counters.unheard.load(Relaxed),
    );
    let heard = if unheard > 0 {
        format!(", of which {unheard} reached no subscriber")
    } else {
        String::new()
    };
    let text = format!(
        "published {lines} lines in {:.1} s{heard}",
        took.as_secs_f64()
    );
    if shared.options.once {
        talk::detail(&text)
    } else {
        talk::note(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_line_says_how_much_how_fast_and_how_long() {
        let second = Duration::from_secs(1);
        assert_eq!(
            progress_text(25, 75, 1000, second),
            "catching up: 25.0 %, 1000 lines/s, 0m03s left"
        );
        assert_eq!(
            progress_text(1, 7200, 10, second),
            "catching up: 0.0 %, 10 lines/s, 2h00m left"
        );
        assert_eq!(
            progress_text(0, 10, 0, second),
            "catching up: 0.0 %, 0 lines/s, ? left"
        );
    }
}

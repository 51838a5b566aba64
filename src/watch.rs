//! The log watcher: its threads, and what they pass to each other.
//!
//!     reader  --batches-->  publisher  --positions-->  checkpoint writer
//!
//! The reader polls and encodes, the publisher commits to Redis, the writer saves positions. Batches come from a pool
//! of a few, so a stalled Redis stops the reading and memory stays flat; meanwhile the log file is the buffer. The
//! reader is the calling thread. The only file that spawns and joins.

mod account;
mod admission;
mod bound;
mod globs;
mod hold;
mod metrics;
mod outage;
mod progress;
mod publisher;
mod reader;
mod refused;
mod report;
mod room;
mod sink;
mod source;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::{Address, Batch};
use crate::checkpoint::{Cadence, Mailbox, Store};
use crate::cli;
use crate::error::{Error, Result};
use crate::file::Surroundings;
use crate::position::{Dates, Progress};
use crate::talk;
use publisher::Publisher;
use reader::Reader;
use report::Reporter;
use source::Source;
use tally::{Counters, Lag};

pub use account::{because, place};
pub use admission::{check_file, named_sources};
pub use globs::{Files, Glob, matches};
pub use refused::count_refused;
pub use source::{dates_of, go_on_from, of_another_log};

/// One batch is filled, one waits, one is sent and one executes.
const BATCHES: usize = 4;
/// How long the batch in flight may take to end after a signal.
const GRACE: Duration = Duration::from_millis(1500);
/// How soon a signal is noticed.
const TICK: Duration = Duration::from_millis(250);

/// From the reader to the publisher.
enum Work {
    /// Sources to be taken over together; each gets an `Answer`.
    Open(Vec<Source>),
    Batch(Box<Batch>),
    End(Ending),
}

/// What is done once the batches before it are through.
enum Ending {
    /// The source is not watched any more: its state goes.
    Close(usize),
    /// The files of these sources (by name) have been gone for long: their commit records go too.
    Forget(Vec<String>),
}

/// From the publisher to the reader.
enum Answer {
    /// A batch that is through, or void: to be filled again.
    Batch(Box<Batch>),
    Resume(Resume),
    /// This source cannot be published, and its state here is gone; the others go on.
    Refused {
        source: usize,
        error: Error,
    },
}

/// Read this source from here on. It may be behind where the reader was, when Redis has lost what it had.
struct Resume {
    source: usize,
    progress: Progress,
    dates: Option<Dates>,
    /// Batches of earlier resumptions are void.
    epoch: u64,
}

/// What the threads share.
struct Shared {
    options: cli::Watch,
    /// The name of the state directory.
    home: u64,
    address: Address,
    mailbox: Mailbox,
    counters: Counters,
    /// A signal came.
    stop: &'static AtomicBool,
    /// The publisher has failed.
    failed: AtomicBool,
}

impl Shared {
    /// Whether to finish what is in flight, and begin nothing new.
    fn halts(&self) -> bool {
        self.stop.load(Relaxed) || self.failed.load(Relaxed)
    }
}

/// Watches until a signal, or with `--once` to the end of every file.
pub fn run(options: &cli::Watch, stop: &'static AtomicBool) -> Result<()> {
    let address = Address::parse(&options.server)?;
    let store = Store::create(&options.state_dir, options.delivery)?;
    let cadence = Cadence {
        lines: options.checkpoint_lines,
        interval: options.checkpoint_interval,
    };
    let shared = Arc::new(Shared {
        options: options.clone(),
        home: store.home()?,
        address,
        mailbox: Mailbox::new(cadence),
        counters: Counters::new(),
        stop,
        failed: AtomicBool::new(false),
    });
    let surroundings = Surroundings::default();
    let reader = Reader::prepare(&shared, &store, &surroundings)?;
    let mut reporter = Reporter::new(&options.report)?;
    if !options.once {
        talk::note(&format!(
            "watching {}, publishing to redis {}",
            reader.describe(),
            shared.address
        ));
    }
    let started = Instant::now();
    let writer = thread::spawn({
        let (shared, store) = (Arc::clone(&shared), store.clone());
        move || shared.mailbox.write_all(&store)
    });
    let mut lags = Vec::new();
    let shipped = ship(reader, &shared, &mut reporter, &mut lags);
    shared.mailbox.close();
    let written = writer
        .join()
        .unwrap_or_else(|_| Err(Error::Failed("the checkpoint writer panicked".into())));
    // Who has seen a progress line wants to see how it ended.
    let is_silent = !talk::progress("") && options.once;
    let tally = shared.counters.tally();
    let last_word = report::last_word(&tally, &lags, started.elapsed());
    if is_silent {
        talk::detail(&last_word);
    } else {
        talk::note(&last_word);
    }
    reporter.finish(tally, &lags);
    shipped.and(written)
}

/// Runs reader and publisher to their end; `lags` is then what they have left unread.
fn ship(
    reader: Reader,
    shared: &Arc<Shared>,
    reporter: &mut Reporter,
    lags: &mut Vec<Lag>,
) -> Result<()> {
    let (work_in, work) = mpsc::channel();
    let (answers_in, answers) = mpsc::channel();
    let (ended_in, ended) = mpsc::channel();
    thread::spawn({
        let shared = Arc::clone(shared);
        move || {
            let result = Publisher::new(Arc::clone(&shared), work, answers_in).run();
            shared.failed.store(result.is_err(), Relaxed);
            let _ = ended_in.send(result);
        }
    });
    let read = reader.run(work_in, &answers, reporter, lags);
    wait_for_publisher(&ended, shared).and(read)
}

/// Waits for the publisher's end; after a signal not for long.
///
/// It is not joined: it may hang in a system call on a dead Redis. What it has not heard of as committed is not in the
/// checkpoint, and the next start asks the commit record.
fn wait_for_publisher(ended: &mpsc::Receiver<Result<()>>, shared: &Shared) -> Result<()> {
    let mut deadline: Option<Instant> = None;
    loop {
        let now = Instant::now();
        if shared.halts() {
            deadline = deadline.or(Some(now + GRACE));
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
        match ended.recv_timeout(left.unwrap_or(TICK).min(TICK)) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) if left.is_some_and(|left| left.is_zero()) => {
                return Ok(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::Failed("the publishing thread panicked".into()));
            }
        }
    }
}

//! Receives what is published to channels.
//!
//! One thread receives, so that Redis is rid of its messages, and one prints what is there by then. A lost connection
//! is made anew; what was published meanwhile is gone, as pub/sub keeps nothing, and that is said.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::destination::Destination;
use super::formatter::Formatter;
use super::{TICK, panicked};
use crate::backoff::Backoff;
use crate::broker::{Address, Failure, Subscription};
use crate::cli;
use crate::error::Result;
use crate::talk;

/// Bytes that wait for a slow reader of ours; then Redis has to wait.
const FULL: usize = 1024 * 1024;
/// What comes within this time is written together.
const TOGETHER: Duration = Duration::from_millis(1);

/// Passes on what arrives until a signal, or `--count` lines.
pub fn run(
    options: &cli::Subscribe,
    address: Address,
    destination: &mut Destination,
    stop: &AtomicBool,
) -> Result<()> {
    let outlet = Arc::new(Outlet::default());
    let receiver = thread::spawn({
        let (options, outlet) = (options.clone(), Arc::clone(&outlet));
        move || {
            let result = receive(&options, &address, &outlet);
            outlet.end();
            result
        }
    });
    outlet.print(destination, &|| {
        stop.load(Relaxed) || receiver.is_finished()
    })?;
    if stop.load(Relaxed) {
        return Ok(());
    }
    receiver.join().unwrap_or_else(|_| Err(panicked()))
}

/// Receives until `--count` lines, or an error that does not heal.
fn receive(options: &cli::Subscribe, address: &Address, outlet: &Outlet) -> Result<()> {
    let mut formatter = Formatter::new(options);
    let mut backoff = Backoff::default();
    let mut gap: Option<Instant> = None;
    let mut listened = false;
    loop {
        let received = Subscription::open(address, &options.patterns).and_then(|subscription| {
            backoff = Backoff::default();
            say_subscribed(options, address, gap.take().filter(|_| listened));
            listened = true;
            subscription.receive(&mut |line| pass_on(line, &mut formatter, outlet))
        });
        match received {
            Ok(()) => return Ok(()),
            Err(Failure::Fatal(error)) => return Err(error),
            Err(other) if gap.is_none() => talk::warn(&format!("{other}; trying again")),
            Err(other) => talk::detail(&other.to_string()),
        }
        gap.get_or_insert_with(Instant::now);
        thread::sleep(backoff.pause());
    }
}

/// False: `--count` lines have been passed on.
fn pass_on(line: &[u8], formatter: &mut Formatter, outlet: &Outlet) -> bool {
    if formatter.wants(line) {
        outlet.put(|out| formatter.push(line, None, out));
    }
    !formatter.is_full()
}

/// The first time this is the sign that from now on nothing is missed; `scripts/start.sh` waits for it.
fn say_subscribed(options: &cli::Subscribe, address: &Address, gap: Option<Instant>) {
    let Some(since) = gap else {
        let patterns = options
            .patterns
            .iter()
            .map(|pattern| pattern.to_string_lossy());
        let patterns = patterns.collect::<Vec<_>>().join(", ");
        return talk::note(&format!("subscribed to {patterns} at redis {address}"));
    };
    talk::warn(&format!(
        "redis {address}: subscribed again after {:.1} s; lines that were published meanwhile, or that Redis still held \
         for this subscriber, are missing here",
        since.elapsed().as_secs_f64()
    ));
}

/// From the thread that receives to the one that prints.
#[derive(Default)]
struct Outlet {
    state: Mutex<Outbox>,
    changed: Condvar,
}

/// What was received and is not printed yet.
#[derive(Default)]
struct Outbox {
    out: Vec<u8>,
    /// The printing thread has nothing to do.
    waits: bool,
    /// Nothing more will come.
    ended: bool,
}

impl Outlet {
    /// Adds what `write` appends; waits while too much is there.
    fn put(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        while state.out.len() >= FULL {
            state = self.wait(state);
        }
        write(&mut state.out);
        if mem::take(&mut state.waits) {
            self.changed.notify_all();
        }
    }

    fn end(&self) {
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// Prints what is put, until the end, or `halts`.
    fn print(&self, destination: &mut Destination, halts: &dyn Fn() -> bool) -> Result<()> {
        let mut block = Vec::new();
        loop {
            let halted = halts();
            let mut state = self.state();
            mem::swap(&mut block, &mut state.out);
            if block.is_empty() {
                if halted || state.ended {
                    return Ok(());
                }
                state.waits = true;
                drop(self.wait(state));
                destination.look_after()?;
                continue;
            }
            drop(state);
            self.changed.notify_all();
            destination.write(&block, &[])?;
            block.clear();
            block.shrink_to(2 * FULL);
            thread::sleep(TOGETHER);
        }
    }

    fn wait<'s>(&self, state: MutexGuard<'s, Outbox>) -> MutexGuard<'s, Outbox> {
        let waited = self.changed.wait_timeout(state, TICK);
        waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
    }

    fn state(&self) -> MutexGuard<'_, Outbox> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

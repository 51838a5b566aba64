//! The log subscriber: receives lines from Redis, runs `parse_log` on each, prints the result.
//!
//! One thread receives, so that Redis is rid of its messages, and one prints what is there by then. A lost connection
//! is made anew; what was published meanwhile is gone, as pub/sub keeps nothing, and that is said.

use std::io::{self, IsTerminal, Write};
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::backoff::Backoff;
use crate::broker::{Address, Failure, Subscription};
use crate::cli::{self, Format};
use crate::error::{Error, Result};
use crate::parse::{Style, Udm, is_machine, parse_log};
use crate::route::Route;
use crate::talk;

/// Bytes that wait for a slow reader of ours; then Redis has to wait.
const FULL: usize = 1024 * 1024;
/// What comes within this time is written together.
const TOGETHER: Duration = Duration::from_millis(1);
/// How soon a signal is noticed.
const TICK: Duration = Duration::from_millis(250);

/// Prints what arrives until a signal, `--count` lines, or a closed pipe.
pub fn run(options: &cli::Subscribe, stop: &AtomicBool) -> Result<()> {
    let address = Address::parse(&options.redis, &options.tls)?;
    if let Some(host) = options.udm_host.as_ref().filter(|host| !is_machine(host)) {
        return Err(Error::Usage(format!(
            "--udm-host: neither a host name nor an address: {host:?}; give one, as in web-1.example.com"
        )));
    }
    if options.count == Some(0) {
        return Ok(());
    }
    let outlet = Arc::new(Outlet::default());
    let receiver = thread::spawn({
        let (options, outlet) = (options.clone(), Arc::clone(&outlet));
        move || {
            let result = receive(&options, &address, &outlet);
            outlet.end();
            result
        }
    });
    outlet.print(&|| stop.load(Relaxed) || receiver.is_finished())?;
    if stop.load(Relaxed) {
        return Ok(());
    }
    let panicked = |_| Err(Error::Failed("the receiving thread panicked".into()));
    receiver.join().unwrap_or_else(panicked)
}

/// Receives until `--count` lines, or an error that does not heal.
fn receive(options: &cli::Subscribe, address: &Address, outlet: &Outlet) -> Result<()> {
    let patterns = options.patterns.iter();
    let patterns: Vec<_> = patterns
        .map(|pattern| pattern.as_bytes().to_vec())
        .collect();
    let mut formatter = Formatter::new(options);
    let mut backoff = Backoff::default();
    let mut gap: Option<Instant> = None;
    let mut listened = false;
    loop {
        let received = Subscription::open(address, &patterns).and_then(|subscription| {
            backoff = Backoff::default();
            say_subscribed(options, address, gap.take().filter(|_| listened));
            listened = true;
            subscription.receive(&mut |line| formatter.pass_on(line, outlet))
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

/// Filters and formats lines.
struct Formatter<'a> {
    options: &'a cli::Subscribe,
    style: Style<'a>,
    route: Route,
    passed: u64,
}

impl<'a> Formatter<'a> {
    fn new(options: &'a cli::Subscribe) -> Formatter<'a> {
        let terminal = io::stdout().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let style = match (options.format, terminal) {
            (Some(Format::Pretty), _) | (None, true) => Style::Pretty {
                colour,
                type_field: &options.type_field,
            },
            (Some(Format::Udm), _) => Style::Udm(Udm {
                type_field: &options.type_field,
                host: options.udm_host.as_deref(),
                origin: None,
                came: 0,
            }),
            (Some(Format::Raw), true) => Style::Escaped,
            (Some(Format::Raw), false) | (None, false) => Style::Bytes,
        };
        Formatter {
            options,
            style,
            route: Route::new("{type}", &options.type_field),
            passed: 0,
        }
    }

    /// False: `--count` lines have been passed on.
    fn pass_on(&mut self, line: &[u8], outlet: &Outlet) -> bool {
        if self.wants(line) {
            let style = self.style_now();
            outlet.put(|out| parse_log(line, style, out));
            self.passed += 1;
        }
        self.options.count.is_none_or(|count| self.passed < count)
    }

    /// An event without a time of its own has the one at which it came.
    fn style_now(&self) -> Style<'a> {
        let Style::Udm(udm) = self.style else {
            return self.style;
        };
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let came = since_1970.unwrap_or_default().as_millis() as u64;
        Style::Udm(Udm { came, ..udm })
    }

    fn wants(&self, line: &[u8]) -> bool {
        let types = &self.options.types;
        types.is_empty() || {
            let kind = self.route.type_of(line);
            types.iter().any(|wanted| wanted.as_bytes() == &*kind)
        }
    }
}

/// From the thread that receives to the one that prints.
#[derive(Default)]
struct Outlet {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
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
    fn print(&self, halts: &dyn Fn() -> bool) -> Result<()> {
        let mut stdout = io::stdout();
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
                continue;
            }
            drop(state);
            self.changed.notify_all();
            let written = stdout.write_all(&block).and_then(|()| stdout.flush());
            written.map_err(|error| Error::stdout(&error))?;
            block.clear();
            block.shrink_to(2 * FULL);
            thread::sleep(TOGETHER);
        }
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let waited = self.changed.wait_timeout(state, TICK);
        waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

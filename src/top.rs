//! `top`: how many lines of each type are published, and how far every source is, as long as one looks on.
//!
//! One thread hears and counts, one asks for the records and looks at the logs that are here, and this one draws; so a Redis
//! that does not answer holds nothing up. `rates` makes rates of counts, `frame` makes lines of both, `screen` owns the
//! terminal.

mod frame;
mod rates;
mod screen;
mod sources;

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::{Address, Failure, Subscription};
use crate::cli;
use crate::error::{Error, Result};
use crate::fault;
use crate::route::Route;
use crate::signal;
use crate::stdout;
use frame::{Shape, View};
use rates::{Counts, Rates};
use screen::Screen;
use sources::LiveSource;

/// How soon a signal, or a window of another size, is noticed.
const SLICE: Duration = Duration::from_millis(50);
/// Between two tries to reach Redis.
const PAUSE: Duration = Duration::from_millis(500);

/// What the threads have found out.
#[derive(Default)]
struct Seen {
    counts: Counts,
    /// None: they were not asked for yet.
    sources: Option<Vec<LiveSource>>,
    /// Why nothing is heard, or nothing is asked, just now.
    deaf: Option<String>,
    blind: Option<String>,
    /// It will be so the next time too.
    fatal: Option<Error>,
}

type SharedSeen = Arc<Mutex<Seen>>;

fn seen(shared: &SharedSeen) -> MutexGuard<'_, Seen> {
    shared
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Shows what is found until a signal, `--count` looks, or a closed pipe.
pub fn run(options: &cli::Top, stop: &'static AtomicBool) -> Result<()> {
    let address = Address::parse(&options.server)?;
    signal::stop_when_hung_up();
    let shared = SharedSeen::default();
    for work in [hear, sources::look_on] {
        let (options, address, shared) = (options.clone(), address.clone(), Arc::clone(&shared));
        thread::spawn(move || work(&options, &address, &shared));
    }
    show(options, &address.to_string(), &shared, stop)
}

fn show(options: &cli::Top, redis: &str, shared: &SharedSeen, stop: &AtomicBool) -> Result<()> {
    let mut canvas = Canvas::open()?;
    let mut rates = Rates::new(Instant::now());
    let mut due = Instant::now() + options.interval;
    let mut left = options.count;
    while left != Some(0) && !stop.load(Relaxed) {
        let mut seen = seen(shared);
        if let Some(error) = seen.fatal.take() {
            return Err(error);
        }
        let has_looked = seen.sources.is_some() || seen.blind.is_some();
        let is_new = Instant::now() >= due && has_looked;
        if is_new {
            fault::panic_point("top-shows");
            rates.take(&seen.counts, Instant::now());
            due = Instant::now() + options.interval;
            left = left.map(|left| left - 1);
        }
        if canvas.wants(is_new) {
            let trouble = seen.deaf.clone().or_else(|| seen.blind.clone());
            let sources = seen.sources.clone().unwrap_or_default();
            drop(seen);
            let trouble = trouble.as_deref();
            canvas.show(&View {
                redis,
                trouble,
                rates: &rates,
                sources: &sources,
            })?;
        } else {
            drop(seen);
        }
        thread::sleep(SLICE);
    }
    Ok(())
}

/// Where frames go.
enum Canvas {
    Screen(Screen),
    /// A table after the other: no terminal, or one that cannot move its cursor.
    Plain,
}

impl Canvas {
    fn open() -> Result<Canvas> {
        let term = std::env::var_os("TERM").unwrap_or_default();
        let is_dumb = term.is_empty() || term == "dumb";
        Ok(if io::stdout().is_terminal() && !is_dumb {
            Canvas::Screen(Screen::open()?)
        } else {
            Canvas::Plain
        })
    }

    fn wants(&mut self, is_new: bool) -> bool {
        match self {
            Canvas::Screen(screen) => screen.has_other_size() || is_new,
            Canvas::Plain => is_new,
        }
    }

    fn show(&mut self, view: &View<'_>) -> Result<()> {
        match self {
            Canvas::Screen(screen) => screen.draw(view),
            Canvas::Plain => {
                let text = frame::lines(view, &Shape::plain()).join("\n") + "\n\n";
                stdout::write(text.as_bytes())
            }
        }
    }
}

/// Counts what is published, through every fault of Redis.
fn hear(options: &cli::Top, address: &Address, shared: &SharedSeen) {
    let route = Route::new("{type}", &options.type_field);
    let hear = || {
        let subscription = Subscription::open(address, &options.patterns)?;
        seen(shared).deaf = None;
        subscription.receive(&mut |line| {
            seen(shared).counts.add(&route.type_of(line));
            true
        })
    };
    retry(shared, |seen| &mut seen.deaf, hear);
}

/// Does it again and again, through every fault of Redis; `trouble` is where it is said why it fails just now.
fn retry(
    shared: &SharedSeen,
    trouble: fn(&mut Seen) -> &mut Option<String>,
    mut work: impl FnMut() -> Result<(), Failure>,
) {
    loop {
        match work() {
            Ok(()) => return,
            Err(Failure::Fatal(error)) => return seen(shared).fatal = Some(error),
            Err(failure) => *trouble(&mut seen(shared)) = Some(format!("{failure}; trying again")),
        }
        thread::sleep(PAUSE);
    }
}

//! The log subscriber: receives lines from Redis, runs `parse_log` on each, prints the result.
//!
//! It writes in blocks while more is waiting, and at once when not. A lost connection is made anew; what was published
//! meanwhile is gone, as pub/sub keeps nothing, and that is said.

use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::{Address, Failure, Subscription};
use crate::cli::{self, Format};
use crate::error::{Error, Result};
use crate::parse::{Style, parse_log};
use crate::route::Route;
use crate::talk;

/// Bytes collected before they are written while more is waiting.
const BLOCK: usize = 64 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const SLICE: Duration = Duration::from_millis(20);

/// Prints what arrives until a signal, `--count` lines, or a closed pipe.
pub fn run(options: &cli::Subscribe, stop: &AtomicBool) -> Result<()> {
    let address = Address::parse(&options.redis)?;
    let patterns: Vec<_> = options
        .patterns
        .iter()
        .map(|pattern| pattern.as_bytes().to_vec())
        .collect();
    let mut printer = Printer::new(options);
    let mut pause = FIRST_PAUSE;
    let mut gap: Option<Instant> = None;
    while !stop.load(Relaxed) && options.count != Some(0) {
        let lost = match Subscription::open(&address, &patterns, stop) {
            Ok(mut subscription) => {
                pause = FIRST_PAUSE;
                match gap.take() {
                    Some(since) => talk::warn(&format!(
                        "redis {address}: subscribed again; lines published in the last {:.1} s are missing here",
                        since.elapsed().as_secs_f64()
                    )),
                    None => talk::detail(&format!("redis {address}: subscribed")),
                }
                match printer.print_all(&mut subscription, stop) {
                    Ok(()) => return Ok(()),
                    Err(Ended::Output(error)) => return Err(error),
                    Err(Ended::Redis(failure)) => failure,
                }
            }
            Err(failure) => failure,
        };
        match lost {
            Failure::Fatal(error) => return Err(error),
            other if gap.is_none() => talk::warn(&format!("{other}; trying again")),
            other => talk::detail(&other.to_string()),
        }
        gap.get_or_insert_with(Instant::now);
        let until = Instant::now() + pause;
        pause = (pause * 2).min(LONGEST_PAUSE);
        while Instant::now() < until && !stop.load(Relaxed) {
            thread::sleep(SLICE);
        }
    }
    Ok(())
}

/// Why printing ended before its time.
enum Ended {
    Output(Error),
    Redis(Failure),
}

/// Filters, formats and writes lines.
struct Printer<'a> {
    options: &'a cli::Subscribe,
    style: Style<'a>,
    route: Route,
    out: Vec<u8>,
    printed: u64,
}

impl<'a> Printer<'a> {
    fn new(options: &'a cli::Subscribe) -> Printer<'a> {
        let terminal = io::stdout().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let style = match (options.format, terminal) {
            (Some(Format::Pretty), _) | (None, true) => Style::Pretty {
                colour,
                type_field: &options.type_field,
            },
            (Some(Format::Raw), true) => Style::Escaped,
            (Some(Format::Raw), false) | (None, false) => Style::Bytes,
        };
        let route = Route::new("{type}", &options.type_field);
        Printer {
            options,
            style,
            route,
            out: Vec::with_capacity(2 * BLOCK),
            printed: 0,
        }
    }

    /// Prints until a signal or `--count`.
    fn print_all(
        &mut self,
        subscription: &mut Subscription,
        stop: &AtomicBool,
    ) -> Result<(), Ended> {
        loop {
            while let Some(message) = subscription.next().map_err(Ended::Redis)? {
                if self.wants(message.payload) {
                    parse_log(message.payload, self.style, &mut self.out);
                    self.printed += 1;
                }
                if self
                    .options
                    .count
                    .is_some_and(|count| self.printed >= count)
                {
                    return self.flush();
                }
                if self.out.len() >= BLOCK {
                    self.flush()?;
                }
            }
            self.flush()?;
            if stop.load(Relaxed) {
                return Ok(());
            }
            subscription.wait().map_err(Ended::Redis)?;
        }
    }

    fn wants(&self, line: &[u8]) -> bool {
        let types = &self.options.types;
        types.is_empty() || {
            let kind = self.route.type_of(line);
            types.iter().any(|wanted| wanted.as_bytes() == &*kind)
        }
    }

    fn flush(&mut self) -> Result<(), Ended> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.out).and_then(|()| stdout.flush());
        self.out.clear();
        written.map_err(|error| Ended::Output(Error::stdout(&error)))
    }
}

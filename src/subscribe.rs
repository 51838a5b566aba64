//! The log subscriber: receives lines from Redis, runs `parse_log` on each, and passes them on.
//!
//! One thread receives, as `--mode` says (`pubsub`, `stream` and `group`, `list`), and one writes to the `destination`.
//! What can be acknowledged is acknowledged when it is out, and not before.

mod destination;
mod formatter;
mod group;
mod list;
mod output;
mod passage;
mod place;
mod pubsub;
mod relay;
mod retry;
mod runs;
mod stream;

use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use crate::broker::{Address, Consumer, Id, Shelf};
use crate::child::{Fed, host_name};
use crate::cli::{self, Mode};
use crate::error::{Error, Result};
use crate::parse::is_machine;
use destination::Destination;
use formatter::Formatter;
use output::Output;
use passage::Passage;
use place::{At, Place};

/// How soon a signal is noticed.
const TICK: Duration = Duration::from_millis(250);
/// How long Redis is asked to wait for the next line: so a signal is noticed, and a dead connection.
const WAIT: Duration = Duration::from_millis(250);

/// Passes on what arrives until a signal, `--count` lines, or a closed pipe.
pub fn run(options: &cli::Subscribe, stop: &AtomicBool) -> Result<()> {
    let address = Address::parse(&options.server)?;
    if let Some(host) = options.udm_host.as_ref().filter(|host| !is_machine(host)) {
        return Err(Error::Usage(format!(
            "--udm-host: neither a host name nor an address: {host:?}; give one, as in web-1.example.com"
        )));
    }
    if options.count == Some(0) {
        return Ok(());
    }
    if options.mode == Mode::Pubsub {
        let mut destination = open_destination(options)?;
        pubsub::run(options, address, &mut destination, stop)?;
        return destination.finish();
    }
    let consumer = match &options.consumer {
        Some(name) => name.clone(),
        None => host_name("name the consumer with --consumer")?,
    };
    let mut destination = open_destination(options)?;
    let place = restore_place(options, &consumer, &destination)?;
    let (relay, intake) = relay::pair();
    let passage = Passage::new(Formatter::new(options), relay, place, stop);
    thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(options, &address, &consumer, passage, stop));
        let written = intake.pass_on(&mut destination);
        let received = receiver.join().unwrap_or_else(|_| Err(panicked()));
        written.and(received)
    })?;
    destination.finish()
}

fn open_destination(options: &cli::Subscribe) -> Result<Destination> {
    Ok(match (&options.output, &options.exec) {
        (Some(path), _) => {
            let keeps_place = options.mode != Mode::Pubsub;
            Destination::File(Box::new(Output::open(path, keeps_place)?))
        }
        (None, Some(command)) => Destination::Command(Fed::start(command)?),
        (None, None) => Destination::Stdout,
    })
}

/// The one key that is read.
fn key_of(options: &cli::Subscribe) -> &[u8] {
    options
        .patterns
        .first()
        .map_or(b"", |pattern| pattern.as_bytes())
}

/// How far the file takes us. None: the lines go where no place can be kept.
fn restore_place(
    options: &cli::Subscribe,
    consumer: &str,
    destination: &Destination,
) -> Result<Option<Place>> {
    let (Destination::File(output), Some(path)) = (destination, &options.output) else {
        return Ok(None);
    };
    let key = key_of(options).escape_ascii();
    let (what, at) = match (options.mode, &options.group) {
        (Mode::List, _) => {
            let none = At::List {
                block: 0,
                elements: 0,
            };
            (format!("list {key} consumer {consumer}"), none)
        }
        (_, Some(group)) => (format!("stream {key} group {group}"), At::Stream(Id::START)),
        (_, None) => (format!("stream {key}"), At::Stream(Id::START)),
    };
    let what = what.escape_default().to_string();
    let start = Place::start(what, at);
    if output.place().is_empty() {
        return Ok(Some(start));
    }
    start
        .parse(output.place())
        .map(Some)
        .map_err(|why| output::malformed(path, &why))
}

fn receive(
    options: &cli::Subscribe,
    address: &Address,
    consumer: &str,
    passage: Passage,
    stop: &AtomicBool,
) -> Result<()> {
    let key = key_of(options);
    match (options.mode, &options.group) {
        (Mode::List, _) => list::Taker::new(address, Shelf::new(key, consumer), passage).run(stop),
        (_, Some(group)) => {
            let consumer = Consumer {
                key: key.to_vec(),
                group: group.clone(),
                name: consumer.to_owned(),
            };
            group::Grouped::new(options, address, consumer, passage).run(stop)
        }
        (_, None) => stream::Follower::new(options, address, key, passage).run(stop),
    }
}

fn panicked() -> Error {
    Error::Failed("the receiving thread panicked".into())
}

//! The log subscriber: receives lines from Redis, runs `parse_log` on each, and passes them on.
//!
//! One thread receives, as `--mode` says (`pubsub`, `stream` and `group`, `list`), and one writes to the `destination`.
//! What can be acknowledged is acknowledged when it is out, and not before: so blocks go there and come back (`relay`).
//! `pubsub` has nothing to acknowledge, and one buffer that is swapped.

mod destination;
mod formatter;
mod group;
mod list;
mod missing;
mod output;
mod passage;
mod place;
mod pubsub;
mod relay;
mod retry;
mod runs;
mod stream;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::broker::{Address, Consumer, Id, Shelf};
use crate::child::{Fed, host_name};
use crate::cli::{self, Mode};
use crate::error::{Error, Result};
use crate::parse::is_machine;
use crate::signal;
use destination::Destination;
use formatter::Formatter;
use output::Output;
use passage::Passage;
use place::{At, OutputPlace};
use relay::Relay;

/// How soon a signal is noticed.
const TICK: Duration = Duration::from_millis(250);
/// How long Redis is asked to wait for the next line: so a signal is noticed, and a dead connection.
const WAIT: Duration = Duration::from_millis(250);
/// When nobody takes lines any more, Redis may be told what was taken within this time.
const LAST_WORD: Duration = Duration::from_millis(500);
/// The one consumer of a group that a file has for itself.
const FILE: &str = "file";

/// Passes on what arrives until a signal, `--count` lines, or a closed pipe.
pub fn run(options: &cli::Subscribe, stop: &'static AtomicBool) -> Result<()> {
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
    let place = restore_place(options, &consumer, &mut destination)?;
    let (relay, intake) = relay::pair();
    let receiver = thread::spawn({
        let options = options.clone();
        move || receive(&options, &address, consumer, relay, place, stop)
    });
    if let Err(error) = intake.pass_on(&mut destination) {
        wait_a_moment(&receiver);
        return Err(error);
    }
    receiver.join().unwrap_or_else(|_| Err(panicked()))?;
    destination.finish()
}

/// The end does not wait for a Redis that is away.
fn wait_a_moment(receiver: &JoinHandle<Result<()>>) {
    signal::sleep_until(Instant::now() + LAST_WORD, || receiver.is_finished());
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
    destination: &mut Destination,
) -> Result<Option<OutputPlace>> {
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
    let mut place = OutputPlace::start(what, at);
    if !output.place().is_empty() {
        let parsed = place.parse(output.place());
        place = parsed.map_err(|why| output::malformed(path, &why))?;
    }
    let has_own = options.mode == Mode::Stream && options.group.is_none() && !options.no_group;
    if has_own && place.group.is_none() {
        // Kept before it is made, so that no group is left behind that nobody knows.
        place.group = Some(own_group(path));
        let mut text = Vec::new();
        place.write(&mut text);
        output.write(&[], &text)?;
    }
    Ok(Some(place))
}

/// A name that tells people whose it is, and is no other file's of that name.
fn own_group(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("{}:{:08x}", name.escape_default(), fastrand::u32(..))
}

fn receive(
    options: &cli::Subscribe,
    address: &Address,
    name: String,
    relay: Relay,
    place: Option<OutputPlace>,
    stop: &AtomicBool,
) -> Result<()> {
    let key = key_of(options);
    let own = place.as_ref().and_then(|place| place.group.clone());
    let own = own.filter(|_| !options.no_group);
    let own = own.map(|group| (group, FILE.to_owned()));
    let group = options.group.clone().map(|group| (group, name.clone()));
    let passage = Passage::new(Formatter::new(options), relay, place, stop);
    match (options.mode, group.or(own)) {
        (Mode::List, _) => list::Taker::new(address, Shelf::new(key, &name), passage).run(stop),
        (_, Some((group, name))) => {
            let key = key.to_vec();
            let consumer = Consumer { key, group, name };
            group::Grouped::new(options, address, consumer, passage).run(stop)
        }
        (_, None) => stream::Follower::new(options, address, key, passage).run(stop),
    }
}

fn panicked() -> Error {
    Error::Failed("the receiving thread panicked".into())
}

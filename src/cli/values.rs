//! What flags take: the words of those that take one of a few, and what is read out of the others' texts.

use std::time::Duration;

use super::args::Args;
use crate::error::Result;
use crate::route::is_type;

pub const NAME: &str = "give a name";
pub const FIELDS: &str = "give the names of top-level JSON fields, as in type,level";
pub const TYPES: &str = "give one or more, as in ERROR,WARNING";
pub const HOST: &str = "give a host name or an address";
pub const FOLDER: &str = "give a folder";
pub const GLOB: &str = "give a glob, as in '*.gz'";
pub const TARGET: &str = "give a channel or key, as in logs:{type}";

/// How a line becomes a Redis command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pubsub,
    Stream,
    List,
}

impl Mode {
    /// The mode's word on the command line and in a commit record; of a key also Redis' own.
    pub const fn word(self) -> &'static str {
        match self {
            Mode::Pubsub => "pubsub",
            Mode::Stream => "stream",
            Mode::List => "list",
        }
    }
}

pub const MODES: &[(&str, Mode)] = &[
    (Mode::Pubsub.word(), Mode::Pubsub),
    (Mode::Stream.word(), Mode::Stream),
    (Mode::List.word(), Mode::List),
];

/// Where lines go that no --target sends elsewhere.
pub fn default_target(mode: Mode) -> &'static str {
    match mode {
        Mode::Pubsub => "logs:{type}",
        Mode::Stream | Mode::List => "logs",
    }
}

/// Whether lines and position are one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    ExactlyOnce,
    AtLeastOnce,
}

pub const DELIVERIES: &[(&str, Delivery)] = &[
    ("exactly-once", Delivery::ExactlyOnce),
    ("at-least-once", Delivery::AtLeastOnce),
];

/// Where to begin in a file that has neither checkpoint nor commit record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Start,
    End,
}

pub const PLACES: &[(&str, From)] = &[("start", From::Start), ("end", From::End)];

/// Which subscribers are waited for (`pubsub`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Those who have much to read.
    Slow,
    /// These, and the first one where there is none.
    Absent,
    Off,
}

pub const HOLDS: &[(&str, Hold)] = &[
    ("slow", Hold::Slow),
    ("absent", Hold::Absent),
    ("off", Hold::Off),
];

/// What to do when a stream or list is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    Wait,
    DropOldest,
}

pub const WHEN_FULL: &[(&str, WhenFull)] = &[
    ("wait", WhenFull::Wait),
    ("drop-oldest", WhenFull::DropOldest),
];

/// What of a stream is kept that every group has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retain {
    Lines(u64),
    Age(Duration),
}

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

/// How the line of figures is written: whether it is JSON.
pub const REPORT_FORMATS: &[(&str, bool)] = &[("text", false), ("json", true)];

/// How `subscribe` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Raw,
    Pretty,
    Udm,
}

pub const FORMATS: &[(&str, Format)] = &[
    ("raw", Format::Raw),
    ("pretty", Format::Pretty),
    ("udm", Format::Udm),
];

/// Saturates where a machine's `usize` is smaller: no batch is that long.
pub fn batch_lines(args: &mut Args) -> Result<usize> {
    let lines = args.number_above_zero()?;
    Ok(usize::try_from(lines).unwrap_or(usize::MAX))
}

pub fn read_types(text: &str) -> Result<Vec<String>, &'static str> {
    let types: Vec<String> = text.split(',').map(str::to_owned).collect();
    let all_fit = types.iter().all(|kind| is_type(kind.as_bytes()));
    all_fit
        .then_some(types)
        .ok_or("not a list of types (1 to 64 of A-Za-z0-9_.- each)")
}

pub fn read_fields(text: &str) -> Result<String, &'static str> {
    let is_named = text.split(',').all(|field| !field.is_empty());
    is_named.then(|| text.to_owned()).ok_or("a name is empty")
}

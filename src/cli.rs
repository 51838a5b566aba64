//! The command line: arguments to a `Command`, and the help texts.
//!
//! Pure: takes the arguments and the environment's few names through a function, touches neither files nor Redis.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};

/// What the user asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Generate(Generate),
    Watch(Watch),
    Subscribe(Subscribe),
    Status(Status),
    /// Print this help text and exit 0.
    Help(&'static str),
    Version,
}

/// `tailcast generate [FILE]`
#[derive(Debug, Clone, PartialEq)]
pub struct Generate {
    /// `-` is standard output.
    pub file: PathBuf,
    /// Zero: as fast as it goes, in blocks.
    pub interval: Duration,
    /// None: until a signal.
    pub count: Option<u64>,
    pub seed: Option<u64>,
    pub quiet: bool,
}

/// How a line becomes a Redis command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pubsub,
    Stream,
    List,
}

/// Whether lines and position are one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    ExactlyOnce,
    AtLeastOnce,
}

/// Where to begin in a file that has neither checkpoint nor commit record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Start,
    End,
}

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

/// `tailcast watch FILE...`
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// As given: paths, or globs in the last component. Never empty.
    pub files: Vec<PathBuf>,
    pub once: bool,
    pub redis: String,
    pub mode: Mode,
    /// May hold `{type}`.
    pub target: String,
    pub type_field: String,
    pub source: Option<String>,
    pub state_dir: PathBuf,
    pub from: From,
    pub reset: bool,
    pub poll: Duration,
    pub rotate_wait: Duration,
    pub checkpoint_lines: u64,
    pub checkpoint_interval: Duration,
    pub batch_lines: usize,
    /// Bytes, without the newline.
    pub max_line: u64,
    pub delivery: Delivery,
    pub timeout: Duration,
    pub verbosity: Verbosity,
}

/// How `subscribe` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Raw,
    Pretty,
}

/// `tailcast subscribe [PATTERN...]`
#[derive(Debug, Clone, PartialEq)]
pub struct Subscribe {
    pub patterns: Vec<OsString>,
    pub redis: String,
    /// None: `Pretty` on a terminal, `Raw` elsewhere.
    pub format: Option<Format>,
    /// Empty: every type.
    pub types: Vec<String>,
    pub type_field: String,
    pub count: Option<u64>,
}

/// `tailcast status FILE...`
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub files: Vec<PathBuf>,
    pub redis: String,
    pub source: Option<String>,
    pub state_dir: PathBuf,
    pub json: bool,
    /// Bytes.
    pub max_lag: Option<u64>,
}

/// Reads a command line, without the program's own name. `env` looks a variable up.
pub fn parse(_args: Vec<OsString>, _env: &dyn Fn(&str) -> Option<OsString>) -> Result<Command> {
    Err(Error::Usage("not written yet".into()))
}

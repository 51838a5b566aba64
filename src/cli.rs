//! The command line: arguments to a `Command`, and the help texts.
//!
//! Pure: takes the arguments and the environment's few names through a function, touches neither files nor Redis.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use args::{closest, shown, usage};

mod args;
mod help;
mod options;

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

/// The commands, for `help` and for those who mistype one.
const COMMANDS: [&str; 5] = ["generate", "watch", "subscribe", "status", "help"];

/// Looks an environment variable up.
type Env<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// Reads a command line, without the program's own name. `env` looks a variable up. Errors are all `Error::Usage`.
pub fn parse(args: Vec<OsString>, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Command> {
    let mut args = args.into_iter();
    let Some(name) = args.next() else {
        return Err(usage(help::USAGE.to_owned()));
    };
    let rest: Vec<OsString> = args.collect();
    match name.to_str() {
        Some("-h" | "--help") => return Ok(Command::Help(help::TAILCAST)),
        Some("-V" | "--version") => return Ok(Command::Version),
        Some("help") => return help_on(rest.first().map(OsString::as_os_str)),
        _ => {}
    }
    let Some(text) = help_text(&name) else {
        return Err(unknown_command(&name));
    };
    if let Some(command) = asked_instead(&rest, text) {
        return Ok(command);
    }
    options::parse(&name, rest, env)
}

/// `help` or `version` asked for behind a command: whatever else stands there, that is what is wanted.
fn asked_instead(rest: &[OsString], text: &'static str) -> Option<Command> {
    let flags = rest.iter().take_while(|arg| *arg != "--");
    flags
        .filter_map(|arg| arg.to_str())
        .find_map(|arg| match arg {
            "-h" | "--help" => Some(Command::Help(text)),
            "-V" | "--version" => Some(Command::Version),
            _ => None,
        })
}

fn help_on(topic: Option<&OsStr>) -> Result<Command> {
    let text = match topic {
        None => Some(help::TAILCAST),
        Some(topic) if ["help", "-h", "--help"].iter().any(|word| topic == *word) => {
            Some(help::TAILCAST)
        }
        Some(topic) => help_text(topic),
    };
    text.map(Command::Help)
        .ok_or_else(|| unknown_command(topic.unwrap_or_default()))
}

fn help_text(command: &OsStr) -> Option<&'static str> {
    match command.to_str()? {
        "generate" => Some(help::GENERATE),
        "watch" => Some(help::WATCH),
        "subscribe" => Some(help::SUBSCRIBE),
        "status" => Some(help::STATUS),
        _ => None,
    }
}

fn unknown_command(name: &OsStr) -> Error {
    let kind = if name.as_encoded_bytes().starts_with(b"-") {
        "flag before the command"
    } else {
        "command"
    };
    let meant = match name.to_str().and_then(|name| closest(name, &COMMANDS)) {
        Some(command) => format!("did you mean {command}? "),
        None => String::new(),
    };
    usage(format!(
        "unknown {kind}: {}; {meant}the commands are {}",
        shown(name),
        COMMANDS.join(", ")
    ))
}

#[cfg(test)]
mod tests;

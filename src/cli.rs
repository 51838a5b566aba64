//! The command line: arguments to a `Command`, and the help texts.
//!
//! Pure: takes the arguments and the environment's few names through a function, touches neither files nor Redis.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use args::{Arg, Args, closest, shown, usage};
use completions::Shell;

mod args;
mod completions;
mod consuming;
mod help;
mod man;
mod options;
mod outline;

/// What the user asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Generate(Generate),
    Watch(Box<Watch>),
    Subscribe(Subscribe),
    Status(Status),
    Check(Box<Check>),
    Top(Top),
    /// Print this help text and exit 0.
    Help(&'static str),
    /// Print what was made of the help texts: the manual page, or a shell's completions.
    Page(String),
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

/// Which subscribers are waited for (`pubsub`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Those who have much to read.
    Slow,
    /// These, and the first one where there is none.
    Absent,
    Off,
}

/// What to do when a stream or list is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    Wait,
    DropOldest,
}

/// What of a stream is kept that every group has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retain {
    Lines(u64),
    Age(Duration),
}

/// How much may lie in Redis (`stream` and `list`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// So many lines that nobody has taken or acknowledged make a key full.
    pub max: u64,
    pub when_full: WhenFull,
    pub retain: Retain,
    /// Whether a flag says so: then it is not done without.
    pub is_asked_for: bool,
}

/// The files that `rediss://` takes, in PEM. None: the system's authorities, and no certificate of ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// The authorities that may have signed the server's certificate.
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

/// What a watcher says of itself while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// How often a line of figures is written to standard error.
    pub stats: Option<Duration>,
    /// The line is JSON.
    pub is_json: bool,
    /// Where the figures are kept for Prometheus.
    pub metrics: Option<PathBuf>,
}

/// `tailcast watch FILE...`
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// As given: paths, or globs. Never empty.
    pub files: Vec<PathBuf>,
    /// Globs of what a glob of `files` leaves out.
    pub exclude: Vec<PathBuf>,
    /// Where rotated files are, besides beside the log; relative ones are relative to the log's folder.
    pub rotated: Vec<PathBuf>,
    pub once: bool,
    pub redis: String,
    pub tls: Tls,
    pub mode: Mode,
    /// May hold `{type}`.
    pub target: String,
    /// Several have commas between them.
    pub type_field: String,
    pub source: Option<String>,
    pub state_dir: PathBuf,
    pub from: From,
    pub reset: bool,
    pub poll: Duration,
    pub rotate_wait: Duration,
    /// How long the state of a log that is gone is kept.
    pub forget_after: Duration,
    pub checkpoint_lines: u64,
    pub checkpoint_interval: Duration,
    pub batch_lines: usize,
    /// Bytes, without the newline.
    pub max_line: u64,
    pub delivery: Delivery,
    pub hold: Hold,
    /// How long a subscriber that does not move is waited for.
    pub hold_for: Duration,
    pub backlog: Backlog,
    pub timeout: Duration,
    pub report: Report,
    pub verbosity: Verbosity,
}

/// How `subscribe` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Raw,
    Pretty,
    Udm,
}

/// `tailcast subscribe [PATTERN...]`
#[derive(Debug, Clone, PartialEq)]
pub struct Subscribe {
    /// What to read. In `stream` and `list` mode it is one, the key. Never empty.
    pub patterns: Vec<OsString>,
    pub mode: Mode,
    /// Only in `stream` mode.
    pub group: Option<String>,
    /// None: the name of the host.
    pub consumer: Option<String>,
    /// How long a consumer of the group is silent before others take what it left.
    pub claim_after: Duration,
    /// Where to begin in a stream.
    pub from: From,
    /// Where the lines go; neither this nor `exec`: standard output.
    pub output: Option<PathBuf>,
    pub exec: Option<OsString>,
    pub redis: String,
    pub tls: Tls,
    /// None: `Pretty` on a terminal, `Raw` elsewhere.
    pub format: Option<Format>,
    /// Empty: every type.
    pub types: Vec<String>,
    pub type_field: String,
    /// With `Udm`: the machine that lines come from, where nothing else tells.
    pub udm_host: Option<String>,
    pub count: Option<u64>,
}

/// `tailcast status FILE...`
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub files: Vec<PathBuf>,
    pub exclude: Vec<PathBuf>,
    pub rotated: Vec<PathBuf>,
    pub redis: String,
    pub tls: Tls,
    pub source: Option<String>,
    /// The watcher's, where it keeps the lines in a Redis Cluster: the record is with them.
    pub target: String,
    pub state_dir: PathBuf,
    pub json: bool,
    /// Bytes.
    pub max_lag: Option<u64>,
}

/// `tailcast check FILE...`
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// As `watch` would be run.
    pub watch: Watch,
    /// Where logrotate's configuration begins.
    pub logrotate: PathBuf,
    pub json: bool,
}

/// `tailcast top [PATTERN...]`
#[derive(Debug, Clone, PartialEq)]
pub struct Top {
    pub patterns: Vec<OsString>,
    pub redis: String,
    pub tls: Tls,
    pub type_field: String,
    pub rotated: Vec<PathBuf>,
    pub interval: Duration,
    /// Refreshes, then the end. None: until a signal.
    pub count: Option<u64>,
}

/// A command: its name, its help text, and what reads the arguments behind it.
struct Entry {
    name: &'static str,
    help: &'static str,
    parse: fn(Args, Env) -> Result<Command>,
}

const ENTRIES: [Entry; 6] = [
    Entry {
        name: "generate",
        help: help::GENERATE,
        parse: |args, _| options::generate(args).map(Command::Generate),
    },
    Entry {
        name: "watch",
        help: help::WATCH,
        parse: |args, env| options::watch(args, env).map(|watch| Command::Watch(Box::new(watch))),
    },
    Entry {
        name: "subscribe",
        help: help::SUBSCRIBE,
        parse: |args, env| options::subscribe(args, env).map(Command::Subscribe),
    },
    Entry {
        name: "status",
        help: help::STATUS,
        parse: |args, env| options::status(args, env).map(Command::Status),
    },
    Entry {
        name: "check",
        help: help::CHECK,
        parse: |args, env| options::check(args, env).map(|check| Command::Check(Box::new(check))),
    },
    Entry {
        name: "top",
        help: help::TOP,
        parse: |args, env| options::top(args, env).map(Command::Top),
    },
];

const SHELLS: &[(&str, Shell)] = &[
    ("bash", Shell::Bash),
    ("zsh", Shell::Zsh),
    ("fish", Shell::Fish),
];

/// Looks an environment variable up.
type Env<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// Reads a command line, without the program's own name. `env` looks a variable up.
/// Every error is an `Error::Usage`.
pub fn parse(args: Vec<OsString>, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Command> {
    let mut args = args.into_iter();
    let Some(name) = args.next() else {
        return Err(Error::NothingAsked(help::USAGE));
    };
    let rest: Vec<OsString> = args.collect();
    match name.to_str() {
        Some("-h" | "--help") => Ok(Command::Help(help::TAILCAST)),
        Some("-V" | "--version") => Ok(Command::Version),
        Some("help") => help_on(&rest),
        _ => {
            let entry = find_entry(&name)?;
            asked_instead(&rest, entry.help).map_or_else(|| (entry.parse)(Args::new(rest), env), Ok)
        }
    }
}

/// Help or version asked for behind a command: whatever else stands there, that is what is wanted.
fn asked_instead(rest: &[OsString], help: &'static str) -> Option<Command> {
    let flags = rest.iter().take_while(|arg| *arg != "--");
    flags
        .filter_map(|arg| arg.to_str())
        .find_map(|arg| match arg {
            "-h" | "--help" => Some(Command::Help(help)),
            "-V" | "--version" => Some(Command::Version),
            _ => None,
        })
}

fn help_on(topics: &[OsString]) -> Result<Command> {
    match topics {
        [] => Ok(Command::Help(help::TAILCAST)),
        [flag, ..] if flag.as_bytes().starts_with(b"--") && flag != "--help" => page(topics),
        [topic] if ["help", "-h", "--help"].iter().any(|word| topic == word) => {
            Ok(Command::Help(help::TAILCAST))
        }
        [topic] => Ok(Command::Help(find_entry(topic)?.help)),
        [_, extra, ..] => Err(usage(format!(
            "help: takes one COMMAND; too many: {}",
            shown(extra)
        ))),
    }
}

/// `tailcast help --man` and `--completions SHELL`.
fn page(topics: &[OsString]) -> Result<Command> {
    let texts = ENTRIES.map(|entry| (entry.name, entry.help));
    let mut args = Args::new(topics.to_vec());
    let mut page = None;
    while let Some(arg) = args.next()? {
        page = Some(match arg {
            Arg::Flag(flag) if flag == "--man" => man::page(help::TAILCAST, &texts),
            Arg::Flag(flag) if flag == "--completions" => {
                let shell = args.choice("not a shell that we know", SHELLS)?;
                completions::script(shell, help::TAILCAST, &texts)
            }
            Arg::Flag(flag) => {
                return Err(usage(format!(
                    "help: unknown flag: {}; give --man, --completions, or a COMMAND",
                    shown(OsStr::new(&flag))
                )));
            }
            Arg::Operand(extra) => {
                return Err(usage(format!(
                    "help: nothing goes with it: {}",
                    shown(&extra)
                )));
            }
        });
    }
    Ok(page.map_or(Command::Help(help::TAILCAST), Command::Page))
}

fn find_entry(name: &OsStr) -> Result<&'static Entry> {
    ENTRIES
        .iter()
        .find(|entry| name == entry.name)
        .ok_or_else(|| unknown_command(name))
}

fn unknown_command(name: &OsStr) -> Error {
    let names = ENTRIES.map(|entry| entry.name);
    let meant = match name.to_str().and_then(|name| closest(name, &names)) {
        Some(command) => format!("did you mean {command}? "),
        None => String::new(),
    };
    let list = names.join(", ");
    usage(format!(
        "unknown command: {}; {meant}the commands are {list}, help",
        shown(name)
    ))
}

#[cfg(test)]
mod tests;

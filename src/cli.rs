//! The command line: arguments to a `Command`, and the help texts.
//!
//! Pure: takes the arguments and the environment's few names through a function, touches neither files nor Redis.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use args::{Arg, Args, closest, shown, usage};
use flags::help;

pub use check::Check;
pub use generate::Generate;
pub use server::Server;
pub use status::Status;
pub use subscribe::Subscribe;
pub use top::Top;
pub use values::{Delivery, Format, From, Hold, MODES, Mode, Retain, Verbosity, WhenFull};
pub use watch::{Bounds, Report, Watch};

mod args;
mod check;
mod completions;
mod flags;
mod generate;
mod help;
mod man;
mod outline;
mod server;
mod status;
mod subscribe;
mod top;
mod values;
mod watch;

/// What the user asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Generate(Generate),
    Watch(Box<Watch>),
    Subscribe(Subscribe),
    Status(Status),
    Check(Box<Check>),
    Top(Top),
    /// Print a help text, or what is made of them all: the manual page, or a shell's completions.
    Page(String),
    Version,
}

/// A command: its name, its help text, and what reads the arguments behind it.
struct Subcommand {
    name: &'static str,
    help: fn() -> String,
    parse: fn(Args, Env) -> Result<Command>,
}

const SUBCOMMANDS: [Subcommand; 6] = [
    subcommand("generate", || help(&Generate::default()), generate::parse),
    subcommand("watch", || help(&Watch::default()), watch::parse),
    subcommand(
        "subscribe",
        || help(&Subscribe::default()),
        subscribe::parse,
    ),
    subcommand("status", || help(&Status::default()), status::parse),
    subcommand("check", || help(&Check::default()), check::parse),
    subcommand("top", || help(&Top::default()), top::parse),
];

const fn subcommand(
    name: &'static str,
    help: fn() -> String,
    parse: fn(Args, Env) -> Result<Command>,
) -> Subcommand {
    Subcommand { name, help, parse }
}

/// What is read and written where no FILE is named, and what is listened to without a PATTERN.
const DEFAULT_FILE: &str = "app.log";
const DEFAULT_PATTERN: &str = "logs:*";

const NO_STATE_DIR: &str = "--state-dir: needed, as none of STATE_DIRECTORY, XDG_STATE_HOME and \
    HOME is set; give a folder for checkpoints";

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
        Some("-h" | "--help") => Ok(Command::Page(help::TAILCAST.to_owned())),
        Some("-V" | "--version") => Ok(Command::Version),
        Some("help") => help_on(&rest),
        _ => {
            let command = find_subcommand(&name)?;
            asked_instead(&rest, command.help)
                .map_or_else(|| (command.parse)(Args::new(rest), env), Ok)
        }
    }
}

/// Help or version asked for behind a command: whatever else stands there, that is what is wanted.
fn asked_instead(rest: &[OsString], help: fn() -> String) -> Option<Command> {
    let flags = rest.iter().take_while(|arg| *arg != "--");
    flags
        .filter_map(|arg| arg.to_str())
        .find_map(|arg| match arg {
            "-h" | "--help" => Some(Command::Page(help())),
            "-V" | "--version" => Some(Command::Version),
            _ => None,
        })
}

fn help_on(topics: &[OsString]) -> Result<Command> {
    match topics {
        [] => Ok(Command::Page(help::TAILCAST.to_owned())),
        [flag, ..] if flag.as_bytes().starts_with(b"--") && flag != "--help" => page(topics),
        [topic] if ["help", "-h", "--help"].iter().any(|word| topic == word) => {
            Ok(Command::Page(help::TAILCAST.to_owned()))
        }
        [topic] => Ok(Command::Page((find_subcommand(topic)?.help)())),
        [_, extra, ..] => Err(usage(format!(
            "help: takes one COMMAND; too many: {}",
            shown(extra)
        ))),
    }
}

/// `tailcast help --man` and `--completions SHELL`.
fn page(topics: &[OsString]) -> Result<Command> {
    let texts = SUBCOMMANDS.map(|command| (command.name, (command.help)()));
    let mut args = Args::new(topics.to_vec());
    let mut page = None;
    while let Some(arg) = args.next()? {
        page = Some(match arg {
            Arg::Flag(flag) if flag == "--man" => man::page(help::TAILCAST, &texts),
            Arg::Flag(flag) if flag == "--completions" => {
                let shell = args.choice("not a shell that we know", completions::SHELLS)?;
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
    Ok(Command::Page(
        page.unwrap_or_else(|| help::TAILCAST.to_owned()),
    ))
}

fn find_subcommand(name: &OsStr) -> Result<&'static Subcommand> {
    SUBCOMMANDS
        .iter()
        .find(|command| name == command.name)
        .ok_or_else(|| unknown_command(name))
}

fn unknown_command(name: &OsStr) -> Error {
    let names = SUBCOMMANDS.map(|command| command.name);
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

fn files_or_default(command: &str, operands: Vec<OsString>) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = operands.into_iter().map(PathBuf::from).collect();
    if files.iter().any(|file| file == Path::new("-")) {
        return Err(usage(format!(
            "{command}: standard input has no offset to go on from; give a file, or ./- if it is one"
        )));
    }
    if files.is_empty() {
        files.push(PathBuf::from(DEFAULT_FILE));
    }
    Ok(files)
}

/// An environment variable; an empty one counts as unset.
fn variable(env: Env, name: &str) -> Option<OsString> {
    env(name).filter(|value| !value.is_empty())
}

fn state_dir_or_default(given: PathBuf, env: Env) -> Result<PathBuf> {
    let systemd = || variable(env, "STATE_DIRECTORY").and_then(|list| first_of_list(&list));
    // A relative one is to be ignored, says the XDG Base Directory Specification.
    let xdg = || {
        variable(env, "XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
    };
    let home = || variable(env, "HOME").map(|home| PathBuf::from(home).join(".local/state"));
    Some(given)
        .filter(|given| !given.as_os_str().is_empty())
        .or_else(systemd)
        .or_else(|| xdg().or_else(home).map(|dir| dir.join("tailcast")))
        .ok_or_else(|| usage(NO_STATE_DIR.to_owned()))
}

/// systemd separates several with a colon: see `StateDirectory=` in systemd.exec(5).
fn first_of_list(list: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(list).find(|dir| !dir.as_os_str().is_empty())
}

#[cfg(test)]
mod tests;

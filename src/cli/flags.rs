//! What a flag is: one row of a table, in the file of its command, with its help, its field, its default and how it is
//! read. Help text, manual page, completions and the answer to a mistyped flag are made of these rows.
//!
//! Knows no flag of any command.

use std::ffi::{OsStr, OsString};

use super::args::{Arg, Args, closest, shown, usage};
use super::outline;
use crate::error::{Error, Result};

/// The flags of a command, or of a group that several commands have.
pub trait Flags {
    /// Reads a flag's value, if the flag is one of these. False: it is not.
    fn set(&mut self, flag: &str, args: &mut Args) -> Result<bool>;

    /// Appends the help on each flag, as it stands in the table.
    fn describe(&self, help: &mut String);

    /// What stands before the flags in the help text, and behind them.
    fn frame(&self) -> [&'static str; 2];
}

/// Makes a struct of options, their defaults and their flags from a table. Its comments with three slashes are the help
/// text as it is shown; a flag's name is read from there.
///
/// ```text
/// flags! {
///     /// Usage: ... and what else stands before the flags.
///     Name(options, args) {
///         ///       --lines N   how many lines (default: 50)
///         lines: u64 = 50 => options.lines = args.number()?;
///         ///       --all       all lines there are
///         => options.lines = u64::MAX;
///         // A field without a flag.
///         files: Vec<PathBuf> = Vec::new();
///         // A field with flags of its own.
///         [server: Server];
///     }
///     /// Examples, and what else stands behind them.
/// }
/// ```
macro_rules! flags {
    (
        $(#[doc = $intro:literal])*
        $name:ident($options:ident, $args:ident) {$(
            $(#[doc = $line:literal])*
            $([$group:ident: $inner:ty])?
            $($field:ident: $type:ty = $default:expr)?
            $(=> $set:expr)?;
        )*}
        $(#[doc = $outro:literal])*
    ) => {
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {$(
            $(pub $group: $inner,)?
            $(pub $field: $type,)?
        )*}

        impl Default for $name {
            fn default() -> $name {
                $name {$(
                    $($group: <$inner>::default(),)?
                    $($field: $default,)?
                )*}
            }
        }

        impl $crate::cli::flags::Flags for $name {
            fn set(&mut self, flag: &str, $args: &mut $crate::cli::args::Args) -> $crate::error::Result<bool> {
                let $options = self;
                $(
                    $(if $options.$group.set(flag, $args)? {
                        return Ok(true);
                    })?
                    if $crate::cli::flags::is_on(flag, concat!($($line, "\n"),*)) {
                        $(
                            $set;
                            return Ok(true);
                        )?
                    }
                )*
                Ok(false)
            }

            fn describe(&self, help: &mut String) {$(
                help.push_str(concat!($($line, "\n"),*));
                $(self.$group.describe(help);)?
            )*}

            fn frame(&self) -> [&'static str; 2] {
                [concat!($($intro, "\n"),*), concat!($($outro, "\n"),*)]
            }
        }
    };
}
pub(super) use flags;

/// The help text of a command.
pub fn help(options: &dyn Flags) -> String {
    let [intro, outro] = options.frame();
    let mut text = intro.to_owned();
    options.describe(&mut text);
    text += "   -h, --help                show this text\n";
    text += outro;
    as_shown(&text)
}

/// Without the space that a comment has before each line.
fn as_shown(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect()
}

/// Whether this is the help on a flag.
pub fn is_on(flag: &str, help: &str) -> bool {
    names(help).iter().any(|name| name == flag)
}

/// The flags that are described, with their dashes.
fn names(help: &str) -> Vec<String> {
    let mut names = Vec::new();
    for flag in outline::definitions(&as_shown(help)).flat_map(|definition| definition.flags()) {
        names.push(format!("--{}", flag.long));
        names.extend(flag.short.map(|letter| format!("-{letter}")));
    }
    names
}

/// What stood on a command line.
pub struct Given {
    pub operands: Vec<OsString>,
    /// In their order, with their dashes.
    pub flags: Vec<String>,
}

impl Given {
    /// The last flag that was given of a group.
    pub fn last_of(&self, group: &dyn Flags) -> Option<&str> {
        let names = all_names(group);
        let last = self.flags.iter().rfind(|flag| names.contains(flag));
        last.map(String::as_str)
    }
}

fn all_names(flags: &dyn Flags) -> Vec<String> {
    let mut help = String::new();
    flags.describe(&mut help);
    names(&help)
}

/// Reads the arguments of a command into its tables of options.
pub fn read(command: &str, tables: &mut [&mut dyn Flags], mut args: Args) -> Result<Given> {
    let (mut operands, mut flags) = (Vec::new(), Vec::new());
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Operand(word) => operands.push(word),
            Arg::Flag(flag) => {
                set_one(command, tables, &flag, &mut args)?;
                flags.push(flag);
            }
        }
    }
    Ok(Given { operands, flags })
}

fn set_one(
    command: &str,
    tables: &mut [&mut dyn Flags],
    flag: &str,
    args: &mut Args,
) -> Result<()> {
    for table in tables.iter_mut() {
        if table.set(flag, args)? {
            return Ok(());
        }
    }
    let known: Vec<String> = tables
        .iter()
        .flat_map(|table| all_names(&**table))
        .collect();
    Err(unknown_flag(command, flag, &known))
}

fn unknown_flag(command: &str, flag: &str, known: &[String]) -> Error {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let meant = match closest(flag, &known) {
        Some(word) => format!("did you mean {word}?"),
        None => format!("tailcast help {command} lists them"),
    };
    usage(format!(
        "{command}: unknown flag: {}; {meant}",
        shown(OsStr::new(flag))
    ))
}

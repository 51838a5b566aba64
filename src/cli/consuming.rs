//! Which of `subscribe`'s flags go together, and what each mode reads where no PATTERN says otherwise.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use super::args::{shown, usage};
use super::{Mode, Subscribe};
use crate::error::Result;

pub const FILE: &str = "give a file to append to";
pub const COMMAND: &str = "give a command for sh, as in 'grep ERROR'";

/// As long as a consumer that lives is never silent.
pub const CLAIM_AFTER: Duration = Duration::from_secs(60);

pub const DEFAULT_PATTERN: &str = "logs:*";
const DEFAULT_KEY: &str = "logs";

/// Fills in what is to be read, and refuses the flags that make no sense together. `given` are those that were given.
pub fn settle(options: &mut Subscribe, given: &[String]) -> Result<()> {
    for flag in given {
        if let Some(way_out) = misplaced(flag, options) {
            return Err(usage(format!("{flag}: {way_out}")));
        }
    }
    if options.patterns.is_empty() {
        let what = match options.mode {
            Mode::Pubsub => DEFAULT_PATTERN,
            Mode::Stream | Mode::List => DEFAULT_KEY,
        };
        options.patterns.push(what.into());
    }
    match options.mode {
        Mode::Pubsub => Ok(()),
        Mode::Stream => one_key("stream", options),
        Mode::List => one_key("list", options),
    }
}

/// Why a flag is of no use with the others, and the way out.
fn misplaced(flag: &str, options: &Subscribe) -> Option<&'static str> {
    let is_stream = options.mode == Mode::Stream;
    match flag {
        "--group" if !is_stream => Some("only streams have groups; add --mode stream"),
        "--consumer" if is_stream && options.group.is_none() => {
            Some("a consumer is one of a group; add --group NAME")
        }
        "--consumer" if options.mode == Mode::Pubsub => Some(
            "every subscriber of pubsub gets all; add --mode stream --group NAME, or --mode list",
        ),
        "--claim-after" if options.group.is_none() => {
            Some("only what a group has handed out can be claimed; add --mode stream --group NAME")
        }
        "--from" if !is_stream => {
            Some("only a stream keeps what was read; add --mode stream, or leave it out")
        }
        "--exec" if options.output.is_some() => {
            Some("the lines go to one place; give --exec or --output, not both")
        }
        "--output" if options.output.as_deref() == Some(Path::new("-")) => {
            Some("lines go to standard output anyhow; leave it out, or write ./- for a file")
        }
        _ => None,
    }
}

fn one_key(what: &str, options: &Subscribe) -> Result<()> {
    let is_glob = |key: &OsStr| key.as_bytes().iter().any(|byte| b"*?[".contains(byte));
    match options.patterns.as_slice() {
        [key] if is_glob(key) => Err(usage(format!(
            "subscribe: a {what} is named, not matched: {}; give its key, as in logs, and run one subscribe for each",
            shown(key)
        ))),
        [_, extra, ..] => Err(usage(format!(
            "subscribe: reads one {what}; too many: {}; run one subscribe for each",
            shown(extra)
        ))),
        _ => Ok(()),
    }
}

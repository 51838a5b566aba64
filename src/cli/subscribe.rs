//! `tailcast subscribe [PATTERN...]`, and which of its flags go together.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::{Args, shown, usage};
use super::flags::{self, flags};
use super::server::Server;
use super::values::*;
use super::{Command, DEFAULT_PATTERN, Env};
use crate::error::Result;

const OUTPUT: &str = "give a file to append to";
const COMMAND: &str = "give a command for sh, as in 'grep ERROR'";

flags! {
    /// Usage: tailcast subscribe [FLAGS] [PATTERN...]
    ///
    /// Prints the lines that watch sends, as they arrive. With --mode pubsub those that
    /// are published to the channels that match a PATTERN; quote the patterns; * ?
    /// [abc] are as in Redis's PSUBSCRIBE (default: 'logs:*'). If the connection is cut
    /// it subscribes again by itself, and says that there was a gap. With --mode stream
    /// or list PATTERN is the one key that is read (default: logs), and nothing is
    /// acknowledged before it is out.
    ///
    /// Flags:
    Subscribe(options, args) {
        // What to read. In `stream` and `list` mode it is one, the key. Never empty.
        patterns: Vec<OsString> = Vec::new();
        [server: Server];
        ///       --mode pubsub|stream|list
        ///                             as watch sends (default: pubsub)
        mode: Mode = Mode::Pubsub => options.mode = args.choice("not a mode", MODES)?;
        ///       --group NAME          stream: share it with the other consumers of this
        ///                             group; it is made where there is none
        ///                             (default: every subscriber gets all)
        group: Option<String> = None => options.group = Some(args.text(NAME)?);
        ///       --consumer NAME       who we are in the group, or among those who take
        ///                             from a list; two at once must differ
        ///                             (default: the host's name)
        consumer: Option<String> = None => options.consumer = Some(args.text(NAME)?);
        ///       --claim-after DURATION
        ///                             group: take over what others were given and have
        ///                             not acknowledged for so long (default: 60s)
        claim_after: Duration = Duration::from_secs(60) => options.claim_after = args.duration_above_zero()?;
        ///       --no-group            stream, --output without --group: make no group for
        ///                             FILE; then nobody who trims waits for it
        no_group: bool = false => options.no_group = true;
        ///       --from start|end      stream: where to begin, if neither the group nor
        ///                             --output has a place (default: start)
        from: From = From::Start => options.from = args.choice("not a place to begin", PLACES)?;
        ///       --output FILE         append to FILE, and keep FILE.place beside it: with
        ///                             stream and list every line is there once, also
        ///                             after kill -9
        output: Option<PathBuf> = None => options.output = Some(args.value(OUTPUT)?.into());
        ///       --exec 'COMMAND'      feed the lines to this command, through sh
        exec: Option<OsString> = None => options.exec = Some(args.value(COMMAND)?);
        ///       --format raw|pretty|udm
        ///                             the line's own bytes; or time, coloured type,
        ///                             message and other fields; or an event of Google
        ///                             SecOps' Unified Data Model, in JSON
        ///                             (default: pretty on a terminal, else raw)
        format: Option<Format> = None => options.format = Some(args.choice("not a format", FORMATS)?);
        ///       --type TYPE,...       only lines of these types (default: all)
        types: Vec<String> = Vec::new() => options.types = args.read(TYPES, read_types)?;
        ///       --type-field NAME,... the top-level JSON field that is the type, or the
        ///                             first of these that has one (default: type)
        type_field: String = "type".into()
            => options.type_field = args.read(FIELDS, read_fields)?;
        ///       --udm-host HOST       with --format udm: the machine that the lines come
        ///                             from, where neither they nor the channel tell
        udm_host: Option<String> = None => options.udm_host = Some(args.text(HOST)?);
        ///       --count N             stop after N lines (default: go on until Ctrl-C)
        count: Option<u64> = None => options.count = Some(args.number()?);
    }
    ///
    /// On a terminal control characters in a line are shown, as in \x1b, never obeyed,
    /// and so are those that nobody sees.
    ///
    /// Examples:
    ///   tailcast subscribe
    ///   tailcast subscribe --type ERROR,WARNING
    ///   tailcast subscribe 'logs:ERROR' --format raw | jq -r .message
    ///   tailcast subscribe --mode stream --output /var/log/all.log
    ///   tailcast subscribe --mode stream --group mail --exec './mail-errors'
    ///   tailcast subscribe --count 1000 > sample.log
}

pub fn parse(args: Args, env: Env) -> Result<Command> {
    let mut options = Subscribe::default();
    let given = flags::read("subscribe", &mut [&mut options], args)?;
    for flag in &given.flags {
        if let Some(way_out) = misplaced(flag, &options) {
            return Err(usage(format!("{flag}: {way_out}")));
        }
    }
    options.patterns = given.operands;
    if options.patterns.is_empty() {
        let what = match options.mode {
            Mode::Pubsub => DEFAULT_PATTERN,
            mode => default_target(mode),
        };
        options.patterns.push(what.into());
    }
    match options.mode {
        Mode::Pubsub => {}
        Mode::Stream => one_key("stream", &options)?,
        Mode::List => one_key("list", &options)?,
    }
    options.server = options.server.or_from(env)?;
    Ok(Command::Subscribe(options))
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
        "--no-group" if !is_stream || options.group.is_some() || options.output.is_none() => {
            Some("only a file has a group of its own; it goes with --mode stream --output FILE")
        }
        "--from" if !is_stream => {
            Some("only a stream keeps what was read; add --mode stream, or leave it out")
        }
        "--exec" if options.output.is_some() => {
            Some("the lines go to one place; give --exec or --output, not both")
        }
        "--udm-host" if options.format != Some(Format::Udm) => {
            Some("only events have one; it goes with --format udm")
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

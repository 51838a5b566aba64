//! `tailcast top [PATTERN...]`

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::args::Args;
use super::flags::{self, flags};
use super::server::Server;
use super::values::*;
use super::{Command, DEFAULT_PATTERN, Env};
use crate::error::Result;

flags! {
    /// Usage: tailcast top [FLAGS] [PATTERN...]
    ///
    /// Shows, live, how many lines of each type are published to the channels that
    /// match a PATTERN (default: 'logs:*'), with a sparkline of the last seconds; and
    /// of every source that has a commit record how far it is, how fast it moves, and
    /// how much of the log is not published, where the log is on this host. To Redis
    /// it is a subscriber like any other. Without a terminal it prints a table each
    /// time. Ctrl-C ends it.
    ///
    /// Flags:
    Top(options, args) {
        // Never empty.
        patterns: Vec<OsString> = Vec::new();
        [server: Server];
        ///       --type-field NAME,... the top-level JSON field that is the type, or the
        ///                             first of these that has one (default: type)
        type_field: String = "type".into()
            => options.type_field = args.read(FIELDS, read_fields)?;
        ///       --rotated DIR         look for rotated files in DIR too, as the watcher
        ///                             does if it was told so; repeatable
        rotated: Vec<PathBuf> = Vec::new() => options.rotated.push(args.value(FOLDER)?.into());
        ///       --interval DURATION   time between two looks (default: 1s)
        interval: Duration = Duration::from_secs(1) => options.interval = args.duration_above_zero()?;
        ///       --count N             end after N looks (default: go on until Ctrl-C)
        count: Option<u64> = None => options.count = Some(args.number()?);
    }
    ///
    /// Examples:
    ///   tailcast top
    ///   tailcast top 'logs:ERROR' 'logs:WARNING'
    ///   tailcast top --interval 10s --count 6 > minute.txt
}

pub fn parse(args: Args, env: Env) -> Result<Command> {
    let mut options = Top::default();
    options.patterns = flags::read("top", &mut [&mut options], args)?.operands;
    if options.patterns.is_empty() {
        options.patterns.push(DEFAULT_PATTERN.into());
    }
    options.server = options.server.or_from(env)?;
    Ok(Command::Top(options))
}

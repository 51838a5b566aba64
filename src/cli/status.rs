//! `tailcast status FILE...`

use std::path::PathBuf;

use super::args::Args;
use super::flags::{self, flags};
use super::server::Server;
use super::values::*;
use super::{Command, Env, files_or_default, state_dir_or_default};
use crate::error::Result;

flags! {
    /// Usage: tailcast status [FLAGS] [FILE...]
    ///
    /// Shows for each FILE its size, how far it is published, the lag between the two
    /// in bytes, the age of the checkpoint and the generation, which counts rotations
    /// (default: app.log); and how many lines lie in the watcher's stream or list.
    ///
    /// Flags:
    Status(options, args) {
        // As given: paths, or globs. Never empty.
        files: Vec<PathBuf> = Vec::new();
        ///       --exclude GLOB        leave out of the globs' matches what has this name,
        ///                             as in '*.gz', or with a / this path; repeatable
        exclude: Vec<PathBuf> = Vec::new() => options.exclude.push(args.value(GLOB)?.into());
        ///       --rotated DIR         look for rotated files in DIR too, as the watcher
        ///                             does if it was told so; repeatable
        rotated: Vec<PathBuf> = Vec::new() => options.rotated.push(args.value(FOLDER)?.into());
        ///       --json                print JSON, for programs
        json: bool = false => options.json = true;
        ///       --max-lag SIZE        exit 1 when a file is further behind
        ///                             (default: any lag will do)
        max_lag: Option<u64> = None => options.max_lag = Some(args.size()?);
        ///       --forget SOURCE       remove the commit record of a source that is gone,
        ///                             named HOST:ABSOLUTE-PATH as in tailcast top
        forget: Option<String> = None => options.forget = Some(args.text(NAME)?);
        [server: Server];
        ///       --state-dir DIR       folder for checkpoints (default: $STATE_DIRECTORY,
        ///                             else $XDG_STATE_HOME/tailcast, else
        ///                             ~/.local/state/tailcast)
        state_dir: PathBuf = PathBuf::new() => options.state_dir = args.value(FOLDER)?.into();
        ///       --source NAME         what this file is called in Redis, if the watcher
        ///                             has a --source (default: HOST:ABSOLUTE-PATH)
        source: Option<String> = None => options.source = Some(args.text(NAME)?);
        ///       --target NAME         the watcher's, where it keeps the lines (stream,
        ///                             list) (default: logs)
        target: String = default_target(Mode::List).into() => options.target = args.text(TARGET)?;
    }
    ///
    /// Examples:
    ///   tailcast status
    ///   tailcast status --max-lag 10MiB /var/log/app.log || echo 'falling behind'
    ///   tailcast status --json '/var/log/app/*.log' | jq .
}

pub fn parse(args: Args, env: Env) -> Result<Command> {
    let mut options = Status::default();
    let given = flags::read("status", &mut [&mut options], args)?;
    options.files = files_or_default("status", given.operands)?;
    options.server = options.server.or_from(env)?;
    options.state_dir = state_dir_or_default(options.state_dir, env)?;
    Ok(Command::Status(options))
}

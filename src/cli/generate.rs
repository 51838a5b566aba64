//! `tailcast generate [FILE]`

use std::path::PathBuf;
use std::time::Duration;

use super::args::{Args, shown, usage};
use super::flags::{self, flags};
use super::{Command, DEFAULT_FILE, Env};
use crate::error::Result;

flags! {
    /// Usage: tailcast generate [FLAGS] [FILE]
    ///
    /// Appends random JSON log lines to FILE, as an application would: one write per
    /// line, and a rotated file is reopened before the next line. FILE is created if
    /// missing; - is standard output (default: app.log).
    ///
    /// Flags:
    Generate(options, args) {
        // `-` is standard output.
        file: PathBuf = DEFAULT_FILE.into();
        ///       --interval DURATION   time from line to line (default: 1s); 0 writes as
        ///                             fast as it goes, in blocks of 64 KiB
        interval: Duration = Duration::from_secs(1) => options.interval = args.duration()?;
        ///       --count N             stop after N lines (default: go on until Ctrl-C)
        count: Option<u64> = None => options.count = Some(args.number()?);
        ///       --seed N              the same types and messages again at each run
        ///                             (default: others each time)
        seed: Option<u64> = None => options.seed = Some(args.number()?);
        ///   -q, --quiet               do not say what is written, and how much was
        quiet: bool = false => options.quiet = true;
    }
    ///
    /// Examples:
    ///   tailcast generate
    ///   tailcast generate --interval 20ms /tmp/app.log
    ///   tailcast generate --interval 0 --count 1000000 --seed 1 big.log
    ///   tailcast generate --count 3 -
}

pub fn parse(args: Args, _env: Env) -> Result<Command> {
    let mut options = Generate::default();
    let given = flags::read("generate", &mut [&mut options], args)?;
    let mut operands = given.operands.into_iter();
    if let Some(file) = operands.next() {
        options.file = file.into();
    }
    match operands.next() {
        None => Ok(Command::Generate(options)),
        Some(extra) => Err(usage(format!(
            "generate: takes one FILE; too many: {}",
            shown(&extra)
        ))),
    }
}

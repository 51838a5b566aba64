//! The options that bound what piles up in Redis.

use super::usage;
use crate::cli::args::Args;
use crate::cli::{Backlog, Mode, Retain, Watch, WhenFull};
use crate::error::Result;

const WHEN_FULL: &[(&str, WhenFull)] = &[
    ("wait", WhenFull::Wait),
    ("drop-oldest", WhenFull::DropOldest),
];

pub const DEFAULT: Backlog = Backlog {
    max: 1_000_000,
    when_full: WhenFull::Wait,
    retain: Retain::Lines(0),
    is_asked_for: false,
};

pub fn set(backlog: &mut Backlog, flag: &str, args: &mut Args) -> Result<()> {
    match flag {
        "--max-backlog" => backlog.max = args.number_above_zero()?,
        "--when-full" => {
            backlog.when_full = args.choice("not a way to make room", WHEN_FULL)?;
        }
        _ => backlog.retain = args.lines_or_duration()?,
    }
    backlog.is_asked_for = true;
    Ok(())
}

/// What is bounded where nothing piles up is a mode that was forgotten. `flag` is one of these that was given.
pub fn check(options: &Watch, flag: Option<&str>) -> Result<()> {
    let Some(flag) = flag else { return Ok(()) };
    let keeps_what_is_taken = options.backlog.retain != Retain::Lines(0);
    match options.mode {
        Mode::Pubsub => Err(usage(format!(
            "{flag}: pub/sub keeps nothing that could pile up; it goes with --mode stream or list"
        ))),
        Mode::List if keeps_what_is_taken => Err(usage(
            "--retain: what is taken from a list is gone; it goes with --mode stream".into(),
        )),
        _ => Ok(()),
    }
}

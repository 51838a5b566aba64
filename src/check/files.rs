//! The logs' conditions: that each can be read, and so can what it was rotated to; where it would begin and why; that its
//! state is sound, and whose else it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::server::Stored;
use super::{About, Condition};
use crate::broker::Record;
use crate::checkpoint::{Store, age};
use crate::cli::{self, Mode};
use crate::error::{Result, describe};
use crate::file::{self, Place, Sibling, Tail};
use crate::position::{Dates, Progress};
use crate::talk;
use crate::watch::{
    Files, because, check_file, dates_of, go_on_from, matches, of_another_log, place,
};

/// The folder that keeps checkpoints.
pub fn of_state_dir(options: &cli::Watch) -> Condition {
    let subject = format!("state directory {}", options.state_dir.display());
    let about = About(&subject, "usable");
    match Store::at(&options.state_dir).why_unusable() {
        Ok(None) if options.state_dir.exists() => about.ok("ours, and it can be written to"),
        Ok(None) => about.ok("not there yet: it will be made"),
        Ok(Some(why)) => {
            let mend = "chown it to the watcher's user and chmod it 700, or choose another with --state-dir";
            about.fail(why).mend(mend)
        }
        Err(error) => about.unknown(describe(&error)),
    }
}

/// What would be done with a log, and whether it can be.
pub fn of_log(path: &Path, source: &str, record: Stored, options: &cli::Watch) -> Vec<Condition> {
    let subject = path.display().to_string();
    let mut all = Vec::new();
    match check_file(path) {
        Err(error) => {
            let mend = "let the watcher's user read it (its group, or setfacl -m u:USER:r)";
            all.push(About(&subject, "file").fail(error.to_string()).mend(mend));
            return all;
        }
        Ok(()) if path.exists() => {}
        Ok(()) => all.push(About(&subject, "file").warn("not there yet: it is waited for")),
    }
    let store = Store::at(&options.state_dir);
    if let Some(process) = store.holder(path) {
        let says = format!("process {process} watches it: a second watcher would exit 75");
        all.push(About(&subject, "watcher").warn(says));
    }
    let place = Place {
        path: path.into(),
        rotated: options.rotated.clone(),
    };
    all.push(match begins(&store, &place, source, record, options) {
        Ok(says) => About(&subject, "begins").ok(says),
        Err(error) => About(&subject, "begins").fail(error.to_string()),
    });
    all.push(siblings(&subject, &place));
    all
}

/// Where a watcher would begin, why, and how much is unread from there on.
fn begins(
    store: &Store,
    at: &Place,
    source: &str,
    stored: Stored,
    options: &cli::Watch,
) -> Result<String> {
    let checkpoint = store.read(&at.path)?.filter(|_| !options.reset);
    let (checkpoint, dates) = checkpoint.unzip();
    let is_known = stored.is_some();
    let record: Option<Record> = stored.transpose()?.flatten().filter(|_| !options.reset);
    let home = store.known_home()?.unwrap_or_default();
    if let Some(error) = of_another_log(at, checkpoint.as_ref(), home, record.as_ref()) {
        return Err(error);
    }
    let initial = Tail::initial(&at.path, options.from, 0)?;
    let chosen = go_on_from(options.mode, checkpoint.as_ref(), record.as_ref());
    let chosen: Progress = chosen.unwrap_or_else(|| initial.clone());
    let why = because(&chosen, checkpoint.as_ref(), &initial, options.reset);
    let known = checkpoint.as_ref().unwrap_or(&initial);
    let dates = dates_of(&chosen, known, dates, record.as_ref());
    let dates = dates.unwrap_or_else(Dates::now);
    let unread = match file::unread(at.clone(), chosen.clone(), dates) {
        Ok(bytes) => format!("{} unread", talk::size(bytes)),
        Err(error) => format!("how much is unread cannot be told: {}", describe(&error)),
    };
    let verb = match options.mode {
        Mode::Pubsub => "PUBLISH to",
        Mode::Stream => "XADD to",
        Mode::List => "RPUSH to",
    };
    let asked = if is_known {
        ""
    } else {
        "; its commit record was not asked for"
    };
    Ok(format!(
        "at {}, {why}; {unread}, {verb} {}; its source is {source}{asked}",
        place(&chosen),
        options.target
    ))
}

/// Whether what a log was rotated to can be read, should a watcher come late.
fn siblings(subject: &str, place: &Place) -> Condition {
    let about = About(subject, "rotated files");
    let found = match file::siblings(place) {
        Ok(found) => found,
        Err(error) => {
            let says = format!("cannot be looked for: {}", describe(&error));
            let mend = "let the watcher's user list the log's folder (chmod g+rx)";
            return about.fail(says).mend(mend);
        }
    };
    let closed = |one: &&Sibling| file::check(&one.path).is_err();
    if let Some(one) = found.iter().find(closed) {
        let says = format!(
            "{} may not be read: its lines would be a gap",
            one.path.display()
        );
        let mend =
            "let the watcher's user read rotated files too (logrotate's create MODE OWNER GROUP)";
        return about.fail(says).mend(mend);
    }
    let packed = found.iter().filter_map(|one| Some((one, one.program?)));
    for (one, program) in packed {
        if !is_installed(program) {
            let says = format!("there is no {program} to read {} with", one.path.display());
            return about.fail(says).mend(format!("install {program}"));
        }
    }
    let says = match found.len() {
        0 => "none".into(),
        1 => "one, which can be read".into(),
        more => format!("{more}, which can be read"),
    };
    about.ok(says)
}

/// Whether a program would be found.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Patterns that no log has.
pub fn of_patterns(options: &cli::Watch, logs: &[(PathBuf, String)]) -> Vec<Condition> {
    let without = named(options).into_iter().filter_map(|file| match file {
        Files::Glob(glob) if !logs.iter().any(|(log, _)| matches(&glob, log)) => Some(glob),
        _ => None,
    });
    without
        .map(|glob| {
            let subject = glob.path().display().to_string();
            About(&subject, "file").warn("no file matches yet: they are waited for")
        })
        .collect()
}

fn named(options: &cli::Watch) -> Vec<Files> {
    let absolute = |file: &PathBuf| std::path::absolute(file).ok();
    let files = options.files.iter().filter_map(absolute);
    files.map(Files::parse).collect()
}

/// What is kept of logs that are gone.
pub fn of_what_is_gone(options: &cli::Watch) -> Vec<Condition> {
    let store = Store::at(&options.state_dir);
    let files = named(options);
    let is_named = |log: &Path| files.iter().any(|file| *file == Files::One(log.into()));
    let is_match = |log: &Path| {
        let globs = files.iter();
        globs
            .clone()
            .any(|file| matches!(file, Files::Glob(glob) if matches(glob, log)))
    };
    let gone = store.stale(Duration::ZERO).into_iter();
    gone.filter(|log| !is_named(log))
        .map(|log| {
            let dates = store.read(&log).ok().flatten().map(|(_, dates)| dates);
            let since = dates.map_or(Duration::ZERO, |dates| age(dates.made));
            let days = |time: Duration| format!("{:.1} days", time.as_secs_f64() / 86400.0);
            let kept = if is_match(&log) {
                let left = options.forget_after.saturating_sub(since);
                format!("kept for {} more (--forget-after)", days(left))
            } else {
                "kept, as no FILE names it".into()
            };
            let says = format!(
                "gone; its state was last written {} ago, and is {kept}",
                days(since)
            );
            About(&log.display().to_string(), "vanished").ok(says)
        })
        .collect()
}

//! `check`: what a watcher would do, and whether what its guarantee rests on holds.
//!
//! Looks, and changes nothing: no file is written, no key, no lock taken. `server` asks Redis, `files` looks at the logs and
//! their state, `logrotate` reads its configuration, `table` prints.

mod files;
mod logrotate;
mod server;
mod table;

use crate::broker::Address;
use crate::cli;
use crate::error::{Error, Result};
use crate::stdout;
use crate::watch::named_sources;

/// How it stands with one condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    Ok,
    /// It works, within a limit that is named.
    Warn,
    /// The guarantee cannot hold, or the watcher would not start.
    Fail,
    /// Who would know does not say.
    Unknown,
}

/// One thing that the guarantee rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    /// The Redis, or the log.
    subject: String,
    name: &'static str,
    grade: Grade,
    says: String,
    /// What a person can do about it.
    mend: Option<String>,
}

/// A subject's condition of this name, about which something is to be said.
#[derive(Clone, Copy)]
struct About<'a>(&'a str, &'static str);

impl About<'_> {
    fn ok(self, says: impl Into<String>) -> Condition {
        self.is(Grade::Ok, says.into())
    }

    fn warn(self, says: impl Into<String>) -> Condition {
        self.is(Grade::Warn, says.into())
    }

    fn fail(self, says: impl Into<String>) -> Condition {
        self.is(Grade::Fail, says.into())
    }

    fn unknown(self, says: impl Into<String>) -> Condition {
        self.is(Grade::Unknown, says.into())
    }

    fn is(self, grade: Grade, says: String) -> Condition {
        let About(subject, name) = self;
        let subject = subject.to_string();
        Condition {
            subject,
            name,
            grade,
            says,
            mend: None,
        }
    }
}

impl Condition {
    fn mend(self, way_out: impl Into<String>) -> Condition {
        Condition {
            mend: Some(way_out.into()),
            ..self
        }
    }
}

/// Prints every condition. An error when one fails.
pub fn run(options: &cli::Check) -> Result<()> {
    let watch = &options.watch;
    let address = Address::parse(&watch.server)?;
    let sources = named_sources(
        &watch.files,
        &watch.exclude,
        watch.source.as_deref(),
        &watch.rotated,
    )?;
    let (mut conditions, records) = server::conditions(&address, watch, &sources);
    conditions.push(files::of_state_dir(watch));
    let rotation = logrotate::Configuration::read(&options.logrotate);
    conditions.extend(rotation.troubles());
    for ((path, name), record) in sources.iter().zip(records) {
        conditions.extend(files::of_log(path, name, record, watch));
        conditions.extend(rotation.of_log(path, &watch.rotated));
    }
    conditions.extend(files::of_patterns(watch, &sources));
    conditions.extend(files::of_what_is_gone(watch));
    let text = if options.json {
        table::json_text(&conditions)
    } else {
        table::table_text(&conditions)
    };
    stdout::write(text.as_bytes())?;
    let failing = conditions.iter().filter(|one| one.grade == Grade::Fail);
    match failing.count() {
        0 => Ok(()),
        1 => Err(Error::Failed("check: one condition does not hold".into())),
        more => Err(Error::Failed(format!(
            "check: {more} conditions do not hold"
        ))),
    }
}

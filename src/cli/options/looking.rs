//! The options of who looks on: `check`, `top`, and what `watch` says of itself.

use std::path::PathBuf;
use std::time::Duration;

use super::{
    DEFAULT_TYPE_FIELD, FIELDS, FOLDER, URL, WATCH_FLAGS, read_fields, redis_url, set_tls,
    unknown_flag, usage, watch_and,
};
use crate::cli::args::{Arg, Args};
use crate::cli::consuming::DEFAULT_PATTERN;
use crate::cli::{Check, Env, Report, Tls, Top};
use crate::error::Result;

const FILE: &str = "give a file";
const DEFAULT_LOGROTATE: &str = "/etc/logrotate.conf";

/// Those of `check` that `watch` has not.
const CHECK_FLAGS: &[&str] = &["--json", "--logrotate-conf"];
const TOP_FLAGS: &[&str] = &[
    "--redis",
    "--tls-ca",
    "--tls-cert",
    "--tls-key",
    "--type-field",
    "--rotated",
    "--interval",
    "--count",
];

const FORMATS: &[(&str, bool)] = &[("text", false), ("json", true)];

/// Reads a flag that is about what a watcher says of itself. False: it is about something else.
pub fn report_flag(report: &mut Report, flag: &str, args: &mut Args) -> Result<bool> {
    match flag {
        "--stats" => report.stats = Some(args.duration_above_zero()?),
        "--stats-format" => report.is_json = args.choice("not a format", FORMATS)?,
        "--metrics-file" => report.metrics = Some(args.value(FILE)?.into()),
        _ => return Ok(false),
    }
    Ok(true)
}

/// A format of nothing is a flag that was forgotten.
pub fn check_report(report: &Report) -> Result<()> {
    if report.is_json && report.stats.is_none() {
        let text = "--stats-format: there is no --stats; say how often, as in --stats 10s";
        return Err(usage(text.into()));
    }
    Ok(())
}

pub fn check(args: Args, env: Env) -> Result<Check> {
    let (mut json, mut logrotate) = (false, PathBuf::from(DEFAULT_LOGROTATE));
    let known = [CHECK_FLAGS, WATCH_FLAGS].concat();
    let watch = watch_and("check", &known, args, env, &mut |flag, args| {
        match flag {
            "--json" => json = true,
            "--logrotate-conf" => logrotate = args.value(FILE)?.into(),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(Check {
        watch,
        logrotate,
        json,
    })
}

pub fn top(mut args: Args, env: Env) -> Result<Top> {
    let mut redis = None;
    let mut options = Top {
        patterns: Vec::new(),
        redis: String::new(),
        tls: Tls::default(),
        type_field: DEFAULT_TYPE_FIELD.to_owned(),
        rotated: Vec::new(),
        interval: Duration::from_secs(1),
        count: None,
    };
    while let Some(arg) = args.next()? {
        let flag = match arg {
            Arg::Operand(pattern) => {
                options.patterns.push(pattern);
                continue;
            }
            Arg::Flag(flag) => flag,
        };
        match flag.as_str() {
            "--redis" => redis = Some(args.text(URL)?),
            "--tls-ca" | "--tls-cert" | "--tls-key" => set_tls(&mut options.tls, &flag, &mut args)?,
            "--type-field" => options.type_field = args.read(FIELDS, read_fields)?,
            "--rotated" => options.rotated.push(args.value(FOLDER)?.into()),
            "--interval" => options.interval = args.duration_above_zero()?,
            "--count" => options.count = Some(args.number()?),
            _ => return Err(unknown_flag("top", &flag, TOP_FLAGS)),
        }
    }
    if options.patterns.is_empty() {
        options.patterns.push(DEFAULT_PATTERN.into());
    }
    options.redis = redis_url(redis, env)?;
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, From, Mode, help, parse};
    use crate::error::Error;

    fn command(line: &str) -> Result<Command> {
        let words = line.split_whitespace().map(Into::into).collect();
        parse(words, &|name| (name == "HOME").then(|| "/h".into()))
    }

    #[test]
    fn a_watcher_is_told_what_to_say_of_itself() {
        let line = "watch --stats 10s --stats-format json --metrics-file /m.prom";
        let Ok(Command::Watch(options)) = command(line) else {
            panic!("{line}");
        };
        let want = Report {
            stats: Some(Duration::from_secs(10)),
            is_json: true,
            metrics: Some("/m.prom".into()),
        };
        assert_eq!(options.report, want);
        for (line, says) in [
            ("watch --stats 0", "must be more than 0"),
            ("watch --stats-format json", "there is no --stats"),
            (
                "watch --stats 1s --stats-format xml",
                "give one of text, json",
            ),
        ] {
            let error = command(line).unwrap_err();
            assert!(matches!(error, Error::Usage(_)));
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn check_takes_the_flags_of_watch_and_two_of_its_own() {
        let line = "check a.log --mode list --json --from end --logrotate-conf /l";
        let Ok(Command::Check(options)) = command(line) else {
            panic!("{line}");
        };
        assert_eq!(options.watch.files, [PathBuf::from("a.log")]);
        assert_eq!(
            (options.watch.mode, options.watch.from),
            (Mode::List, From::End)
        );
        assert_eq!(options.watch.target, "logs");
        assert_eq!((options.json, options.logrotate), (true, "/l".into()));
        let error = command("check --logrotate-con /l").unwrap_err().to_string();
        assert!(error.contains("check: unknown flag") && error.contains("--logrotate-conf"));
        assert!(command("watch --json").is_err());
    }

    #[test]
    fn top_is_told_what_to_show_and_how_often() {
        let line = "top a* --redis r --type-field level --rotated old --interval 2s --count 3 b";
        let Ok(Command::Top(options)) = command(line) else {
            panic!("{line}");
        };
        let want = Top {
            patterns: vec!["a*".into(), "b".into()],
            redis: "r".into(),
            tls: Tls::default(),
            type_field: "level".into(),
            rotated: vec!["old".into()],
            interval: Duration::from_secs(2),
            count: Some(3),
        };
        assert_eq!(options, want);
    }

    #[test]
    fn help_names_the_flags_and_no_others() {
        let known = [CHECK_FLAGS, WATCH_FLAGS].concat();
        for (own, known, text) in [
            (CHECK_FLAGS, &known[..], help::CHECK),
            (TOP_FLAGS, TOP_FLAGS, help::TOP),
        ] {
            let words = || text.split([' ', ',', ':', '\n']);
            for flag in own {
                assert!(words().any(|word| word == *flag), "{flag}");
            }
            let flags = words().filter(|word| word.starts_with("--") && word.len() > 2);
            for word in flags.filter(|word| *word != "--help") {
                assert!(known.contains(&word), "{word}");
            }
        }
    }
}

//! The options of each command: flags and operands to the command's struct, with the defaults filled in.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::{Arg, Args, closest, shown, usage};
use super::{
    Delivery, Env, Format, From, Generate, Hold, Mode, Report, Status, Subscribe, Tls, Verbosity,
    Watch, consuming,
};
use crate::error::{Error, Result};
use crate::route::is_type;
use flags::{
    DELIVERIES, FORMATS, GENERATE_FLAGS, HOLDS, MODES, PLACES, STATUS_FLAGS, SUBSCRIBE_FLAGS,
    WATCH_FLAGS,
};

pub use looking::{check, top};

mod backlog;
mod flags;
mod looking;

const DEFAULT_FILE: &str = "app.log";
const DEFAULT_REDIS: &str = "redis://127.0.0.1:6379/";
const DEFAULT_TYPE_FIELD: &str = "type";

const NAME: &str = "give a name";
const URL: &str = "give a URL, as in redis://127.0.0.1:6379/";
const FIELDS: &str = "give the names of top-level JSON fields, as in type,level";
const HOST: &str = "give a host name or an address";
const PEM: &str = "give a PEM file";
const FOLDER: &str = "give a folder";
const GLOB: &str = "give a glob, as in '*.gz'";
const TARGET: &str = "give a channel or key, as in logs:{type}";

const NO_STATE_DIR: &str = "--state-dir: needed, as none of STATE_DIRECTORY, XDG_STATE_HOME and \
    HOME is set; give a folder for checkpoints";

pub fn generate(mut args: Args) -> Result<Generate> {
    let mut file = None;
    let mut options = Generate {
        file: PathBuf::from(DEFAULT_FILE),
        interval: Duration::from_secs(1),
        count: None,
        seed: None,
        quiet: false,
    };
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Operand(extra) if file.is_some() => {
                return Err(usage(format!(
                    "generate: takes one FILE; too many: {}",
                    shown(&extra)
                )));
            }
            Arg::Operand(path) => file = Some(PathBuf::from(path)),
            Arg::Flag(flag) => match flag.as_str() {
                "--interval" => options.interval = args.duration()?,
                "--count" => options.count = Some(args.number()?),
                "--seed" => options.seed = Some(args.number()?),
                "-q" | "--quiet" => options.quiet = true,
                _ => return Err(unknown_flag("generate", &flag, GENERATE_FLAGS)),
            },
        }
    }
    options.file = file.unwrap_or(options.file);
    Ok(options)
}

pub fn watch(args: Args, env: Env) -> Result<Watch> {
    watch_and("watch", WATCH_FLAGS, args, env, &mut |_, _| Ok(false))
}

/// Reads the flags of `watch` for a command that takes more of them: `more` reads one that is not `watch`'s, and says
/// whether it knows it.
fn watch_and(
    command: &str,
    known: &[&str],
    mut args: Args,
    env: Env,
    more: &mut dyn FnMut(&str, &mut Args) -> Result<bool>,
) -> Result<Watch> {
    let mut options = watch_defaults();
    let (mut redis, mut target, mut state_dir, mut backlog_flag) = (None, None, None, None);
    while let Some(arg) = args.next()? {
        let flag = match arg {
            Arg::Operand(path) => {
                options.files.push(PathBuf::from(path));
                continue;
            }
            Arg::Flag(flag) => flag,
        };
        match flag.as_str() {
            "--exclude" => options.exclude.push(args.value(GLOB)?.into()),
            "--rotated" => options.rotated.push(args.value(FOLDER)?.into()),
            "--once" => options.once = true,
            "--redis" => redis = Some(args.text(URL)?),
            "--tls-ca" | "--tls-cert" | "--tls-key" => set_tls(&mut options.tls, &flag, &mut args)?,
            "--mode" => options.mode = args.choice("not a mode", MODES)?,
            "--target" => target = Some(args.text(TARGET)?),
            "--type-field" => options.type_field = args.read(FIELDS, read_fields)?,
            "--source" => options.source = Some(args.text(NAME)?),
            "--state-dir" => state_dir = Some(PathBuf::from(args.value(FOLDER)?)),
            "--from" => options.from = args.choice("not a place to begin", PLACES)?,
            "--reset" => options.reset = true,
            "--poll" => options.poll = args.duration_above_zero()?,
            "--rotate-wait" => options.rotate_wait = args.duration()?,
            "--forget-after" => options.forget_after = args.duration()?,
            "--checkpoint-lines" => options.checkpoint_lines = args.number_above_zero()?,
            "--checkpoint-interval" => options.checkpoint_interval = args.duration()?,
            "--batch-lines" => options.batch_lines = batch_lines(&mut args)?,
            "--max-line" => options.max_line = args.size_above_zero()?,
            "--delivery" => options.delivery = args.choice("not a kind of delivery", DELIVERIES)?,
            "--hold" => options.hold = args.choice("not a way to hold back", HOLDS)?,
            "--hold-for" => options.hold_for = args.duration()?,
            "--max-backlog" | "--when-full" | "--retain" => {
                backlog::set(&mut options.backlog, &flag, &mut args)?;
                backlog_flag = Some(flag);
            }
            "--timeout" => options.timeout = args.duration()?,
            "-v" | "--verbose" => options.verbosity = Verbosity::Verbose,
            "-q" | "--quiet" => options.verbosity = Verbosity::Quiet,
            _ if looking::report_flag(&mut options.report, &flag, &mut args)? => {}
            _ if more(&flag, &mut args)? => {}
            _ => return Err(unknown_flag(command, &flag, known)),
        }
    }
    backlog::check(&options, backlog_flag.as_deref())?;
    looking::check_report(&options.report)?;
    options.files = files_or_default(command, options.files)?;
    options.redis = redis_url(redis, env)?;
    options.target = target.unwrap_or_else(|| default_target(options.mode).to_owned());
    options.state_dir = resolve_state_dir(state_dir, env)?;
    Ok(options)
}

/// What holds where no flag says otherwise. Files, URL, target and state directory follow from more than flags.
fn watch_defaults() -> Watch {
    Watch {
        files: Vec::new(),
        exclude: Vec::new(),
        rotated: Vec::new(),
        once: false,
        redis: String::new(),
        tls: Tls::default(),
        mode: Mode::Pubsub,
        target: String::new(),
        type_field: DEFAULT_TYPE_FIELD.to_owned(),
        source: None,
        state_dir: PathBuf::new(),
        from: From::Start,
        reset: false,
        poll: Duration::from_millis(20),
        rotate_wait: Duration::from_secs(5),
        forget_after: Duration::from_secs(7 * 24 * 3600),
        checkpoint_lines: 50,
        checkpoint_interval: Duration::from_secs(2),
        batch_lines: 1000,
        max_line: 16 << 20,
        delivery: Delivery::ExactlyOnce,
        hold: Hold::Slow,
        hold_for: Duration::from_secs(30),
        backlog: backlog::DEFAULT,
        timeout: Duration::from_secs(30),
        report: Report::default(),
        verbosity: Verbosity::Normal,
    }
}

pub fn subscribe(mut args: Args, env: Env) -> Result<Subscribe> {
    let mut redis = None;
    let mut given = Vec::new();
    let mut options = Subscribe {
        patterns: Vec::new(),
        mode: Mode::Pubsub,
        group: None,
        consumer: None,
        claim_after: consuming::CLAIM_AFTER,
        from: From::Start,
        output: None,
        exec: None,
        redis: String::new(),
        tls: Tls::default(),
        format: None,
        types: Vec::new(),
        type_field: DEFAULT_TYPE_FIELD.to_owned(),
        udm_host: None,
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
            "--format" => options.format = Some(args.choice("not a format", FORMATS)?),
            "--type" => {
                options.types = args.read("give one or more, as in ERROR,WARNING", read_types)?
            }
            "--type-field" => options.type_field = args.read(FIELDS, read_fields)?,
            "--udm-host" => options.udm_host = Some(args.text(HOST)?),
            "--count" => options.count = Some(args.number()?),
            "--mode" => options.mode = args.choice("not a mode", MODES)?,
            "--from" => options.from = args.choice("not a place to begin", PLACES)?,
            "--claim-after" => options.claim_after = args.duration_above_zero()?,
            "--group" => options.group = Some(args.text(NAME)?),
            "--consumer" => options.consumer = Some(args.text(NAME)?),
            "--output" => options.output = Some(args.value(consuming::FILE)?.into()),
            "--exec" => options.exec = Some(args.value(consuming::COMMAND)?),
            _ => return Err(unknown_flag("subscribe", &flag, SUBSCRIBE_FLAGS)),
        }
        given.push(flag);
    }
    if options.udm_host.is_some() && options.format != Some(Format::Udm) {
        let why = "--udm-host: only events have one; it goes with --format udm";
        return Err(usage(why.to_owned()));
    }
    consuming::settle(&mut options, &given)?;
    options.redis = redis_url(redis, env)?;
    Ok(options)
}

pub fn status(mut args: Args, env: Env) -> Result<Status> {
    let (mut files, mut redis, mut state_dir) = (Vec::new(), None, None);
    let (mut exclude, mut rotated) = (Vec::new(), Vec::new());
    let mut tls = Tls::default();
    let (mut source, mut target, mut json, mut max_lag) = (None, None, false, None);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Operand(path) => files.push(PathBuf::from(path)),
            Arg::Flag(flag) => match flag.as_str() {
                "--exclude" => exclude.push(args.value(GLOB)?.into()),
                "--rotated" => rotated.push(args.value(FOLDER)?.into()),
                "--redis" => redis = Some(args.text(URL)?),
                "--tls-ca" | "--tls-cert" | "--tls-key" => set_tls(&mut tls, &flag, &mut args)?,
                "--json" => json = true,
                "--max-lag" => max_lag = Some(args.size()?),
                "--state-dir" => state_dir = Some(PathBuf::from(args.value(FOLDER)?)),
                "--source" => source = Some(args.text(NAME)?),
                "--target" => target = Some(args.text(TARGET)?),
                _ => return Err(unknown_flag("status", &flag, STATUS_FLAGS)),
            },
        }
    }
    let files = files_or_default("status", files)?;
    let redis = redis_url(redis, env)?;
    let state_dir = resolve_state_dir(state_dir, env)?;
    Ok(Status {
        files,
        exclude,
        rotated,
        redis,
        tls,
        source,
        target: target.unwrap_or_else(|| default_target(Mode::List).to_owned()),
        state_dir,
        json,
        max_lag,
    })
}

fn unknown_flag(command: &str, flag: &str, known: &[&str]) -> Error {
    let meant = match closest(flag, known) {
        Some(word) => format!("did you mean {word}?"),
        None => format!("tailcast help {command} lists them"),
    };
    usage(format!(
        "{command}: unknown flag: {}; {meant}",
        shown(OsStr::new(flag))
    ))
}

fn files_or_default(command: &str, mut files: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    if files.iter().any(|file| file == Path::new("-")) {
        return Err(usage(format!(
            "{command}: standard input has no offset to go on from; give a file, or ./- if it is one"
        )));
    }
    if files.is_empty() {
        files.push(PathBuf::from(DEFAULT_FILE));
    }
    Ok(files)
}

fn default_target(mode: Mode) -> &'static str {
    match mode {
        Mode::Pubsub => "logs:{type}",
        Mode::Stream | Mode::List => "logs",
    }
}

/// Saturates where a machine's `usize` is smaller: no batch is that long.
fn batch_lines(args: &mut Args) -> Result<usize> {
    let lines = args.number_above_zero()?;
    Ok(usize::try_from(lines).unwrap_or(usize::MAX))
}

fn read_types(text: &str) -> Result<Vec<String>, &'static str> {
    let types: Vec<String> = text.split(',').map(str::to_owned).collect();
    let all_fit = types.iter().all(|kind| is_type(kind.as_bytes()));
    all_fit
        .then_some(types)
        .ok_or("not a list of types (1 to 64 of A-Za-z0-9_.- each)")
}

fn read_fields(text: &str) -> Result<String, &'static str> {
    let is_named = text.split(',').all(|field| !field.is_empty());
    is_named.then(|| text.to_owned()).ok_or("a name is empty")
}

/// An environment variable; an empty one counts as unset.
fn variable(env: Env, name: &str) -> Option<OsString> {
    env(name).filter(|value| !value.is_empty())
}

/// Whether it is a URL is for the broker to say.
fn set_tls(tls: &mut Tls, flag: &str, args: &mut Args) -> Result<()> {
    let file = Some(PathBuf::from(args.value(PEM)?));
    match flag {
        "--tls-ca" => tls.ca = file,
        "--tls-cert" => tls.cert = file,
        _ => tls.key = file,
    }
    Ok(())
}

fn redis_url(given: Option<String>, env: Env) -> Result<String> {
    if let Some(url) = given {
        return Ok(url);
    }
    match variable(env, "REDIS_URL") {
        Some(url) => url
            .into_string()
            .map_err(|_| usage(format!("$REDIS_URL: not UTF-8; {URL}"))),
        None => Ok(DEFAULT_REDIS.to_owned()),
    }
}

fn resolve_state_dir(given: Option<PathBuf>, env: Env) -> Result<PathBuf> {
    let systemd = || variable(env, "STATE_DIRECTORY").and_then(|list| first_of_list(&list));
    // A relative one is to be ignored, says the XDG Base Directory Specification.
    let xdg = || {
        variable(env, "XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
    };
    let home = || variable(env, "HOME").map(|home| PathBuf::from(home).join(".local/state"));
    given
        .or_else(systemd)
        .or_else(|| xdg().or_else(home).map(|dir| dir.join("tailcast")))
        .ok_or_else(|| usage(NO_STATE_DIR.to_owned()))
}

/// systemd separates several with a colon: see `StateDirectory=` in systemd.exec(5).
fn first_of_list(list: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(list).find(|dir| !dir.as_os_str().is_empty())
}

#[cfg(test)]
mod tests;

//! `tailcast watch FILE...`

use std::path::PathBuf;
use std::time::Duration;

use super::args::{Args, usage};
use super::flags::{self, Given, flags};
use super::server::Server;
use super::values::*;
use super::{Command, Env, files_or_default, state_dir_or_default};
use crate::error::Result;

flags! {
    /// Usage: tailcast watch [FLAGS] [FILE...]
    ///
    /// Publishes every new line of each FILE to Redis, and keeps a checkpoint of how
    /// far it got. FILE is a path, or a quoted glob: '/var/log/*/app.log', or with **
    /// for folders at any depth, '/var/log/pods/**/*.log' (default: app.log). A file
    /// that is not there yet is waited for; a new match is found within a second.
    ///
    /// What it guarantees: every complete line that log rotation leaves readable is
    /// published once, in order, through kill -9, restarts and cut connections. A
    /// half-written line waits for its newline. While Redis is away nothing is
    /// skipped: the log file is the buffer. A line can come twice only if Redis loses
    /// writes that it acknowledged, or with --delivery at-least-once.
    ///
    /// Which files:
    Watch(options, args) {
        // As given: paths, or globs. Never empty.
        files: Vec<PathBuf> = Vec::new();
        ///       --exclude GLOB        leave out of the globs' matches what has this name,
        ///                             as in '*.gz', or with a / this path; repeatable
        exclude: Vec<PathBuf> = Vec::new() => options.exclude.push(args.value(GLOB)?.into());
        ///       --rotated DIR         look for rotated files in DIR too, as logrotate's
        ///                             olddir; one that is relative is relative to the
        ///                             log's own folder, and what lies there by a
        ///                             log's rotated name is no log of its own;
        ///                             repeatable
        rotated: Vec<PathBuf> = Vec::new() => options.rotated.push(args.value(FOLDER)?.into());
        ///
        /// Where the lines go:
        [server: Server];
        ///       --mode pubsub|stream|list
        ///                             how: PUBLISH, XADD or RPUSH (default: pubsub)
        mode: Mode = Mode::Pubsub => options.mode = args.choice("not a mode", MODES)?;
        ///       --target NAME         channel or key, may hold {type}
        ///                             (default: logs:{type} for pubsub, else logs); with
        ///                             a hash tag, as in '{logs}:{type}', where keys are
        ///                             in a Redis Cluster
        target: String = String::new() => options.target = args.text(TARGET)?;
        ///       --type-field NAME,... the top-level JSON field that {type} stands for, or
        ///                             the first of these that has a type; pino's,
        ///                             bunyan's and syslog's numbers have names
        ///                             (default: type); UNKNOWN where there is none
        type_field: String = "type".into()
            => options.type_field = args.read(FIELDS, read_fields)?;
        ///       --source NAME         what this file is called in Redis
        ///                             (default: HOST:ABSOLUTE-PATH)
        source: Option<String> = None => options.source = Some(args.text(NAME)?);
        ///       --delivery exactly-once|at-least-once
        ///                             whether lines and position are one transaction
        ///                             (default: exactly-once)
        delivery: Delivery = Delivery::ExactlyOnce
            => options.delivery = args.choice("not a kind of delivery", DELIVERIES)?;
        ///       --hold slow|absent|off
        ///                             pubsub: wait for slow subscribers, also while one is
        ///                             absent, or not (default: slow), as Redis cuts off
        ///                             who has too much to read
        hold: Hold = Hold::Slow => options.hold = args.choice("not a way to hold back", HOLDS)?;
        ///       --hold-for DURATION   how long for one that does not move (default: 30s)
        hold_for: Duration = Duration::from_secs(30) => options.hold_for = args.duration()?;
        [backlog: Bounds];
        ///       --batch-lines N       most lines in one transaction (default: 1000)
        batch_lines: usize = 1000 => options.batch_lines = batch_lines(args)?;
        ///       --max-line SIZE       longer lines are skipped, and reported
        ///                             (default: 16MiB)
        max_line: u64 = 16 << 20 => options.max_line = args.size_above_zero()?;
        ///
        /// Where it starts, and what it remembers:
        ///       --from start|end      where to begin in a file not seen before
        ///                             (default: start)
        from: From = From::Start => options.from = args.choice("not a place to begin", PLACES)?;
        ///       --reset               forget how far it got, then begin at --from
        reset: bool = false => options.reset = true;
        ///       --state-dir DIR       folder for checkpoints (default: $STATE_DIRECTORY,
        ///                             else $XDG_STATE_HOME/tailcast, else
        ///                             ~/.local/state/tailcast)
        state_dir: PathBuf = PathBuf::new() => options.state_dir = args.value(FOLDER)?.into();
        ///       --forget-after DURATION
        ///                             how long the state of a log that is gone is kept,
        ///                             and its refused lines (default: 7d)
        forget_after: Duration = Duration::from_secs(7 * 24 * 3600)
            => options.forget_after = args.duration()?;
        ///       --checkpoint-lines N  write the checkpoint after N lines, if 100 ms have
        ///                             passed since the last time (default: 50)
        checkpoint_lines: u64 = 50 => options.checkpoint_lines = args.number_above_zero()?;
        ///       --checkpoint-interval DURATION
        ///                             or after this time, if sooner (default: 2s)
        checkpoint_interval: Duration = Duration::from_secs(2)
            => options.checkpoint_interval = args.duration()?;
        ///
        /// How it runs:
        ///       --once                publish what is there, wait for Redis to have it,
        ///                             write the checkpoint, exit; silent on success
        once: bool = false => options.once = true;
        ///       --timeout DURATION    with --once: give up, exit 75 (1 where a file cannot
        ///                             be read), when there was no progress for so long
        ///                             (default: 30s)
        timeout: Duration = Duration::from_secs(30) => options.timeout = args.duration()?;
        ///       --poll DURATION       time between looks at the files (default: 20ms);
        ///                             twice as long after 5 s without a line
        poll: Duration = Duration::from_millis(20) => options.poll = args.duration_above_zero()?;
        ///       --rotate-wait DURATION
        ///                             how long a rotated file is read on for late lines
        ///                             (default: 5s)
        rotate_wait: Duration = Duration::from_secs(5) => options.rotate_wait = args.duration()?;
        [report: Report];
        ///   -v, --verbose             say what is found, where each file begins and why,
        ///                             what rotates, and what becomes of connections
        verbosity: Verbosity = Verbosity::Normal => options.verbosity = Verbosity::Verbose;
        ///   -q, --quiet               say only what went wrong
        => options.verbosity = Verbosity::Quiet;
    }
    ///
    /// Exit codes: 0 done; 1 failed; 2 bad usage; 75 another watcher has the file, or
    /// there was no progress in time, or a signal has ended --once before it was done.
    ///
    /// Examples:
    ///   tailcast watch /var/log/app.log
    ///   tailcast watch '/var/log/app/*.log' /var/log/nginx/access.log
    ///   tailcast watch '/srv/**/*.log' --exclude 'debug*' --rotated archive
    ///   tailcast watch --mode stream --target logs --from end app.log
    ///   * * * * *  tailcast watch --once /var/log/app.log      (in a crontab)
}

flags! {
    // How much may lie in Redis (`stream` and `list`).
    Bounds(options, args) {
        ///       --max-backlog N       stream, list: wait when so many lines are there that
        ///                             some group has not acknowledged, or that nobody
        ///                             has taken (default: 1000000)
        max: u64 = 1_000_000 => options.max = args.number_above_zero()?;
        ///       --when-full wait|drop-oldest
        ///                             what then; what is dropped is said (default: wait)
        when_full: WhenFull = WhenFull::Wait => options.when_full = args.choice("not a way to make room", WHEN_FULL)?;
        ///       --retain N|AGE        stream: keep so many lines, or those of so long,
        ///                             that every group has acknowledged (default: 0)
        retain: Retain = Retain::Lines(0) => options.retain = args.lines_or_duration()?;
        // Whether a flag says so: then it is not done without.
        is_asked_for: bool = false;
    }
}

flags! {
    // What a watcher says of itself while it runs.
    Report(options, args) {
        ///       --stats DURATION      write a line of figures to standard error each
        ///                             time that so long has passed, and at the end
        stats: Option<Duration> = None => options.stats = Some(args.duration_above_zero()?);
        ///       --stats-format FORMAT text or json (default: text)
        is_json: bool = false => options.is_json = args.choice("not a format", REPORT_FORMATS)?;
        ///       --metrics-file PATH   keep the figures there for Prometheus, as in
        ///                             node_exporter's textfile collector
        metrics: Option<PathBuf> = None => options.metrics = Some(args.value("give a file")?.into());
    }
}

pub fn parse(args: Args, env: Env) -> Result<Command> {
    let mut options = Watch::default();
    let given = flags::read("watch", &mut [&mut options], args)?;
    let options = options.settle("watch", given, env)?;
    Ok(Command::Watch(Box::new(options)))
}

impl Watch {
    /// Refuses flags that make no sense together, and fills in what follows from more than one flag.
    pub fn settle(mut self, command: &str, given: Given, env: Env) -> Result<Watch> {
        if let Some(flag) = given.last_of(&self.backlog) {
            self.backlog.check(flag, self.mode)?;
            self.backlog.is_asked_for = true;
        }
        // A format of nothing is a flag that was forgotten.
        if self.report.is_json && self.report.stats.is_none() {
            let text = "--stats-format: there is no --stats; say how often, as in --stats 10s";
            return Err(usage(text.into()));
        }
        self.files = files_or_default(command, given.operands)?;
        self.server = self.server.or_from(env)?;
        if self.target.is_empty() {
            self.target = default_target(self.mode).to_owned();
        }
        self.state_dir = state_dir_or_default(self.state_dir, env)?;
        Ok(self)
    }
}

impl Bounds {
    /// A bound where nothing piles up is a mode that was forgotten. `flag` is one of these that was given.
    fn check(&self, flag: &str, mode: Mode) -> Result<()> {
        match mode {
            Mode::Pubsub => Err(usage(format!(
                "{flag}: pub/sub keeps nothing that could pile up; it goes with --mode stream or list"
            ))),
            Mode::List if self.retain != Retain::Lines(0) => Err(usage(
                "--retain: what is taken from a list is gone; it goes with --mode stream".into(),
            )),
            _ => Ok(()),
        }
    }
}

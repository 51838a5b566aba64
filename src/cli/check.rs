//! `tailcast check FILE...`

use std::path::PathBuf;

use super::args::Args;
use super::flags::{self, flags};
use super::{Command, Env, Watch};
use crate::error::Result;

flags! {
    /// Usage: tailcast check [FLAGS] [FILE...]
    ///
    /// Says what tailcast watch with these flags would do: where each FILE begins and
    /// why, and how much of it is unread; and whether what its guarantee rests on
    /// holds: Redis, what its user may do there, what it keeps, the files, the rotated
    /// files beside them, their state, and how logrotate treats them. Each condition
    /// is ok, warn (it works, within a limit that is named), FAIL, or ? (it cannot be
    /// known). Changes nothing, and takes no lock (default: app.log).
    ///
    /// Flags:
    Check(options, args) {
        ///       --json                print JSON, for programs
        json: bool = false => options.json = true;
        ///       --logrotate-conf PATH where logrotate's configuration begins
        ///                             (default: /etc/logrotate.conf)
        logrotate: PathBuf = "/etc/logrotate.conf".into()
            => options.logrotate = args.value("give a file")?.into();
        ///
        /// It takes every flag of watch too (tailcast help watch). These change what it
        /// says:
        ///       --exclude GLOB        leave out of the globs' matches what has this name,
        ///                             as in '*.gz', or with a / this path; repeatable
        ///       --rotated DIR         look for rotated files in DIR too; repeatable
        ///       --redis URL           the server (default: $REDIS_URL, else
        ///                             redis://127.0.0.1:6379/)
        ///       --tls-ca FILE         for rediss://: who may have signed the server's
        ///                             certificate (default: the system's authorities)
        ///       --tls-cert FILE, --tls-key FILE
        ///                             the certificate that the server asks us for
        ///       --mode MODE           pubsub, stream or list (default: pubsub)
        ///       --target NAME         channel or key, may hold {type}
        ///                             (default: logs:{type} for pubsub, else logs)
        ///       --source NAME         what this file is called in Redis
        ///                             (default: HOST:ABSOLUTE-PATH)
        ///       --delivery HOW        exactly-once or at-least-once
        ///                             (default: exactly-once)
        ///       --hold WHOM           slow, absent or off (default: slow)
        ///       --from start|end      where to begin in a file not seen before
        ///                             (default: start)
        ///       --reset               as if nothing were known of how far it got
        ///       --state-dir DIR       folder for checkpoints (default: $STATE_DIRECTORY,
        ///                             else $XDG_STATE_HOME/tailcast, else
        ///                             ~/.local/state/tailcast)
        ///       --forget-after DURATION
        ///                             how long the state of a log that is gone is kept
        ///                             (default: 7d)
        // As `watch` would be run.
        watch: Watch = Watch::default();
    }
    ///
    /// Exit codes: 0 no condition fails; 1 one does, or it could not look; 2 bad usage.
    ///
    /// Examples:
    ///   tailcast check /var/log/app.log
    ///   tailcast check --mode stream --rotated old '/var/log/app/*.log'
    ///   tailcast check --json app.log | jq -r '.conditions[] | select(.state != "ok")'
}

pub fn parse(args: Args, env: Env) -> Result<Command> {
    let (mut options, mut watch) = (Check::default(), Watch::default());
    let given = flags::read("check", &mut [&mut options, &mut watch], args)?;
    options.watch = watch.settle("check", given, env)?;
    Ok(Command::Check(Box::new(options)))
}

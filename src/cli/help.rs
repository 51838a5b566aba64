//! The help texts. Written for a person: what it does first, then every flag with its unit and default, then
//! examples.
//!
//! The tests in `cli` hold them to 80 columns and to naming every flag there is.

/// For a command line with nothing on it.
pub const USAGE: &str = "\
tailcast: no command given

Usage: tailcast COMMAND [FLAGS] [OPERANDS], with COMMAND one of
       generate, watch, subscribe, status, check, top, help

To try it, with a Redis on this machine, in three terminals:
  tailcast generate app.log
  tailcast watch app.log
  tailcast subscribe

What each command does: tailcast help; its flags: tailcast help watch
";

pub const TAILCAST: &str = "\
tailcast: tails log files into Redis, every line exactly once

Usage: tailcast COMMAND [FLAGS] [OPERANDS]

Commands:
  generate    append random JSON log lines to a file, as an application would
  watch       publish every new line of log files to Redis
  subscribe   print the lines as they arrive
  status      show how far behind each file is
  check       say what watch would do, and whether its guarantee can hold
  top         show lines a second by type, and the lag of every source, live
  help        show this text, or a command's: tailcast help watch; all of it as
              a manual page: help --man; completions for a shell:
              help --completions bash|zsh|fish

Flags:
  -h, --help       show help; after a command, that command's
  -V, --version    show the version

Flags may stand before, between or behind the operands, as --flag value or
--flag=value; the last one wins, unless it says that it may be repeated.
Behind -- everything is an operand. Durations take a unit: 250ms, 3s, 5m, 1h,
7d. Sizes are bytes: 512, 64KiB, 10MiB.

Environment:
  REDIS_URL          the server, where there is no --redis; keeps a password
                     out of the process list
  STATE_DIRECTORY    folder for checkpoints, where there is no --state-dir
                     (set by systemd)
  XDG_STATE_HOME     else that folder's parent (default: ~/.local/state)
  NO_COLOR           subscribe and top print without colour, as they do
                     where TERM is dumb

Exit codes: 0 done; 1 failed; 2 bad usage; 75 try again later.

Examples:
  tailcast generate app.log        write a line a second, until Ctrl-C
  tailcast watch app.log           publish them
  tailcast subscribe               read along
";

pub const GENERATE: &str = "\
Usage: tailcast generate [FLAGS] [FILE]

Appends random JSON log lines to FILE, as an application would: one write per
line, and a rotated file is reopened before the next line. FILE is created if
missing; - is standard output (default: app.log).

Flags:
      --interval DURATION   time from line to line (default: 1s); 0 writes as
                            fast as it goes, in blocks of 64 KiB
      --count N             stop after N lines (default: go on until Ctrl-C)
      --seed N              the same types and messages again at each run
                            (default: others each time)
  -q, --quiet               do not say what is written, and how much was
  -h, --help                show this text

Examples:
  tailcast generate
  tailcast generate --interval 20ms /tmp/app.log
  tailcast generate --interval 0 --count 1000000 --seed 1 big.log
  tailcast generate --count 3 -
";

pub const WATCH: &str = "\
Usage: tailcast watch [FLAGS] [FILE...]

Publishes every new line of each FILE to Redis, and keeps a checkpoint of how
far it got. FILE is a path, or a quoted glob: '/var/log/*/app.log', or with **
for folders at any depth, '/var/log/pods/**/*.log' (default: app.log). A file
that is not there yet is waited for; a new match is found within a second.

What it guarantees: every complete line that log rotation leaves readable is
published once, in order, through kill -9, restarts and cut connections. A
half-written line waits for its newline. While Redis is away nothing is
skipped: the log file is the buffer. A line can come twice only if Redis loses
writes that it acknowledged, or with --delivery at-least-once.

Which files:
      --exclude GLOB        leave out of the globs' matches what has this name,
                            as in '*.gz', or with a / this path; repeatable
      --rotated DIR         look for rotated files in DIR too, as logrotate's
                            olddir; one that is relative is relative to the
                            log's own folder, and what lies there by a
                            log's rotated name is no log of its own;
                            repeatable

Where the lines go:
      --redis URL           the server (default: $REDIS_URL, else
                            redis://127.0.0.1:6379/), or any node of a Redis
                            Cluster; redis+unix:// works too, and
                            redis+sentinel://HOST:PORT,.../MASTER
      --tls-ca FILE         for rediss://: who may have signed the server's
                            certificate (default: the system's authorities)
      --tls-cert FILE, --tls-key FILE
                            the certificate that the server asks us for
      --mode pubsub|stream|list
                            how: PUBLISH, XADD or RPUSH (default: pubsub)
      --target NAME         channel or key, may hold {type}
                            (default: logs:{type} for pubsub, else logs); with
                            a hash tag, as in '{logs}:{type}', where keys are
                            in a Redis Cluster
      --type-field NAME,... the top-level JSON field that {type} stands for, or
                            the first of these that has a type; pino's,
                            bunyan's and syslog's numbers have names
                            (default: type); UNKNOWN where there is none
      --source NAME         what this file is called in Redis
                            (default: HOST:ABSOLUTE-PATH)
      --delivery exactly-once|at-least-once
                            whether lines and position are one transaction
                            (default: exactly-once)
      --hold slow|absent|off
                            pubsub: wait for slow subscribers, also while one is
                            absent, or not (default: slow), as Redis cuts off
                            who has too much to read
      --hold-for DURATION   how long for one that does not move (default: 30s)
      --max-backlog N       stream, list: wait when so many lines are there that
                            some group has not acknowledged, or that nobody
                            has taken (default: 1000000)
      --when-full wait|drop-oldest
                            what then; what is dropped is said (default: wait)
      --retain N|AGE        stream: keep so many lines, or those of so long,
                            that every group has acknowledged (default: 0)
      --batch-lines N       most lines in one transaction (default: 1000)
      --max-line SIZE       longer lines are skipped, and reported
                            (default: 16MiB)

Where it starts, and what it remembers:
      --from start|end      where to begin in a file not seen before
                            (default: start)
      --reset               forget how far it got, then begin at --from
      --state-dir DIR       folder for checkpoints (default: $STATE_DIRECTORY,
                            else $XDG_STATE_HOME/tailcast, else
                            ~/.local/state/tailcast)
      --forget-after DURATION
                            how long the state of a log that is gone is kept
                            (default: 7d)
      --checkpoint-lines N  write the checkpoint after N lines (default: 50)
      --checkpoint-interval DURATION
                            or after this time, if sooner (default: 2s)

How it runs:
      --once                publish what is there, wait for Redis to have it,
                            write the checkpoint, exit; silent on success
      --timeout DURATION    with --once: give up, exit 75, when there was no
                            progress for so long (default: 30s)
      --poll DURATION       time between looks at the files (default: 20ms);
                            twice as long after 5 s without a line
      --rotate-wait DURATION
                            how long a rotated file is read on for late lines
                            (default: 5s)
      --stats DURATION      write a line of figures to standard error each
                            time that so long has passed, and at the end
      --stats-format FORMAT text or json (default: text)
      --metrics-file PATH   keep the figures there for Prometheus, as in
                            node_exporter's textfile collector
  -v, --verbose             say what is found, where each file begins and why,
                            what rotates, and what becomes of connections
  -q, --quiet               say only what went wrong
  -h, --help                show this text

Exit codes: 0 done; 1 failed; 2 bad usage; 75 another watcher has the file, or
there was no progress in time.

Examples:
  tailcast watch /var/log/app.log
  tailcast watch '/var/log/app/*.log' /var/log/nginx/access.log
  tailcast watch '/srv/**/*.log' --exclude 'debug*' --rotated archive
  tailcast watch --mode stream --target logs --from end app.log
  * * * * *  tailcast watch --once /var/log/app.log      (in a crontab)
";

pub const SUBSCRIBE: &str = "\
Usage: tailcast subscribe [FLAGS] [PATTERN...]

Prints the lines that watch sends, as they arrive. With --mode pubsub those that
are published to the channels that match a PATTERN; quote the patterns; * ?
[abc] are as in Redis's PSUBSCRIBE (default: 'logs:*'). If the connection is cut
it subscribes again by itself, and says that there was a gap. With --mode stream
or list PATTERN is the one key that is read (default: logs), and nothing is
acknowledged before it is out.

Flags:
      --redis URL           the server (default: $REDIS_URL, else
                            redis://127.0.0.1:6379/), or any node of a Redis
                            Cluster; redis+unix:// works too, and
                            redis+sentinel://HOST:PORT,.../MASTER
      --tls-ca FILE         for rediss://: who may have signed the server's
                            certificate (default: the system's authorities)
      --tls-cert FILE, --tls-key FILE
                            the certificate that the server asks us for
      --mode pubsub|stream|list
                            as watch sends (default: pubsub)
      --group NAME          stream: share it with the other consumers of this
                            group; it is made where there is none
                            (default: every subscriber gets all)
      --consumer NAME       who we are in the group, or among those who take
                            from a list; two at once must differ
                            (default: the host's name)
      --claim-after DURATION
                            group: take over what others were given and have
                            not acknowledged for so long (default: 60s)
      --from start|end      stream: where to begin, if neither the group nor
                            --output has a place (default: start)
      --output FILE         append to FILE, and keep FILE.place beside it: with
                            stream and list every line is there once, also
                            after kill -9
      --exec 'COMMAND'      feed the lines to this command, through sh
      --format raw|pretty|udm
                            the line's own bytes; or time, coloured type,
                            message and other fields; or an event of Google
                            SecOps' Unified Data Model, in JSON
                            (default: pretty on a terminal, else raw)
      --type TYPE,...       only lines of these types (default: all)
      --type-field NAME,... the top-level JSON field that is the type, or the
                            first of these that has one (default: type)
      --udm-host HOST       with --format udm: the machine that the lines come
                            from, where neither they nor the channel tell
      --count N             stop after N lines (default: go on until Ctrl-C)
  -h, --help                show this text

On a terminal control characters in a line are shown, as in \\x1b, never obeyed.

Examples:
  tailcast subscribe
  tailcast subscribe --type ERROR,WARNING
  tailcast subscribe 'logs:ERROR' --format raw | jq -r .message
  tailcast subscribe --mode stream --output /var/log/all.log
  tailcast subscribe --mode stream --group mail --exec './mail-errors'
  tailcast subscribe --count 1000 > sample.log
";

pub const STATUS: &str = "\
Usage: tailcast status [FLAGS] [FILE...]

Shows for each FILE its size, how far it is published, the lag between the two
in bytes, the age of the checkpoint and the generation, which counts rotations
(default: app.log); and how many lines lie in the watcher's stream or list.

Flags:
      --exclude GLOB        leave out of the globs' matches what has this name,
                            as in '*.gz', or with a / this path; repeatable
      --rotated DIR         look for rotated files in DIR too, as the watcher
                            does if it was told so; repeatable
      --json                print JSON, for programs
      --max-lag SIZE        exit 1 when a file is further behind
                            (default: any lag will do)
      --redis URL           the server (default: $REDIS_URL, else
                            redis://127.0.0.1:6379/), or any node of a Redis
                            Cluster; redis+unix:// works too, and
                            redis+sentinel://HOST:PORT,.../MASTER
      --tls-ca FILE         for rediss://: who may have signed the server's
                            certificate (default: the system's authorities)
      --tls-cert FILE, --tls-key FILE
                            the certificate that the server asks us for
      --state-dir DIR       folder for checkpoints (default: $STATE_DIRECTORY,
                            else $XDG_STATE_HOME/tailcast, else
                            ~/.local/state/tailcast)
      --source NAME         what this file is called in Redis, if the watcher
                            has a --source (default: HOST:ABSOLUTE-PATH)
      --target NAME         the watcher's, where it keeps the lines (stream,
                            list) (default: logs)
  -h, --help                show this text

Examples:
  tailcast status
  tailcast status --max-lag 10MiB /var/log/app.log || echo 'falling behind'
  tailcast status --json '/var/log/app/*.log' | jq .
";

pub const CHECK: &str = "\
Usage: tailcast check [FLAGS] [FILE...]

Says what tailcast watch with these flags would do: where each FILE begins and
why, and how much of it is unread; and whether what its guarantee rests on
holds: Redis, what its user may do there, what it keeps, the files, the rotated
files beside them, their state, and how logrotate treats them. Each condition
is ok, warn (it works, within a limit that is named), FAIL, or ? (it cannot be
known). Changes nothing, and takes no lock (default: app.log).

Flags:
      --json                print JSON, for programs
      --logrotate-conf PATH where logrotate's configuration begins
                            (default: /etc/logrotate.conf)

It takes every flag of watch too (tailcast help watch). These change what it
says:
      --exclude GLOB        leave out of the globs' matches what has this name,
                            as in '*.gz', or with a / this path; repeatable
      --rotated DIR         look for rotated files in DIR too; repeatable
      --redis URL           the server (default: $REDIS_URL, else
                            redis://127.0.0.1:6379/)
      --tls-ca FILE         for rediss://: who may have signed the server's
                            certificate (default: the system's authorities)
      --tls-cert FILE, --tls-key FILE
                            the certificate that the server asks us for
      --mode MODE           pubsub, stream or list (default: pubsub)
      --target NAME         channel or key, may hold {type}
                            (default: logs:{type} for pubsub, else logs)
      --source NAME         what this file is called in Redis
                            (default: HOST:ABSOLUTE-PATH)
      --delivery HOW        exactly-once or at-least-once
                            (default: exactly-once)
      --hold WHOM           slow, absent or off (default: slow)
      --from start|end      where to begin in a file not seen before
                            (default: start)
      --reset               as if nothing were known of how far it got
      --state-dir DIR       folder for checkpoints (default: $STATE_DIRECTORY,
                            else $XDG_STATE_HOME/tailcast, else
                            ~/.local/state/tailcast)
      --forget-after DURATION
                            how long the state of a log that is gone is kept
                            (default: 7d)
  -h, --help                show this text

Exit codes: 0 no condition fails; 1 one does, or it could not look; 2 bad usage.

Examples:
  tailcast check /var/log/app.log
  tailcast check --mode stream --rotated old '/var/log/app/*.log'
  tailcast check --json app.log | jq -r '.conditions[] | select(.state != \"ok\")'
";

pub const TOP: &str = "\
Usage: tailcast top [FLAGS] [PATTERN...]

Shows, live, how many lines of each type are published to the channels that
match a PATTERN (default: 'logs:*'), with a sparkline of the last seconds; and
of every source that has a commit record how far it is, how fast it moves, and
how much of the log is not published, where the log is on this host. To Redis
it is a subscriber like any other. Without a terminal it prints a table each
time. Ctrl-C ends it.

Flags:
      --redis URL           the server (default: $REDIS_URL, else
                            redis://127.0.0.1:6379/), or any node of a Redis
                            Cluster; redis+unix:// works too, and
                            redis+sentinel://HOST:PORT,.../MASTER
      --tls-ca FILE         for rediss://: who may have signed the server's
                            certificate (default: the system's authorities)
      --tls-cert FILE, --tls-key FILE
                            the certificate that the server asks us for
      --type-field NAME,... the top-level JSON field that is the type, or the
                            first of these that has one (default: type)
      --rotated DIR         look for rotated files in DIR too, as the watcher
                            does if it was told so; repeatable
      --interval DURATION   time between two looks (default: 1s)
      --count N             end after N looks (default: go on until Ctrl-C)
  -h, --help                show this text

Examples:
  tailcast top
  tailcast top 'logs:ERROR' 'logs:WARNING'
  tailcast top --interval 10s --count 6 > minute.txt
";

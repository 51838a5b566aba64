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

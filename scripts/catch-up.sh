#!/bin/sh
# Publishes what was appended to log files since the last time, then exits: "tailcast watch --once" for cron.
#
# usage: scripts/catch-up.sh        (from a crontab, every minute:)
#
#   TAILCAST_FILES=/var/log/app.log:/var/log/app/*.log
#   STATE_DIRECTORY=/var/lib/tailcast
#   * * * * *  /opt/tailcast/scripts/catch-up.sh
#
# environment:
#   TAILCAST_FILES     the files, with a colon (or a newline) between them; tailcast expands *, ? in their names. Needed
#   REDIS_URL          where Redis is (redis://127.0.0.1:6379/); with a password, keep the crontab readable by you only
#   STATE_DIRECTORY    where checkpoints are kept (~/.local/state/tailcast)
#   TAILCAST_OPTIONS   more options for tailcast watch, with spaces between them: "--mode stream --timeout 10s"
#   TAILCAST_BIN       the binary; else target/release/tailcast beside this folder, else tailcast in PATH
#
# The exit code is tailcast's own: 0 done, 1 failed, 2 bad usage, 75 try again later.
# cron mails whatever is printed. So 75 prints nothing: the last run is still at work, or Redis is away, and the next
# run makes up for this one. What stays behind for long is seen by a second line, which is silent while all is well:
#
#   */15 * * * *  tailcast status --max-lag 10MiB /var/log/app.log >/dev/null || echo "app.log: far behind"
#
# Run by hand, in a terminal, it prints everything.

set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

no_arguments "$@"

if [ -z "${TAILCAST_FILES:-}" ]; then
    bad_usage "TAILCAST_FILES is not set"
fi
find_binary || bin=$(command -v tailcast) || fail "there is no tailcast in PATH, and none built here: set TAILCAST_BIN"

# Split, but leave globs to tailcast, which also finds files that are not there yet.
set -f
# shellcheck disable=SC2086
set -- ${TAILCAST_OPTIONS:-} --
IFS=':
'
# shellcheck disable=SC2086
set -- watch --once "$@" $TAILCAST_FILES

if [ -t 2 ]; then
    exec "$bin" "$@"
fi
code=0
talk=$("$bin" "$@" 2>&1) || code=$?
if [ "$code" -ne 75 ] && [ -n "$talk" ]; then
    printf '%s\n' "$talk" >&2
fi
exit "$code"

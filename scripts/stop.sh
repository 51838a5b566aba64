#!/bin/sh
# Ends what scripts/start.sh started (with or without --detach), and waits until it is gone.
#
# usage: scripts/stop.sh
#
# Fine when nothing runs. A Redis that was given by REDIS_URL is not ours, and stays.
# Exit codes: 0 nothing of it runs any more; 1 something could not be ended (another user's, say).

set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

no_arguments "$@"
find_running || say "nothing is running"
# start.sh ends its parts itself, unless it was killed.
while find_running; do
    say "ending $running"
    kill "$pid" || fail "cannot end it"
    ticks=200
    while is_running "$pid" "$name"; do
        ticks=$((ticks - 1))
        [ "$ticks" -gt 0 ] || fail "it does not end: kill -9 $pid"
        sleep 0.1
    done
done
rm -f "$run/start.pid"

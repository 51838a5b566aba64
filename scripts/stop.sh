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

for arg; do
    case $arg in
    -h | --help)
        usage
        exit
        ;;
    *) bad_usage "unknown argument: $arg" ;;
    esac
done

running=
for part in start generate watch subscribe redis; do
    if alive "$part"; then
        running="$running $part ($pid)"
    fi
done
if [ -z "$running" ]; then
    say "nothing is running"
    exit 0
fi

say "ending:$running"
# A start.sh in some terminal ends its parts itself; what it leaves, and what --detach left, is ended here.
code=0
stop_part start || code=1
stop_parts || code=1
if [ "$code" -eq 0 ]; then
    say "everything has ended"
fi
exit "$code"

#!/bin/sh
# Starts everything: Redis, the log generator, the watcher, and the subscriber, whose lines you see in this terminal.
#
# usage: scripts/start.sh [--detach]
#
#   --detach    leave everything running in the background; the received lines go to run/subscribe.out
#
# Ctrl-C, SIGTERM or scripts/stop.sh ends all that it started. If one part ends, all end.
# It installs redis-server when there is none, and builds tailcast; it says so first.
# REDIS_URL names another Redis than a private one on 127.0.0.1 (which any user of this machine can reach),
# TAILCAST_INTERVAL the time between two lines (1s), TAILCAST_BIN another binary.
# Everything it writes is in run/, beside scripts/: the log and how far it got stay for the next start.

set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

# "spawn NAME COMMAND...": in the background, with what it says in run/NAME.log.
spawn() {
    name=$1
    shift
    : >"$run/$name.log" # by us: who waits for it must not see an older one
    "$@" </dev/null 2>>"$run/$name.log" &
    eval "$name=\$!"
    parts="$name $parts"
    echo "$! $name" >>"$run/start.pid"
}

lives() { eval "kill -0 \"\$$1\"" 2>/dev/null; }

# "await NAME TEXT": until run/NAME.log has the text, then says its line; leaves when NAME ends, or time is up.
await() {
    ticks=300
    until line=$(grep "$2" "$run/$1.log"); do
        ticks=$((ticks - 1))
        [ -z "$stop" ] || exit 0
        if [ "$ticks" -eq 0 ] || ! lives "$1"; then show_log "$run/$1.log" && fail "$1 does not come up"; fi
        sleep 0.1 || true # a signal may end it
    done
    line=${line#tailcast: }
    [ "$1" = start ] || say "$1: ${line##*" * "}"
}

# However the script ends, this runs. The part that was started last ends first.
finish() {
    code=$?
    trap '' INT TERM HUP PIPE
    for name in $parts; do
        eval "kill \"\$$name\" && wait \"\$$name\"" 2>/dev/null || true
    done
    rm -f "$run/start.pid"
    exit "$code"
}

case ${1:-} in --detach) ;; *) no_arguments "$@" ;; esac
stop='' parts=''
if find_running; then fail "already running ($running); scripts/stop.sh ends it"; fi
[ -n "${REDIS_URL:-}" ] || need_redis_server
need_binary
mkdir -p "$run/redis" "$run/state"
if [ "${1:-}" = --detach ]; then
    # The same script again, in the background and away from this terminal, which sees it come up.
    : >"$run/start.log"
    # shellcheck disable=SC2046 # none where there is no setsid
    TAILCAST_BIN=$bin $(command -v setsid) nohup "$here/start.sh" </dev/null >"$run/subscribe.out" 2>>"$run/start.log" &
    # shellcheck disable=SC2034 # for lives
    start=$!
    await start 'generate: appending'
    cat "$run/start.log"
    echo "In the background; the lines that arrive are in $run/subscribe.out, and $here/stop.sh ends it."
    exit
fi
trap 'stop=yes' INT TERM HUP PIPE # only a flag, so that none falls between a process and its name
trap finish EXIT
echo "$$ start.sh" >"$run/start.pid"
if [ -z "${REDIS_URL:-}" ]; then
    # Binding is the only sure test for a free port, so Redis itself does it.
    port=6389
    while
        port=$((port + 1))
        spawn redis "$redis_server" --bind 127.0.0.1 --port $port --dir "$run/redis" --appendonly yes --save '' --logfile "$run/redis.log"
        await redis 'eady to accept\|in use'
        [ "${line#*in use}" != "$line" ]
    do :; done
    export REDIS_URL="redis://127.0.0.1:$port/"
fi
# Pub/sub keeps nothing, so the subscriber has to listen before there is anything to hear.
spawn subscribe "$bin" subscribe
await subscribe 'subscribed to'
spawn watch "$bin" watch "$run/app.log" --state-dir "$run/state"
await watch 'watching '
spawn generate "$bin" generate "$run/app.log" --interval "${TAILCAST_INTERVAL:-1s}"
await generate 'appending to'
say "Ctrl-C or scripts/stop.sh ends everything"

while [ -z "$stop" ]; do
    for name in $parts; do
        lives "$name" || { show_log "$run/$name.log" && fail "$name has ended by itself"; }
    done
    sleep 1 || true
done

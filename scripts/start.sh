#!/bin/sh
# Starts everything: Redis, the log generator, the watcher, and the subscriber, whose lines you see in this terminal.
#
# usage: scripts/start.sh [--detach]
#
#   --detach    leave everything running in the background; the received lines go to run/subscribe.out
#
# Ctrl-C, SIGTERM or scripts/stop.sh ends all that it started, and nothing else. If one part ends, all end.
# It installs redis-server and builds tailcast when they are missing, and says so first.
#
# environment:
#   REDIS_URL           use this Redis; else a private one is started, on 127.0.0.1 and a free port
#   TAILCAST_INTERVAL   time between two generated lines (1s)
#   TAILCAST_BIN        use this tailcast; else target/release/tailcast, built when missing or older than its sources
#
# Everything it writes is in run/, beside scripts/:
#   app.log, state/     the generated log, and how far the watcher got; both are kept from one start to the next
#   redis/              the private Redis's data (append-only file); any user of this machine can connect to it
#   *.log, *.pid        what each part had to say, and its process

set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

detach=
for arg; do
    case $arg in
    -h | --help)
        usage
        exit
        ;;
    --detach) detach=yes ;;
    *) bad_usage "unknown argument: $arg" ;;
    esac
done

# Signals only set a flag, so that none falls between a process and its pid file.
stop=
trap_signals() { trap 'stop=yes' INT TERM HUP PIPE; }

leave_if_stopped() {
    [ -z "$stop" ] || exit 0
}

# The part that runs already, if any.
running_part() {
    for part in start redis subscribe watch generate; do
        if alive "$part"; then
            echo "$part is process $pid"
            return
        fi
    done
}

refuse_second_start() {
    running=$(running_part)
    [ -z "$running" ] || fail "already running ($running); scripts/stop.sh ends it"
}

# Writes run/start.pid, unless somebody runs. Of two that start at the same moment, the folder run/claim lets one
# look and write at a time.
claim_run() {
    mkdir -p "$run/state" "$run/redis"
    ticks=50
    until mkdir "$run/claim" 2>/dev/null; do
        ticks=$((ticks - 1))
        [ "$ticks" -gt 0 ] || fail "another start.sh was killed while it started: remove $run/claim"
        sleep 0.1 || true
    done
    running=$(running_part)
    [ -n "$running" ] || pid_line $$ >"$run/start.pid"
    rmdir "$run/claim"
    [ -z "$running" ] || fail "already running ($running); scripts/stop.sh ends it"
}

# From here on, leaving by any way ends the parts.
finish() {
    code=$?
    trap '' INT TERM HUP PIPE
    trap - EXIT
    say "ending everything"
    stop_parts || code=1
    rm -f "$run/start.pid"
    exit "$code"
}

# Waits until "COMMAND..." is true while NAME lives: "wait_for NAME TENTHS COMMAND...". False: NAME ended, or time is up.
wait_for() {
    name=$1 ticks=$2
    shift 2
    until "$@"; do
        leave_if_stopped
        ticks=$((ticks - 1))
        if [ "$ticks" -lt 0 ] || ! alive "$name"; then
            return 1
        fi
        sleep 0.1 || true
    done
}

show_log() {
    say "last lines of run/$1.log:"
    tail -n 15 "$run/$1.log" >&2 || true
}

redis_is_ready() { grep -q 'eady to accept connections' "$run/redis.log"; }

# A private Redis. Binding is the only sure test for a free port, so Redis itself does it.
start_redis() {
    port=6390
    while :; do
        spawn redis "$redis_server" --bind 127.0.0.1 --port "$port" --daemonize no --logfile '' \
            --dir "$run/redis" --appendonly yes --save '' >"$run/redis.log" 2>&1
        wait_for redis 600 redis_is_ready && break
        if ! grep -q 'in use' "$run/redis.log" || [ "$port" -ge 6489 ]; then
            show_log redis
            fail "redis-server did not start"
        fi
        port=$((port + 1))
    done
    REDIS_URL=redis://127.0.0.1:$port/
    say "Redis: a private one, $REDIS_URL"
}

# Takes REDIS_URL apart for redis-cli, which would show a password in ps if it were given the whole.
split_url() {
    scheme=${REDIS_URL%%://*}
    rest=${REDIS_URL#*://}
    user=
    password=
    case $REDIS_URL in
    *unix://*)
        user=$(printf '%s' "$rest" | sed -n 's/.*[?&]user=\([^&]*\).*/\1/p' | percent_decode)
        password=$(printf '%s' "$rest" | sed -n 's/.*[?&]pass=\([^&]*\).*/\1/p' | percent_decode)
        ;;
    *://*@*)
        user_password=${rest%@*}
        rest=${rest##*@}
        case $user_password in
        *:*)
            user=$(printf '%s' "${user_password%%:*}" | percent_decode)
            password=$(printf '%s' "${user_password#*:}" | percent_decode)
            ;;
        esac
        ;;
    *://*) ;;
    *) fail "REDIS_URL is not a URL such as redis://127.0.0.1:6379/" ;;
    esac
    address=${rest%%[?#]*}
    public_url=$scheme://$address
    host=${address%%/*}
    port=${host##*:}
    case $port in
    '' | *[!0-9]*) port=6379 ;;
    *) host=${host%:*} ;;
    esac
    host=${host#'['} # IPv6
    host=${host%']'}
}

percent_decode() {
    LC_ALL=C awk '
        function digit(c) { return index("0123456789abcdef", tolower(c)) - 1 }
        {
            while (match($0, /%[0-9A-Fa-f][0-9A-Fa-f]/)) {
                code = 16 * digit(substr($0, RSTART + 1, 1)) + digit(substr($0, RSTART + 2, 1))
                printf "%s%c", substr($0, 1, RSTART - 1), code
                $0 = substr($0, RSTART + 3)
            }
            print
        }'
}

# Calls redis-cli with a command.
ask() {
    case $scheme in
    *unix) set -- -s "$address" "$@" ;;
    rediss | valkeys) set -- --tls -h "$host" -p "$port" "$@" ;;
    *) set -- -h "$host" -p "$port" "$@" ;;
    esac
    if [ -n "$password" ]; then
        REDISCLI_AUTH=$password "$redis_cli" --no-auth-warning ${user:+--user "$user"} "$@" 2>&1
    else
        (unset REDISCLI_AUTH && "$redis_cli" "$@" 2>&1)
    fi
}

# Sets $newest, the id of the newest client that Redis has seen; empty when redis-cli cannot tell.
ask_newest_client() {
    newest=
    redis_cli=$(command -v redis-cli || command -v valkey-cli) || return 0
    newest=$(ask client id) || true
    case $newest in
    *"Could not connect"* | *NOAUTH* | *WRONGPASS*) fail "Redis at $public_url: $newest" ;;
    '' | *[!0-9]*) newest= ;;
    esac
}

# Is there a subscribed client newer than $newest?
subscriber_listens() {
    ask client list | awk -v newest="$newest" '
        {
            id = subscriptions = 0
            for (i = 1; i <= NF; i++) {
                split($i, pair, "=")
                if (pair[1] == "id") id = pair[2] + 0
                if (pair[1] ~ /^p?sub$/) subscriptions += pair[2]
            }
            if (id > newest + 0 && subscriptions > 0) found = 1
        }
        END { exit !found }'
}

# Pub/sub keeps nothing, so the subscriber has to listen before there is anything to hear.
start_subscriber() {
    ask_newest_client
    if [ -n "$detach" ]; then
        : >>"$run/subscribe.out"
        received=$(wc -c <"$run/subscribe.out")
        spawn subscribe "$bin" subscribe >>"$run/subscribe.out" 2>"$run/subscribe.log"
    else
        spawn subscribe "$bin" subscribe
    fi
    if [ -z "$newest" ]; then
        say "no redis-cli that can ask $public_url whether the subscriber listens: it may miss the first lines"
    elif ! wait_for subscribe 150 subscriber_listens; then
        alive subscribe || report_end subscribe
        fail "the subscriber does not listen at $public_url after 15 seconds"
    fi
}

# Sets $dead, the first part that does not run any more. False: all run.
some_part_is_dead() {
    for dead in $parts; do
        alive "$dead" || return 0
    done
    return 1
}

subscriber_received() { [ "$(wc -c <"$run/subscribe.out")" -gt "$received" ]; }
received_or_dead() { subscriber_received || some_part_is_dead; }

# Says that a part has ended by itself, and leaves.
report_end() {
    if [ "$1" = subscribe ]; then
        code=0
        # shellcheck disable=SC2154 # set by alive
        wait "$pid" 2>/dev/null || code=$?
        say "the subscriber has ended by itself (exit code $code)"
        [ -n "$detach" ] || exit "$code"
        show_log subscribe
        exit 1
    fi
    show_log "$1"
    fail "$1 has ended by itself"
}

# Leaves when a signal came, or a part ended.
supervise() {
    until [ -n "$stop" ] || some_part_is_dead; do
        sleep 1 || true
    done
    leave_if_stopped
    report_end "$dead"
}

refuse_second_start
if [ -z "${REDIS_URL:-}" ]; then
    need_redis_server
fi
need_binary
trap_signals
claim_run
trap finish EXIT

parts="subscribe watch generate"
if [ -z "${REDIS_URL:-}" ]; then
    parts="redis $parts"
    start_redis
    split_url
else
    split_url
    say "Redis: $public_url, from REDIS_URL"
fi
export REDIS_URL # and not as an argument, which ps would show

start_subscriber
leave_if_stopped
spawn watch "$bin" watch "$run/app.log" --state-dir "$run/state" >"$run/watch.log" 2>&1
leave_if_stopped
spawn generate "$bin" generate "$run/app.log" --interval "${TAILCAST_INTERVAL:-1s}" --quiet >"$run/generate.log" 2>&1
say "a new line every ${TAILCAST_INTERVAL:-1s} in $run/app.log"

if [ -z "$detach" ]; then
    say "Ctrl-C ends everything"
    supervise
fi

wait_for subscribe 50 received_or_dead || true
if some_part_is_dead; then
    report_end "$dead"
fi
subscriber_received || say "no line has been received yet"
leave_if_stopped
trap - EXIT
rm -f "$run/start.pid"
cat <<END
tailcast is running in the background.
  lines written    $run/app.log
  lines received   $run/subscribe.out
  logs and pids    $run/*.log, $run/*.pid
  Redis            $public_url
  to stop it       $here/stop.sh
END

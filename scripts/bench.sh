#!/usr/bin/env bash
# Compares this tailcast with another one, side by side: lines/s of a backlog, latency, and what it costs when idle.
#
# usage: scripts/bench.sh [--quick] [--runs N] OTHER
#
#   OTHER     the other binary: that of before a change, say
#   --quick   fewer lines, rounds and seconds: to see whether it works, not for figures to show
#   --runs N  rounds (7)
#
# In each round both are measured, one right after the other, and each is the first one in turn. The ratio is taken within
# the round: then what else the machine does hits both alike. Medians are shown; a ratio above 1 is in favour of this one,
# which is the release build, or what TAILCAST_BIN names. benches/compare.sh compares with Redis's own limit and with
# other shippers.
#
# It starts a redis-server of its own, on loopback and a free port, and works in a temporary folder under $TMPDIR. Nothing
# is left.

set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

runs=7 lines=500000 few_lines=100 idle_seconds=10 other=
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit
        ;;
    --quick) runs=2 lines=100000 few_lines=50 idle_seconds=2 ;;
    --runs)
        [ $# -ge 2 ] || bad_usage "--runs takes a number"
        runs=$2
        shift
        ;;
    -*) bad_usage "there is no option $1" ;;
    *) other=$1 ;;
    esac
    shift
done
[[ $runs =~ ^[1-9][0-9]*$ ]] || bad_usage "not a number: $runs"
[ -n "$other" ] || bad_usage "which other binary?"
other=$(realpath -- "$other")
[ -x "$other" ] || fail "cannot run $other"
this=${TAILCAST_BIN:+$(realpath -- "$TAILCAST_BIN")}

# shellcheck source=../benches/lib.sh
. "$root/benches/lib.sh"

# measure NAME UNIT BETTER COMMAND...: COMMAND sets $value for $bin; BETTER: more or less.
measure() {
    local name=$1 unit=$2 better=$3 round which turn ratios=()
    local -A values=() value_of=()
    shift 3
    for ((round = 0; round < runs; round++)); do
        turn=("$this" "$other")
        ((round % 2)) || turn=("$other" "$this")
        for bin in "${turn[@]}"; do
            which=$([ "$bin" = "$this" ] && echo this || echo other)
            ask FLUSHALL >/dev/null
            rm -rf "$work/state"
            "$@"
            value_of[$which]=$value values[$which]+=" $value"
        done
        case $better in
        more) ratios+=("$(calculate "${value_of[this]} / ${value_of[other]}")") ;;
        less) ratios+=("$(calculate "${value_of[other]} / ${value_of[this]}")") ;;
        esac
    done
    # shellcheck disable=SC2086 # lists of numbers
    printf '%-28s %-8s %12s %12s %8s\n' "$name" "$unit" \
        "$(median ${values[this]})" "$(median ${values[other]})" "$(median "${ratios[@]}")"
}

# backlog RUN SUBSCRIBERS
backlog() {
    local began
    [ "$2" = 0 ] || start_subscriber "$lines" /dev/null
    began=$(now)
    "$1" || fail "$bin: $1 failed"
    [ "$2" = 0 ] || wait "$subscriber" || fail "$bin: the subscriber did not get every line"
    value=$(calculate "$lines / ($(now) - $began)" 0)
}

latency() {
    local measured
    measured=$("$latency_bench" --binary "$bin" --redis "$url" --count "$few_lines" 2>"$work/latency.err") ||
        fail "$bin: $(cat "$work/latency.err")"
    value=$(sed -n 's/^p50 //p' <<<"$measured")
}

# idle FILES
idle() {
    local files=() number before
    rm -rf "$work/idle$1"
    mkdir "$work/idle$1"
    for ((number = 1; number <= $1; number++)); do
        files+=("$work/idle$1/$number.log")
        printf '{"type":"INFO","message":"%s"}\n' "$number" >"${files[-1]}"
    done
    start_watcher "${files[@]}"
    wait_until 60 all_saved "$1"
    # Past the first seconds, in which it looks more often.
    sleep 6
    before=$(cpu_seconds)
    sleep "$idle_seconds"
    value=$(calculate "1000 * ($(cpu_seconds) - $before) / $idle_seconds")
    stop "$watcher"
}

build_both
this=${this:-$built}
"$this" generate --interval 0 --count "$lines" --seed 1 --quiet "$work/app.log"
start_redis
printf '%-28s %-8s %12s %12s %8s\n' "" "" this other ratio
measure "pubsub, no subscriber" lines/s more backlog run_exactly_once 0
measure "pubsub, one subscriber" lines/s more backlog run_exactly_once 1
measure "list" lines/s more backlog run_list 0
measure "stream" lines/s more backlog run_stream 0
measure "latency, median" ms less latency
measure "idle, 1 file" ms/s less idle 1
measure "idle, 500 files" ms/s less idle 500

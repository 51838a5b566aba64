#!/usr/bin/env bash
# Measures how fast tailcast is, against the limit that Redis sets and other shippers, and what it costs when idle.
#
# usage: benches/compare.sh [--quick] [--csv FILE] [--runs N] [--lines N]
#
#   --quick     fewer lines, runs and seconds: to see whether it works, not for figures to show
#   --csv FILE  also write name,unit,value,ratio there (benches/chart.sh draws it)
#   --runs N    rounds of the backlog, and runs of the rest (5); what is shown is the median
#   --lines N   lines in the backlog (1000000)
#
# The limit is what "redis-cli --pipe" reaches with the same commands already encoded in a file: a PUBLISH, RPUSH or XADD
# for each line. In each round everything is measured once, one after the other, and the ratio is taken within the
# round: then what else the machine does hits all alike. syslog-ng and rsyslog (with their Redis modules) are compared with when they are installed. With
# a subscriber, the clock stops when the subscriber has every line and the publisher has ended.
#
# It starts a redis-server of its own, on loopback and a free port, and works in a temporary folder under $TMPDIR, on
# which it needs 3 GB. Nothing is left.

set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "$0")/../scripts" && pwd)
# shellcheck source=../scripts/lib.sh
. "$here/lib.sh"

runs=5 lines=1000000 many_lines=5000000 idle_seconds=30 quick_lines=200 slow_lines=20 csv=
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit
        ;;
    --quick)
        runs=2 lines=200000 many_lines=1000000 idle_seconds=10 quick_lines=100 slow_lines=3
        shift
        ;;
    --csv | --runs | --lines)
        [ $# -ge 2 ] || fail "$1 takes a value"
        case $1 in
        --csv) csv=$2 ;;
        --runs) runs=$2 ;;
        --lines) lines=$2 ;;
        esac
        shift 2
        ;;
    *) bad_usage "there is no option $1" ;;
    esac
done
for number in "$runs" "$lines"; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || fail "not a number: $number"
done
if [ -n "$csv" ]; then
    : >"$csv" || fail "cannot write $csv"
    csv=$(realpath -- "$csv")
fi
# shellcheck source=lib.sh
. "$root/benches/lib.sh"

rows=()
# row NAME UNIT VALUE [RATIO]; said at once, as the whole takes minutes.
row() {
    rows+=("$1,$2,$(LC_ALL=C awk -v v="$3" 'BEGIN { printf (v >= 1000 ? "%.0f" : "%.4g"), v }'),${4:-}")
    say "${rows[-1]}"
}

print_table() {
    printf '%s\n' "${rows[@]}" | LC_ALL=C awk -F, '
        BEGIN { printf "\n%-48s %12s  %-8s %s\n", "", "median", "", "ratio to the pipe" }
        { printf "%-48s %12s  %-8s %s\n", $1, $3, $2, $4 }'
}

# --- a. backlog ---

# encode PUBLISH|RPUSH|XADD: the commands of this mode, one for each line, in a file. The input is the generator's, so this
# need not be a parser.
encode() {
    LC_ALL=C awk -v command="$1" '
        function bulk(text) { return "$" length(text) "\r\n" text "\r\n" }
        BEGIN {
            if (command == "XADD") head = "*13\r\n" bulk("XADD") bulk("logs") bulk("*") bulk("line")
            else head = "*3\r\n" bulk(command)
            place = bulk("source") bulk("bench") bulk("gen") bulk("1") bulk("offset")
        }
        {
            type = match($0, /"type":"[A-Z]*"/) ? substr($0, RSTART + 8, RLENGTH - 9) : "UNKNOWN"
            if (command == "XADD") printf "%s%s%s%s%s%s", head, bulk($0), bulk("type"), bulk(type), place, bulk(end += length($0) + 1)
            else printf "%s%s%s", head, bulk(command == "RPUSH" ? "logs" : "logs:" type), bulk($0)
        }' "$work/app.log" >"$work/app.resp"
}

run_pipe() { ask --pipe <"$work/app.resp" >/dev/null; }
# Both route by the JSON field, as tailcast does. They have no --once: they end when the subscriber has every line.
run_syslog_ng() {
    cat >"$work/syslog-ng.conf" <<-END
		@version: $(syslog-ng --version | sed -n 's/.*(\([0-9]*\.[0-9]*\).*/\1/p;q')
		options { stats-freq(0); };
		source s_log { file("$work/app.log" flags(no-parse) follow-freq(0.1) log-iw-size(10000) log-fetch-limit(1000)); };
		parser p_json { json-parser(prefix(".json.")); };
		destination d_redis { redis(host("127.0.0.1") port($port) command("PUBLISH", "logs:\${.json.type}", "\${MESSAGE}")
		    batch-lines(1000) batch-timeout(100)); };
		log { source(s_log); parser(p_json); destination(d_redis); flags(flow-control); };
	END
    rm -f "$work"/ng.*
    exec syslog-ng -F --no-caps -f "$work/syslog-ng.conf" -R "$work/ng.persist" -c "$work/ng.ctl" -p "$work/ng.pid"
}
run_rsyslog() {
    rm -rf "$work/rsyslog"
    mkdir "$work/rsyslog"
    cat >"$work/rsyslog.conf" <<-END
		global(workDirectory="$work/rsyslog" maxMessageSize="64k")
		module(load="imfile" mode="inotify")
		module(load="mmjsonparse")
		module(load="omhiredis")
		template(name="line" type="string" string="%msg%")
		template(name="channel" type="string" string="logs:%\$!type%")
		input(type="imfile" file="$work/app.log" tag="bench" ruleset="publish" freshStartTail="off")
		ruleset(name="publish" queue.type="linkedList" queue.size="100000" queue.dequeueBatchSize="1000") {
		  action(type="mmjsonparse" cookie="")
		  action(type="omhiredis" server="127.0.0.1" serverport="$port" mode="publish" key="channel" dynakey="on" template="line")
		}
	END
    exec rsyslogd -n -f "$work/rsyslog.conf" -i "$work/rsyslog/pid"
}

# backlog RUN SUBSCRIBERS: sets $speed, in lines/s.
backlog() {
    local began took publisher
    ask FLUSHALL >/dev/null
    [ "$2" = 0 ] || start_subscriber "$lines" /dev/null
    began=$(now)
    case $1 in
    run_syslog_ng | run_rsyslog)
        "$1" >"$work/other.log" 2>&1 &
        publisher=$!
        # Whichever ends first: it must not be the daemon.
        { wait -n "$subscriber" "$publisher" && subscribed 0; } ||
            fail "$1: the subscriber did not get every line: $(head -n 5 "$work/other.log")"
        took=$(calculate "$(now) - $began" 6)
        stop "$publisher"
        ;;
    *)
        "$1" || fail "$1 failed"
        [ "$2" = 0 ] || wait "$subscriber" || fail "$1: the subscriber did not get every line"
        took=$(calculate "$(now) - $began" 6)
        ;;
    esac
    speed=$(calculate "$lines / $took" 0)
}

# measure_backlog SUBSCRIBERS WHAT RUN...
measure_backlog() {
    local subscribers=$1 what=$2 run round pipe
    shift 2
    declare -A speeds=() ratios=()
    for ((round = 1; round <= runs; round++)); do
        for run in run_pipe "$@"; do
            backlog "$run" "$subscribers"
            [ "$run" != run_pipe ] || pipe=$speed
            speeds[$run]+=" $speed"
            ratios[$run]+=" $(calculate "$speed / $pipe")"
        done
    done
    for run in run_pipe "$@"; do
        # shellcheck disable=SC2086 # lists of numbers
        row "${titles[$run]} ($what)" lines/s "$(median ${speeds[$run]})" "$(median ${ratios[$run]})"
    done
}
declare -A titles=(
    [run_pipe]="redis-cli --pipe"
    [run_exactly_once]="tailcast exactly-once"
    [run_at_least_once]="tailcast at-least-once"
    [run_list]="tailcast exactly-once"
    [run_stream]="tailcast exactly-once"
    [run_syslog_ng]="syslog-ng routed by type"
    [run_rsyslog]="rsyslog routed by type"
)

# Loads the module as the daemon itself would.
has_syslog_ng() { have syslog-ng && [[ $(syslog-ng --module-registry 2>/dev/null) == *"Module: redis"* ]]; }
has_rsyslog() {
    have rsyslogd || return
    printf 'module(load="mmjsonparse")\nmodule(load="omhiredis")\n*.* /dev/null\n' >"$work/try.conf"
    rsyslogd -N1 -f "$work/try.conf" >/dev/null 2>&1
}

backlogs() {
    local others=()
    if has_syslog_ng; then others+=(run_syslog_ng); else say "no syslog-ng with its Redis module here: left out"; fi
    if has_rsyslog; then others+=(run_rsyslog); else say "no rsyslog with omhiredis and mmjsonparse here: left out"; fi
    "$bin" generate --interval 0 --count "$lines" --seed 1 --quiet "$work/app.log"
    encode PUBLISH
    measure_backlog 0 "0 subscribers" run_exactly_once run_at_least_once
    measure_backlog 1 "1 subscriber" run_exactly_once run_at_least_once ${others[@]+"${others[@]}"}
    encode RPUSH
    measure_backlog 0 "list" run_list
    encode XADD
    measure_backlog 0 "stream" run_stream
}

# --- memory ---

memory() {
    local run peaks=()
    for ((run = 1; run <= runs; run++)); do
        start_subscriber "$lines" /dev/null
        start_watcher --reset "$work/app.log"
        wait "$subscriber" || fail "the subscriber did not get every line"
        peaks+=("$(memory_mib VmHWM)")
        stop "$watcher"
    done
    row "peak memory during the backlog" MiB "$(median "${peaks[@]}")"
}

# --- b. latency ---

latency() {
    local name value
    while read -r name value; do
        row "latency $name at a line every $3" ms "$value"
    done < <("$latency_bench" --redis "$url" --interval "$1" --count "$2")
}

# --- c. idle ---

idle() {
    local count=$1 files=() number before used
    mkdir "$work/idle$count"
    for ((number = 1; number <= count; number++)); do
        files+=("$work/idle$count/$number.log")
        printf '{"type":"INFO","message":"%s"}\n' "$number" >"${files[-1]}"
    done
    start_subscriber "$count" /dev/null
    start_watcher "${files[@]}"
    wait "$subscriber" || fail "the watcher does not publish what lies there"
    wait_until 60 all_saved "$count"
    sleep 1
    before=$(cpu_seconds)
    sleep "$idle_seconds"
    used=$(calculate "$(cpu_seconds) - $before" 6)
    row "idle CPU with $count file(s)" "s/${idle_seconds}s" "$used"
    row "idle CPU with $count file(s)" "% core" "$(calculate "100 * $used / $idle_seconds" 4)"
    row "idle memory with $count file(s)" MiB "$(memory_mib VmRSS)"
    stop "$watcher"
}

# --- d. start on a large file ---

large_file() {
    local run times=() began log=$work/large.log
    truncate -s 5G "$log"
    # The hole is one long line, which ends here.
    echo >>"$log"
    "$bin" generate --interval 0 --count 1000 --seed 2 --quiet "$log"
    "$bin" watch --once --quiet --from end --redis "$url" --state-dir "$work/state" "$log"
    for ((run = 1; run <= runs; run++)); do
        start_subscriber 1 "$work/new.log"
        "$bin" generate --count 1 --quiet "$log"
        began=$(now)
        start_watcher "$log"
        wait "$subscriber" || fail "the new line was not published"
        times+=("$(calculate "($(now) - $began) * 1000")")
        stop "$watcher"
        tail -n 1 "$log" | cmp - "$work/new.log" || fail "another line than the new one was published"
    done
    rm "$log"
    row "first new line after start on a 5 GB file" ms "$(median "${times[@]}")"
}

# --- e. the subscriber, f. the generator ---

subscriber() {
    local began took
    "$bin" generate --interval 0 --count "$many_lines" --seed 3 --quiet "$work/many.log"
    start_subscriber "$many_lines" "$work/received.log"
    began=$(now)
    "$bin" watch --once --redis "$url" --state-dir "$work/state" "$work/many.log"
    wait "$subscriber" || fail "the subscriber did not get every line: $(cat "$work/subscriber.err")"
    took=$(calculate "$(now) - $began" 6)
    # A disconnected one says that there is a gap, and its lines are fewer.
    ! grep -qv ': subscribed to ' "$work/subscriber.err" || fail "the subscriber had trouble: $(cat "$work/subscriber.err")"
    cmp "$work/many.log" "$work/received.log" || fail "what came is not what was sent"
    rm "$work/many.log" "$work/received.log"
    row "subscribe > file with $many_lines lines; nothing missing" lines/s "$(calculate "$many_lines / $took" 0)"
}

# Out of a stream, into a file that has each line once.
from_stream() {
    local run began paces=()
    for ((run = 1; run <= runs; run++)); do
        ask FLUSHALL >/dev/null
        run_stream || fail "the stream was not filled"
        rm -f "$work"/taken.log*
        began=$(now)
        "$bin" subscribe --mode stream --redis "$url" --output "$work/taken.log" --count "$lines" 2>"$work/subscriber.err" ||
            fail "the stream was not read: $(cat "$work/subscriber.err")"
        paces+=("$(calculate "$lines / ($(now) - $began)" 0)")
        cmp "$work/app.log" "$work/taken.log" || fail "what came out of the stream is not what was sent"
    done
    rm -f "$work"/taken.log*
    ask FLUSHALL >/dev/null
    row "subscribe --mode stream --output FILE" lines/s "$(median "${paces[@]}")"
}

generator() {
    local run began paces=()
    for ((run = 1; run <= runs; run++)); do
        began=$(now)
        "$bin" generate --interval 0 --count "$lines" --seed 4 --quiet "$work/generated.log"
        paces+=("$(calculate "$lines / ($(now) - $began)" 0)")
        rm "$work/generated.log"
    done
    row "generate --interval 0" lines/s "$(median "${paces[@]}")"
}

build_both
bin=$built
start_redis
backlogs
from_stream
memory
generator
subscriber
large_file
latency 37 "$quick_lines" "37 ms"
latency 3000 "$slow_lines" "3 s"
idle 1
idle 1000

print_table
if [ -n "$csv" ]; then
    printf '%s\n' name,unit,value,ratio "${rows[@]}" >"$csv"
fi

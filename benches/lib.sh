# shellcheck shell=bash disable=SC2154 # $root and $bin are the sourcing script's, and so is $lines
# What the measuring scripts share: a folder and a Redis of their own, numbers, who subscribes and who watches. Sourced by a
# bash script that has sourced scripts/lib.sh.

for program in redis-server redis-cli cargo awk; do
    have "$program" || fail "this needs $program"
done

# --- what is started here ends here, by its pid ---

work=$(mktemp -d "${TMPDIR:-/tmp}/tailcast-bench.XXXXXX")
pids=()
end() {
    local pid
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    rm -rf -- "$work"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Ends a background job, and waits for it.
stop() {
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# wait_until SECONDS COMMAND...: the command's own exit status tells.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || fail "waited too long for: $*"
        sleep 0.02
    done
}

start_redis() {
    local attempt
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        port=$((12000 + RANDOM % 20000))
        redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$work" >"$work/redis.log" 2>&1 &
        redis_pid=$!
        sleep 0.3
        # Another Redis may answer on that port: ours is alive only if it has the port.
        if kill -0 "$redis_pid" 2>/dev/null && ask PING >/dev/null 2>&1; then
            pids+=("$redis_pid")
            url=redis://127.0.0.1:$port/
            return
        fi
        say "port $port is taken (attempt $attempt)"
    done
    fail "redis-server does not start: $(tail -n 3 "$work/redis.log")"
}
ask() { redis-cli -p "$port" "$@"; }

# --- numbers ---

now() { printf '%s' "${EPOCHREALTIME/,/.}"; }
calculate() { LC_ALL=C awk "BEGIN { printf \"%.${2:-3}f\", $1 }"; }
median() {
    printf '%s\n' "$@" | LC_ALL=C sort -g |
        LC_ALL=C awk '{ v[NR] = $1 } END { printf "%.6g", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# --- who subscribes, who watches: $bin ---

# Builds the release binary, and the bench that measures latency: $built and $latency_bench.
build_both() {
    quietly build "building the release binary" build
    cd "$root" || return
    built=$(executable tailcast build --release)
    latency_bench=$(executable latency bench --bench latency --no-run)
    [ -x "$built" ] || fail "the build left no tailcast"
    [ -x "$latency_bench" ] || fail "the build left no latency bench"
    cd "$work" || return
}
# executable NAME CARGO-ARGUMENT...: the path of what is built by that name.
executable() {
    local name=$1
    shift
    cargo "$@" --locked --message-format=json --quiet |
        sed -n "s/.*\"name\":\"$name\".*\"executable\":\"\([^\"]*\)\".*/\1/p" | tail -n 1
}

subscribed() { [ "$(ask PUBSUB NUMPAT)" = "$1" ]; }

# Starts a subscriber that ends after so many lines; its pid is in $subscriber.
start_subscriber() {
    wait_until 10 subscribed 0
    timeout 120 "$bin" subscribe --redis "$url" --format raw --count "$1" >"$2" 2>"$work/subscriber.err" &
    subscriber=$!
    pids+=("$subscriber")
    wait_until 10 subscribed 1
}

start_watcher() {
    "$bin" watch --quiet --redis "$url" --state-dir "$work/state" "$@" &
    watcher=$!
    pids+=("$watcher")
}
memory_mib() { LC_ALL=C awk -v key="$1:" '$1 == key { printf "%.3f", $2 / 1024 }' "/proc/$watcher/status"; }

cpu_seconds() { cat "/proc/$watcher"/task/*/schedstat | LC_ALL=C awk '{ s += $1 } END { printf "%.6f", s / 1e9 }'; }

# Whether every checkpoint stands behind its file's one line: a thousand of them, synced each, take a while.
all_saved() { [ "$(cat "$work"/state/*idle"$1"%*.checkpoint 2>/dev/null | grep -c -v '^0 ')" = "$1" ]; }

# Publishes a backlog of $lines lines.
run_tailcast() {
    "$bin" watch --once --reset --redis "$url" "$@" --state-dir "$work/state" --source bench "$work/app.log"
}
run_exactly_once() { run_tailcast --delivery exactly-once; }
run_at_least_once() { run_tailcast --delivery at-least-once; }
run_list() { run_tailcast --mode list --max-backlog "$((2 * lines))"; }
run_stream() { run_tailcast --mode stream --max-backlog "$((2 * lines))"; }

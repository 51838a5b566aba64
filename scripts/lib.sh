# shellcheck shell=sh
# What the scripts share. Sourced, never run: the sourcing script sets $here, the folder of the scripts.

# shellcheck disable=SC2154 # $here comes from the sourcing script
root=$(dirname -- "$here")
run=$root/run
rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")

have() { command -v "$1" >/dev/null 2>&1; }
# A terminal that has gone away must not stop a script that is cleaning up.
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2 2>/dev/null || true; }
fail() { say "$*" && exit 1; }
# The head comment of the script that runs.
usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; }
bad_usage() { say "$*" && usage >&2 && exit 2; }
show_log() { say "the end of $1:" && tail -n 15 "$1" >&2; }
# For scripts that take nothing but --help.
no_arguments() {
    case ${1:-} in -h | --help) usage && exit ;; esac
    [ -z "${1:-}" ] || bad_usage "unknown argument: $1"
}

# "quietly NAME WHAT COMMAND...": one line for a step that may print hundreds, which go to run/NAME.log.
quietly() {
    log=$run/$1.log what=$2
    shift 2
    say "$what ($log)"
    mkdir -p "$run"
    ("$@") >"$log" 2>&1 || { show_log "$log" && fail "$what: failed"; }
}

# Sets $redis_server; installs the system's package when there is none.
need_redis_server() {
    find_redis || quietly install "there is no redis-server here: installing the system's package" "$here/install-redis.sh"
    find_redis || fail "the package is installed, but there is no redis-server in PATH ($PATH)"
}
# shellcheck disable=SC2034 # for the sourcing script
find_redis() { redis_server=$(command -v redis-server || command -v valkey-server); }

# True when cargo can be called. cron and ssh often leave rustup's folder out of PATH.
find_cargo() { have cargo || { PATH=${CARGO_HOME:-${HOME:-}/.cargo}/bin:$PATH && have cargo; }; }
need_cargo() { find_cargo || fail "there is no cargo here: install Rust $rust or newer from https://rustup.rs"; }

# Sets $bin: $TAILCAST_BIN, else the release build.
find_binary() {
    bin=${CARGO_TARGET_DIR:-target}/release/tailcast
    case $bin in /*) ;; *) bin=$root/$bin ;; esac
    bin=$(command -v "${TAILCAST_BIN:-$bin}")
}
# And builds it, which does little when nothing has changed.
need_binary() {
    [ -n "${TAILCAST_BIN:-}" ] || ! find_cargo || quietly build "building tailcast: a minute or two, the first time" build
    find_binary || fail "there is no ${TAILCAST_BIN:-tailcast}: name one in TAILCAST_BIN, or install Rust $rust to build it"
}
build() { cd "$root" && cargo build --release --locked; }

# "is_running PID WORD": a process of ours. Its command line has the word, as a pid may be somebody else's by now.
is_running() { { tr '\0' ' ' <"/proc/$1/cmdline" || ps -o args= -p "$1"; } 2>/dev/null | grep -q "$2"; }

# Sets $running, $pid and $name: the first part of run/start.pid (a "PID NAME" on each line) that runs.
# shellcheck disable=SC2034 # $running is for the sourcing script
find_running() {
    [ -e "$run/start.pid" ] || return
    while read -r pid name; do
        is_running "$pid" "$name" && running="$name, process $pid" && return
    done <"$run/start.pid"
    return 1
}

# shellcheck shell=sh
# What the scripts share. Sourced, never run: the sourcing script sets $here, the folder of the scripts.
#
# It owns: messages and help, finding or installing redis-server, finding or building tailcast, and the pid files.

# shellcheck disable=SC2154 # $here comes from the sourcing script
root=$(dirname -- "$here")
# shellcheck disable=SC2034 # used by the sourcing scripts
run=$root/run

have() { command -v "$1" >/dev/null 2>&1; }

# Talk goes to standard error. A terminal or pipe that has gone away must not stop a script that is cleaning up.
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2 2>/dev/null || true; }

fail() {
    say "$*"
    exit 1
}

# The head comment of the script that runs.
usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; }

bad_usage() {
    say "$*"
    usage >&2
    exit 2
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        fail "this needs root, and there is no sudo here; as root, run: $*"
    fi
}

find_redis_server() { redis_server=$(command -v redis-server || command -v valkey-server); }

# Sets $redis_server; installs the system's package when there is none.
need_redis_server() {
    find_redis_server && return
    say "there is no redis-server here: installing the system's package"
    install_redis_server >&2 || fail "that did not work: install redis-server 6.2 or newer (or Valkey) yourself, then try again"
    find_redis_server || fail "the package is installed, but there is no redis-server in PATH ($PATH)"
    say "installed $redis_server"
    if have systemctl && systemctl --quiet is-active redis-server 2>/dev/null; then
        say "the package has also started a service of its own on port 6379, which is not used here;" \
            "to end it: systemctl disable --now redis-server"
    fi
}

# Only the Debian branch is tried out often; distributions that left Redis have Valkey, which serves as well.
install_redis_server() {
    if have apt-get; then
        as_root apt-get update &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server
    elif have dnf; then
        as_root dnf install -y redis || as_root dnf install -y valkey
    elif have yum; then
        as_root yum install -y redis || as_root yum install -y valkey
    elif have apk; then
        as_root apk add redis || as_root apk add valkey
    elif have pacman; then
        as_root pacman -S --needed --noconfirm valkey
    elif have zypper; then
        as_root zypper --non-interactive install redis || as_root zypper --non-interactive install valkey
    elif have brew; then
        brew install redis
    else
        say "no package manager that this script knows (apt-get, dnf, yum, apk, pacman, zypper, brew)"
        return 1
    fi
}

# True when cargo can be called. cron and ssh often leave rustup's folder out of PATH.
find_cargo() {
    have cargo && return
    [ -x "${CARGO_HOME:-${HOME:-}/.cargo}/bin/cargo" ] || return 1
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    export PATH
}

need_cargo() {
    find_cargo || fail "there is no cargo here: install Rust $(rust_version) or newer from https://rustup.rs"
}

# The oldest Rust that builds this, from Cargo.toml.
rust_version() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml"; }

# Sets $bin: $TAILCAST_BIN, else the release build.
find_binary() {
    if [ -n "${TAILCAST_BIN:-}" ]; then
        bin=$(command -v "$TAILCAST_BIN") || fail "TAILCAST_BIN=$TAILCAST_BIN is not a program"
        return
    fi
    bin=${CARGO_TARGET_DIR:-$root/target}/release/tailcast
    case $bin in /*) ;; *) bin=$root/$bin ;; esac
    [ -x "$bin" ]
}

# Sets $bin; builds it when it is missing or older than its sources.
need_binary() {
    why=
    if ! find_binary; then
        why="is not built yet"
    elif [ -z "${TAILCAST_BIN:-}" ] &&
        [ -n "$(find "$root/src" "$root/Cargo.toml" "$root/Cargo.lock" -type f -newer "$bin" | head -n 1)" ]; then
        why="is older than its sources"
    fi
    [ -n "$why" ] || return 0
    if [ -x "$bin" ] && ! find_cargo; then
        say "$bin $why, and there is no cargo here to build it anew: using it as it is"
        return 0
    fi
    need_cargo
    say "$bin $why: building it (a minute or two)"
    (cd "$root" && cargo build --release --locked >&2) || fail "the build failed (it needs Rust $(rust_version) or newer and a C linker)"
    [ -x "$bin" ] || fail "cargo has built it somewhere else than $bin: name the place in TAILCAST_BIN"
}

# --- Processes and their pid files -----------------------------------------------------------------------------
#
# run/NAME.pid holds "PID began:TIME". A pid is reused after its process ended, and after a reboot; together with
# the time at which the process began it is not. So a stale pid file never makes a script signal a stranger.

# When process $1 began; nothing for one that has ended (a zombie, too).
birth() {
    if [ -r /proc/self/stat ]; then
        { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
        # proc(5): state is the first field behind the name in parentheses, starttime the twentieth.
        # shellcheck disable=SC2086 # to be split
        set -- ${stat##*) }
        [ "$1" = Z ] || echo "${20}"
    else
        ps -o stat= -o lstart= -p "$1" | sed -n '/^Z/!s/^[^ ]* *//p'
    fi
}

# The text of a pid file for process $1.
pid_line() { echo "$1 began:$(birth "$1")"; }

# True while NAME runs; sets $pid.
alive() {
    pid=
    { read -r pid began <"$run/$1.pid"; } 2>/dev/null || return 1
    began=${began#began:}
    [ -n "$began" ] && [ "$(birth "$pid")" = "$began" ]
}

# Starts "spawn NAME COMMAND..." in the background, in a session of its own, so that Ctrl-C in the terminal reaches
# only the script, which then ends the parts in their order.
spawn() {
    name=$1
    shift
    if have setsid; then
        setsid "$@" </dev/null &
    else
        set -m
        "$@" </dev/null &
        set +m
    fi
    pid_line $! >"$run/$name.pid"
}

# Ends NAME and waits until it is gone; SIGKILL after 10 seconds. Nothing to do is a success.
stop_part() {
    ticks=0
    while alive "$1"; do
        case $ticks in
        0) kill "$pid" || return 1 ;;
        100)
            say "$1 (process $pid) does not end on SIGTERM: killing it"
            kill -KILL "$pid" || return 1
            ;;
        150)
            say "$1 (process $pid) does not end on SIGKILL either: leaving it"
            return 1
            ;;
        esac
        ticks=$((ticks + 1))
        sleep 0.1 || true
    done
    rm -f "$run/$1.pid"
}

# The order in which the parts end: nobody is cut off from the one that it depends on.
stop_parts() {
    stopped=0
    for part in generate watch subscribe redis; do
        stop_part "$part" || stopped=1
    done
    return "$stopped"
}

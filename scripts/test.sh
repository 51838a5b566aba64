#!/bin/sh
# Runs every test: those beside the code, and the scenarios against a real redis-server that they start themselves.
#
# usage: scripts/test.sh [--long] [ARGUMENT...]
#
# --long plays the random ones for minutes rather than seconds, every way with every other one where a few will mostly do,
# and what is left out otherwise: an hour or so.
# Arguments are passed on to cargo test: "scripts/test.sh rotation", "scripts/test.sh --test once -- --nocapture".
# REDIS_SERVER names another server than the redis-server in PATH, as in "REDIS_SERVER=valkey-server scripts/test.sh".
# It installs redis-server when there is none, and says so first. Nothing but Rust and a C linker has to be there.

set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

case ${1:-} in
-h | --help)
    usage
    exit
    ;;
--long)
    shift
    export TAILCAST_LONG=1 TAILCAST_MODEL_SECONDS="${TAILCAST_MODEL_SECONDS:-900}"
    export TORTURE_SECONDS="${TORTURE_SECONDS:-300}" PROPTEST_CASES="${PROPTEST_CASES:-2000}"
    case " $* " in *" -- "*) ;; *) set -- "$@" -- ;; esac
    set -- "$@" --include-ignored
    ;;
esac

need_redis_server
need_cargo
cd "$root"
# Most of its time a scenario waits for somebody else.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-8}"
exec cargo test --locked "$@"

#!/bin/sh
# Runs every test: those beside the code, and the scenarios against a real redis-server that they start themselves.
#
# usage: scripts/test.sh [ARGUMENT...]
#
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
esac

need_redis_server
need_cargo
cd "$root"
exec cargo test --locked "$@"

#!/bin/sh
# Hurts a running tailcast in every way we know, then counts: kills the watcher, cuts its connections, rotates its
# files, and compares what was written with what arrived. Prints one line of figures.
#
# usage: scripts/torture.sh [--seconds N] [--seed S] [--delivery D] [--mode M] [--consumers]
#
#   --seconds N     how long (60)
#   --seed S        repeats a run (random, and printed)
#   --delivery D    exactly-once (default) or at-least-once
#   --mode M        pubsub (default), stream or list
#   --consumers     hurts who reads a stream instead: consumers of a group, files, the group itself, Redis
#
# Exit code: 0 when nothing was lost, repeated or out of order (at-least-once may repeat), else not 0.
# The work is done by tests/torture.rs. It installs redis-server when there is none, and says so first.

set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

seconds=60
seed=
delivery=exactly-once
mode=pubsub
test=torture
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit
        ;;
    --consumers)
        test=consumers_at_random
        shift
        continue
        ;;
    --seconds | --seed | --delivery | --mode) [ $# -ge 2 ] || bad_usage "$1 needs a value" ;;
    *) bad_usage "unknown argument: $1" ;;
    esac
    case $1 in
    --seconds) seconds=$2 ;;
    --seed) seed=$2 ;;
    --delivery) delivery=$2 ;;
    --mode) mode=$2 ;;
    esac
    shift 2
done

[ -n "$seed" ] || seed=$(od -A n -N 4 -t u4 /dev/urandom | tr -d ' ')
case $seconds in '' | *[!0-9]*) bad_usage "--seconds takes a number: $seconds" ;; esac
case $seed in *[!0-9]*) bad_usage "--seed takes a number: $seed" ;; esac
case $delivery in exactly-once | at-least-once) ;; *) bad_usage "--delivery takes exactly-once or at-least-once: $delivery" ;; esac
case $mode in pubsub | stream | list) ;; *) bad_usage "--mode takes pubsub, stream or list: $mode" ;; esac

need_redis_server
need_cargo
cd "$root"
say "$seconds s, --seed $seed, --delivery $delivery, --mode $mode"
cargo build --release --locked
export TORTURE_SECONDS="$seconds" TORTURE_SEED="$seed" TORTURE_DELIVERY="$delivery" TORTURE_MODE="$mode"
exec cargo test --release --locked --test torture -- --exact "$test" --ignored --nocapture

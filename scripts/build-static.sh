#!/bin/sh
# Builds tailcast as one static file that can be copied to any Linux of this machine's architecture;
# prints its path and its size in bytes.
#
# usage: scripts/build-static.sh [--musl]
#
#   --musl    link with musl instead of glibc (its Rust target has to be installed: rustup target add ...-musl)
#
# The one difference: a static glibc looks up host names through the glibc of the machine it runs on, and fails
# without one of the same version; addresses and unix sockets always work. Static musl looks names up by itself.
# The build has a folder of its own, target/static, so the ordinary one stays as it is.

set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

libc=gnu
for arg; do
    case $arg in
    -h | --help)
        usage
        exit
        ;;
    --musl) libc=musl ;;
    *) bad_usage "unknown argument: $arg" ;;
    esac
done

need_cargo
host=$(rustc -vV | sed -n 's/^host: //p')
case $host in
*-linux-*) ;;
*) fail "static binaries are for Linux; this is $host" ;;
esac
target=${host%%-*}-unknown-linux-$libc

# Cross targets without their std fail late and with a long message.
if [ ! -d "$(rustc --print target-libdir --target "$target")" ]; then
    fail "Rust's target $target is not installed: rustup target add $target"
fi

# With --target, the flags reach the program and its libraries only, not build scripts, which must stay dynamic.
cd "$root"
folder=${CARGO_TARGET_DIR:-target}/static
static="-C target-feature=+crt-static"
# Flags of the environment are in the place of all others; else these come to those of .cargo/config.toml.
if [ -n "${RUSTFLAGS:-}" ]; then
    RUSTFLAGS="$RUSTFLAGS $static"
fi
cargo build --release --locked --features tls --target "$target" --target-dir "$folder" \
    --config "target.$target.rustflags = '$static'" || fail "the build failed"
case $folder in /*) ;; *) folder=$root/$folder ;; esac
binary=$folder/$target/release/tailcast

# ldd has a wording for each kind (static-pie; static; static under musl's ldd), and fails on some.
linked=$(LC_ALL=C ldd "$binary" 2>&1) || true
case $linked in
*"statically linked"* | *"not a dynamic executable"* | *"Not a valid dynamic program"*) ;;
*) fail "$binary is not static: $linked" ;;
esac
echo "$binary"
echo "$(wc -c <"$binary") bytes, $(echo "$linked" | sed 's/^[[:space:]]*//')"

#!/bin/sh
# Runs everything that has to be right before a change is taken in; stops at the first thing that is not.
#
# usage: scripts/check.sh
#
# Steps: the size of src/ and the names in it, rustfmt, clippy, the tests, the documentation, shellcheck, and the list of
# direct dependencies.
# It needs cargo with clippy and rustfmt, and shellcheck; scripts/test.sh installs redis-server when there is none.

set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

no_arguments "$@"

# step WHAT COMMAND...
step() {
    what=$1
    shift
    say "$what"
    "$@" || fail "$what: failed"
}

documentation() {
    RUSTDOCFLAGS="${RUSTDOCFLAGS:+$RUSTDOCFLAGS }-D warnings" \
        cargo doc --locked --no-deps --document-private-items
}

# The program is three libraries and std; a fourth is a decision, not an accident.
only_three_libraries() {
    tree=$(cargo tree --locked -e normal --depth 1 --prefix none) || return
    libraries=$(printf '%s\n' "$tree" | sed '1d; s/ .*//' | sort | paste -s -d ' ' -)
    [ "$libraries" = "fastrand redis serde_json" ] || {
        say "direct dependencies are: $libraries"
        return 1
    }
}

need_cargo
have shellcheck || fail "there is no shellcheck here: install the package shellcheck"
cd "$root"
step "lines of code" scripts/lines.sh
step "names of types" scripts/names.sh
step "formatting" cargo fmt --check
step "clippy" cargo clippy --all-targets --locked -- -D warnings
step "tests" scripts/test.sh
step "clippy, with TLS" cargo clippy --all-targets --locked --features tls -- -D warnings
step "tests, with TLS" scripts/test.sh --features tls --test scenarios tls::
step "documentation" documentation
step "shellcheck" shellcheck scripts/*.sh benches/*.sh .ci/run src/cli/completions/tailcast.bash
step "dependencies: fastrand, redis, serde_json, nothing more" only_three_libraries
say "all is well"

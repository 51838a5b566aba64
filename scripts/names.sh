#!/bin/sh
# Finds types of one name in two places of src/: a reader has to know each time which of them is meant.
#
# usage: scripts/names.sh
#
# It prints each such name with its places, and fails. Types of tests do not count.

set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

no_arguments "$@"
cd "$root"
# A module of tests ends with the first brace in the first column, where rustfmt puts it. What is indented is known within
# a function only, but for the structs that `flags!` makes.
find src -name '*.rs' ! -name tests.rs ! -path '*/tests/*' ! -name histories.rs ! -path '*/histories/*' -exec awk '
    FNR == 1 { is_test = in_test = 0 }
    in_test { in_test = !/^}/; next }
    /^#\[cfg\(test\)\]/ { is_test = 1; next }
    is_test && /^#/ { next }
    is_test { is_test = 0; in_test = /\{$/; next }
    match($0, /^(pub(\([a-z ]*\))? )?(struct|enum|union|type|trait) [A-Za-z0-9_]+/) ||
    match($0, /^    [A-Z][A-Za-z0-9]*\(options, args\)/) {
        name = substr($0, RSTART, RLENGTH)
        sub(/\(options, args\)$/, "", name)
        sub(/.* /, "", name)
        print name, FILENAME ":" FNR
    }' {} + | sort | awk '
    { places[$1] = places[$1] " " $2 }
    $1 == last { twice[$1] = 1 }
    { last = $1; types++ }
    END { for (name in twice) print name ":" places[name] | "sort"; close("sort"); for (name in twice) exit 1; exit !types }' ||
    fail "src/ has types of one name: give all but one of each another name"
say "every type has a name of its own"

#!/bin/sh
# Counts the lines of code in src/, folder by folder: without blanks, comments and tests.
#
# usage: scripts/lines.sh
#
# It fails when there are more of them in all than the limit below. The limit is lowered in the commit that cuts;
# a commit that raises it says what the lines are for.

limit=18265

set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

no_arguments "$@"
cd "$root/src"
# A folder's lines are those of FOLDER.rs as well. rustfmt ends what begins in the first column with a brace there.
find . -name '*.rs' ! -name tests.rs ! -path '*/tests/*' ! -name histories.rs ! -path '*/histories/*' -exec awk '
    FNR == 1 { split(FILENAME, part, "/"); folder = part[2]; sub(/\.rs$/, "", folder); is_test = in_test = 0 }
    in_test { in_test = !/^}/; next }
    /^#\[cfg\(test\)\]/ { is_test = 1; next }
    is_test && /^#/ { next }
    is_test { is_test = 0; in_test = /\{$/; next }
    NF && !/^[ \t]*\/\// { print folder }' {} + |
    sort | uniq -c | sort -k 1,1nr -k 2 | awk -v limit="$limit" '
    { printf "%7d  %s\n", $1, $2; total += $1 }
    END { printf "%7d  in all, of at most %d\n", total, limit; exit !total || total > limit }' ||
    fail "src/ has more lines of code than scripts/lines.sh allows: cut some, or raise its limit and say what for"

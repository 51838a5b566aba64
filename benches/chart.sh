#!/usr/bin/env bash
# Draws lines/s with one subscriber as a bar chart, from what benches/compare.sh --csv wrote.
#
# usage: benches/chart.sh [CSV [SVG]]
#
# CSV is docs/bench.csv and SVG docs/bench.svg when they are not named.

set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")

case ${1:-} in
-h | --help)
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
    exit
    ;;
esac
csv=${1:-$root/docs/bench.csv}
svg=${2:-$root/docs/bench.svg}
[ -r "$csv" ] || {
    printf 'chart.sh: cannot read %s: run benches/compare.sh --csv first\n' "$csv" >&2
    exit 1
}

new=$(
    LC_ALL=C awk -F, '
    function grouped(n, text) {
        for (text = ""; n >= 1000; n = int(n / 1000)) text = sprintf(",%03d", n % 1000) text
        return int(n) text
    }
    $2 == "lines/s" && sub(/ \(1 subscriber\)$/, "", $1) {
        name[++bars] = $1; value[bars] = $3 + 0; ratio[bars] = $4
        if (value[bars] > most) most = value[bars]
    }
    END {
        if (!bars) exit 1
        left = 200; width = 380; step = 34; top = 44
        printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 %d\" font-family=\"sans-serif\" font-size=\"14\">\n", top + bars * step + 12
        print "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
        print "<text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"bold\">Log lines a second into Redis, one subscriber (ratio to redis-cli --pipe)</text>"
        for (i = 1; i <= bars; i++) {
            y = top + (i - 1) * step; long = width * value[i] / most
            colour = name[i] ~ /^tailcast/ ? "#c2410c" : name[i] ~ /^redis/ ? "#475569" : "#94a3b8"
            printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", left - 10, y + 17, name[i]
            printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"24\" rx=\"3\" fill=\"%s\"/>", left, y, long, colour
            printf "<text x=\"%.1f\" y=\"%d\">%s  (%.2f)</text>\n", left + long + 8, y + 17, grouped(value[i]), ratio[i]
        }
        print "</svg>"
    }' "$csv"
) || {
    printf 'chart.sh: %s has no rows for one subscriber\n' "$csv" >&2
    exit 1
}
printf '%s\n' "$new" >"$svg"

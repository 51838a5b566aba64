#!/bin/sh
# Installs tailcast: the binary, a systemd unit, the manual page, and completions for bash, zsh and fish.
#
# usage: scripts/install.sh [--prefix DIR] [--uninstall]
#
#   --prefix DIR    below which it goes (/usr/local; /usr or ~/.local are usual too)
#   --uninstall     take away what was installed there, and the folders that were made for it
#
# The unit is installed, not started: /etc/tailcast.env says what it watches, and where Redis is.
# TAILCAST_BIN names the binary, as in TAILCAST_BIN="$(scripts/build-static.sh | head -n 1)", which has TLS; else
# target/release/tailcast, which is built. DESTDIR is put before the prefix, as for "make install".
# How far the logs are published (/var/lib/tailcast) and /etc/tailcast.env are yours, and stay.

set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

prefix=/usr/local uninstall=
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage && exit ;;
    --uninstall) uninstall=yes ;;
    --prefix)
        [ $# -gt 1 ] || bad_usage "--prefix needs a folder"
        prefix=$2
        shift
        ;;
    --prefix=*) prefix=${1#*=} ;;
    *) bad_usage "unknown argument: $1" ;;
    esac
    shift
done
case $prefix in
*[!A-Za-z0-9_./+-]* | '') bad_usage "--prefix: a systemd unit cannot name it: \"$prefix\"" ;;
/*) ;;
*) bad_usage "--prefix: give an absolute folder: \"$prefix\"" ;;
esac
DESTDIR=${DESTDIR:-}
prefix=${prefix%/}
list=$prefix/share/tailcast/installed
unit=$prefix/lib/systemd/system/tailcast.service
is_live() { [ -z "$DESTDIR" ] && [ -d /run/systemd/system ] && have systemctl; }

# Each folder that is made, and each file, is noted, so that uninstalling takes away these and no others.
make_folder() {
    [ ! -d "$DESTDIR$1/" ] || return 0
    make_folder "${1%/*}"
    mkdir "$DESTDIR$1"
    made="$made$1/
"
}

# "put MODE PATH": standard input becomes this file. A running binary is replaced, never written into, and so is what
# stands at the name for the time being, as a link may.
put() {
    make_folder "${2%/*}"
    rm -f "$DESTDIR$2.new"
    (set -C && cat >"$DESTDIR$2.new")
    chmod "$1" "$DESTDIR$2.new"
    mv -f "$DESTDIR$2.new" "$DESTDIR$2"
    made="$made$2
"
}

if [ -n "$uninstall" ]; then
    [ -f "$DESTDIR$list" ] || fail "nothing is installed there: there is no $DESTDIR$list"
    if is_live && [ -f "$unit" ]; then systemctl disable --now tailcast 2>/dev/null || true; fi
    # The last first: folders come before what is in them.
    sed -n '1!G;h;$p' "$DESTDIR$list" | while read -r path; do
        case $path in
        */) rmdir "$DESTDIR$path" 2>/dev/null || true ;;
        *) rm -f "$DESTDIR$path" ;;
        esac
    done
    if is_live; then systemctl daemon-reload; fi
    say "uninstalled from $DESTDIR$prefix"
    exit
fi

need_binary
umask 022
mkdir -p "$DESTDIR/"
made=
near=$DESTDIR$prefix
while [ ! -e "$near" ]; do near=${near%/*}; done
[ -w "$near/" ] || fail "cannot write to $near/: run it with sudo, or with --prefix ~/.local"
make_folder "${list%/*}"
put 755 "$prefix/bin/tailcast" <"$bin"
made_by() { "$bin" help "$@" >"$page"; }
page=$(mktemp)
trap 'rm -f "$page"' EXIT
made_by --man
put 644 "$prefix/share/man/man1/tailcast.1" <"$page"
made_by --completions bash
put 644 "$prefix/share/bash-completion/completions/tailcast" <"$page"
made_by --completions zsh
put 644 "$prefix/share/zsh/site-functions/_tailcast" <"$page"
made_by --completions fish
put 644 "$prefix/share/fish/vendor_completions.d/tailcast.fish" <"$page"
sed "s|/usr/local/bin/|$prefix/bin/|" "$here/tailcast.service" >"$page"
put 644 "$unit" <"$page"
put 644 "$prefix/share/doc/tailcast/logrotate.example" <"$here/logrotate.example"
# What an earlier installation made is still ours.
{ cat "$DESTDIR$list" 2>/dev/null || true; printf '%s%s\n' "$made" "$list"; } | awk '!seen[$0]++' >"$page"
put 644 "$list" <"$page"
say "installed $("$bin" --version) below $DESTDIR$prefix"
if is_live; then systemctl daemon-reload; fi
case $prefix in
/usr | /usr/local) start="systemctl enable --now tailcast" ;;
*) start="systemctl enable --now $unit" ;;
esac
say "to start it: echo 'TAILCAST_ARGS=/var/log/app/*.log' >/etc/tailcast.env && $start"

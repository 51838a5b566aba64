#!/bin/sh
# Installs the system's package of Redis: the only thing here that asks for root (sudo, where you are not).
#
# usage: scripts/install-redis.sh
#
# The other scripts call it when there is no redis-server. Distributions that left Redis have Valkey, which serves as well.

set -u
have() { command -v "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" -eq 0 ] || [ "$1" = brew ]; then "$@"; else sudo "$@"; fi; }

! have apt-get || as_root apt-get update
for how in "apt-get install -y redis-server" "dnf install -y redis" "dnf install -y valkey" "apk add redis" "apk add valkey" \
    "pacman -S --noconfirm valkey" "zypper -n install redis" "zypper -n install valkey" "brew install redis"; do
    # shellcheck disable=SC2086 # words
    ! have "${how%% *}" || ! as_root $how || exit 0
done
echo "no package manager here has one: install redis-server 6.2 or newer (or Valkey) yourself" >&2
exit 1

#!/bin/sh
# Installs the packages of the given lists that are missing. Uses sudo when not root. For a
# "NAME:ARCH", the architecture is added to those of dpkg; nothing that is installed is removed.
# Usage: install_deps.sh LIST...
set -eu
missing=""
for p in $(cat "$@" | sed 's/#.*//'); do
  dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
echo "Installing:$missing"
run=""
[ "$(id -u)" = 0 ] || run="sudo"
export DEBIAN_FRONTEND=noninteractive
for arch in $(echo "$missing" | tr ' ' '\n' | sed -n 's/.*://p' | sort -u); do
  [ "$arch" = "$(dpkg --print-architecture)" ] || $run dpkg --add-architecture "$arch"
done
$run apt-get update -q
# shellcheck disable=SC2086
$run apt-get install -y -q --no-install-recommends --no-remove $missing

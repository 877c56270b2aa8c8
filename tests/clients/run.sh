#!/bin/sh
# Starts `BINARY serve MODEL` on a free port, runs the client scripts against it, ends it.
# Usage: run.sh SCRIPTS BINARY MODEL [serve options...]. SCRIPTS: the end of their names. Exit status 77: skipped, for want of Node or of node_modules.
set -eu
[ $# -ge 3 ] || { echo "usage: run.sh SCRIPTS BINARY MODEL [serve options...]" >&2; exit 2; }
scripts=$1
binary=$2
model=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
command -v node >/dev/null 2>&1 || { echo "skipped: node is not installed"; exit 77; }
[ -d "$here/node_modules" ] || { echo "skipped: run tests/clients/install.sh first"; exit 77; }

work=$(mktemp -d)
server=
cleanup() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

"$binary" serve "$model" --port 0 "$@" >"$work/out" 2>"$work/err" &
server=$!
url=
tries=0
while [ -z "$url" ]; do
  kill -0 "$server" 2>/dev/null || { echo "the server ended:"; cat "$work/out" "$work/err"; exit 1; }
  tries=$((tries + 1))
  [ $tries -le 1200 ] || { echo "the server did not get ready"; cat "$work/out" "$work/err"; exit 1; }
  sleep 0.1
  url=$(sed -n 's/^serving on //p' "$work/out")
done

status=0
for script in "$here"/*"$scripts"; do
  echo "== $(basename "$script")"
  MACH_BASE_URL="$url" node "$script" || status=1
done
[ $status = 0 ] || tail -n 40 "$work/err"

# It must end by itself, and say that nothing was cut off.
kill "$server"
code=0
wait "$server" || code=$?
server=
[ $code = 0 ] || { echo "the server ended with status $code after SIGTERM"; status=1; }
exit $status

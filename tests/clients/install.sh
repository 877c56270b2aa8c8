#!/bin/sh
# Installs the npm packages that the client tests use, where Node.js 20 or newer and the registry are;
# without them those tests skip, and say so.
set -eu
cd "$(dirname "$0")"
skip() {
  echo "$1: the tests with real clients will be skipped"
  exit 0
}
command -v npm >/dev/null 2>&1 || skip "npm is not installed"
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || skip "Node.js is version $major, the clients need 20"
# Again only when the lock file has changed.
if [ -d node_modules ] && [ node_modules/.package-lock.json -nt package-lock.json ]; then exit 0; fi
npm ci --no-audit --no-fund --loglevel=error || skip "npm ci failed"

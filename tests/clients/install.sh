#!/bin/sh
# Installs the npm packages that the client tests use, where Node.js is; without it those tests skip.
set -eu
cd "$(dirname "$0")"
if [ ! -f package-lock.json ]; then exit 0; fi
if ! command -v npm >/dev/null 2>&1; then
  echo "npm is not installed: the tests with real clients will be skipped"
  exit 0
fi
# Again only when the lock file has changed.
if [ -d node_modules ] && [ node_modules/.package-lock.json -nt package-lock.json ]; then exit 0; fi
npm ci --no-audit --no-fund --loglevel=error

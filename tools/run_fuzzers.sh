#!/bin/sh
# Runs each fuzz target for some seconds, starting from its corpus. Usage: run_fuzzers.sh BIN CORPUS SECONDS
set -eu
for target in "$1"/*_fuzz; do
  name=$(basename "$target")
  found=$(mktemp -d)
  dict="fuzz/$name.dict"
  [ -f "$dict" ] && dict="-dict=$dict" || dict=""
  echo "== $name for $3 s"
  # shellcheck disable=SC2086
  "$target" -max_total_time="$3" -timeout=10 -rss_limit_mb=1500 -print_final_stats=1 $dict \
    "$found" "$2/$name"
  rm -r "$found"
done

#!/bin/sh
# clang-format, clang-tidy and the thread-safety analysis over our sources. Usage: lint.sh BUILD_DIR [FILE...]
# Without files, clang-tidy runs over every source; format is checked everywhere each time.
set -eu
build=$1
shift
git ls-files '*.cc' '*.h' ':!tools/lint_must_fail*.cc' | xargs clang-format --dry-run --Werror
echo "clang-format: clean"
# A configuration that rejects nothing is decoration: these files must fail.
for file in tools/lint_must_fail.cc tools/lint_must_fail_locks.cc; do
  if clang-tidy --quiet $file -- -std=c++20 -Isrc -Wthread-safety >/dev/null 2>&1; then
    echo "clang-tidy accepts $file: the configuration is not in force" >&2
    exit 1
  fi
done
[ $# -gt 0 ] || set -- $(git ls-files 'src/*.cc')
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "$build" --extra-arg=-Wno-unknown-warning-option \
  --extra-arg=-Wthread-safety
echo "clang-tidy: clean"

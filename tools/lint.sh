#!/bin/sh
# clang-format and clang-tidy over our sources. Usage: lint.sh BUILD_DIR [FILE...]
# Without files, clang-tidy runs over every source; format is checked everywhere each time.
set -eu
build=$1
shift
git ls-files '*.cc' '*.h' ':!tools/lint_must_fail.cc' | xargs clang-format --dry-run --Werror
echo "clang-format: clean"
# A configuration that rejects nothing is decoration: this file must fail.
if clang-tidy --quiet tools/lint_must_fail.cc -- -std=c++20 >/dev/null 2>&1; then
  echo "clang-tidy accepts tools/lint_must_fail.cc: the configuration is not in force" >&2
  exit 1
fi
[ $# -gt 0 ] || set -- $(git ls-files 'src/*.cc')
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "$build" --extra-arg=-Wno-unknown-warning-option
echo "clang-tidy: clean"

#!/bin/sh
# `make serve`: from a clone to a server that answers, saying what it does and how long that takes.
# Usage: serve.sh BUILD_DIR MODEL PORT JOBS [serve options...]
# Without serve options the model is served as `mach check` recommends. BUILD_DIR: a CMake build
# folder, configured here when it is new.
set -eu
[ $# -ge 4 ] || { echo "usage: serve.sh BUILD_DIR MODEL PORT JOBS [serve options...]" >&2; exit 2; }
build=$1 model=$2 port=$3 jobs=$4
shift 4
mach=$build/bin/mach

# Processor time of a step of the build in hundredths of a second, on the machine of
# docs/benchmarking.md: an estimate for this one.
step_hundredths=415

tools/install_deps.sh tools/packages.txt

# Without tests, which need more packages; `make test` configures the folder with them.
[ -f "$build/CMakeCache.txt" ] ||
  cmake --preset release -DMACH_TESTS=OFF -DMACH_BENCH=OFF >/dev/null
if [ ! -e "$mach" ]; then
  # A dry run would not tell: the build looks for new sources first, and ends with that.
  steps=$(ninja -C "$build" -t commands mach | wc -l)
  steps=$((steps - $(find "$build" -name '*.o' | wc -l)))
  [ "$steps" -ge 1 ] || steps=1
  seconds=$((steps * step_hundredths / 100 / jobs + 1))
  if [ $seconds -ge 90 ]; then about="$(((seconds + 59) / 60)) minutes"; else about="$seconds seconds"; fi
  echo "Building mach: $steps steps, about $about on $jobs processors. Later starts skip this."
fi
cmake --build "$build" --target mach -j "$jobs"

if [ $# -eq 0 ]; then
  # The demonstration: half of the experts in memory, the others on disk, and the drafter beside the
  # model. Any other model: what fits.
  case $model in
    models/mach-tiny) set -- --streaming --expert-cache-gb 0.011 ;;
  esac
fi
for option; do
  [ "$option" = --streaming ] || continue
  echo "Writing the experts of $model as a sidecar, where they are not yet:"
  "$mach" export-sidecar "$model" >/dev/null
done
exec "$mach" serve "$model" "$@" --port "$port"

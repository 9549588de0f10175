#!/usr/bin/env bash
# Configures and builds a preset: build.sh PRESET [TARGET...]
# Says little when all goes well; shows the log's end when not.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
mkdir -p "build/$preset"
log=build/$preset/build.log

run() {
  if ! "$@" > "$log" 2>&1; then
    grep -E -A8 "error|Error|FAILED" "$log" | head -n 60 >&2 || tail -n 40 "$log" >&2
    echo "build.sh: '$*' failed; the whole log is in $log" >&2
    exit 1
  fi
}

[ -f "build/$preset/build.ninja" ] || run cmake --preset "$preset"
# Something to build?  Then say so: the first time takes minutes.
if ! ninja -C "build/$preset" -n "$@" 2> /dev/null | grep -q "no work to do"; then
  echo "Building (${preset}); the first time takes some minutes."
fi
targets=()
[ $# -eq 0 ] || targets=(--target "$@")
run cmake --build --preset "$preset" "${targets[@]}"

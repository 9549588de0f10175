#!/bin/sh
# Real SDKs against the program: tests/clients/run.sh BINARY.  Ends with 77 (skipped) where node or
# the packages cannot be had.
set -eu
binary=$(realpath "${1:?usage: run.sh BINARY}")
cd "$(dirname "$0")"
command -v node >/dev/null && command -v npm >/dev/null || { echo "skipped: no node"; exit 77; }
if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund >/dev/null 2>&1 || { echo "skipped: npm ci found no packages"; exit 77; }
fi
HEARTH_BINARY=$binary exec node --test --test-concurrency=1 --test-timeout=120000 ./*.test.mjs

#!/bin/sh
# Real coding agents against Hearth: tests/agents/run.sh HEARTH SCRIPTED_SERVER.  Fetches some 800 MB of
# packages the first time; `./hearth-test --full` runs it.
set -eu
binary=$(realpath "${1:?usage: run.sh HEARTH SCRIPTED_SERVER}")
scripted=$(realpath "${2:?usage: run.sh HEARTH SCRIPTED_SERVER}")
cd "$(dirname "$0")"
stamp=node_modules/.installed
if [ ! -f "$stamp" ] || ! cmp -s package-lock.json "$stamp"; then
  # Not `npm ci`: some versions of npm refuse a lock without the programs of other systems.
  npm install --no-save --legacy-peer-deps --no-audit --no-fund
  cp package-lock.json "$stamp"
fi
HEARTH_BINARY=$binary HEARTH_SCRIPTED=$scripted exec node --test --test-concurrency=1 --test-timeout=300000 ./*.test.mjs

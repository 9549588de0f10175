#!/usr/bin/env bash
# Installs the npm packages that tests/clients runs against the server.  Quick when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/../tests/clients"
stamp=node_modules/.installed
[ -f "$stamp" ] && cmp -s package-lock.json "$stamp" && exit 0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! timeout 900 npm ci --ignore-scripts --no-audit --no-fund > "$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "npm could not install the client SDKs; the registry must be reachable the first time" >&2
  exit 1
fi
cp package-lock.json "$stamp"

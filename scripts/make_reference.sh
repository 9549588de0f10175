#!/usr/bin/env bash
# Writes docs/reference/ from the program's own tables: make_reference.sh [BINARY]
set -euo pipefail
cd "$(dirname "$0")/.."
hearth=${1:-build/release/hearth}
"$hearth" help --markdown > docs/reference/commands.md
"$hearth" help --settings > docs/reference/settings.md
"$hearth" help --http > docs/reference/http.md

#!/bin/sh
# Python's SDKs against the program: tests/clients/python/run.sh HEARTH SCRIPTED_SERVER.  They are
# kept in a virtual environment beside the user's other caches.  Ends with 77 (skipped) where the
# packages cannot be had.
set -eu
binary=$(realpath "${1:?usage: run.sh HEARTH SCRIPTED_SERVER}")
scripted=$(realpath "${2:?usage: run.sh HEARTH SCRIPTED_SERVER}")
cd "$(dirname "$0")"
place=${XDG_CACHE_HOME:-$HOME/.cache}/hearth/tests/python
if ! cmp -s requirements.txt "$place/requirements.txt"; then
  rm -rf "$place"
  mkdir -p "$place"
  { python3 -m venv "$place/venv" &&
    timeout 300 "$place/venv/bin/pip" install --quiet --disable-pip-version-check --timeout 20 --retries 2 \
      --only-binary :all: --no-deps -r requirements.txt; } \
    > "$place/log" 2>&1 || { echo "skipped: the packages cannot be had from PyPI:"; tail -n 3 "$place/log"; exit 77; }
  cp requirements.txt "$place/requirements.txt"
fi
HEARTH_BINARY=$binary HEARTH_SCRIPTED=$scripted PYTHONDONTWRITEBYTECODE=1 exec "$place/venv/bin/python" -W ignore::ResourceWarning -m unittest -v

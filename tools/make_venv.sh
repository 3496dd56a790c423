#!/usr/bin/env bash
# A virtual environment from a hash-locked list: make_venv.sh FOLDER LOCK
set -euo pipefail
folder=$1 lock=$2
python=""
for name in python3 python3.14 python3.13 python3.12 python3.11; do
  if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$name
    break
  fi
done
[ -n "$python" ] || { echo "liqfield needs Python 3.11 or newer: install python3" >&2; exit 1; }
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  # Debian keeps ensurepip in a package of its own.
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
  else
    echo "python3-venv is missing: install it (Debian: apt-get install python3-venv)" >&2
    exit 1
  fi
fi
rm -rf "$folder"
"$python" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$lock" 2> >(grep -v '^WARNING: Location' >&2)

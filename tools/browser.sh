#!/usr/bin/env bash
# The browser of the end-to-end tests: Debian's Chromium, installed when it is missing and may be.
set -euo pipefail
for name in "${LIQFIELD_CHROMIUM:-}" chromium chromium-browser google-chrome; do
  [ -n "$name" ] && command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing chromium for the end-to-end tests" >&2
  apt-get update -qq && apt-get install -y -qq chromium >/dev/null 2>&1 && exit 0
fi
echo "no browser found: install chromium (Debian: apt-get install chromium) or set LIQFIELD_CHROMIUM" >&2
exit 1

#!/usr/bin/env bash
# Lock the requirement lists by hash, for every platform, without addresses of registries. Needs uv.
set -euo pipefail
cd "$(dirname "$0")/../requirements"
lock() {
  uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-emit-find-links --no-header --quiet "$@"
}
lock runtime.in -o runtime.txt
lock dev.in -c runtime.txt -o dev.txt
lock bench.in -o bench.txt

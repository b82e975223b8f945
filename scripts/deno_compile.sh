#!/usr/bin/env bash
# `deno task compile`: packs the program by `deno compile`. Needs Deno's base binary, denort, which Deno downloads; where
# that is out of reach, DENORT_BIN names one.
#
# A node_modules folder would be embedded whole, so the packages are taken from Deno's own cache. The types of npm
# packages are not found that way: the type check is the gate's.
set -euo pipefail
cd "$(dirname "$0")/.."
exec deno compile --allow-all --unstable-ffi --no-check --node-modules-dir=none \
  --include lib/engine/worker.ts --output dist/sluice-deno cli.ts

#!/usr/bin/env bash
# Takes the README's pictures of the web app, beside an operator that proves; axe looks at each page. Exit 1 where something is wrong.
#   scripts/screenshots.sh [DIR]    writes web-*.png into DIR (docs/figures)
# Needs Chromium ($CHROMIUM, else `chromium`: Debian has it), Node 20 or later and npm, and ./quickstart's programs, which it builds.
# $ZKINFER_OPERATOR: another program that has the app in it.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-docs/figures}")
CHROMIUM=$(command -v "${CHROMIUM:-chromium}") || { echo "screenshots: this machine lacks Chromium (as root: apt-get install chromium)" >&2; exit 2; }
export CHROMIUM
if [ -z "${ZKINFER_OPERATOR:-}" ]; then
    scripts/build-web.sh
    . scripts/toolchain.sh
    cargo build --release --locked --workspace --bin operator --bin prover-worker
    ZKINFER_OPERATOR=$(realpath "${CARGO_TARGET_DIR:-target}/release/operator")
fi
export ZKINFER_OPERATOR
npm ci --prefix web/browser --ignore-scripts --no-audit --no-fund --loglevel=error
node web/browser/take.mjs "$out"

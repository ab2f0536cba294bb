#!/usr/bin/env bash
# Takes pictures of the web app beside a run of the quickstart, and has axe look at each page: exit 1 where it finds something.
#   scripts/screenshots.sh [DIR]    writes PNGs into DIR (target/screenshots)
# Needs Chromium ($CHROMIUM, else `chromium`: Debian has it), Node 20 or later and npm, and ./quickstart's programs.
set -euo pipefail
cd "$(dirname "$0")/.."
export CHROMIUM=${CHROMIUM:-chromium}
target=${CARGO_TARGET_DIR:-target}
out=$(realpath -m "${1:-$target/screenshots}")
command -v "$CHROMIUM" >/dev/null || { echo "screenshots: this machine lacks Chromium (as root: apt-get install chromium)" >&2; exit 2; }
scripts/build-web.sh
. scripts/toolchain.sh
cargo build --release --locked --workspace --bin operator --bin prover-worker
npm ci --prefix web/screenshots --ignore-scripts --no-audit --no-fund --loglevel=error
state=$(mktemp -d)
"$target/release/operator" local -f manifests/quickstart/ --web --state "$state" >/dev/null 2>"$state/log" &
operator=$!
trap 'kill "$operator" 2>/dev/null || true; wait "$operator" 2>/dev/null || true; rm -rf "$state"' EXIT
for _ in $(seq 300); do
    if grep -q 'the web app stays' "$state/log"; then break; fi
    kill -0 "$operator" 2>/dev/null || { cat "$state/log" >&2; exit 1; }
    sleep 0.2
done
node web/screenshots/take.mjs "$(sed -n 's/^web app: //p' "$state/log")" "$out"

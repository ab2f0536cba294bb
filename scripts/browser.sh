#!/usr/bin/env bash
# Looks at the web app as people do: Debian's Chromium, an operator and proofs that are real, and a network that is larger and
# meaner than those. Less than two minutes.
#   scripts/browser.sh [OPERATOR]    the program that is asked (target/release/operator), which has the app in it
# Needs Chromium ($CHROMIUM, else `chromium`), Node 20 or later and npm; as root with apt-get it installs Chromium itself.
set -euo pipefail
cd "$(dirname "$0")/.."
CHROMIUM=${CHROMIUM:-chromium}
ZKINFER_OPERATOR=$(realpath -m "${1:-${CARGO_TARGET_DIR:-target}/release/operator}")
export ZKINFER_OPERATOR
if ! command -v "$CHROMIUM" >/dev/null && [ "$CHROMIUM" = chromium ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium fonts-dejavu-core; } >&2
fi
CHROMIUM=$(command -v "$CHROMIUM") || { echo "browser: this machine lacks Chromium (as root: apt-get install chromium)" >&2; exit 2; }
export CHROMIUM
[ -x "$ZKINFER_OPERATOR" ] || { echo "browser: there is no $ZKINFER_OPERATOR: cargo build --release --workspace --bins makes it" >&2; exit 2; }
lock=$(sha256sum web/browser/package-lock.json)
if [ "$(cat web/browser/node_modules/.lock 2>/dev/null)" != "$lock" ]; then
    npm ci --prefix web/browser --ignore-scripts --no-audit --no-fund --loglevel=error
    printf '%s\n' "$lock" >web/browser/node_modules/.lock
fi
# One after the other: what is measured is measured alone.
timeout 300 node --test --test-concurrency=1 --test-reporter=spec web/browser/*.test.mjs

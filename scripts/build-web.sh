#!/usr/bin/env bash
# Builds the web app into web/dist, from which the operator embeds it when it is built next (docs/studio.md).
#   scripts/build-web.sh            builds it, if its sources have changed since
#   scripts/build-web.sh --test     also checks its types and runs its tests; as root with apt-get it installs what is missing
# Needs Node 20 or later and npm. Packages are those of web/package-lock.json, fetched by `npm ci` where they are not there yet;
# none of their scripts is run.
set -euo pipefail
cd "$(dirname "$0")/../web"
lacks() { ! command -v node >/dev/null || ! command -v npm >/dev/null; }
if lacks && [ "${1:-}" = --test ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -q && apt-get install -qy --no-install-recommends nodejs npm; } >&2
fi
if lacks; then
    echo "build-web: this machine lacks Node 20 or later, or npm (as root: apt-get install nodejs npm)" >&2
    exit 2
fi
major=$(node -p 'process.versions.node.split(".")[0]')
if [ "$major" -lt 20 ]; then
    echo "build-web: Node 20 or later is needed, this is $(node --version)" >&2
    exit 2
fi
lock=$(sha256sum package-lock.json)
if [ "$(cat node_modules/.lock 2>/dev/null)" != "$lock" ]; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    printf '%s\n' "$lock" >node_modules/.lock
fi
# What is new makes the operator be built again: nothing is written where nothing has changed.
sources=$(cat package-lock.json build.mjs $(find src -type f | LC_ALL=C sort) | sha256sum)
if [ ! -f dist/index.html ] || [ "$(cat dist/.sources 2>/dev/null)" != "$sources" ]; then
    node build.mjs
    printf '%s\n' "$sources" >dist/.sources
fi
if [ "${1:-}" = --test ]; then
    npm run --silent types
    npm test --silent
fi

#!/usr/bin/env bash
# Puts ONNX's own Python packages, which the tests of the float reference and of the compiler ask, on this machine: a
# virtual environment of tests/onnx/requirements.txt (exact versions, by hash) in one cache folder, whose path is the only
# line on standard output. What is there already is left alone (well under a second); the first time takes half a minute.
#   scripts/onnx.sh           install what is missing
#   scripts/onnx.sh --check   change nothing; name what is missing, exit 2 if anything is
# ZKINFER_ONNX_ENV names another folder.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=tests/onnx/requirements.txt
env=${ZKINFER_ONNX_ENV:-${XDG_CACHE_HOME:-$HOME/.cache}/zkinfer/onnx}
mode=${1:-install}
say() { printf 'onnx: %s\n' "$*" >&2; }

# Current if its stamp equals the digest of all that decides what is in it, and its interpreter still starts.
want=$({ python3 --version 2>&1 || true; cat $requirements; } | sha256sum | cut -c1-64)
current() { [ "$(cat "$env/.stamp" 2>/dev/null)" = "$want" ] && "$env/bin/python" -c '' 2>/dev/null; }
if current; then
    echo "$env"
    exit 0
fi
# Debian's python3 may stand without the part that makes environments.
usable() { python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
if [ "$mode" = --check ]; then
    usable || say "Python 3.11 or newer with venv is missing (Debian packages python3 and python3-venv)"
    say "not installed in $env: $requirements"
    exit 2
fi

if ! usable && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    say "installing python3 python3-venv"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -qy --no-install-recommends python3 python3-venv; } >&2
    want=$({ python3 --version 2>&1; cat $requirements; } | sha256sum | cut -c1-64)
fi
if ! usable; then
    say "this machine lacks Python 3.11 or newer with venv (as root: apt-get install python3 python3-venv)"
    exit 2
fi

mkdir -p "$(dirname "$env")"
exec 9>"$env.lock"
if ! flock -n 9; then
    say "another install runs in $env; waiting for it"
    flock 9
    if current; then
        echo "$env"
        exit 0
    fi
fi
start=$SECONDS
say "installing $(grep -c '==.* \\$' $requirements) Python packages in $env"
# The stamp comes last: an environment that was cut off is made anew.
python3 -m venv --clear "$env" >&2
if ! "$env/bin/python" -m pip install -q --require-hashes --only-binary :all: --disable-pip-version-check \
    -r $requirements >&2; then
    say "the packages did not install; the lines above say why"
    exit 1
fi
echo "$want" >"$env/.stamp"
say "installed in $((SECONDS - start)) s"
echo "$env"

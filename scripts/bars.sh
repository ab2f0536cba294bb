#!/usr/bin/env bash
# Measures both proof systems against the project's bars (tests/src/bin/bars), with the build that the program in a worker's
# image starts on this processor. It compiles everything once more; then it takes three minutes, and more with --all-halo2.
# Nothing else should run meanwhile.
#   scripts/bars.sh [--release] [--json] [--all-halo2] [--only WORK,...]
# With --release it measures the build that `./quickstart` and the tests have instead, to be held beside the other: the bars are not
# for that one.
set -euo pipefail
if [ "${1:-}" = --release ]; then
    export ZKINFER_PROFILE=release
    shift
fi
programs=$("$(dirname "$0")/native.sh" bars operator prover-worker)
exec "$programs/bars" "$@"

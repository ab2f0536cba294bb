#!/usr/bin/env bash
# Measures both proof systems against the project's bars (tests/src/bin/bars), with the build that the program in a worker's
# image starts on this processor. It compiles everything once more; then it takes three minutes, and more with --all-halo2.
# Nothing else should run meanwhile.
#   scripts/bars.sh [--json] [--all-halo2] [--only WORK,...]
set -euo pipefail
programs=$("$(dirname "$0")/native.sh" bars prover-worker)
exec "$programs/bars" "$@"

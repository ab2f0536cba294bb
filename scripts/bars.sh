#!/usr/bin/env bash
# Measures both proof systems against the project's bars (tests/src/bin/bars), with the build that the program in a worker's
# image starts on this processor (prover-worker/src/launch.rs). It compiles everything once more; then it takes three
# minutes, and more with --all-halo2. Nothing else should run meanwhile.
#   scripts/bars.sh [--json] [--all-halo2] [--only WORK,...]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh
has() {
    for flag; do
        grep -qw "$flag" /proc/cpuinfo || return 1
    done
}
build=
if [ "$(uname -m)" = x86_64 ] && has avx2 bmi1 bmi2 f16c fma abm movbe; then
    build=x86-64-v3
    if has avx512f avx512bw avx512cd avx512dq avx512vl; then
        build=x86-64-v4
    fi
fi
target=${CARGO_TARGET_DIR:-target}
if [ -z "$build" ]; then
    cargo build --profile dist --locked --workspace --bin bars --bin prover-worker
    exec "$target/dist/bars" "$@"
fi
# The flags and the folder of scripts/images.sh, which compiles the same.
export CARGO_TARGET_DIR=$target/$build
CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-cpu=$build -C target-feature=+crt-static" \
    cargo build --profile dist --locked --workspace --bin bars --bin prover-worker --target x86_64-unknown-linux-gnu
exec "$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/dist/bars" "$@"

#!/usr/bin/env bash
# Builds programs as a worker's image has them for this processor (prover-worker/src/launch.rs starts the best build that runs),
# and prints the folder in which they are. It compiles everything once more.
#   scripts/native.sh PROGRAM...
# With ZKINFER_PROFILE=release they are those that `./quickstart` and the tests build, for any processor.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh
has() {
    for flag; do
        grep -qw "$flag" /proc/cpuinfo || return 1
    done
}
build='' profile=${ZKINFER_PROFILE:-dist}
if [ "$profile" != release ] && [ "$(uname -m)" = x86_64 ] && has avx2 bmi1 bmi2 f16c fma abm movbe; then
    build=x86-64-v3
    if has avx512f avx512bw avx512cd avx512dq avx512vl; then
        build=x86-64-v4
    fi
fi
bins=()
for program; do
    bins+=(--bin "$program")
done
target=${CARGO_TARGET_DIR:-$PWD/target}
if [ -z "$build" ]; then
    cargo build --profile "$profile" --locked --workspace "${bins[@]}" >&2
    echo "$target/$profile"
    exit 0
fi
# The flags and the folder of scripts/images.sh, which compiles the same.
export CARGO_TARGET_DIR=$target/$build
CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-cpu=$build -C target-feature=+crt-static" \
    cargo build --profile "$profile" --locked --workspace "${bins[@]}" --target x86_64-unknown-linux-gnu >&2
echo "$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/$profile"

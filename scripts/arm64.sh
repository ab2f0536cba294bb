#!/usr/bin/env bash
# Tries the worker of 64-bit ARM processors on this machine: builds it as its image has it, and has it compile, prove and verify under
# qemu-user. A model is compiled to the same bytes there and here, and either program verifies what the other has proved, with both
# proof systems.
#   scripts/arm64.sh [--install]          --install: what is missing is installed first, where this is root and apt is there
# Needs what `scripts/images.sh --target aarch64-unknown-linux-gnu` needs, and qemu-aarch64 (Debian: qemu-user). Minutes to build;
# ./check --long runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh
triple=aarch64-unknown-linux-gnu
if [ "${1:-}" = --install ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null &&
        { ! command -v aarch64-linux-gnu-gcc || ! command -v qemu-aarch64; } >/dev/null; then
        apt-get update -q && apt-get install -qy --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
    fi
    if command -v rustup >/dev/null; then rustup target add "$triple"; fi
fi
. scripts/target.sh
command -v qemu-aarch64 >/dev/null || { echo "arm64: this machine lacks qemu-aarch64 (Debian: qemu-user)" >&2; exit 2; }
target=${CARGO_TARGET_DIR:-target} profile=${ZKINFER_PROFILE:-release}
RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/static-program.sh \
    cargo build --profile "$profile" --locked --workspace --bin prover-worker "${cargo_target[@]}"
cargo build --profile "$profile" --locked --workspace --bin prover-worker
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here() { "$target/$profile/prover-worker" "$@"; }
there() { qemu-aarch64 "$target/$triple/$profile/prover-worker" "$@"; }
[ "$triple" = "$host" ] && there() { "$target/$profile/prover-worker" "$@"; }
model=tests/models/wine.onnx calibration=tests/models/data/wine-calibration.npy
python3 - "$work/input.npy" <<'EOF'
import struct, sys
# One row of the calibration data is an input that the model knows.
data = open("tests/models/data/wine-calibration.npy", "rb").read()
start = 10 + struct.unpack("<H", data[8:10])[0]
head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 13), }"
head += b" " * (-(len(head) + 11) % 64) + b"\n"
open(sys.argv[1], "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data[start : start + 13 * 4])
EOF
for system in SumcheckWhir Halo2Kzg; do
    setup=()
    if [ "$system" = Halo2Kzg ]; then setup=(--allow-dev-srs); fi
    for at in here there; do
        $at compile "$model" --calibration "$calibration" --parallelism 2 --proof-system "$system" "${setup[@]}" --out "$work/$system-$at"
    done
    diff -r "$work/$system-here" "$work/$system-there" || {
        echo "arm64: $system: the same model is compiled to other bytes" >&2
        exit 1
    }
    for at in here there; do
        $at prove "$work/$system-$at" --input "$work/input.npy" --out "$work/$system-$at.cbor"
    done
    # Who has proved it is no matter to who verifies it.
    for receipt in here there; do
        for at in here there; do
            $at verify "$work/$system-$receipt.cbor" --model "$model" --input "$work/input.npy" "${setup[@]}" >"$work/said"
            grep -q "All 2 slice proofs hold" "$work/said" || { cat "$work/said" >&2; exit 1; }
        done
    done
    echo "arm64: $system: compiled to the same bytes, proved and verified here and under qemu, each the other's"
done

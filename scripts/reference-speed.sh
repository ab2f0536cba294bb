#!/usr/bin/env bash
# Measures the float reference (zkml/reference) against onnxruntime on one thread: five rounds by turns, the least of each.
# At most 3 times as long is the bar, for the example CNNs; exit 1 above it.
#   scripts/reference-speed.sh [MODEL.onnx ...]      the example models unless others are named
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -gt 0 ] || set -- "$root"/tests/models/digits.onnx "$root"/tests/models/digits-residual.onnx
for model; do
    [ -f "$model" ] || { echo "$model is no file" >&2; exit 2; }
done
python=$("$root/scripts/onnx.sh")/bin/python
(cd "$root" && cargo build --quiet --release --locked --workspace --example seconds)
own=${CARGO_TARGET_DIR:-$root/target}/release/examples/seconds
for model; do
    for _ in 1 2 3 4 5; do
        OMP_NUM_THREADS=1 "$python" "$root/tests/onnx/seconds.py" "$model" 1000
        "$own" "$model" 1000 | sed 's/.*least \([0-9.]*\) s$/own \1/'
    done | awk -v model="$(basename "$model")" '
        { own = $1 == "own"; s = own ? $2 : $1 }
        own && (!a || s < a) { a = s }
        !own && (!b || s < b) { b = s }
        END {
            printf "%s: %.1f µs, onnxruntime %.1f µs: %.2f times\n", model, a * 1e6, b * 1e6, a / b
            exit a > 3 * b
        }' || failed=1
done
exit "${failed:-0}"

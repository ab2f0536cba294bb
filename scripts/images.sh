#!/usr/bin/env bash
# Builds the images zkinfer.dev/operator:TAG and zkinfer.dev/prover-worker:TAG as OCI archives, without a registry.
#   scripts/images.sh [DIR]    writes DIR/operator.tar and DIR/prover-worker.tar (DIR: target/images)
# TAG is in $ZKINFER_TAG (dev). Load them into a node:
#   ctr -n k8s.io images import FILE      or      kind load image-archive FILE
# Needs cargo, buildah (Debian: apt-get install buildah) and the C library's static files (libc6-dev).
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${ZKINFER_TAG:-dev} target=x86_64-unknown-linux-gnu
out=${1:-${CARGO_TARGET_DIR:-target}/images}
command -v buildah >/dev/null || { echo "images: this machine lacks buildah (as root: apt-get install buildah)" >&2; exit 2; }

# Static and position-independent: runs from an image that holds nothing else, and resolves names itself.
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" cargo build --release --locked --target $target --bin operator --bin prover-worker
bin=${CARGO_TARGET_DIR:-target}/$target/release

mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for image in operator prover-worker; do
    mkdir "$work/$image"
    cp "$bin/$image" "$work/$image/"
    strip "$work/$image/$image"
    name=zkinfer.dev/$image:$tag
    store=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
    buildah "${store[@]}" bud --quiet --network none --timestamp 0 -f images/$image.Containerfile -t "$name" "$work/$image" >/dev/null
    rm -f "$out/$image.tar"
    buildah "${store[@]}" push --quiet "$name" "oci-archive:$out/$image.tar:$name"
    printf 'images: %-32s %5.1f MB in %s\n' "$name" "$(stat -c %s "$out/$image.tar" | awk '{print $1/1e6}')" "$out/$image.tar"
done

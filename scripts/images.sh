#!/usr/bin/env bash
# Builds the images zkinfer.dev/operator:TAG and zkinfer.dev/prover-worker:TAG as OCI archives, without a registry.
#   scripts/images.sh [--target TRIPLE] [DIR]
#                              writes DIR/operator.tar and DIR/prover-worker.tar (DIR: $ZKINFER_IMAGES, else target/images)
# TRIPLE is aarch64-unknown-linux-gnu, for nodes with such processors, or this machine's own, x86_64-unknown-linux-gnu. Of what it makes
# for the former nobody has run anything: untested; scripts/arm64.sh tries the worker under qemu. What this machine lacks for it is
# named, with the package that has it (scripts/target.sh).
# TAG is in $ZKINFER_TAG (dev). Load them into a node:
#   ctr -n k8s.io images import FILE      or      kind load image-archive FILE
# The worker's image also holds builds for wider instruction sets, which its program starts where the processor has them:
# $ZKINFER_BUILDS (x86-64-v3 x86-64-v4). Each builds all dependencies once more; empty: only the one that runs everywhere.
# The programs are built with cargo's profile `dist`: all of it optimised, and linked as a whole. $ZKINFER_PROFILE=release takes
# what `./quickstart` and the tests build: less work for the compiler, larger images.
# Beside each archive NAME.tar lie NAME.digest, the image's own, and NAME.cdx.json, its bill of materials (scripts/sbom.py).
# DIR/build.json says of what commit, by what compiler and when they were built (scripts/provenance.py).
# With ZKINFER_REPRODUCIBLE=1 no program says where it was built, so that other folders make the same digests; everything is then
# compiled anew, in a folder beside the usual one. `scripts/reproducible.sh` tries it.
# The operator's image always contains the web app, which is built first (scripts/build-web.sh).
# Needs buildah (Debian: apt-get install buildah), the C library's static files (libc6-dev), Node 20 or later and npm.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh
usage() {
    echo "usage: scripts/images.sh [--target TRIPLE] [DIR]" >&2
    exit 2
}
triple=''
if [ "${1:-}" = --target ]; then
    [ $# -ge 2 ] || usage
    triple=$2
    shift 2
fi
case ${1:-} in -*) usage ;; esac
triple=${triple:-$(uname -m)-unknown-linux-gnu}
. scripts/target.sh
# What `./quickstart` leaves out: weights to a chain.
features=zkinfer-operator/bittensor
tag=${ZKINFER_TAG:-dev} target=${CARGO_TARGET_DIR:-target} profile=${ZKINFER_PROFILE:-dist}
out=${1:-${ZKINFER_IMAGES:-$target/images}}
[ "$triple" = "$host" ] || [ -n "${1:-}${ZKINFER_IMAGES:-}" ] || out=$target/images-$arch
started=$(date -u +%Y-%m-%dT%H:%M:%SZ)
command -v buildah >/dev/null || { echo "images: this machine lacks buildah (as root: apt-get install buildah)" >&2; exit 2; }

if [ "${ZKINFER_REPRODUCIBLE:-0}" = 1 ]; then
    target=$target/reproducible
    export CARGO_TARGET_DIR=$target
    home=${CARGO_HOME:-$HOME/.cargo}
    # Of Rust's sources and, where crates bring some, of C's. No time, and no folder of this machine's, is in what they make.
    maps=("$PWD=/src" "$home=/cargo" "$target=/target")
    RUSTFLAGS="${RUSTFLAGS:-}$(printf ' --remap-path-prefix=%s' "${maps[@]}")"
    CFLAGS="${CFLAGS:-}$(printf ' -ffile-prefix-map=%s' "${maps[@]}")"
    export RUSTFLAGS CFLAGS CXXFLAGS=$CFLAGS SOURCE_DATE_EPOCH=0
fi
scripts/build-web.sh
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
store=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
take() { # built, to
    "${cross}strip" -o "$2" "$1"
    if readelf --program-headers "$2" | grep -q INTERP; then
        echo "images: $1 is not static; was it built by somebody else meanwhile?" >&2
        exit 1
    fi
}
# Static and position-independent: they run in an image that holds nothing else, and resolve names themselves. The C
# library is chosen when a program is linked, so the libraries that `cargo build --workspace` has built with this profile are
# used as they are, but for those of the workspace: they lie beside the others, so that neither build disturbs the other.
RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/static-program.sh ZKINFER_REQUIRE_WEB=1 \
    cargo build --profile "$profile" --locked --workspace --features "$features" --bin operator --bin prover-worker \
    "${cargo_target[@]}"
built=$target/$profile
[ "$triple" = "$host" ] || built=$target/$triple/$profile
image() { # name
    mkdir -p "$work/$1"
    take "$built/$1" "$work/$1/$1"
    local name=zkinfer.dev/$1:$tag
    buildah "${store[@]}" bud --quiet --network none --timestamp 0 --arch "$arch" --tag "$name" \
        --file "images/$1.Containerfile" "$work/$1" >/dev/null
    buildah "${store[@]}" push --quiet --digestfile "$work/$1.digest" "$name" "oci-archive:$work/$1.tar:$name"
    local package=$1
    [ "$1" != operator ] || package=zkinfer-operator
    scripts/sbom.py "$package" --target "$triple" --image "$name" --archive "$work/$1.tar" >"$work/$1.cdx.json"
    mv "$work/$1.tar" "$work/$1.digest" "$work/$1.cdx.json" "$out/"
    printf 'images: %-31s %5.1f MB, %5.1f MB compressed in %s\n' "$name" \
        "$(stat -c %s "$work/$1/$1" | awk '{print $1 / 1e6}')" \
        "$(stat -c %s "$out/$1.tar" | awk '{print $1 / 1e6}')" "$out/$1.tar"
}
image operator
if [ "$triple" = x86_64-unknown-linux-gnu ] && [ "$triple" = "$host" ]; then
    mkdir "$work/prover-worker"
    for build in ${ZKINFER_BUILDS-x86-64-v3 x86-64-v4}; do
        # With --target the flags are the programs' alone: what runs while they are built runs on this processor. Of the
        # whole workspace, so that libraries have the same features as in the first build.
        CARGO_TARGET_DIR=$target/$build \
            CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-cpu=$build -C target-feature=+crt-static" \
            cargo build --profile "$profile" --locked --workspace --features "$features" --bin prover-worker --target x86_64-unknown-linux-gnu
        take "$target/$build/x86_64-unknown-linux-gnu/$profile/prover-worker" "$work/prover-worker/prover-worker.$build"
    done
fi
image prover-worker
if compgen -G "$work/prover-worker/prover-worker.*" >/dev/null; then
    # The folder is what the image holds: what its first program starts here is what it starts on a node with this processor.
    runs=$("$work/prover-worker/prover-worker" --version 2>&1)
    case $runs in
    *"does not start"*)
        echo "images: $runs" >&2
        exit 1
        ;;
    esac
    echo "images: on this processor the worker's image runs $runs"
fi
# Of sources that are in no commit this is said, and that they are is all that is.
commit=$(git rev-parse HEAD 2>/dev/null || echo none) dirty=true
if [ "$commit" != none ] && [ -z "$(git status --porcelain)" ]; then dirty=false; fi
[ "$triple" = x86_64-unknown-linux-gnu ] && builds=${ZKINFER_BUILDS-x86-64-v3 x86-64-v4} || builds=''
repository=$(sed -n 's/^repository = "\(.*\)"$/\1/p' Cargo.toml)
python3 - "$commit" "$dirty" "$triple" "$profile" "$builds" "${ZKINFER_REPRODUCIBLE:-0}" "$started" "$repository" \
    "${ZKINFER_BUILDER:-https://zkinfer.dev/builders/by-hand}" "$(rustc --version)" >"$out/build.json" <<'EOF'
import datetime, json, sys
commit, dirty, target, profile, builds, reproducible, started, repository, builder, rustc = sys.argv[1:]
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
json.dump(
    {
        "commit": commit, "repository": repository, "dirty": dirty == "true", "target": target, "profile": profile,
        "builds": builds.split(), "reproducible": reproducible == "1", "rustc": rustc,
        "started": started, "finished": now, "builder": builder,
    },
    sys.stdout, indent=1, sort_keys=True,
)
print()
EOF

#!/usr/bin/env bash
# Makes everything of a release in a folder, and signs it if it can: images, charts, bills of materials, provenance, checksums.
#   scripts/release.sh VERSION REGISTRY [--out DIR] [--images DIR] [--target TRIPLE] [--arm64 DIR]
#     VERSION   of the charts, such as 0.1.0: the images' tag
#     REGISTRY  where images go: registry.example/zkinfer; charts go to oci://REGISTRY/charts
#     --out     where it is written (target/release-VERSION)
#     --images  images that scripts/images.sh has built, instead of building them here, from a clean tree and reproducibly
#     --target  as of scripts/images.sh
#     --arm64   images for ARM, of the same commit, that scripts/images.sh --target aarch64-unknown-linux-gnu has built into DIR; or
#               `build`: they are built here too. Each name is then an index of both images, and nodes pull the one for them.
# Nothing is pushed and nothing is signed by default: DIR/publish.sh has the commands, in order, each with digests. With
# ZKINFER_PUBLISH=1 it is run, by skopeo, helm and cosign; a key is named by $COSIGN_KEY (cosign's: a file, or of a key service);
# without one cosign signs keyless, by the identity that it finds.
set -euo pipefail
cd "$(dirname "$0")/.."
usage() {
    sed -n '2,3p' "$0" | sed 's/^# *//' >&2
    exit 2
}
fail() {
    echo "release: $*" >&2
    exit 2
}
[ $# -ge 2 ] || usage
version=$1 registry=$2
shift 2
out='' images='' target=() arm64=''
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case $1 in
    --out) out=$2 ;;
    --images) images=$2 ;;
    --target) target=(--target "$2") ;;
    --arm64) arm64=$2 ;;
    *) usage ;;
    esac
    shift 2
done
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || fail "\`$version\` is no version, such as 0.1.0"
[[ $registry =~ ^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$ ]] || fail "\`$registry\` is no registry, such as registry.example/zkinfer"
for chart in charts/*/; do
    said=$(sed -n 's/^version: //p' "$chart/Chart.yaml")
    [ "$said" = "$version" ] || fail "${chart}Chart.yaml says version $said"
done
out=${out:-${CARGO_TARGET_DIR:-target}/release-$version}
mkdir -p "$out"
arm=aarch64-unknown-linux-gnu
build() { # to; how
    [ -z "$(git status --porcelain)" ] || fail "what is not committed is in no release: $(git status --porcelain | head -n 1)"
    ZKINFER_REPRODUCIBLE=1 ZKINFER_TAG=$version scripts/images.sh "${@:2}" "$1"
}
said() { # of which build.json; what
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1/build.json" "$2"
}
names=(operator prover-worker)
take() { # the images of a folder, into another, with what is said of them
    local name end
    mkdir -p "$2"
    for name in "${names[@]}"; do
        if [ "$1" != "$2" ]; then
            for end in tar digest cdx.json; do
                [ -f "$1/$name.$end" ] || fail "$1 has no $name.$end: scripts/images.sh writes it"
                cp "$1/$name.$end" "$2/"
            done
            cp "$1/build.json" "$2/" || fail "$1 has no build.json: scripts/images.sh writes it"
        fi
        scripts/provenance.py "$2" "$name" --registry "$registry" >"$2/$name.provenance.json"
        # What `cosign attest` asks for: it makes the statement itself.
        python3 -c 'import json, sys; json.dump(json.load(sys.stdin)["predicate"], sys.stdout, indent=1, sort_keys=True); print()' \
            <"$2/$name.provenance.json" >"$2/$name.predicate.json"
    done
}
if [ -z "$images" ]; then
    build "$out" "${target[@]}"
    images=$out
fi
take "$images" "$out"
# An image for other nodes alone has another tag: nothing is put over another.
tag=$version folders=(.)
if [ "$(said "$out" target)" = "$arm" ]; then
    [ -z "$arm64" ] || fail "--arm64 is of images beside those for x86_64"
    tag=$version-arm64
fi
if [ -n "$arm64" ]; then
    if [ "$arm64" = build ]; then
        arm64=$out/arm64
        build "$arm64" --target "$arm"
    fi
    take "$arm64" "$out/arm64"
    [ "$(said "$out/arm64" target)" = "$arm" ] || fail "$arm64 has images for $(said "$out/arm64" target)"
    for what in commit rustc profile; do
        [ "$(said "$out" "$what")" = "$(said "$out/arm64" "$what")" ] || fail "$images and $arm64 differ in $what"
    done
    folders=(. arm64)
    for name in "${names[@]}"; do
        scripts/index.py "$out/$name.index.tar" "zkinfer.dev/$name:$version" "$out/$name.tar" "$out/arm64/$name.tar" \
            >"$out/$name.index.digest"
    done
fi
scripts/package-charts.sh "oci://$registry/charts" "$out" >/dev/null
charts=()
for chart in charts/*/; do
    charts+=("$(basename "$chart")-$version.tgz")
done
{
    echo '#!/usr/bin/env bash'
    echo "# Publishes release $version: images, then what is said of them, then charts. Signed in before: skopeo, helm and cosign login."
    echo 'set -euo pipefail'
    echo 'cd "$(dirname "$0")"'
    echo 'sha256sum --check --quiet SHA256SUMS'
    echo 'key=(--yes)'
    echo '[ -z "${COSIGN_KEY:-}" ] || key+=(--key "$COSIGN_KEY")'
    for name in "${names[@]}"; do
        image=$registry/$name
        if [ -n "$arm64" ]; then
            echo "skopeo copy --all --preserve-digests oci-archive:$name.index.tar docker://$image:$tag"
            echo "cosign sign \"\${key[@]}\" $image@$(cat "$out/$name.index.digest")"
        else
            echo "skopeo copy --preserve-digests oci-archive:$name.tar docker://$image:$tag"
        fi
        for folder in "${folders[@]}"; do
            of=$image@$(cat "$out/$folder/$name.digest") at=${folder#.}
            at=${at:+$at/}$name
            echo "cosign sign \"\${key[@]}\" $of"
            echo "cosign attest \"\${key[@]}\" --type slsaprovenance1 --predicate $at.predicate.json $of"
            echo "cosign attest \"\${key[@]}\" --type cyclonedx --predicate $at.cdx.json $of"
        done
    done
    for chart in "${charts[@]}"; do
        echo "helm push $chart oci://$registry/charts"
        # Helm's digest is the registry's: it is told by the push alone.
        echo "cosign sign-blob \"\${key[@]}\" --bundle $chart.sigstore.json $chart"
    done
} >"$out/publish.sh"
chmod +x "$out/publish.sh"
(
    cd "$out"
    files=()
    for folder in "${folders[@]}"; do
        at=${folder#.}
        at=${at:+$at/}
        for name in "${names[@]}"; do files+=("$at$name".{tar,digest,cdx.json,provenance.json,predicate.json}); done
        files+=("${at}build.json")
    done
    [ -z "$arm64" ] || for name in "${names[@]}"; do files+=("$name".index.{tar,digest}); done
    sha256sum "${files[@]}" "${charts[@]}" >SHA256SUMS
)
echo "release: $version is in $out; its commands, of which none was run, are in $out/publish.sh"
if [ "${ZKINFER_PUBLISH:-0}" = 1 ]; then
    for program in skopeo helm cosign; do
        command -v "$program" >/dev/null || fail "ZKINFER_PUBLISH=1 needs $program"
    done
    "$out/publish.sh"
fi

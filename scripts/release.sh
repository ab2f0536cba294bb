#!/usr/bin/env bash
# Makes everything of a release in a folder, and signs it if it can: images, charts, bills of materials, provenance, checksums.
#   scripts/release.sh VERSION REGISTRY [--out DIR] [--images DIR] [--target TRIPLE]
#     VERSION   of the charts, such as 0.1.0: the images' tag
#     REGISTRY  where images go: registry.example/zkinfer; charts go to oci://REGISTRY/charts
#     --out     where it is written (target/release-VERSION)
#     --images  images that scripts/images.sh has built, instead of building them here, from a clean tree and reproducibly
#     --target  as of scripts/images.sh
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
out='' images='' target=()
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case $1 in
    --out) out=$2 ;;
    --images) images=$2 ;;
    --target) target=(--target "$2") ;;
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
if [ -z "$images" ]; then
    [ -z "$(git status --porcelain)" ] || fail "what is not committed is in no release: $(git status --porcelain | head -n 1)"
    images=$out
    ZKINFER_REPRODUCIBLE=1 ZKINFER_TAG=$version scripts/images.sh "${target[@]}" "$images"
fi
names=(operator prover-worker)
for name in "${names[@]}"; do
    if [ "$images" != "$out" ]; then
        for end in tar digest cdx.json; do
            [ -f "$images/$name.$end" ] || fail "$images has no $name.$end: scripts/images.sh writes it"
            cp "$images/$name.$end" "$out/"
        done
        cp "$images/build.json" "$out/" || fail "$images has no build.json: scripts/images.sh writes it"
    fi
    scripts/provenance.py "$out" "$name" --registry "$registry" >"$out/$name.provenance.json"
    # What `cosign attest` asks for: it makes the statement itself.
    python3 -c 'import json, sys; json.dump(json.load(sys.stdin)["predicate"], sys.stdout, indent=1, sort_keys=True); print()' \
        <"$out/$name.provenance.json" >"$out/$name.predicate.json"
done
# An image for other nodes has another tag: nothing is put over another.
tag=$version
if python3 -c 'import json, sys; sys.exit(json.load(open(sys.argv[1]))["target"] != "aarch64-unknown-linux-gnu")' "$out/build.json"; then
    tag=$version-arm64
fi
scripts/package-charts.sh "oci://$registry/charts" >/dev/null
charts=()
for chart in charts/*/; do
    package=$(basename "$chart")-$version.tgz
    cp "target/charts/$package" "$out/"
    charts+=("$package")
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
        image=$registry/$name digest=$(cat "$out/$name.digest")
        echo "skopeo copy --preserve-digests oci-archive:$name.tar docker://$image:$tag"
        echo "cosign sign \"\${key[@]}\" $image@$digest"
        echo "cosign attest \"\${key[@]}\" --type slsaprovenance1 --predicate $name.predicate.json $image@$digest"
        echo "cosign attest \"\${key[@]}\" --type cyclonedx --predicate $name.cdx.json $image@$digest"
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
    for name in "${names[@]}"; do files+=("$name".{tar,digest,cdx.json,provenance.json,predicate.json}); done
    sha256sum "${files[@]}" build.json "${charts[@]}" >SHA256SUMS
)
echo "release: $version is in $out; its commands, of which none was run, are in $out/publish.sh"
if [ "${ZKINFER_PUBLISH:-0}" = 1 ]; then
    for program in skopeo helm cosign; do
        command -v "$program" >/dev/null || fail "ZKINFER_PUBLISH=1 needs $program"
    done
    "$out/publish.sh"
fi

#!/usr/bin/env bash
# Builds both images twice, from copies of the committed sources in two folders of different names, and compares their digests.
#   scripts/reproducible.sh        hours: nothing that was compiled before is used
# It says so for this machine's compiler and C library; others make other programs. Their versions are in the bills of materials.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -n "$(git status --porcelain)" ]; then
    echo "reproducible: what is not committed is not built: $(git status --porcelain | head -n 1)" >&2
    exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for folder in one another-of-a-longer-name; do
    mkdir "$work/$folder"
    git archive HEAD | tar -x -C "$work/$folder"
    # Each with its own folder for what is compiled, and nothing of the first is left for the second.
    (
        cd "$work/$folder"
        CARGO_TARGET_DIR=$work/$folder/target ZKINFER_REPRODUCIBLE=1 scripts/images.sh "$work/$folder.images"
    )
    rm -rf "${work:?}/$folder"
done
failed=0
for image in operator prover-worker; do
    one=$(cat "$work/one.images/$image.digest") other=$(cat "$work/another-of-a-longer-name.images/$image.digest")
    if [ "$one" = "$other" ]; then
        echo "reproducible: $image is $one, twice"
    else
        echo "reproducible: $image is $one, and then $other" >&2
        failed=1
    fi
    # What it is made of is the same even where the archives are not.
    if ! cmp <(grep -v -e '"content"' -e serialNumber "$work/one.images/$image.cdx.json") \
        <(grep -v -e '"content"' -e serialNumber "$work/another-of-a-longer-name.images/$image.cdx.json"); then
        echo "reproducible: two bills of materials of $image differ" >&2
        failed=1
    fi
done
exit $failed

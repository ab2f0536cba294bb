#!/usr/bin/env bash
# What a commit costs whoever adds a thing: the files that it touches, apart from tests, goldens and what is generated, and
# how many they are. docs/adding.md states the counts.
#   scripts/recipe.sh COMMIT
# Tests are folders `tests` and `testdata` and files `tests.rs`; goldens are folders and files `golden`; generated are the
# CRDs, the API reference, the OpenAPI document, the list of operators and Cargo.lock. A file that was renamed counts once,
# under its new name.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -ne 1 ]; then
    sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
commit=$(git rev-parse --verify --quiet "$1^{commit}") || {
    echo "error: \`$1\` is no commit" >&2
    exit 2
}
touched=$(git diff-tree --no-commit-id --name-only --find-renames -r --root "$commit")
kept=$(grep -Ev \
    -e '(^|/)(tests|testdata|golden)/' \
    -e '(^|/)tests\.rs$' \
    -e '(^|/)golden\.[a-z]+$' \
    -e '^crds/yaml/' \
    -e '^charts/zkinfer/files/crds/' \
    -e '^docs/(api-reference\.md|openapi\.yaml|operators\.md)$' \
    -e '^Cargo\.lock$' <<<"$touched" || true)
if [ -z "$kept" ]; then
    echo "0 files"
    exit
fi
count=$(wc -l <<<"$kept")
printf '%s\n' "$kept"
if [ "$count" -eq 1 ]; then echo "1 file"; else echo "$count files"; fi

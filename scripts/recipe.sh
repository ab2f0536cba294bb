#!/usr/bin/env bash
# What a commit costs whoever adds a thing: the files that it touches, apart from tests, goldens and what is generated, and
# how many they are. docs/adding.md states the counts.
#   scripts/recipe.sh COMMIT
# Tests are folders `tests` and `testdata` and files `tests.rs`; goldens are folders and files `golden`. What is generated says so
# itself: a file in its first lines, a part of a file by marks (crds/src/generated.rs), and a file counts only if something
# outside of its marks is another. A file that was renamed counts once, under its new name.
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

if git rev-parse --verify --quiet "$commit^2" >/dev/null; then
    echo "error: \`$1\` is a merge, which touches nothing itself: count the commits that it merges" >&2
    exit 2
fi

# A file of a tree without what is generated in it; nothing where there is no such file, or all of it is generated.
by_hand() {
    git cat-file -e "$1:$2" 2>/dev/null || return 0
    git show "$1:$2" | awk '
        NR <= 3 && (/Generated (from|by) / || /automatically @generated/) { exit }
        /^ *(#|<!--) end of what is generated/ { part = 0 }
        !part { print }
        /^ *(#|<!--) generated: / { part = 1 }'
}

before=$(git rev-parse --verify --quiet "$commit^" || git hash-object -t tree /dev/null)
count=0
while IFS=$'\t' read -r how old new; do
    [ -n "$how" ] || continue
    file=${new:-$old}
    if grep -Eq -e '(^|/)(tests|testdata|golden)/' -e '(^|/)tests\.rs$' -e '(^|/)golden\.[a-z]+$' <<<"$file"; then
        continue
    fi
    # The same by hand: all that is another is generated.
    if [ "$old" = "$file" ] && [ "$(by_hand "$before" "$old")" = "$(by_hand "$commit" "$file")" ]; then
        continue
    fi
    printf '%s\n' "$file"
    count=$((count + 1))
done < <(git diff-tree --no-commit-id --name-status --find-renames -r --root "$commit")
if [ "$count" -eq 1 ]; then echo "1 file"; else echo "$count files"; fi

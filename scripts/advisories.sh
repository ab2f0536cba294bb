#!/usr/bin/env bash
# Whether a crate of Cargo.lock has a known weakness, by a clone of RustSec's advisory database on this machine.
#   scripts/advisories.sh DIR     DIR: made by git clone https://github.com/RustSec/advisory-db
# The clone's branch main is read as it stands: nothing is fetched, so that the answer is that of a commit, which is printed. Crates
# that were yanked are not looked for, which takes a registry. What is passed over has a reason beside it in deny.toml, `[advisories]`.
set -euo pipefail
cd "$(dirname "$0")/.."
from=${1:-}
if [ -z "$from" ] || ! git -C "$from" rev-parse --verify --quiet main >/dev/null 2>&1 || [ ! -d "$from/crates" ]; then
    echo "advisories: ${from:-no folder} is no clone of https://github.com/RustSec/advisory-db" >&2
    exit 2
fi
if ! cargo deny --version >/dev/null 2>&1; then
    cargo install cargo-deny --locked --version 0.20.2
fi
from=$(cd "$from" && git rev-parse --show-toplevel)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Settings of ours, and a folder for the copy that cargo-deny makes. It takes databases by their addresses alone, so git is told
# that this one is here.
cp deny.toml "$work/deny.toml"
grep -q '^\[advisories\]' "$work/deny.toml" || printf '\n[advisories]\n' >>"$work/deny.toml"
address=https://github.com/RustSec/advisory-db
sed -i "/^\[advisories\]/a db-path = \"$work/db\"\ndb-urls = [\"$address\"]\nyanked = \"allow\"\ngit-fetch-with-cli = true" "$work/deny.toml"
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$from.insteadOf" GIT_CONFIG_VALUE_0=$address
cargo deny --locked --config "$work/deny.toml" check advisories
echo "advisories: none, by $(git -C "$from" log -1 --format='%H of %cs' main)"

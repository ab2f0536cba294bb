#!/usr/bin/env bash
# The compiler, with the C library linked into programs: cargo's RUSTC_WORKSPACE_WRAPPER in scripts/images.sh.
# Cargo also asks it what it can make, without a folder to make it in.
set -euo pipefail
case " $* " in
*" --crate-type bin "*" --out-dir "*) exec "$@" -C target-feature=+crt-static ;;
*) exec "$@" ;;
esac

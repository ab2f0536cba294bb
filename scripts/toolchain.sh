# Sourced: makes sure that a Rust toolchain and a C compiler are there. The toolchain's version is pinned in
# rust-toolchain.toml; rustup installs it by itself.
if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH="$HOME/.cargo/bin:$PATH"
fi
if ! command -v cargo >/dev/null 2>&1 || ! command -v cc >/dev/null 2>&1; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        echo "installing a C compiler, cmake and rustup with apt-get" >&2
        said=$(mktemp)
        { apt-get update -q && apt-get install -qy --no-install-recommends build-essential cmake rustup ca-certificates \
            || apt-get install -qy --no-install-recommends build-essential cmake ca-certificates; } >"$said" 2>&1 \
            || cat "$said" >&2
        rm -f "$said"
        unset said
    fi
fi
missing=
command -v cc >/dev/null 2>&1 || missing="$missing a C compiler (apt-get install build-essential);"
command -v cargo >/dev/null 2>&1 || missing="$missing Rust (https://rustup.rs, or apt-get install rustup);"
if [ -n "$missing" ]; then
    echo "This machine lacks:$missing" >&2
    exit 2
fi
unset missing

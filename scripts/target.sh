# Sourced, from the repository's root, with $triple: what it takes to build programs for it. It sets
#   arch           how images call the processor: amd64, arm64
#   cross          what the names of compiler and binutils for it begin with; nothing for this machine's own
#   cargo_target   what cargo is told
# What this machine lacks for it is named in one line, with where it comes from, and ends the script.
host=$(uname -m)-unknown-linux-gnu
me=${0##*/} me=${me%.sh}
case $triple in
x86_64-unknown-linux-gnu) arch=amd64 gnu=x86_64-linux-gnu ;;
aarch64-unknown-linux-gnu) arch=arm64 gnu=aarch64-linux-gnu ;;
*)
    echo "$me: $triple is no target; x86_64-unknown-linux-gnu and aarch64-unknown-linux-gnu are" >&2
    exit 2
    ;;
esac
cargo_target=() cross=''
if [ "$triple" != "$host" ]; then
    cross=$gnu-
    lacks=''
    command -v "${cross}gcc" >/dev/null || lacks="$lacks ${cross}gcc (Debian: gcc-${gnu//_/-}, libc6-dev-$arch-cross);"
    std=$(rustc --print target-libdir --target "$triple")
    compgen -G "$std/libstd-*.rlib" >/dev/null || lacks="$lacks Rust's standard library (rustup target add $triple);"
    if [ -n "$lacks" ]; then
        echo "$me: for $triple this machine lacks:$lacks" >&2
        exit 2
    fi
    cargo_target=(--target "$triple")
    linker=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$triple")_LINKER
    export "$linker=${cross}gcc" "CC_${triple//-/_}=${cross}gcc" "AR_${triple//-/_}=${cross}ar"
fi

#!/usr/bin/env bash
# Tests of the crates and of the Rust example, against the library in TB_BUILD: linked as it is found by pkg-config,
# then as named by TOKENBUCKET_LIB_DIR, statically.
set -euo pipefail

if ! command -v cargo >/dev/null; then
    echo "skipped: Rust (cargo) is not installed"
    exit 77
fi

export CARGO_NET_OFFLINE=true RUSTFLAGS=-Dwarnings RUSTDOCFLAGS=-Dwarnings
export PKG_CONFIG_PATH=$TB_BUILD CARGO_TARGET_DIR=$TB_BUILD/rust
unset TOKENBUCKET_LIB_DIR TOKENBUCKET_STATIC DOCS_RS PKG_CONFIG PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
crates=$TB_SOURCE/bindings/rust/Cargo.toml
example=$TB_SOURCE/examples/rust/Cargo.toml

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

has() {
    cargo "$1" --version >/dev/null 2>&1
}

# check_overload program: the example grants the exact number, in one line.
check_overload() {
    local line
    line=$("$1") || fail "$1 exits with $?"
    [[ $line == "overload rust asked=50100 granted=10500 expected=10500" ]] || fail "$1 says: $line"
}

for manifest in "$crates" "$example"; do
    if has fmt; then cargo fmt --quiet --all --check --manifest-path "$manifest"; fi
    if has clippy; then cargo clippy --quiet --locked --all-targets --manifest-path "$manifest"; fi
done

export LD_LIBRARY_PATH=$TB_BUILD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
cargo test --quiet --locked --manifest-path "$crates"
cargo doc --quiet --locked --no-deps --manifest-path "$crates"
cargo build --quiet --locked --manifest-path "$example"
check_overload "$CARGO_TARGET_DIR/debug/overload"

unset LD_LIBRARY_PATH
CARGO_TARGET_DIR=$TB_BUILD/rust-static TOKENBUCKET_LIB_DIR=$TB_BUILD TOKENBUCKET_STATIC=1 \
    cargo build --quiet --locked --manifest-path "$example"
check_overload "$TB_BUILD/rust-static/debug/overload"

# Where there is no library, the build says what to do.
if said=$(CARGO_TARGET_DIR=$TB_BUILD/rust-missing PKG_CONFIG_PATH='' PKG_CONFIG_LIBDIR=/nonexistent \
    cargo build --quiet --locked --manifest-path "$crates" 2>&1); then
    fail "the crates are built without a library"
fi
[[ $said == *"The C library tokenbucket"*"was not found"*TOKENBUCKET_LIB_DIR*PKG_CONFIG_PATH* ]] || fail "no help in: $said"

#!/usr/bin/env bash
# Tests of the crates and of the Rust examples, against the library in TB_BUILD, linked as it is found by pkg-config and
# as named by TOKENBUCKET_LIB_DIR, and with the library built from the sources in the package and in the tree.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require cargo python3 readelf

export CARGO_NET_OFFLINE=true RUSTFLAGS=-Dwarnings RUSTDOCFLAGS=-Dwarnings
export PKG_CONFIG_PATH=$TB_BUILD CARGO_TARGET_DIR=$TB_BUILD/rust
unset TOKENBUCKET_LIB_DIR TOKENBUCKET_STATIC DOCS_RS PKG_CONFIG PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
folder=$TB_SOURCE/bindings/rust
crates=$folder/Cargo.toml
overload=$TB_SOURCE/examples/rust/Cargo.toml
slowcp=$TB_SOURCE/examples/rust/slowcp/Cargo.toml
bench=$folder/bench/Cargo.toml

has() {
    cargo "$1" --version >/dev/null 2>&1
}

# check_overload PROGRAM: the example grants the exact number, in one line.
check_overload() {
    local line
    line=$("$1") || fail "$1 exits with $?"
    [[ $line == "overload rust asked=50100 granted=10500 expected=10500" ]] || fail "$1 says: $line"
}

check_style() {
    local manifest
    for manifest in "$crates" "$overload" "$slowcp" "$bench"; do
        if has fmt; then cargo fmt --quiet --all --check --manifest-path "$manifest"; fi
        if has clippy; then
            cargo clippy --quiet --locked --all-targets --manifest-path "$manifest"
        else
            cargo check --quiet --locked --all-targets --manifest-path "$manifest"
        fi
    done
}

# check_tests MANIFEST: all pass, and there are some.
check_tests() {
    local log=$CARGO_TARGET_DIR/tests.log
    if ! cargo test --quiet --locked --manifest-path "$1" >"$log" 2>&1; then
        cat "$log"
        fail "the tests of $1"
    fi
    grep -qE '^test result: ok\. [1-9]' "$log" || fail "no test of $1 ran"
}

# One program of each block of Rust in the README; the crates' own pages are documentation tests.
check_page() {
    local programs program
    programs=$(python3 -B "$TB_SOURCE/tests/support/code_blocks.py" "$folder/README.md" rust "$(fresh_folder rust-pages)" rs)
    for program in $programs; do
        rustc --edition 2021 --crate-name page -Dwarnings -L "$CARGO_TARGET_DIR/debug/deps" \
            --extern "tokenbucket=$CARGO_TARGET_DIR/debug/libtokenbucket.rlib" -L "native=$TB_BUILD" \
            -o "${program%.rs}" "$program" || fail "a program in README.md is not compiled"
        "${program%.rs}" >/dev/null || fail "a program in README.md fails"
    done
}

# expect_in LIST NAME...: files of a package.
expect_in() {
    local list=$1 name
    shift
    for name in "$@"; do
        grep -qx "$name" <<<"$list" || fail "the package has no $name but: $list"
    done
}

# The packages hold what they need and no more; unpacks them in a folder that is outside any source tree of the library.
unpack_packages() { # WORK
    local work=$1 unpacked=$1/unpacked/here list
    "$folder/package.sh" "$work" --quiet --no-verify --allow-dirty >"$work/log" 2>&1 || fail "package.sh: $(cat "$work/log")"
    [[ ! -e $folder/tokenbucket-sys/library ]] || fail "package.sh leaves a copy of the sources"
    list=$(tar -tf "$work"/package/tokenbucket-sys-*.crate | sed 's|^[^/]*/||')
    expect_in "$list" Cargo.toml LICENSE README.md build.rs src/declarations.rs src/lib.rs tests/abi.rs \
        library/capi/include/tokenbucket.h library/core/sources.txt
    list=$(tar -tf "$work"/package/tokenbucket-1*.crate | sed 's|^[^/]*/||')
    expect_in "$list" Cargo.toml LICENSE README.md src/lib.rs src/wait.rs src/remote/mod.rs tests/futures.rs
    if grep -q conformance <<<"$list"; then fail "the package has a test that needs this tree"; fi
    mkdir -p "$unpacked"
    tar -C "$unpacked" -xf "$work"/package/tokenbucket-sys-*.crate
    tar -C "$unpacked" -xf "$work"/package/tokenbucket-1*.crate
    mv "$unpacked"/tokenbucket-sys-* "$unpacked/sys"
    mv "$unpacked"/tokenbucket-1* "$unpacked/safe"
    rm -f "$unpacked/safe/Cargo.lock"
    mkdir -p "$unpacked/program/src"
    cp "$TB_SOURCE/tests/install/rust/main.rs" "$unpacked/program/src"
    printf '%s\n' '[package]' 'name = "program"' 'version = "0.0.0"' 'edition = "2021"' '[dependencies]' \
        'tokenbucket = { path = "../safe" }' '[patch.crates-io]' 'tokenbucket-sys = { path = "../sys" }' '[workspace]' \
        >"$unpacked/program/Cargo.toml"
}

# Where no library is installed, a program is built with the sources in the package, and needs no other file; without a
# compiler for them, or for another target, the build says what to do.
check_packages() {
    local work said program
    work=$(fresh_folder rust-packages)
    unpack_packages "$work"
    export PKG_CONFIG=/nonexistent
    said=$(cd "$work/unpacked/here/program" && CARGO_TARGET_DIR=$work/target cargo run --quiet)
    [[ $said == "true false" ]] || fail "a program with the library inside says $said"
    program=$work/target/debug/program
    if readelf -dW "$program" | grep -E 'NEEDED.*(tokenbucket|stdc)'; then fail "$program needs a library"; fi
    (cd "$work/unpacked/here/safe" && CARGO_TARGET_DIR=$work/target cargo check --quiet --tests \
        --config "patch.crates-io.tokenbucket-sys.path='$work/unpacked/here/sys'") || fail "the package's tests"
    refused "there is no C++20 compiler /nonexistent" CXX=/nonexistent
    refused "set CXX_aarch64_unknown_linux_gnu" CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu
    rm -r "$work/unpacked/here/sys/library"
    refused "/nonexistent cannot be run" CXX=c++
    unset PKG_CONFIG
}

refused() { # PATTERN VARIABLE=VALUE
    local said
    if said=$(cd "$TB_BUILD/rust-packages/unpacked/here/program" &&
        env "$2" CARGO_TARGET_DIR="$TB_BUILD/rust-packages/refused" cargo build --quiet 2>&1); then
        fail "built without a library: $2"
    fi
    [[ $said == *"The C library tokenbucket"*"was not found"*TOKENBUCKET_LIB_DIR*PKG_CONFIG_PATH*"C++20 compiler"*$1* ]] ||
        fail "no help with $2: $said"
}

# The overload example linked statically, by name and with the sources in the tree: it then needs no folder named when it
# runs.
check_static() {
    CARGO_TARGET_DIR=$TB_BUILD/rust-static TOKENBUCKET_LIB_DIR=$TB_BUILD TOKENBUCKET_STATIC=1 \
        cargo build --quiet --locked --manifest-path "$overload"
    check_overload "$TB_BUILD/rust-static/debug/overload"
    CARGO_TARGET_DIR=$TB_BUILD/rust-tree PKG_CONFIG=/nonexistent cargo build --quiet --locked --manifest-path "$overload"
    check_overload "$TB_BUILD/rust-tree/debug/overload"
}

check_style
export LD_LIBRARY_PATH=$TB_BUILD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
check_tests "$crates"
check_tests "$slowcp"
cargo build --quiet --locked --manifest-path "$crates"
cargo doc --quiet --locked --no-deps --manifest-path "$crates"
check_page
cargo build --quiet --locked --manifest-path "$overload"
check_overload "$CARGO_TARGET_DIR/debug/overload"

# From here on nothing says at run time where the shared library is.
unset LD_LIBRARY_PATH
check_packages
check_static

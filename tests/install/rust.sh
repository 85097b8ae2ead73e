#!/usr/bin/env bash
# A Rust program in a package of its own uses the crate with the installed library, shared and static.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
source "$TB_SOURCE/tests/install/stage.sh"
require cargo pkg-config readelf
unset TOKENBUCKET_LIB_DIR TOKENBUCKET_STATIC PKG_CONFIG CARGO_TARGET_DIR
export CARGO_NET_OFFLINE=true
folder=$(fresh_folder install_rust)
stage "$folder"
mkdir -p "$folder/consumer/src"
cp "$TB_SOURCE/tests/install/rust/main.rs" "$folder/consumer/src"
cd "$folder/consumer"
cat >Cargo.toml <<PACKAGE
[package]
name = "consumer"
version = "0.0.0"
edition = "2021"

[dependencies]
tokenbucket = { path = "$TB_SOURCE/bindings/rust/tokenbucket" }

[workspace]
PACKAGE

program() {
    cargo build --quiet >"$folder/cargo.log" 2>&1 || fail "building for the $1 library: $(tail -20 "$folder/cargo.log")"
    runs target/debug/consumer "$1" "true false"
}
program shared
export TOKENBUCKET_STATIC=1
program static
unset PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
export TOKENBUCKET_LIB_DIR=$libdir
program static

#!/usr/bin/env bash
# Measures calls of the crate beside a limiter that is a mutex around a float and an Instant; no crate is fetched.
# Prints lines `language | call | ns per call | peer's name | peer's ns | ratio`. TB_BUILD: the folder of the library.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if ! command -v cargo >/dev/null; then
    echo "skipped: Rust (cargo) is not installed"
    exit 77
fi
export CARGO_NET_OFFLINE=true CARGO_TARGET_DIR=$TB_BUILD/rust-bench
export LD_LIBRARY_PATH=$TB_BUILD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
TOKENBUCKET_LIB_DIR=$TB_BUILD cargo run --quiet --release --locked --manifest-path "$here/bench/Cargo.toml"

#!/usr/bin/env bash
# Makes the packages of both crates in FOLDER/package, the C library's sources inside: package.sh FOLDER OPTION..., with
# options of "cargo package". The copy of the sources is there for as long as cargo needs it.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")"
trap 'rm -rf tokenbucket-sys/library' EXIT
rm -rf tokenbucket-sys/library
../../capi/packaging/collect_sources tokenbucket-sys/library
CARGO_TARGET_DIR=$folder cargo package --workspace "${@:2}"

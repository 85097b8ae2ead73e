#!/usr/bin/env bash
# Meson projects use the library: the installed one through pkg-config, its sources as a subproject.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
source "$TB_SOURCE/tests/install/stage.sh"
require meson ninja pkg-config readelf
folder=$(fresh_folder install_meson)
stage "$folder"
mkdir -p "$folder/consumer/subprojects"
cp "$TB_SOURCE/tests/install/main.c" "$folder/"
cp "$TB_SOURCE/tests/install/meson/meson.build" "$folder/consumer/"

# project FOLDER OPTION...: builds the user's project and runs its programs.
project() {
    local build=$1
    shift
    [ -f "$build/build.ninja" ] || meson setup "$build" "$folder/consumer" "$@" >"$build.log" ||
        fail "meson setup $*: $(tail -20 "$build.log")"
    ninja -C "$build" -j 2 shared static >>"$build.log" || fail "building with $*: $(tail -20 "$build.log")"
    runs "$build/shared" shared
    runs "$build/static" static
}

project "$folder/installed" --wrap-mode=nofallback
grep -q 'Run-time dependency tokenbucket found: YES' "$folder/installed.log" || fail "not found through pkg-config"

ln -s "$TB_SOURCE" "$folder/consumer/subprojects/tokenbucket"
# Kept between runs: it compiles the library.
sources=$TB_BUILD/install_meson_sources
libdir=$sources/subprojects/tokenbucket
project "$sources" --force-fallback-for=tokenbucket
needs_no_cpp_runtime "$sources/static"

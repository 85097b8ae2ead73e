#!/usr/bin/env bash
# The CMake and the Meson build, with one compiler and one prefix, make the same library, install the same files and
# have the same tests.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require cmake ctest meson ninja nm readelf
# Kept between runs, so that a second run only rebuilds what changed.
folder=$TB_BUILD/parity
prefix=$folder/prefix
mkdir -p "$folder"
log=$folder/log

build_with_cmake() {
    cmake -G Ninja -S "$TB_SOURCE" -B "$folder/cmake" -DTOKENBUCKET_TESTS=ON -DCMAKE_INSTALL_PREFIX="$prefix" \
        -DCMAKE_INSTALL_LIBDIR=lib &&
        ninja -C "$folder/cmake" -j 2 tokenbucket_shared tokenbucket_static tokenbucket_redis throttle &&
        DESTDIR=$folder/by-cmake cmake --install "$folder/cmake"
}

build_with_meson() {
    { [ -f "$folder/meson/build.ninja" ] ||
        meson setup "$folder/meson" "$TB_SOURCE" --prefix="$prefix"; } &&
        meson compile -C "$folder/meson" -j 2 tokenbucket:shared_library tokenbucket:static_library tokenbucket-redis:shared_library throttle &&
        meson install -C "$folder/meson" --no-rebuild --destdir "$folder/by-meson"
}

same() {
    local what=$1
    shift
    "$@" cmake >"$folder/cmake.txt"
    "$@" meson >"$folder/meson.txt"
    [ -s "$folder/cmake.txt" ] || fail "nothing to compare for $what"
    diff -u --label cmake --label meson "$folder/cmake.txt" "$folder/meson.txt" || fail "the builds differ in $what"
}

library() { echo "$folder/by-$1$prefix/lib/libtokenbucket.so"; }
files() { (cd "$folder/by-$1$prefix" && find . -printf '%y %m %P %l\n' | sort -k 3); }
texts() { (cd "$folder/by-$1$prefix" && cat include/*.h* include/*/* lib/pkgconfig/* lib/cmake/tokenbucket/* share/doc/*/*); }
manual() { (cd "$folder/by-$1$prefix/share/man" && cat ./*/*); }
symbols() { nm -D --with-symbol-versions "$(library "$1")" | sed 's/^[0-9a-f]* *//; s/ open64@/ open@/'; }
# What the loader is told, but for addresses and sizes.
dynamic() { readelf -dW "$(library "$1")" | grep -E 'NEEDED|SONAME|FLAGS|RPATH|RUNPATH|TEXTREL'; }
segments() { readelf -lW "$(library "$1")" | awk '/GNU_STACK|GNU_RELRO|TLS/ {print $1, $7 == "R" ? $7 : $7 $8}'; }
members() { ar t "$folder/by-$1$prefix/lib/libtokenbucket.a" | wc -l; }

tests() {
    case $1 in
        cmake) ctest --test-dir "$folder/cmake" -N | sed -nE 's/^ +Test +#[0-9]+: //p' ;;
        meson) meson test -C "$folder/meson" --list --no-rebuild 2>/dev/null | sed "s:.* / ::" ;;
    esac | sort
}

# How the library's sources are compiled: all but paths, output names and what only colours messages. Meson asks for
# large files everywhere and names warnings that make no difference to C++ code like this.
flags() {
    local database=$folder/$1/compile_commands.json
    grep -E '"command":' "$database" | grep -E 'capi/src/bucket\.cc' | grep -v TB_API= | head -1 | tr ' ' '\n' | tr -d "\\\\\"'" |
        grep -E '^-(D|U|O|W|f|g|m|std=)' |
        grep -vE '^-(fdiagnostics-color=.*|fcolor-diagnostics|D_FILE_OFFSET_BITS=64|Winvalid-pch|ffile-prefix-map=.*|Wnon-virtual-dtor)$' |
        sort -u
}

rm -rf "$folder"/by-*
build_with_cmake >"$log" 2>&1 || fail "the CMake build: $(tail -20 "$log")"
build_with_meson >"$log" 2>&1 || fail "the Meson build: $(tail -20 "$log")"

same "installed files" files
same "installed texts" texts
same "manual pages" manual
same "symbols" symbols
same "dynamic section" dynamic
same "segments" segments
same "objects in the static library" members
same "tests" tests
same "compiler flags" flags

#!/usr/bin/env bash
# What the README says of installing does install: its commands are run, in a copy of the sources and below a folder.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
source "$TB_SOURCE/tests/install/stage.sh"
require python3 cmake make meson ninja pkg-config readelf
folder=$(fresh_folder install_readme)
unset CMAKE_GENERATOR CPPFLAGS LDFLAGS
export DESTDIR=$folder/root CMAKE_BUILD_PARALLEL_LEVEL=2
# The commands are tested here, so the compilers need take no pains.
export CMAKE_BUILD_TYPE=None CFLAGS=-O0 CXXFLAGS=-O0
# Nothing becomes root, and the loader's cache is the machine's own.
mkdir "$folder/bin"
printf '#!/bin/sh\nexec "$@"\n' >"$folder/bin/sudo"
printf '#!/bin/sh\n' >"$folder/bin/ldconfig"
chmod +x "$folder"/bin/*

# In the given copy of the sources, so that each block meets them as they were unpacked.
run_block() { # FILE COPY
    mkdir "$2"
    tar -C "$TB_SOURCE" --anchored --exclude=./.git --exclude='./build*' \
        --no-anchored --exclude=target --exclude=bin --exclude=obj -cf - . | tar -C "$2" -xf -
    (cd "$2" && PATH=$folder/bin:$PATH sh -e "$1") >"$2.log" 2>&1 || fail "$(cat "$1") $(tail -20 "$2.log")"
}

# All that was installed, used as the README says.
uses_it() {
    libdir=$(dirname "$(find "$DESTDIR" -name libtokenbucket.a)")
    local flags
    flags=$(PKG_CONFIG_SYSROOT_DIR=$DESTDIR PKG_CONFIG_LIBDIR=$libdir/pkgconfig pkg-config --cflags --libs tokenbucket)
    read -ra flags <<<"$flags"
    read -ra cc <<<"$CC"
    "${cc[@]}" -o "$folder/program" "$TB_SOURCE/tests/install/main.c" "${flags[@]}"
    runs "$folder/program" shared
}

ran=0
while read -r block; do
    grep -qE '^(cmake|meson) ' "$block" || continue
    rm -rf "$DESTDIR"
    run_block "$block" "$folder/copy$ran"
    uses_it
    ran=$((ran + 1))
done < <(python3 -B "$TB_SOURCE/tests/support/code_blocks.py" "$TB_SOURCE/README.md" sh "$folder/blocks" sh)
[ $ran = 2 ] || fail "$ran of the README's two ways to install"

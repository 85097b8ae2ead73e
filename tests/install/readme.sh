#!/usr/bin/env bash
# What the pages say of installing does install: their commands are run, in a copy of the sources and below a folder; and
# where a program is missing for them, they say which package has it.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
source "$TB_SOURCE/tests/install/stage.sh"
require python3 cmake make meson ninja pkg-config readelf
folder=$(fresh_folder install_readme)
long=$TB_SOURCE/capi/packaging/README.md
unset CMAKE_GENERATOR CPPFLAGS LDFLAGS
export CMAKE_BUILD_PARALLEL_LEVEL=2
# The commands are tested here, so the compilers need take no pains.
export CMAKE_BUILD_TYPE=None CFLAGS=-O0 CXXFLAGS=-O0
# Nothing becomes root or installs packages, and the loader's cache is the machine's own.
mkdir "$folder/bin"
printf '#!/bin/sh\nexec "$@"\n' >"$folder/bin/sudo"
printf '#!/bin/sh\n' | tee "$folder/bin/ldconfig" >"$folder/bin/apt"
chmod +x "$folder"/bin/*

# In a copy of the sources, so that each block meets them as they were unpacked.
unpack() { # COPY
    mkdir -p "$1"
    tar -C "$TB_SOURCE" --anchored --exclude=./.git --exclude='./build*' \
        --no-anchored --exclude=target --exclude=bin --exclude=obj -cf - . | tar -C "$1" -xf -
}

run_block() { # FILE FOLDER: as an ordinary shell does
    (cd "$2" && PATH=$folder/bin:$PATH sh -e "$1") >"$2.log" 2>&1 || fail "$(cat "$1") $(tail -20 "$2.log")"
}

# All that was installed below DESTDIR, used as the README says.
uses_it() {
    libdir=$(dirname "$(find "$DESTDIR" -name libtokenbucket.a)")
    [ "$libdir" = "$DESTDIR/usr/local/lib" ] || fail "the library lies in $libdir, where not every system looks"
    local flags
    flags=$(PKG_CONFIG_SYSROOT_DIR=$DESTDIR PKG_CONFIG_LIBDIR=$libdir/pkgconfig pkg-config --cflags --libs tokenbucket)
    read -ra flags <<<"$flags"
    read -ra cc <<<"$CC"
    "${cc[@]}" -o "$folder/program" "$TB_SOURCE/tests/install/main.c" "${flags[@]}"
    runs "$folder/program" shared
}

blocks_of() { # PAGE FOLDER
    python3 -B "$TB_SOURCE/tests/support/code_blocks.py" "$1" sh "$2" sh
}

# As root: every block that begins with these tools.
ran=()
for page in "$TB_SOURCE/README.md" "$long"; do
    while read -r block; do
        grep -qE 'sudo (cmake --install|meson install)' "$block" || continue
        export DESTDIR=$folder/root
        rm -rf "$DESTDIR"
        copy=$folder/copy${#ran[@]}
        unpack "$copy"
        run_block "$block" "$copy"
        uses_it
        ran+=("$(basename "$(dirname "$page")")-$(grep -oE '^(cmake|meson)' "$block" | head -1)")
    done < <(blocks_of "$page" "$folder/blocks${#ran[@]}")
done
unset DESTDIR
for way in "$(basename "$TB_SOURCE")-cmake" packaging-cmake packaging-meson; do
    [[ " ${ran[*]} " == *" $way "* ]] || fail "no page shows $way, but only: ${ran[*]}"
done

# Without root: into a folder of one's own, then as each of the lines says. Here sudo is refused.
printf '#!/bin/sh\nexit 1\n' >"$folder/bin/sudo"
mapfile -t blocks < <(blocks_of "$long" "$folder/own")
mine=()
for block in "${blocks[@]}"; do if grep -qE '/tb(/| |$)' "$block"; then mine+=("$block"); fi; done
[ ${#mine[@]} = 2 ] || fail "${#mine[@]} blocks for those without root"
export HOME=$folder/home
mkdir -p "$HOME" "$folder/project"
unset PKG_CONFIG_PATH LD_LIBRARY_PATH CMAKE_PREFIX_PATH
unpack "$folder/unprivileged"
run_block "${mine[0]}" "$folder/unprivileged"
cp "$TB_SOURCE/tests/install/main.c" "$folder/project/program.c"
printf '%s\n' 'cmake_minimum_required(VERSION 3.22)' 'project(mine C)' 'find_package(tokenbucket 1 REQUIRED)' \
    'add_executable(mine program.c)' 'target_link_libraries(mine tokenbucket::tokenbucket)' >"$folder/project/CMakeLists.txt"
cat "${mine[1]}" - >"$folder/used.sh" <<'SH'
cmake --build build
cc program.c $(pkg-config --cflags --libs tokenbucket) -o searching
test "$(./searching)" = "$(env -u LD_LIBRARY_PATH ./program)"
SH
run_block "$folder/used.sh" "$folder/project"
libdir=/nonexistent
runs "$folder/project/program" shared
runs "$folder/project/build/mine" shared
if "$folder/project/searching" >"$folder/log" 2>&1; then fail "a program without an rpath finds the library anyway"; fi

# Without the programs that build it.
mkdir "$folder/poor"
ln -s "$(command -v cmake)" "$folder/poor/cmake"
if said=$(unset CC CXX && PATH=$folder/poor cmake -S "$TB_SOURCE" -B "$folder/none" 2>&1); then fail "built by nothing"; fi
[[ $said == *"without make, a C compiler, a C++ compiler."*"sudo apt install make gcc g++"* ]] || fail "cmake says $said"

#!/usr/bin/env bash
# Built where nothing is said, both builds are optimized, and what they install, with debug information, too, is the same
# to the byte wherever the sources lie.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require cmake meson ninja
folder=$(fresh_folder install_reproducible)
unset CMAKE_BUILD_TYPE CMAKE_INSTALL_PREFIX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS DESTDIR

# Two copies, of names of different lengths, in folders of different depths.
copies=("$folder/one" "$folder/the/second")
for copy in "${copies[@]}"; do
    mkdir -p "$copy"
    tar -C "$TB_SOURCE" --anchored --exclude=./.git --exclude='./build*' \
        --no-anchored --exclude=target --exclude=bin --exclude=obj -cf - . | tar -C "$copy" -xf -
done

by_cmake() { # COPY BUILD INSTALLED OPTION...
    cmake -G Ninja -S "$1" -B "$2" -DTOKENBUCKET_TESTS=OFF -DTOKENBUCKET_EXAMPLES=OFF "${@:4}" &&
        cmake --build "$2" -j 2 && DESTDIR=$3 cmake --install "$2"
}

by_meson() { # COPY BUILD INSTALLED OPTION...
    meson setup "$2" "$1" -Dauto_features=disabled "${@:4}" && meson compile -C "$2" -j 2 &&
        meson install -C "$2" --no-rebuild --destdir "$3"
}

install_copy() { # TOOL NUMBER OPTION...
    local copy=${copies[$2]} to=$folder/$1-$2 found
    "by_$1" "$copy" "$copy/$1" "$to" "${@:3}" >"$folder/log" 2>&1 || fail "$1: $(tail -20 "$folder/log")"
    if found=$(grep -rlF "$folder" "$to"); then fail "$1: the folder of the build is in $found"; fi
}

is_optimized() { # TOOL BUILD
    local commands
    commands=$(grep 'core/bucket/decide' "$2/compile_commands.json")
    grep -q -- '-O3 .*-DNDEBUG\|-DNDEBUG .*-O3' <<<"$commands" || fail "$1 by default does not optimize, or asserts"
}
configure=$folder/configured
cmake -G Ninja -S "${copies[0]}" -B "$configure-cmake" -DTOKENBUCKET_TESTS=OFF >"$folder/log" 2>&1 || fail "$(tail "$folder/log")"
is_optimized cmake "$configure-cmake"
meson setup "$configure-meson" "${copies[0]}" -Dauto_features=disabled >"$folder/log" 2>&1 || fail "$(tail "$folder/log")"
is_optimized meson "$configure-meson"

# Which folders are written down does not depend on how well it is optimized, and debug information tells most.
for number in 0 1; do
    install_copy cmake $number -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_FLAGS_RELWITHDEBINFO='-O0 -g -DNDEBUG' \
        -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O0 -g -DNDEBUG'
    install_copy meson $number --optimization=0 --debug
done
for tool in cmake meson; do
    diff -r "$folder/$tool-0" "$folder/$tool-1" || fail "$tool: the copies differ"
done

#!/usr/bin/env bash
# The recipes for vcpkg and Conan do what they can be seen to do without vcpkg and Conan: their files and versions fit.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
source "$TB_SOURCE/tests/install/stage.sh"
require cmake ninja python3 readelf
folder=$(fresh_folder install_recipes)
packaging=$TB_SOURCE/capi/packaging
libdir=

port=$packaging/vcpkg/tokenbucket
[ "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["version"])' "$port/vcpkg.json")" = "$version" ] ||
    fail "vcpkg.json names another version than capi/VERSION"

# The user's project with what the port installs, of which one library is left: static only, shared only.
uses_port() { # LINKAGE KIND
    local package=$folder/$1
    libdir=$package/lib
    cmake -DPORT="$port" -DBUILD="$TB_BUILD" -DCURRENT_PACKAGES_DIR="$package" -DVCPKG_LIBRARY_LINKAGE="$1" \
        -P "$TB_SOURCE/tests/install/recipes/vcpkg.cmake" >"$package.log" 2>&1 || fail "the port: $(tail "$package.log")"
    cmake -G Ninja -S "$TB_SOURCE/tests/install/recipes" -B "$package.build" -DCMAKE_PREFIX_PATH="$package" \
        >"$package.log" 2>&1 || fail "with the port: $(tail "$package.log")"
    cmake --build "$package.build" >"$package.log" || fail "with the port: $(tail "$package.log")"
    runs "$package.build/program" "$2"
    [ -f "$package/share/tokenbucket/LICENSE" ] || fail "the port installs no licence"
}
# Meson's builds cannot be installed by CMake.
if [ -f "$TB_BUILD/CMakeCache.txt" ]; then
    uses_port static static
    uses_port dynamic shared
fi

mkdir -p "$folder/package/lib/cmake" "$folder/package/lib/pkgconfig" "$folder/exported"
touch "$folder/package/lib/libtokenbucket."{a,so,so.1}
said=$(python3 -B "$TB_SOURCE/tests/install/recipes/conan.py" "$packaging/conan/conanfile.py" "$folder/exported" "$folder/package")
[ "$said" = "$version" ] || fail "the Conan recipe has version $said"
[ "$(ls "$folder/package/lib")" = libtokenbucket.a ] || fail "the Conan recipe packages $(ls "$folder/package/lib")"
[ -f "$folder/package/licenses/LICENSE" ] || fail "the Conan recipe packages no licence"
# Every file that the build names is exported.
cmake -G Ninja -S "$folder/exported" -B "$folder/exported.build" -DTOKENBUCKET_TESTS=OFF -DTOKENBUCKET_EXAMPLES=OFF \
    >"$folder/exported.log" 2>&1 || fail "what the Conan recipe exports: $(tail "$folder/exported.log")"
ninja -C "$folder/exported.build" -n >"$folder/exported.log" || fail "what the Conan recipe exports: $(tail "$folder/exported.log")"

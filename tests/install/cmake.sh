#!/usr/bin/env bash
# CMake projects use the library: the installed one by find_package, its sources by add_subdirectory.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
source "$TB_SOURCE/tests/install/stage.sh"
require cmake ninja readelf
export CMAKE_GENERATOR=Ninja
folder=$(fresh_folder install_cmake)
stage "$folder"
# The package must not remember where it was installed.
mv "$folder"/od* "$folder/moved"
installed=$folder/moved${installed#"$folder"/od*~1}
libdir=$(dirname "$(find "$folder/moved" -name libtokenbucket.a)")

# project FOLDER OPTION...: builds the user's project and runs its programs.
project() {
    local build=$1
    shift
    cmake -S "$TB_SOURCE/tests/install/cmake" -B "$build" -DCMAKE_BUILD_TYPE=Debug "$@" >"$build.log" 2>&1 ||
        fail "configuring with $*: $(tail -20 "$build.log")"
    cmake --build "$build" --parallel 2 >>"$build.log" 2>&1 || fail "building with $*: $(tail -20 "$build.log")"
    runs "$build/shared" shared
    runs "$build/static" static
    if [ -e "$build/cpp" ]; then runs "$build/cpp" shared; fi
    case "$*" in *LANGUAGE=C\ *) needs_no_cpp_runtime "$build/static" && needs_no_cpp_runtime "$build/shared" ;; esac
}

project "$folder/c" -DLANGUAGE=C -DCMAKE_PREFIX_PATH="$installed"
project "$folder/c++" -DLANGUAGE=CXX -DCMAKE_PREFIX_PATH="$installed"
[ -e "$folder/c++/cpp" ] || fail "no program in C++ was built with the installed library"

# As on systems where /lib is a link to /usr/lib.
ln -s "$libdir" "$folder/lib"
project "$folder/linked" -DLANGUAGE=C -Dtokenbucket_DIR="$folder/lib/cmake/tokenbucket"

# Kept between runs: it compiles the library, which is the same to both projects.
sources=$TB_BUILD/install_cmake_sources
project "$sources" -DLANGUAGE=C -DTOKENBUCKET_SOURCE="$TB_SOURCE"
project "$sources" -DLANGUAGE=CXX -DTOKENBUCKET_SOURCE="$TB_SOURCE"
[ -e "$sources/cpp" ] || fail "no program in C++ was built with the sources"
if [ -e "$sources/compile_commands.json" ]; then fail "the user's build folder holds a compile database"; fi
if [ -e "$sources/CTestTestfile.cmake" ]; then fail "the user's project got tests"; fi

cmake -S "$TB_SOURCE/tests/install/cmake_requests" -B "$folder/requests" -DCMAKE_PREFIX_PATH="$installed" \
    >"$folder/requests.log" 2>&1 || fail "$(grep -A 2 'CMake Error' "$folder/requests.log")"

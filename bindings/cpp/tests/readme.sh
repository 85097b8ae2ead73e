#!/usr/bin/env bash
# The C and C++ code of the README files compiles without a warning and links; what is a whole program runs and succeeds.
# A fragment, which has no main, stands in a function that is given a bucket, the one name that the text before it made.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require python3
folder=$(fresh_folder cpp_readme)
read -ra cc <<<"$CC"
read -ra cxx <<<"$CXX"
flags=(-Wall -Wextra -Wpedantic -Werror -I"$TB_SOURCE/capi/include" -I"$TB_SOURCE/bindings/cpp/include")
libraries=("$TB_SHARED" "-Wl,-rpath,$(dirname "$TB_SHARED")" -pthread)

# A fragment's results are for the code after it.
fragment() { # FILE HEADER PARAMETER
    local code
    code=$(cat "$1")
    printf '%s\nvoid fragment(%s);\nvoid fragment(%s) {\n%s\n}\nint main(void) { return 0; }\n' "$2" "$3" "$3" "$code" >"$1"
}

compile() { # FILE COMMAND...
    "${@:2}" "$1" "${libraries[@]}" -o "$1.program" || fail "this does not compile: $1"
    "$1.program" >"$1.out" || fail "$1 says $?"
}

c_block() {
    local wrapped=()
    if ! grep -q 'main(' "$1"; then
        fragment "$1" '#include <stdio.h>
#include <tokenbucket.h>' 'tb_bucket *bucket'
        wrapped=(-Wno-unused-variable)
    fi
    compile "$1" "${cc[@]}" -std=c11 "${flags[@]}" "${wrapped[@]}"
}

cpp_block() {
    local standard=c++17 wrapped=() header='#include <cstdio>
#include <tokenbucket.hpp>
using namespace std::chrono_literals;'
    if grep -q co_await "$1"; then standard=c++20; fi
    if ! grep -q 'main(' "$1"; then
        fragment "$1" "$header" '[[maybe_unused]] tokenbucket::Bucket &bucket'
        wrapped=(-Wno-unused-variable)
    fi
    compile "$1" "${cxx[@]}" "-std=$standard" "${flags[@]}" "${wrapped[@]}"
}

blocks() { python3 -B "$TB_SOURCE/tests/support/code_blocks.py" "$@"; }

blocks "$TB_SOURCE/README.md" c "$folder/root" c >"$folder/c"
blocks "$TB_SOURCE/capi/README.md" c "$folder/capi" c >>"$folder/c"
blocks "$TB_SOURCE/bindings/cpp/README.md" cpp "$folder/cpp_blocks" cc >"$folder/cpp"
while read -r file; do c_block "$file"; done <"$folder/c"
while read -r file; do cpp_block "$file"; done <"$folder/cpp"
grep -q '^client 2: 3$' "$folder"/cpp_blocks/*.out || fail "the coroutines of the README did not run to their end"

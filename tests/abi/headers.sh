#!/usr/bin/env bash
# tokenbucket.h compiles alone, without a warning, in every standard of C and C++ with every compiler at hand; a program
# of each language links and runs.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
folder=$(fresh_folder abi_headers)
warnings=(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror)

tried=0

knows() { "$1" -x "$2" "-std=$3" -fsyntax-only /dev/null 2>/dev/null; }

compile() {
    local compiler=$1 language=$2 standard=$3
    "$compiler" -x "$language" "-std=$standard" "${warnings[@]}" -I"$TB_SOURCE/capi/include" \
        -c -o "$folder/header.o" "$TB_SOURCE/tests/abi/header.c" || fail "$compiler -x $language -std=$standard"
}

link_and_run() {
    local compiler=$1 language=$2 library=$3
    "$compiler" -x "$language" -I"$TB_SOURCE/capi/include" "$TB_SOURCE/tests/abi/header.c" -x none "$library" \
        -Wl,-rpath,"$(dirname "$TB_SHARED")" -o "$folder/program"
    "$folder/program" || fail "the $language program of $compiler with $library says $?"
}

# The newest standard is named as compilers of either age know it, and by some not at all.
check() {
    local compiler=$1 language=$2 newest=$3 standard
    shift 3
    if ! command -v "$compiler" >/dev/null; then
        echo "not tried: $compiler, which is not installed"
        return
    fi
    if knows "$compiler" "$language" "$newest"; then
        compile "$compiler" "$language" "$newest"
    else
        echo "not tried: $compiler -std=$newest, which it does not know"
    fi
    for standard in "$@"; do compile "$compiler" "$language" "$standard"; done
    link_and_run "$compiler" "$language" "$TB_SHARED"
    link_and_run "$compiler" "$language" "$TB_STATIC"
    tried=$((tried + 1))
}

for compiler in gcc clang; do check $compiler c c2x c99 c11 c17; done
for compiler in g++ clang++; do check $compiler c++ c++2b c++11 c++14 c++17 c++20; done
[ $tried -gt 0 ] || skip "neither gcc nor clang is installed"

#!/usr/bin/env bash
# layout.c compiles: no struct, number or constant has moved.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
read -ra cc <<<"$CC"
read -ra cxx <<<"$CXX"
flags=(-I"$TB_SOURCE/capi/include" -Wall -Wextra -Wpedantic -Werror -fsyntax-only "$TB_SOURCE/tests/abi/layout.c")

"${cc[@]}" -std=c11 "${flags[@]}" || fail "the layout seen from C has changed"
"${cxx[@]}" -std=c++11 -x c++ "${flags[@]}" || fail "the layout seen from C++ has changed"

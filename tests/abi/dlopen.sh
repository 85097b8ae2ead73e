#!/usr/bin/env bash
# The library can be opened at run time, used, closed and unmapped, again and again: by path and by SONAME.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
[ -r /proc/self/maps ] || skip "/proc is not mounted"
folder=$(fresh_folder abi_dlopen)
read -ra cc <<<"$CC"

"${cc[@]}" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror -I"$TB_SOURCE/capi/include" \
    "$TB_SOURCE/tests/abi/dlopen.c" -pthread -ldl -o "$folder/program"
"$folder/program" "$TB_SHARED" || fail "opened by path"
LD_LIBRARY_PATH=$(dirname "$TB_SHARED") "$folder/program" libtokenbucket.so.1 || fail "opened by SONAME"

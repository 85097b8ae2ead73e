#!/usr/bin/env bash
# The dlopen example: it uses the library without being linked to it, and says in a sentence why it cannot.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require readelf
folder=$(fresh_folder dlopen_example)
read -ra cc <<<"$CC"
"${cc[@]}" -std=c11 -Wall -Wextra -Wpedantic -Wconversion -Werror -I"$TB_SOURCE/capi/include" \
    "$TB_SOURCE/examples/c/dlopen.c" -ldl -o "$folder/dlopen"
if readelf -dW "$folder/dlopen" | grep 'NEEDED.*tokenbucket'; then fail "it is linked to the library"; fi

run() { # ARGUMENT...: with the built library to be found
    status=0
    said=$(LD_LIBRARY_PATH=$(dirname "$TB_SHARED") "$folder/dlopen" "$@" 2>&1) || status=$?
}

expect() { # STATUS PATTERN
    [ "$status" = "$1" ] || fail "status $status, not $1: $said"
    grep -qE -- "$2" <<<"$said" || fail "no '$2' in: $said"
}

run
expect 0 "^libtokenbucket.so.1: version $(cat "$TB_SOURCE/capi/VERSION"), ABI 1\$"
expect 0 '^[0-9]+ granted at once; then denied: .*; next in [0-9]+ ms$'
expect 0 '^waited for it: success'
run libtokenbucket.so.99
expect 1 'cannot be opened: libtokenbucket.so.99: cannot open shared object file'

# stub ABI: a library of that ABI which has the functions that the program looks for.
stub() {
    grep -oE '^    X\(tb_[a-z_]+\)' "$TB_SOURCE/examples/c/dlopen.c" | grep -oE 'tb_[a-z_]+' | while read -r function; do
        echo "int $function(void) { return $1; }"
    done >"$folder/stub.c"
    "${cc[@]}" -shared -fPIC "$folder/stub.c" -o "$folder/stub.so"
}
stub 2
run "$folder/stub.so"
expect 1 'stub.so has ABI 2, this program was made for 1$'
sed -i /tb_wait_for/d "$folder/stub.c"
"${cc[@]}" -shared -fPIC "$folder/stub.c" -o "$folder/stub.so"
run "$folder/stub.so"
expect 1 'not a tokenbucket library: .*tb_wait_for'

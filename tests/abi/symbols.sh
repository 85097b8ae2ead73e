#!/usr/bin/env bash
# The shared library exports what the header declares and the version script lists, needs the C library alone, is
# hardened, and neither it nor the static library has global state, but for what a fork must find.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require readelf nm size python3

map=$TB_SOURCE/capi/abi/tokenbucket.map
baseline=$TB_SOURCE/capi/abi/tokenbucket.abi
# The C library of the oldest systems supported: the first with AArch64, and with clock_gettime in libc.
oldest_glibc=2.17

same() {
    diff -u --label "$1" --label "$2" <(printf '%s\n' "$3") <(printf '%s\n' "$4") || fail "$1 and $2 differ"
}

declared() { python3 -B "$TB_SOURCE/capi/abi/generate/header.py" | awk '$1 == "function" {print $2}' | sort; }
listed() {
    awk '/^[A-Z_0-9.]+ \{/ {node = $1} /^ +(global|local):/ {part = $1}
         part == "global:" && /;$/ {sub(";", "", $1); print $1 "@@" node} /^\}/ {part = ""}' "$map" | sort
}
exported() { nm -D --defined-only --with-symbol-versions "$TB_SHARED" | awk '$2 != "A" {print $3}' | sort; }
dynamic() { readelf -dW "$TB_SHARED" | awk -v tag="($1)" '$2 == tag {gsub(/[][]/, "", $NF); print $NF}'; }

check_symbols() {
    same exported listed "$(exported)" "$(listed)"
    same exported declared "$(exported | sed 's/@@.*//')" "$(declared)"
    local promised
    promised=$(sed -nE "s/.*<elf-symbol name='([^']+)' version='([^']+)'.*/\1@@\2/p" "$baseline" | sort)
    [ -n "$promised" ] || fail "$baseline holds no symbols"
    [ -z "$(comm -13 <(exported) <(printf '%s\n' "$promised"))" ] || fail "a symbol of $baseline is gone"
}

check_dependencies() {
    local needed
    [ -n "$(dynamic NEEDED)" ] || fail "no dependencies found"
    needed=$(dynamic NEEDED | grep -vE '^(libc\.so\.6|libc\.musl-.*|ld-linux.*|ld64.*)$' || true)
    [ -z "$needed" ] || fail "needs more than the C library: $needed"
    same soname expected "$(dynamic SONAME)" libtokenbucket.so.1
    local undefined
    undefined=$(nm -D --undefined-only "$TB_SHARED" | awk '{print $NF}')
    if grep -E '^(_Z|__cxa_[^f]|__gxx)' <<<"$undefined"; then fail "the C++ runtime library is needed"; fi
    local newest
    newest=$(sed -nE 's/.*@GLIBC_([0-9.]+)$/\1/p' <<<"$undefined" | sort -Vu | tail -1)
    echo "newest C library version needed: ${newest:-none}"
    [ "$(printf '%s\n' "$newest" $oldest_glibc | sort -V | tail -1)" = $oldest_glibc ] ||
        fail "needs GLIBC_$newest, newer than $oldest_glibc"
}

check_hardening() {
    local flags segments
    flags=$(readelf -dW "$TB_SHARED")
    segments=$(readelf -lW "$TB_SHARED")
    grep -q 'BIND_NOW' <<<"$flags" || fail "not bound at load time"
    if grep -q 'TEXTREL' <<<"$flags"; then fail "text relocations"; fi
    if grep -qE '\((RPATH|RUNPATH)\)' <<<"$flags"; then fail "a run path is built in"; fi
    grep -q 'GNU_RELRO' <<<"$segments" || fail "no read-only relocations"
    grep -qE 'GNU_STACK .* RW +0x' <<<"$segments" || fail "the stack is executable"
    if grep -qE 'LOAD .* (RWE|WE) ' <<<"$segments"; then fail "a segment is writable and executable"; fi
    if grep -qE '^ +TLS ' <<<"$segments"; then fail "thread-local storage"; fi
    nm -D --undefined-only "$TB_SHARED" | grep -q __stack_chk_fail || fail "no stack protector"
}

# The one entry of .init_array is the compiler's own frame_dummy.
check_no_initialisers() {
    local bytes pointer
    bytes=$(readelf -dW "$TB_SHARED" | sed -nE 's/.*\(INIT_ARRAYSZ\) *([0-9]+).*/\1/p')
    pointer=$(($(getconf LONG_BIT) / 8))
    [ "${bytes:-0}" -le "$pointer" ] || fail "static initialisers: .init_array has $bytes bytes"
    if nm "$TB_STATIC" 2>/dev/null | grep -E '_GLOBAL__(sub_)?[ID]'; then fail "static initialisers"; fi
}

check_no_global_state() {
    local state
    state=$(size -A "$TB_STATIC" | awk '/\(ex / {fork = $1 ~ /(generation|shared_memory)\.cc\.o$/}
        !fork && /^\.(data|bss|tdata|tbss)/ && !/^\.data\.rel\.ro/ && $2 > 0 {print $1, $2}')
    [ -z "$state" ] || fail "global variables: $state"
}

check_symbols
check_dependencies
check_hardening
check_no_initialisers
check_no_global_state

#!/usr/bin/env bash
# The types and functions of capi/abi/tokenbucket.abi (see update_baseline) are those in the built library, which may have
# more functions. The baseline is the same for every compiler and both builds; it is written down for x86-64.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require abidiff abidw readelf
[ "$(uname -m)" = x86_64 ] || skip "the baseline is written down for x86-64 only"
grep -q '\.debug_info' <<<"$(readelf -SW "$TB_SHARED")" || skip "this build has no debug information to compare"
grep -q -e --exported-interfaces-only <<<"$(abidw --help 2>&1)" || skip "this abidw is too old; 2.1 is needed"
baseline=$TB_SOURCE/capi/abi/tokenbucket.abi
folder=$(fresh_folder abi_diff)

# Two files of public types only: abidiff's own filter of private types would also hide changes in public ones.
"$TB_SOURCE/tests/abi/update_baseline" "$TB_SHARED" "$folder/built.abi"

compare() { abidiff --no-added-syms "$1" "$folder/built.abi"; }

# A comparison that finds no change where there is one would be worth nothing: each edit of the baseline must be seen.
must_see() {
    local what=$1
    shift
    sed -E "$@" "$baseline" >"$folder/edited.abi"
    if cmp -s "$baseline" "$folder/edited.abi"; then fail "the edit for $what does not fit the baseline"; fi
    if compare "$folder/edited.abi" >"$folder/report"; then fail "abidiff does not see $what"; fi
}

compare "$baseline" || fail "the interface has changed; see above"
must_see "a function removed" -e "s/\btb_refund\b/tb_gone/g"
must_see "a field moved" -e "/name='remaining'/s/'remaining'/'retry_after_ns'/; t" \
    -e "/name='retry_after_ns'/s/'retry_after_ns'/'remaining'/"
must_see "a struct grown" -e "/name='tb_reservation' size/s/size-in-bits='256'/size-in-bits='320'/"
int64=$(sed -nE "s/.*<typedef-decl name='int64_t' .* id='([^']*)'.*/\1/p" "$baseline")
must_see "a parameter's type changed" -e "/<parameter type-id='[^']*' name='most'/s/type-id='[^']*'/type-id='$int64'/"

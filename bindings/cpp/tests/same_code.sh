#!/usr/bin/env bash
# A call through tokenbucket.hpp compiles to the very instructions of the C call: the class costs nothing.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require objdump
folder=$(fresh_folder cpp_same_code)

# code OBJECT FUNCTION: its instructions and what they refer to, without addresses.
code() {
    objdump -dr --no-show-raw-insn "$1" |
        awk -v label="<$2>:" '
            /^Disassembly/ { inside = 0 }
            /^[0-9a-f]+ </ { inside = $2 == label; next }
            inside && NF { sub(/^[ \t]*[0-9a-f]+:[ \t]*/, ""); sub(/<[^>]*>/, ""); print }' |
        sed -E 's/\.LC[A-Z0-9_]+/CONSTANT/; s/\b[0-9a-f]+ *$//; s/[[:blank:]]+/ /g; /^(nop|xchg|data16|cs nop)/d'
}

# pair OBJECT NAME: both functions of the pair are equal.
pair() {
    local object=$1 name=$2
    code "$object" "c_$name" >"$folder/c"
    code "$object" "cpp_$name" >"$folder/cpp"
    grep -q 'tb_' "$folder/c" || fail "no call in c_$name"
    diff -u "$folder/c" "$folder/cpp" || fail "$object: $name differs"
}

tried=0
for compiler in g++ clang++; do
    command -v "$compiler" >/dev/null || continue
    object=$folder/$compiler.o
    "$compiler" -std=c++17 -O2 -I"$TB_SOURCE/capi/include" -I"$TB_SOURCE/bindings/cpp/include" \
        -c "$TB_SOURCE/bindings/cpp/tests/same_code.cc" -o "$object"
    for name in allow allow_status wait_for retry refund table_allow table_retry allow_all wait_all retry_all; do pair "$object" "$name"; done
    tried=$((tried + 1))
done
[ "$tried" -gt 0 ] || skip "neither g++ nor clang++ is installed"

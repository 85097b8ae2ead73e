#!/usr/bin/env bash
# Compiles core/units as strict C11, once as it is and once for a target without 128-bit integers, and runs it.
set -euo pipefail

out=$TB_BUILD/units_are_c
flags=(-std=c11 -O1 -Wall -Wextra -Wpedantic -Wconversion -Wno-unused-function -Werror -I"$TB_SOURCE")
for variant in "" -U__SIZEOF_INT128__; do
    $CC "${flags[@]}" $variant "$TB_SOURCE/tests/unit/units_are_c_test.c" -o "$out"
    "$out"
done

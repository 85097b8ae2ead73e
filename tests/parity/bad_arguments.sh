#!/usr/bin/env bash
# The table of bad arguments is in order, and a test of each binding replays it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../support/shell.sh
source "$TB_SOURCE/tests/support/shell.sh"
cd "$TB_SOURCE/bindings"
table=bad_arguments.txt

# call | name=value, ... | name | range; the refused argument is one of those named.
awk -F ' \\| ' '
    /^#/ || /^$/ { next }
    { rows++; names = $2; gsub(/=[^,]*/, "", names) }
    NF != 4 || $1 !~ /^[a-z_]+$/ || index(", " names ", ", ", " $3 ", ") == 0 && !($3 == "key" && names == "key_size") || seen[$1 $2]++ {
        print; bad = 1
    }
    END { exit bad || rows < 60 }
' "$table" || fail "rows of $table that have another form or occur twice, or too few"

missing=()
for tests in cpp/tests csharp/TokenBucket.Tests go python/tests rust/tokenbucket/tests; do
    grep -rqF --include='*.cc' --include='*.cs' --include='*_test.go' --include='test_*.py' --include='*.rs' \
        "$table" "$tests" || missing+=("$tests")
done
[ "${#missing[@]}" -eq 0 ] || fail "no test in ${missing[*]} replays $table"

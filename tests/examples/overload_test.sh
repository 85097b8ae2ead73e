#!/usr/bin/env bash
# The overload example grants exactly what its bucket may give.
set -euo pipefail

overload=$TB_BUILD/overload
[[ -x $overload ]] || { echo "skipped: the examples were not built here"; exit 77; }

line=$("$overload")
[[ $line == "overload c asked=50100 granted=10500 expected=10500" ]] || { echo "printed: $line"; exit 1; }

#!/usr/bin/env bash
# The values of tests/conformance/tables.txt are those of a table simulated in exact fractions.
set -euo pipefail

command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
PYTHONDONTWRITEBYTECODE=1 python3 "$TB_SOURCE/tests/model/table_rows.py" "$TB_SOURCE/tests/conformance/tables.txt"

#!/usr/bin/env bash
# The values of tests/conformance/limits.txt are those of buckets simulated in exact fractions.
set -euo pipefail

command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
PYTHONDONTWRITEBYTECODE=1 python3 "$TB_SOURCE/tests/model/limits_rows.py" "$TB_SOURCE/tests/conformance/limits.txt"

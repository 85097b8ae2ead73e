#!/usr/bin/env bash
# The values of tests/conformance/waits.txt are those of a bucket simulated in exact fractions.
set -euo pipefail

command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
PYTHONDONTWRITEBYTECODE=1 python3 "$TB_SOURCE/tests/model/wait_rows.py" "$TB_SOURCE/tests/conformance/waits.txt"

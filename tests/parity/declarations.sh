#!/usr/bin/env bash
# Holds the declarations of the bindings against the header, and shows that a wrong one would be found.
set -euo pipefail

if ! command -v python3 >/dev/null; then
    echo "skipped: Python (python3) is not installed"
    exit 77
fi
here=$TB_SOURCE/tests/parity/declarations
python3 -B "$here/check.py"
if ! report=$(python3 -B "$here/broken_test.py" 2>&1); then
    echo "$report" >&2
    exit 1
fi

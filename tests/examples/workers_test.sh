#!/usr/bin/env bash
# The forked processes of the workers example are granted together what one limit allows.
set -euo pipefail

workers=$TB_BUILD/workers
[[ -x $workers ]] || { echo "skipped: the examples were not built here"; exit 77; }
"$workers"

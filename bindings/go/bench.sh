#!/usr/bin/env bash
# Measures calls of the Go package beside golang.org/x/time/rate, with the library in TB_BUILD. The machine should have
# nothing else to do. `bench.sh table`: limits by key.
set -euo pipefail
TB_SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=env.sh
source "$TB_SOURCE/bindings/go/env.sh"

peer=/usr/share/gocode/src/golang.org/x/time
[[ -f $peer/rate/rate.go ]] || { echo "skipped: golang.org/x/time is not at $peer (Debian: golang-golang-x-time-dev)"; exit 77; }

cd "$TB_SOURCE/bindings/go/xtime"
go run ./bench "$@"

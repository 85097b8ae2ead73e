#!/usr/bin/env bash
# Holds the Go package against golang.org/x/time/rate.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../env.sh
source "$TB_SOURCE/bindings/go/env.sh"

peer=/usr/share/gocode/src/golang.org/x/time
[[ -f $peer/rate/rate.go ]] || { echo "skipped: golang.org/x/time is not at $peer (Debian: golang-golang-x-time-dev)"; exit 77; }

cd "$TB_SOURCE/bindings/go/xtime"
quietly go vet ./...
quietly go test -count=1 ./...

#!/usr/bin/env bash
# Holds limits of the Go package on a server against a real one.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../env.sh
source "$TB_SOURCE/bindings/go/env.sh"

client=/usr/share/gocode/src/github.com/gomodule/redigo
[[ -f $client/go.mod ]] || { echo "skipped: redigo is not at $client (Debian: golang-github-gomodule-redigo-dev)"; exit 77; }
command -v redis-server > /dev/null || { echo "skipped: redis-server is not installed"; exit 77; }

cd "$TB_SOURCE/bindings/go/redigo"
quietly go vet ./...
quietly go test -count=1 ./...
quietly go test -count=1 -race ./...

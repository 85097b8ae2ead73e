#!/usr/bin/env bash
# Tests the Go package and its example against the library in TB_BUILD.
set -euo pipefail

if ! command -v go > /dev/null; then
    echo "skipped: Go is not installed"
    exit 77
fi

# Nothing is downloaded, and nothing is written outside the build folder and Go's cache.
export GO111MODULE=on GOENV=off GOFLAGS='-mod=readonly -buildvcs=false' GOPROXY=off GOTOOLCHAIN=local GOWORK=off
if [[ -z ${GOCACHE:-} && -z ${XDG_CACHE_HOME:-} && -z ${HOME:-} ]]; then
    export GOCACHE=$TB_BUILD/go-cache
fi
export PKG_CONFIG_PATH=$TB_BUILD LD_LIBRARY_PATH=$TB_BUILD CGO_ENABLED=1
# Go does not notice that an included header has changed; a changed flag it does.
sum=$(cksum < "$TB_SOURCE/capi/include/tokenbucket.h")
export CGO_CFLAGS="-O2 -g -DTOKENBUCKET_HEADER_SUM=${sum%% *}"

quietly() {
    local output
    if ! output=$("$@" 2>&1); then
        echo "failed: $*"
        echo "$output"
        exit 1
    fi
}

unformatted=$("$(go env GOROOT)/bin/gofmt" -l "$TB_SOURCE/bindings/go" "$TB_SOURCE/examples/go")
if [[ -n $unformatted ]]; then
    echo "not formatted by gofmt:"
    echo "$unformatted"
    exit 1
fi

# -count=1: Go would answer from its cache although the library is another one.
cd "$TB_SOURCE/bindings/go"
quietly go vet .
quietly go test -count=1 .
quietly go test -count=1 -race .
# A C library that frees memory overwrites it: what is used too late shows.
quietly env MALLOC_PERTURB_=85 go test -count=1 -tags tokenbucket_gc .
quietly env CGO_ENABLED=0 go vet .
quietly env CGO_ENABLED=0 go test -count=1 .

cd "$TB_SOURCE/examples/go"
quietly go vet ./...
quietly go build -o "$TB_BUILD/go-overload" ./overload
line=$("$TB_BUILD/go-overload") || line+=" (exit status $?)"
if [[ $line != "overload go asked=50100 granted=10500 expected=10500" ]]; then
    echo "the example printed: $line"
    exit 1
fi

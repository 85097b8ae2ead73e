# Sourced by the scripts of the Go parts, after set -euo pipefail: Go as they need it, with the library in TB_BUILD.
# shellcheck shell=bash

if ! command -v go > /dev/null; then
    echo "skipped: Go is not installed"
    exit 77
fi

# Nothing is downloaded, and nothing is written outside the build folder and Go's cache.
export GO111MODULE=on GOENV=off GOFLAGS='-mod=readonly -buildvcs=false' GOPROXY=off GOSUMDB=off GOTOOLCHAIN=local GOWORK=off
if [[ -z ${GOCACHE:-} && -z ${XDG_CACHE_HOME:-} && -z ${HOME:-} ]]; then
    export GOCACHE=$TB_BUILD/go-cache
fi
export PKG_CONFIG_PATH=$TB_BUILD LD_LIBRARY_PATH=$TB_BUILD CGO_ENABLED=1
# Go's cache does not notice that an included header or the answer of pkg-config has changed; a changed flag it does.
sum=$(echo "$TB_BUILD" | cat - "$TB_SOURCE/capi/include/tokenbucket.h" | cksum)
export CGO_CFLAGS="-O2 -g -DTOKENBUCKET_SUM=${sum%% *}"

quietly() {
    local output
    if ! output=$("$@" 2>&1); then
        echo "failed: $*"
        echo "$output"
        exit 1
    fi
}

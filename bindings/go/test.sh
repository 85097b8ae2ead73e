#!/usr/bin/env bash
# Tests the Go package, its documentation and its examples against the library in TB_BUILD.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=env.sh
source "$TB_SOURCE/bindings/go/env.sh"

unformatted=$("$(go env GOROOT)/bin/gofmt" -l "$TB_SOURCE/bindings/go" "$TB_SOURCE/examples/go")
if [[ -n $unformatted ]]; then
    echo "not formatted by gofmt:"
    echo "$unformatted"
    exit 1
fi

# -count=1: Go would answer from its cache although the library is another one.
cd "$TB_SOURCE/bindings/go"
quietly go vet ./...
if command -v staticcheck > /dev/null; then quietly staticcheck ./...; fi
quietly go test -count=1 ./...
quietly go test -count=1 -race ./...
# A C library that frees memory overwrites it: what is used too late shows. Only the package itself calls it.
quietly env MALLOC_PERTURB_=85 go test -count=1 -tags tokenbucket_gc .
# Without cgo, as in builds for other systems, all compiles, and says when run what is missing.
quietly env CGO_ENABLED=0 go test -count=1 ./...
quietly env CGO_ENABLED=0 GOOS=windows GOARCH=arm64 go vet ./...

cd "$TB_SOURCE/examples/go"
quietly go vet ./...
quietly go test -count=1 ./...
quietly go build -o "$TB_BUILD/go-overload" ./overload
line=$("$TB_BUILD/go-overload") || line+=" (exit status $?)"
if [[ $line != "overload go asked=50100 granted=10500 expected=10500" ]]; then
    echo "the example printed: $line"
    exit 1
fi

# The programs in the documentation, each in a module of its own as the README says to write it. One that needs redigo
# takes it from Debian's package.
redigo=/usr/share/gocode/src/github.com/gomodule/redigo
blocks=$TB_BUILD/go-blocks
rm -rf "$blocks"
mkdir -p "$blocks"
while read -r block; do
    program=${block%.go}
    mkdir "$program"
    mv "$block" "$program/main.go"
    printf 'module example\n\ngo 1.19\n\nrequire tokenbucket v0.0.0\n\nreplace tokenbucket => %s/bindings/go\n' "$TB_SOURCE" \
        > "$program/go.mod"
    if grep -q github.com/gomodule/redigo "$program/main.go"; then
        [[ -f $redigo/go.mod ]] || continue
        printf 'require github.com/gomodule/redigo v1.8.3\n\nreplace github.com/gomodule/redigo => %s\n\nexclude github.com/stretchr/testify v1.5.1\n' \
            "$redigo" >> "$program/go.mod"
    fi
    cd "$program"
    quietly go build -o program .
done < <(python3 "$TB_SOURCE/tests/support/code_blocks.py" "$TB_SOURCE/bindings/go/README.md" go "$blocks" go)

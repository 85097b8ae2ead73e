#!/usr/bin/env bash
# A Go program in a module of its own uses the package with the installed library, shared and static.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
source "$TB_SOURCE/tests/install/stage.sh"
require go pkg-config readelf
# As bindings/go/test.sh: nothing is downloaded, and nothing written outside the build folder and Go's cache.
export GO111MODULE=on GOENV=off GOFLAGS='-buildvcs=false' GOPROXY=off GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=1
if [ -z "${GOCACHE:-}${XDG_CACHE_HOME:-}${HOME:-}" ]; then export GOCACHE=$TB_BUILD/go-cache; fi
folder=$(fresh_folder install_go)
# Go's tools do not undo what pkg-config does to a %.
stage "$folder" od+d=pre@fix~1
# Go does not notice that pkg-config's answer has changed; a changed flag it does.
sum=$(cksum <<<"$pkgconfig")
export CGO_CFLAGS="-O2 -g -DTOKENBUCKET_SUM=${sum%% *}"
mkdir "$folder/consumer"
cp "$TB_SOURCE/tests/install/go/main.go" "$folder/consumer"
cd "$folder/consumer"
go mod init consumer 2>"$folder/go.log"
go mod edit -require=tokenbucket@v0.0.0 -replace="tokenbucket=$TB_SOURCE/bindings/go"

program() {
    go build -o "$folder/$1" . >"$folder/go.log" 2>&1 || fail "building for the $1 library: $(tail -20 "$folder/go.log")"
    runs "$folder/$1" "$1" "true false"
}
program shared
# The linker takes the static library where it finds no shared one.
rm "$libdir"/libtokenbucket.so*
program static

# Where pkg-config answers and the header is gone, the compiler says what to do.
rm "$installed/include/tokenbucket.h"
if said=$(CGO_CFLAGS=-O1 go build . 2>&1); then fail "built without the header"; fi
[[ $said == *"#error "*"install it again, or mend PKG_CONFIG_PATH; then: go clean -cache"* ]] ||
    fail "without the header Go says $said"

# What is built with a library in one folder is built again with one in another, also once the first is gone.
for name in first second; do
    mkdir "$folder/$name"
    cp -P "$(dirname "$TB_SHARED")"/libtokenbucket.so* "$folder/$name"
    sed "s|^libdir=.*|libdir=$folder/$name|" "$TB_BUILD/tokenbucket-uninstalled.pc" >"$folder/$name/tokenbucket-uninstalled.pc"
    TB_BUILD=$folder/$name bash "$TB_SOURCE/examples/go/quotaproxy/install.sh" "$folder/tool_$name" >"$folder/go.log" 2>&1 ||
        fail "quotaproxy with the library in the $name folder: $(tail -20 "$folder/go.log")"
    rm -r "${folder:?}/$name"
done

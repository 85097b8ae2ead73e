#!/usr/bin/env bash
# Builds quotaproxy with the library in TB_BUILD, and installs it with its manual page: install.sh PREFIX
set -euo pipefail
prefix=$(realpath -m "${1:?the prefix, such as /usr/local}")
TB_SOURCE=${TB_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)}
: "${TB_BUILD:?the folder with the built library}"
# shellcheck source-path=SCRIPTDIR source=../../../bindings/go/env.sh
source "$TB_SOURCE/bindings/go/env.sh"

cd "$TB_SOURCE/examples/go"
mkdir -p "$prefix/bin"
CGO_LDFLAGS=${LDFLAGS:-} go build -trimpath -buildmode=pie -o "$prefix/bin/quotaproxy" ./quotaproxy
install -D -m 644 quotaproxy/quotaproxy.1 "$prefix/share/man/man1/quotaproxy.1"

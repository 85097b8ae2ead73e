#!/usr/bin/env bash
# Puts a load on quotaproxy over real connections and checks what each client was granted. TB_BUILD: the library.
# flood.sh gives it another test.
set -euo pipefail
TB_SOURCE=${TB_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)}
# shellcheck source-path=SCRIPTDIR source=../../../bindings/go/env.sh
source "$TB_SOURCE/bindings/go/env.sh"

cd "$TB_SOURCE/examples/go"
test=${1:--selftest}
go build -o "$TB_BUILD/quotaproxy$test" ./quotaproxy
exec "$TB_BUILD/quotaproxy$test" "$test"

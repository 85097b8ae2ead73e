#!/usr/bin/env bash
# Starts the API on a free port of this machine, puts load on it over HTTP, and checks every number it answers.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../../bindings/csharp/dotnet.sh
source "$TB_SOURCE/bindings/csharp/dotnet.sh"
require_dotnet
dotnet --list-runtimes | grep -q '^Microsoft.AspNetCore.App 10\.' || skip "the ASP.NET Core 10 runtime is not installed"

here=$TB_SOURCE/examples/csharp/MinimalApi
restore "$here"
quietly dotnet build "$here" "${build[@]}" --no-restore

export LD_LIBRARY_PATH=$TB_BUILD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
report=$(timeout 120 dotnet "$out/bin/MinimalApi/release/MinimalApi.dll" --self-test) || { echo "$report" && exit 1; }
echo "$report"
diff <(sed -E 's/ +/ /g' <<<"$report") - <<'EOF'
requests 200 429 Retry-After
alice: 30 at once, may have 20 20 10 1
bob: 5 at once, has his own 5 0
alice: 5 more, 1.5 s later at 2 a second 3 2 1
report: 8 at once, 3 may wait 2 3 4
report: waiting, 1 s later 1 0
report: waiting, 2 s later 1 0
report: waiting, 3 s later 1 0
meter: quote granted=28 denied=24 waited=0 queue=0
meter: report granted=5 denied=9 waited=3 queue=0
EOF

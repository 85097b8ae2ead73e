#!/usr/bin/env bash
# Prints what calls of the C# binding cost against .NET's own limiter, with the library in TB_BUILD; takes a minute.
# `bench.sh table`: limits by key.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=dotnet.sh
source "$here/dotnet.sh"
require_dotnet
quietly dotnet build "$here/Bench" "${build[@]}"
LD_LIBRARY_PATH=$TB_BUILD exec dotnet "$out/bin/Bench/release/Bench.dll" "$@"

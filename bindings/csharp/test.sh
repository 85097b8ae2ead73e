#!/usr/bin/env bash
# Builds the C# binding with its example, and runs the binding's tests against the library in TB_BUILD.
set -euo pipefail

if ! command -v dotnet > /dev/null; then
    echo "skipped: the .NET SDK (dotnet) is not installed"
    exit 77
fi

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
export LD_LIBRARY_PATH="$TB_BUILD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
out=$TB_BUILD/csharp
mkdir -p "$out/stubs"

# No build server stays behind.
build=(-c Release --artifacts-path "$out" --verbosity quiet -nodeReuse:false -p:UseSharedCompilation=false)

quietly() {
    "$@" > "$out/log" 2>&1 && return
    cat "$out/log"
    return 1
}

# A library that answers the two version questions as told; none for an empty answer.
stub() {
    local file=$out/stubs/$1 source=
    [[ -z $2 ]] || source="int tb_abi_version(void); int tb_abi_version(void) { return $2; }
                           int tb_library_version(void); int tb_library_version(void) { return $3; }"
    $CC -shared -fPIC -x c -o "$file" - <<< "${source:-extern int nothing;}"
}

stub libother_abi.so 2 20304
stub libtoo_old.so 1 901
stub libforeign.so ""
stub libfits.so 1 10000
export TB_STUBS=$out/stubs

# The first run takes xunit and the analyzers from NuGet.
quietly dotnet test "$TB_SOURCE/bindings/csharp/TokenBucket.Tests" "${build[@]}" -- \
    RunConfiguration.TreatNoTestsAsError=true
quietly dotnet build "$TB_SOURCE/examples/csharp/Overload" "${build[@]}"

status=0
line=$(dotnet "$out/bin/Overload/release/Overload.dll") || status=$?
if [[ $status != 0 || $line != "overload csharp asked=50100 granted=10500 expected=10500" ]]; then
    echo "unexpected: exit $status, $line"
    exit 1
fi

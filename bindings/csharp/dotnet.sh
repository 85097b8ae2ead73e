# Sourced by the scripts here: how they call the .NET SDK. TB_BUILD is the folder that the native library was built in.
# shellcheck shell=bash

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
out=$TB_BUILD/csharp
mkdir -p "$out"
# No build server stays behind.
# shellcheck disable=SC2034  # used by the scripts
build=(-c Release --artifacts-path "$out" --verbosity quiet -nodeReuse:false -p:UseSharedCompilation=false)

quietly() { # COMMAND...: shows what it said if it fails
    local log status=0
    log=$(mktemp -p "$out" log.XXXXXX)
    "$@" >"$log" 2>&1 || status=$?
    if ((status != 0)); then cat "$log"; fi
    rm "$log"
    return "$status"
}

skip() {
    echo "skipped: $*"
    exit 77
}

require_dotnet() {
    local version
    command -v dotnet >/dev/null || skip "the .NET SDK (dotnet) is not installed"
    version=$(dotnet --version 2>/dev/null || echo 0)
    ((${version%%.*} >= 10)) || skip "the .NET SDK is older than 10 ($version)"
}

# Brings what a project is built with into NuGet's own cache. There is nothing to test where that cannot be had.
restore() { # PROJECT OPTION...
    local log=$out/restore.log
    dotnet restore "$1" --artifacts-path "$out" --verbosity quiet -nodeReuse:false "${@:2}" >"$log" 2>&1 && return
    local reason
    reason=$(grep -oE 'NU(1301|110[0-3]): .*' "$log" | head -n 1 | sed 's/ \[.*//') || true
    [[ -z $reason ]] || skip "a package cannot be had from NuGet: $reason"
    cat "$log"
    return 1
}

#!/usr/bin/env bash
# Compiles a program ahead of time, every warning of trimming and of that an error, and runs what comes out.
set -euo pipefail
here=$TB_SOURCE/bindings/csharp
# shellcheck source-path=SCRIPTDIR source=dotnet.sh
source "$here/dotnet.sh"
require_dotnet
case $(uname -m) in
    x86_64) system=linux-x64 ;;
    aarch64) system=linux-arm64 ;;
    *) skip "not tried on $(uname -m)" ;;
esac
linker=clang
command -v clang >/dev/null || linker=gcc

# Its own folder: a restore for ahead-of-time compilation differs.
out=$TB_BUILD/csharp-aot
mkdir -p "$out"
options=(-r "$system" -p:PublishAot=true)
restore "$here/Smoke" "${options[@]}"
build=(-c Release --artifacts-path "$out" --verbosity quiet -nodeReuse:false -p:UseSharedCompilation=false)
quietly dotnet publish "$here/Smoke" "${build[@]}" "${options[@]}" --no-restore -p:CppCompilerAndLinker="$linker" \
    -p:StripSymbols=false -p:InvariantGlobalization=true

program=$out/publish/Smoke/release_$system/Smoke
[[ ! -e ${program%/*}/Smoke.dll ]] || { echo "FAILED: not compiled ahead of time" && exit 1; }
mapfile -t lines < <(LD_LIBRARY_PATH=$TB_BUILD "$program" 2>&1)
[[ ${lines[0]} == "granted=True leased=True retry=1 message=ExceedsCapacity" && ${lines[1]} == "$(realpath "$TB_BUILD")/libtokenbucket.so.1"* ]] ||
    { printf 'FAILED: printed %s\n' "${lines[@]}" && exit 1; }

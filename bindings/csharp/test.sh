#!/usr/bin/env bash
# Builds the C# binding with its example, runs the binding's tests against the library in TB_BUILD, and compiles the C#
# in the README files.
set -euo pipefail
here=$TB_SOURCE/bindings/csharp
# shellcheck source-path=SCRIPTDIR source=dotnet.sh
source "$here/dotnet.sh"
require_dotnet

export LD_LIBRARY_PATH="$TB_BUILD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
mkdir -p "$out/stubs"

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

# Each block is a program of its own, against the reference assemblies of a web application.
compile_blocks() { # MARKDOWN
    local sdk packs blocks block references=()
    sdk=$(dotnet --list-sdks | sed -nE 's/^(10\.[^ ]+) \[(.*)\]$/\2\/\1/p' | tail -n 1)
    packs=$(cd "$sdk/../../packs" && pwd)
    for block in "$packs"/Microsoft.{NETCore,AspNetCore}.App.Ref/*/ref/net10.0/*.dll; do references+=("-r:$block"); done
    for block in TokenBucket TokenBucket.AspNetCore TokenBucket.Redis StackExchange.Redis Microsoft.Extensions.TimeProvider.Testing; do
        references+=("-r:$out/bin/TokenBucket.Tests/release/$block.dll")
    done
    blocks=$out/blocks
    rm -rf "$blocks"
    # CS1701: StackExchange.Redis is built for an older framework; the SDK has that warning off in projects, too.
    python3 "$TB_SOURCE/tests/support/code_blocks.py" "$1" csharp "$blocks" cs >"$out/blocks.list"
    while read -r block; do
        quietly dotnet exec "$sdk/Roslyn/bincore/csc.dll" -nologo -warnaserror -nowarn:CS1701 -nullable:enable "${references[@]}" \
            -out:"${block%.cs}.dll" "$block" || { echo "FAILED: a block of $1" && return 1; }
    done <"$out/blocks.list"
}

restore "$here/TokenBucket.Tests"
quietly dotnet test "$here/TokenBucket.Tests" "${build[@]}" --no-restore --logger "console;verbosity=minimal" -- \
    RunConfiguration.TreatNoTestsAsError=true
quietly dotnet build "$TB_SOURCE/examples/csharp/Overload" "${build[@]}"

status=0
line=$(dotnet "$out/bin/Overload/release/Overload.dll") || status=$?
if [[ $status != 0 || $line != "overload csharp asked=50100 granted=10500 expected=10500" ]]; then
    echo "unexpected: exit $status, $line"
    exit 1
fi

command -v python3 >/dev/null || skip "python3 is needed to compile what the README files show"
compile_blocks "$here/README.md"

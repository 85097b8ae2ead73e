#!/usr/bin/env bash
# Makes the NuGet packages, looks at what is in them, and runs a program that has the binding and the native library from
# nowhere else.
set -euo pipefail
here=$TB_SOURCE/bindings/csharp
# shellcheck source-path=SCRIPTDIR source=dotnet.sh
source "$here/dotnet.sh"
require_dotnet
command -v strip python3 >/dev/null || skip "strip (binutils) and python3 are needed"

fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}

restore "$here/Smoke"
restore "$here/TokenBucket.AspNetCore"
restore "$here/TokenBucket.Redis"
work=$TB_BUILD/csharp-package
rm -rf "$work"
mkdir -p "$work"
TB_BUILD=$TB_BUILD "$here/pack.sh" "$work/feed"

version=$(cat "$TB_SOURCE/capi/VERSION")
content() { # PACKAGE: its files, and what it needs
    [[ -f $work/feed/$1.$version.nupkg ]] || fail "no $1.$version.nupkg but $(ls "$work/feed")"
    python3 - "$work/feed/$1.$version.nupkg" <<'PYTHON'
import re
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as package:
    for info in package.infolist():
        if info.file_size > 0 and not info.filename.startswith(("_rels/", "package/", "[")):
            print(info.filename)
            if info.filename.endswith(".nuspec"):
                nuspec = package.read(info).decode()
                for needed in re.findall(r'<dependency id="(.*?)" version="(.*?)"', nuspec):
                    print(*needed)
                for needed in re.findall(r'<frameworkReference name="(.*?)"', nuspec):
                    print(needed)
PYTHON
}
case $(uname -m) in aarch64) system=linux-arm64 ;; *) system=linux-x64 ;; esac
diff - <(content TokenBucket) <<EOF || fail "the package TokenBucket is another"
TokenBucket.nuspec
Microsoft.Extensions.DependencyInjection.Abstractions 10.0.0
System.Threading.RateLimiting 10.0.0
README.md
buildTransitive/TokenBucket.targets
lib/net10.0/TokenBucket.dll
lib/net10.0/TokenBucket.xml
runtimes/$system/native/libtokenbucket.so.1
EOF
diff - <(content TokenBucket.AspNetCore) <<EOF || fail "the package TokenBucket.AspNetCore is another"
TokenBucket.AspNetCore.nuspec
TokenBucket $version
Microsoft.AspNetCore.App
README.md
lib/net10.0/TokenBucket.AspNetCore.dll
lib/net10.0/TokenBucket.AspNetCore.xml
EOF
diff - <(content TokenBucket.Redis) <<EOF || fail "the package TokenBucket.Redis is another"
TokenBucket.Redis.nuspec
TokenBucket [$version]
StackExchange.Redis 2.8.16
README.md
lib/net10.0/TokenBucket.Redis.dll
lib/net10.0/TokenBucket.Redis.xml
EOF

# Away from this source tree's settings, and with no other source: the program's other packages are in NuGet's cache by
# now, which is looked at and not written to.
cp "$here/Smoke/Smoke.csproj" "$here/Smoke/Program.cs" "$work"
cat >"$work/nuget.config" <<EOF
<configuration><packageSources><clear /><add key="here" value="$work/feed" /></packageSources></configuration>
EOF
cache=${NUGET_PACKAGES:-$HOME/.nuget/packages}
build_from_package() { # OPTION...
    dotnet build "$work/Smoke.csproj" -c Release --verbosity quiet -nodeReuse:false -p:UseSharedCompilation=false \
        -p:FromPackage=true -p:RestorePackagesPath="$work/packages" -p:RestoreFallbackFolders="$cache" "$@"
}
quietly build_from_package --output "$work/out"

# As a user without the library on the system would.
unset LD_LIBRARY_PATH
mapfile -t lines < <(dotnet "$work/out/Smoke.dll" 2>&1)
[[ ${lines[0]} == "granted=True leased=True retry=1 message=ExceedsCapacity" ]] || fail "printed ${lines[*]}"
[[ ${lines[1]} == "$(realpath "$work")/"*"/runtimes/$system/native/libtokenbucket.so.1" ]] || fail "the library is ${lines[1]}"

# For a system that the package does not cover a program is not built, unless it says that it brings the library.
foreign=(-r linux-s390x --self-contained false -p:UseAppHost=false --output "$work/foreign")
if said=$(build_from_package "${foreign[@]}" 2>&1); then fail "a program without a native library was built"; fi
[[ $said == *"error TOKENBUCKET001: "*"no native library for linux-s390x, only for $system. "*pack.sh*TokenBucketSystemLibrary* ]] ||
    fail "the build for linux-s390x says $said"
quietly build_from_package "${foreign[@]}" -p:TokenBucketSystemLibrary=true
quietly build_from_package -r "$system" --self-contained false -p:UseAppHost=false --output "$work/covered"
[[ -e $work/covered/libtokenbucket.so.1 ]] || fail "no native library beside the program for $system"

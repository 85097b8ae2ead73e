#!/usr/bin/env bash
# Makes the NuGet packages TokenBucket, with the native library in TB_BUILD inside, TokenBucket.AspNetCore and
# TokenBucket.Redis: pack.sh FOLDER
set -euo pipefail

if [[ $# != 1 || -z ${TB_BUILD:-} ]]; then
    echo "usage: TB_BUILD=build pack.sh FOLDER" >&2
    exit 2
fi
folder=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=dotnet.sh
source "$here/dotnet.sh"

case $(uname -m) in
    x86_64) system=linux-x64 ;;
    aarch64) system=linux-arm64 ;;
    *) echo "no package is made for $(uname -m)" >&2 && exit 1 ;;
esac
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
strip --strip-unneeded -o "$folder/libtokenbucket.so.1" "$TB_BUILD/libtokenbucket.so.1"
quietly dotnet pack "$here/TokenBucket" "${build[@]}" --output "$folder" \
    -p:NativeLibrary="$folder/libtokenbucket.so.1" -p:NativeSystem="$system"
rm "$folder/libtokenbucket.so.1"
for package in TokenBucket.AspNetCore TokenBucket.Redis; do
    quietly dotnet pack "$here/$package" "${build[@]}" --output "$folder"
done

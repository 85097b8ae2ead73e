#!/usr/bin/env bash
# The Debian packages are built, lintian has nothing to say against them, and programs are built from what they hold.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
source "$TB_SOURCE/tests/install/stage.sh"
require dpkg-buildpackage dh lintian cmake ninja pkg-config readelf
missing=$(dpkg-checkbuilddeps "$TB_SOURCE/capi/packaging/debian/control" 2>&1) || skip "$missing"
folder=$(fresh_folder install_deb)

grep -qxF "capi/packaging/build_deb && sudo apt install ./build/deb/libtokenbucket1_*.deb ./build/deb/libtokenbucket-dev_*.deb" \
    "$TB_SOURCE/capi/packaging/README.md" || fail "no page says how"
mkdir "$folder/poor"
ln -s "$(command -v dirname)" "$folder/poor"
if said=$(PATH=$folder/poor "$BASH" "$TB_SOURCE/capi/packaging/build_deb" "$folder/none" 2>&1); then fail "packages made by nothing"; fi
[[ $said == *"needs dpkg-buildpackage"*"sudo apt install build-essential debhelper cmake"* ]] || fail "build_deb says $said"
# With Debian's own compiler and flags, whatever this build uses.
(
    unset CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS
    "$TB_SOURCE/capi/packaging/build_deb" "$folder"
) >"$folder/build.log" 2>&1 || fail "building the packages: $(tail -30 "$folder/build.log")"

# By Debian's rules also on its descendants. Which version of them is current depends on the day, not on the packages.
said=$(lintian --no-cfg --allow-root --profile debian --fail-on error,warning \
    --suppress-tags out-of-date-standards-version "$folder"/*.changes 2>&1) ||
    fail "lintian: $said"

field() { dpkg-deb --field "$folder/$1"_*.deb "$2"; }
has_field() { [ "$(field "$1" "$2")" = "$3" ] || fail "$1 has $2: $(field "$1" "$2")"; }
for package in libtokenbucket1 libtokenbucket-dev; do
    has_field $package Multi-Arch same
    dpkg -x "$folder/$package"_*.deb "$folder/root"
done
dpkg -x "$folder/tokenbucket-tools"_*.deb "$folder/root"
has_field libtokenbucket-dev Depends "libtokenbucket1 (= $(cat "$TB_SOURCE/capi/VERSION"))"
field libtokenbucket1 Depends | grep -xE 'libc6 \([^,|]*\)' >/dev/null || fail "the library needs $(field libtokenbucket1 Depends)"
control() { dpkg-deb --ctrl-tarfile "$folder/libtokenbucket1"_*.deb | tar -xO "./$1"; }
control triggers | grep -x 'activate-noawait ldconfig' >/dev/null || fail "the packages do not have ldconfig run"
control symbols | grep -x ' tb_wait_for@TOKENBUCKET_1.0 1.0.0' >/dev/null || fail "no version of a symbol"

installed=$folder/root/usr
version=$(cat "$TB_SOURCE/capi/VERSION")
tools=(throttle)
if command -v go >/dev/null; then
    tools+=(quotaproxy)
    field tokenbucket-tools Depends | grep -F 'libtokenbucket1 (>= 1.0.0)' >/dev/null ||
        fail "the tools need $(field tokenbucket-tools Depends)"
fi
for tool in "${tools[@]}"; do
    said=$(LD_LIBRARY_PATH=$(dirname "$(find "$installed/lib" -name 'libtokenbucket.so.1')") "$installed/bin/$tool" --version)
    [ "$said" = "$tool (tokenbucket) $version" ] || fail "$tool says: $said"
    [ -f "$installed/share/man/man1/$tool.1.gz" ] || fail "no manual page of $tool"
done
libdir=$(dirname "$(find "$installed/lib" -name libtokenbucket.a)")
export PKG_CONFIG_LIBDIR=$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$folder/root
unset PKG_CONFIG_PATH
read -ra cc <<<"$CC"
read -ra flags <<<"$(pkg-config --cflags --libs tokenbucket)"
"${cc[@]}" -o "$folder/by_pkg_config" "$TB_SOURCE/tests/install/main.c" -Wall -Werror "${flags[@]}"
runs "$folder/by_pkg_config" shared

build_by_find_package() {
    cmake -G Ninja -S "$TB_SOURCE/tests/install/cmake" -B "$folder/consumer" -DLANGUAGE=C -DCMAKE_PREFIX_PATH="$installed" &&
        cmake --build "$folder/consumer"
}
build_by_find_package >"$folder/consumer.log" 2>&1 || fail "by find_package: $(tail -20 "$folder/consumer.log")"
runs "$folder/consumer/shared" shared
runs "$folder/consumer/static" static

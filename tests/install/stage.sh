# Sourced by the installation tests: installs the build that runs the test, and checks programs built from that.

version=$(cat "$TB_SOURCE/capi/VERSION")
soname=libtokenbucket.so.${version%%.*}

# stage FOLDER [NAME]: installs below it and sets `installed`, the folder that stands for the prefix. The usual name of
# the prefix holds the characters that careless quoting trips over.
# shellcheck disable=SC2034 # for those who source this file
stage() {
    local odd=$1/${2:-od+d=pre@fi%x~1}
    if [ -f "$TB_BUILD/CMakeCache.txt" ]; then
        cmake --install "$TB_BUILD" --prefix "$odd" >"$1/install.log" || fail "cmake --install"
        installed=$odd
    else
        meson install -C "$TB_BUILD" --no-rebuild --destdir "$odd" >"$1/install.log" || fail "meson install"
        installed=$(dirname "$(dirname "$(find "$odd" -name tokenbucket.h)")")
        # The .pc file names the prefix as it will be on the user's system.
        export PKG_CONFIG_SYSROOT_DIR=$odd
    fi
    pkgconfig=$(dirname "$(find "$1" -name tokenbucket.pc)")
    libdir=$(dirname "$pkgconfig")
    export PKG_CONFIG_LIBDIR=$pkgconfig
    unset PKG_CONFIG_PATH
}

# runs PROGRAM shared|static [TEXT]: says what it should, with the library found where it was installed or built in.
runs() {
    local program=$1 kind=$2 expected=${3:-$version TB_SUCCESS TB_DENIED} needed said
    needed=$(readelf -dW "$program" | grep NEEDED)
    case $kind in
        shared) grep -q "\[$soname\]" <<<"$needed" || fail "$program does not use the shared library" ;;
        static) if grep -q tokenbucket <<<"$needed"; then fail "$program uses the shared library"; fi ;;
    esac
    said=$(LD_LIBRARY_PATH=$libdir "$program") || fail "$program says $?"
    [ "$said" = "$expected" ] || fail "$program says: $said"
}

needs_no_cpp_runtime() {
    if readelf -dW "$1" | grep 'NEEDED.*stdc++'; then fail "$1 needs the C++ runtime library"; fi
}

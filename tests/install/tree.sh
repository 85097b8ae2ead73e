#!/usr/bin/env bash
# The installed files are these and no others, and a plain C or C++ compiler with pkg-config is enough to use them.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
source "$TB_SOURCE/tests/install/stage.sh"
require nm pkg-config readelf
folder=$(fresh_folder install_tree)
stage "$folder"
read -ra cc <<<"$CC"
read -ra cxx <<<"$CXX"
main=$TB_SOURCE/tests/install/main.c

# The library folder's own name differs between systems: lib, lib64, lib/x86_64-linux-gnu.
listing() {
    local below_prefix=${libdir#"$installed"/}
    (cd "$installed" && find . ! -type d -printf '%M %P %l\n') | sed "s|$below_prefix/|LIB/|; s| $||" | sort -k 2
}

expected="-rw-r--r-- LIB/cmake/tokenbucket/tokenbucket-config-version.cmake
-rw-r--r-- LIB/cmake/tokenbucket/tokenbucket-config.cmake
-rw-r--r-- LIB/libtokenbucket.a
lrwxrwxrwx LIB/libtokenbucket.so $soname
lrwxrwxrwx LIB/$soname libtokenbucket.so.$version
-rwxr-xr-x LIB/libtokenbucket.so.$version
-rw-r--r-- LIB/pkgconfig/tokenbucket.pc
-rwxr-xr-x bin/throttle
-rw-r--r-- include/tokenbucket.h
-rw-r--r-- include/tokenbucket.hpp
-rw-r--r-- include/tokenbucket/config.hpp
-rw-r--r-- include/tokenbucket/limits.hpp
-rw-r--r-- include/tokenbucket/message.hpp
-rw-r--r-- include/tokenbucket/print.hpp
-rw-r--r-- include/tokenbucket/remote.hpp
-rw-r--r-- include/tokenbucket/result.hpp
-rw-r--r-- include/tokenbucket/shared.hpp
-rw-r--r-- include/tokenbucket/table.hpp
-rw-r--r-- include/tokenbucket/wait.hpp
-rw-r--r-- share/doc/tokenbucket/LICENSE"
if [ -e "$TB_BUILD/libtokenbucket-redis.so" ]; then
    expected+="
lrwxrwxrwx LIB/libtokenbucket-redis.so libtokenbucket-redis.so.1
lrwxrwxrwx LIB/libtokenbucket-redis.so.1 libtokenbucket-redis.so.$version
-rwxr-xr-x LIB/libtokenbucket-redis.so.$version
-rw-r--r-- LIB/pkgconfig/tokenbucket-redis.pc
-rw-r--r-- include/tokenbucket_redis.h"
fi
expected+="
-rw-r--r-- share/man/man1/throttle.1
-rw-r--r-- share/man/man3/tokenbucket.3
$(nm -D --defined-only "$TB_SHARED" | sed -nE 's|.* (tb_[a-z0-9_]+)@.*|-rw-r--r-- share/man/man3/\1.3|p')"
diff -u --label expected --label installed <(sort -k 2 <<<"$expected") <(listing) || fail "the installed files"
cmp "$installed/include/tokenbucket.h" "$TB_SOURCE/capi/include/tokenbucket.h"
diff -r --exclude=tokenbucket.h --exclude=tokenbucket_redis.h "$installed/include" "$TB_SOURCE/bindings/cpp/include"
cmp "$installed/share/doc/tokenbucket/LICENSE" "$TB_SOURCE/LICENSE"
cmp "$installed/share/man/man3/tokenbucket.3" "$TB_SOURCE/capi/man/tokenbucket.3"
cmp "$installed/share/man/man1/throttle.1" "$TB_SOURCE/examples/c/throttle/throttle.1"
# A tool runs as it is installed, wherever that is.
[ "$("$installed/bin/throttle" --rate 1M <<<whole)" = whole ] || fail "the installed throttle does not run"
needs_no_cpp_runtime "$installed/bin/throttle"
if grep -rF "$TB_SOURCE" "$libdir/cmake"; then fail "a path of the build is in the CMake package"; fi

# A minimal system's "man" only says that there are no manuals.
if man --version 2>/dev/null | grep -q '^man '; then
    man -M "$installed/share/man" -E ascii tb_wait_for | grep 'tb_status tb_reserve(tb_bucket \*bucket' >/dev/null ||
        fail "man tb_wait_for does not show the manual page"
fi

# with_pkg_config PROGRAM FLAGS COMMAND...: pkg-config quotes for the shell what it prints.
with_pkg_config() {
    local flags
    eval "flags=($2)"
    "${@:3}" -o "$1" -Wall -Werror "${flags[@]}"
}

[ "$(pkg-config --modversion tokenbucket)" = "$version" ] || fail "pkg-config --modversion"
with_pkg_config "$folder/shared" "$(pkg-config --cflags --libs tokenbucket)" "${cc[@]}" "$main"
runs "$folder/shared" shared
with_pkg_config "$folder/cpp" "$(pkg-config --cflags --libs tokenbucket)" "${cxx[@]}" -std=c++17 "$TB_SOURCE/tests/install/main.cc"
runs "$folder/cpp" shared
with_pkg_config "$folder/static" "-Wl,-Bstatic $(pkg-config --static --cflags --libs tokenbucket) -Wl,-Bdynamic" "${cc[@]}" "$main"
runs "$folder/static" static
needs_no_cpp_runtime "$folder/static"
"${cc[@]}" -o "$folder/archive" -I"$installed/include" "$main" "$libdir/libtokenbucket.a"
runs "$folder/archive" static

# A user's shared library that has the static one inside exports its own functions alone, and calls those inside.
cat >"$folder/plugin.c" <<'C'
#include <tokenbucket.h>
int plugin_grants(void);
int plugin_grants(void) {
    tb_bucket *bucket;
    int granted = tb_create(1, 1, &bucket) == TB_SUCCESS && tb_allow(bucket, 1) == TB_SUCCESS;
    tb_destroy(bucket);
    return granted;
}
C
"${cc[@]}" -shared -fPIC -Wl,-z,defs -o "$folder/plugin.so" -I"$installed/include" "$folder/plugin.c" "$libdir/libtokenbucket.a" -pthread
exported=$(nm -D --defined-only "$folder/plugin.so" | awk '{print $3}')
[ "$exported" = plugin_grants ] || fail "a library with libtokenbucket.a inside exports $(wc -l <<<"$exported") functions"
echo 'int plugin_grants(void); int main(void) { return !plugin_grants(); }' >"$folder/host.c"
"${cc[@]}" -o "$folder/host" "$folder/host.c" "$folder/plugin.so" -Wl,-rpath,"$folder"
"$folder/host" || fail "a library with libtokenbucket.a inside does not work"

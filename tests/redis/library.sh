#!/usr/bin/env bash
# libtokenbucket-redis exports what its header declares and its version script lists, needs the C library, hiredis and
# libtokenbucket alone, is hardened and has no global state; its header compiles alone, as C and as C++; and the program
# in its README compiles, and runs where there is no server.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require readelf nm size python3
library=$TB_BUILD/libtokenbucket-redis.so
[ -e "$library" ] || skip "libtokenbucket-redis is not built here"
header=$TB_SOURCE/capi/redis/include/tokenbucket_redis.h
map=$TB_SOURCE/capi/redis/abi/tokenbucket_redis.map
folder=$(fresh_folder redis_library)
read -ra cc <<<"$CC"
read -ra cxx <<<"$CXX"

same() { diff -u --label "$1" --label "$2" <(printf '%s\n' "$3") <(printf '%s\n' "$4") || fail "$1 and $2 differ"; }
dynamic() { readelf -dW "$library" | awk -v tag="($1)" '$2 == tag {gsub(/[][]/, "", $NF); print $NF}'; }

exported=$(nm -D --defined-only --with-symbol-versions "$library" | awk '$2 != "A" {print $3}' | sort)
listed=$(sed -nE 's/^ +(tb_redis_[a-z_]+);$/\1@@TOKENBUCKET_REDIS_1.0/p' "$map" | sort)
declared=$(sed -nE 's/^TB_API [a-z_ ]+[ *](tb_redis_[a-z_]+)\(.*/\1/p' "$header" | sort)
same exported listed "$exported" "$listed"
same exported declared "${exported//@@TOKENBUCKET_REDIS_1.0/}" "$declared"

same soname expected "$(dynamic SONAME)" libtokenbucket-redis.so.1
needed=$(dynamic NEEDED | grep -vE '^(libc\.so\.6|libc\.musl-.*|ld-linux.*|ld64.*|libhiredis\.so\..*|libtokenbucket\.so\.1)$' || true)
[ -z "$needed" ] || fail "needs more: $needed"
if nm -D --undefined-only "$library" | awk '{print $NF}' | grep -E '^(_Z|__cxa_[^f]|__gxx)'; then fail "the C++ runtime library is needed"; fi
flags=$(readelf -dW "$library")
segments=$(readelf -lW "$library")
grep -q BIND_NOW <<<"$flags" || fail "not bound at load time"
grep -q GNU_RELRO <<<"$segments" || fail "no read-only relocations"
grep -qE 'GNU_STACK .* RW +0x' <<<"$segments" || fail "the stack is executable"
if grep -qE '^ +TLS ' <<<"$segments"; then fail "thread-local storage"; fi
# The compiler's own take 8 bytes each.
state=$(size -A "$library" | awk '/^\.(data|bss|tdata|tbss) / && $2 > 8 {print $1, $2}')
[ -z "$state" ] || fail "global variables: $state"

include=(-Wall -Wextra -Wpedantic -Werror -I"$TB_SOURCE/capi/include" -I"$TB_SOURCE/capi/redis/include")
echo '#include <tokenbucket_redis.h>' >"$folder/alone.c"
"${cc[@]}" -std=c99 "${include[@]}" -c "$folder/alone.c" -o "$folder/alone.o" || fail "the header alone, as C"
"${cxx[@]}" -std=c++11 -x c++ "${include[@]}" -c "$folder/alone.c" -o "$folder/alone.o" || fail "the header alone, as C++"

libraries=("$library" "$TB_SHARED" "-Wl,-rpath,$TB_BUILD")
while read -r file; do
    "${cc[@]}" -std=c11 "${include[@]}" "$file" "${libraries[@]}" -o "$file.program" || fail "this does not compile: $file"
    sed -i 's|"127.0.0.1:6379"|"unix:/nowhere/s"|' "$file"
    grep -q nowhere "$file" || fail "the README's program has another address"
    "${cc[@]}" -std=c11 "${include[@]}" "$file" "${libraries[@]}" -o "$file.program"
    [ "$("$file.program")" = served ] || fail "the README's program does not serve by its share of the limit"
done < <(python3 -B "$TB_SOURCE/tests/support/code_blocks.py" "$TB_SOURCE/capi/redis/README.md" c "$folder/readme" c)

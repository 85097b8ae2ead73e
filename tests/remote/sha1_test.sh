#!/usr/bin/env bash
# The digest that the library gives for its script is that of sha1sum.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require sha1sum
folder=$(fresh_folder remote_sha1)
cat >"$folder/print.c" <<'END'
#include <stdio.h>
#include <tokenbucket.h>
int main(int count, char **names) {
    (void)names;
    return fputs(count > 1 ? tb_remote_script() : tb_remote_script_sha1(), stdout) < 0;
}
END
# CC may be several words.
read -ra compiler <<<"$CC"
"${compiler[@]}" -I"$TB_SOURCE/capi/include" "$folder/print.c" "$TB_SHARED" -Wl,-rpath,"$(dirname "$TB_SHARED")" \
    -o "$folder/print"
read -r digest _ < <("$folder/print" text | sha1sum)
[ "$("$folder/print")" = "$digest" ] || fail "the library says $("$folder/print"), sha1sum $digest"

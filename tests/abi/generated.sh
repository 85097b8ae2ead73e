#!/usr/bin/env bash
# What is made from tokenbucket.h is as the header has it: the exported symbols, the manual page, the declarations of the
# bindings. A change of the header, and of each of these files, is seen.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require python3
python3 -B "$TB_SOURCE/tests/abi/header_test.py" --quiet || fail "the reader of the header"
python3 -B "$TB_SOURCE/capi/abi/generate" --check || fail "see above"

folder=$(fresh_folder abi_generated)
generate=$folder/capi/abi/generate
mkdir -p "$folder/bindings"/{csharp/TokenBucket,python/src/tokenbucket,rust/tokenbucket-sys/src}
cp -R "$TB_SOURCE/capi" "$folder"
python3 -B "$generate"
mapfile -t files < <(cd "$folder" && find bindings capi/abi/tokenbucket.map capi/man/tokenbucket.3 capi/packaging/debian/*.symbols -type f)

# seen FILE...: the check names these files and no others.
seen() {
    local said
    if said=$(python3 -B "$generate" --check 2>&1); then fail "nothing seen: $*"; fi
    said=$(tail -1 <<<"$said" | sed 's/.*has it: //' | tr ' ' '\n' | sort)
    [ "$said" = "$(printf '%s\n' "$@" | sort)" ] || fail "seen is $said, not $*"
}

for file in "${files[@]}"; do
    diff "$TB_SOURCE/$file" "$folder/$file" >/dev/null || fail "$file made elsewhere is another"
    echo >>"$folder/$file"
    seen "$file"
    python3 -B "$generate"
done
[ "${#files[@]}" = 7 ] || fail "made are ${files[*]}"

sed -i 's/^TB_API tb_status tb_close(/TB_API void tb_new(int64_t a);\n&/' "$folder/capi/include/tokenbucket.h"
seen capi/abi/tokenbucket.map capi/man/tokenbucket.3 bindings/csharp/TokenBucket/Declarations.cs \
    bindings/python/src/tokenbucket/_declarations.py bindings/rust/tokenbucket-sys/src/declarations.rs
python3 -B "$generate"
python3 -B "$generate" --check || fail "what is made at once differs"
sed -i 's/^TB_API void tb_new(int64_t a)/TB_API void tb_new(long a)/' "$folder/capi/include/tokenbucket.h"
if python3 -B "$generate" 2>/dev/null; then fail "a header that is not understood is taken"; fi

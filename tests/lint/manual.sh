#!/usr/bin/env bash
# The manual page says what the header says, and what formats manual pages finds nothing wrong with it.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require python3
cd "$TB_SOURCE"
page=capi/man/tokenbucket.3
make=(python3 -B capi/man/manual.py capi/include/tokenbucket.h)
diff -u --label "$page" --label "as made anew" "$page" <("${make[@]}") || fail "make it anew: ${make[*]} >$page"

# So that a header written in a way that the script does not expect loses nothing.
while read -r function; do
    grep -qE "^$function(,| )" "$page" || fail "$function has no name in $page"
    [ "$(grep -cE "^\\\\fB.*\\b$function\\(" "$page")" -ge 2 ] || fail "$function is not declared twice in $page"
done < <(grep -oE 'tb_[a-z0-9_]+' capi/abi/tokenbucket.map)
words_of() { sed 's/\\f.//g' "$1" | grep -oE '[A-Za-z]{3,}' | sort -u; }
scaffolding='API|CONSTANT|LIST|STATUS|MIT|SPDX|License|Identifier|GNUC|attribute|cplusplus|visibility|extern|enum|defined|ifdef|ifndef|endif|undef|stddef|stdint'
lost=$(comm -23 <(words_of capi/include/tokenbucket.h) <(words_of "$page") | grep -vxE "$scaffolding" || true)
[ -z "$lost" ] || fail "words of the header that are not in $page: $lost"

checked=0
# The header's version stands where others put a date.
if command -v mandoc >/dev/null; then
    said=$(mandoc -T lint -W warning "$page" | grep -v 'missing date' || true)
    [ -z "$said" ] || fail "mandoc: $said"
    checked=1
fi
if command -v groff >/dev/null; then
    said=$(groff -man -ww -z -T utf8 "$page" 2>&1)
    [ -z "$said" ] || fail "groff: $said"
    checked=1
fi
[ "$checked" = 1 ] || skip "neither mandoc nor groff is installed"

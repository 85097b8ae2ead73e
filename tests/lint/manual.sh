#!/usr/bin/env bash
# The manual page of the library, which is made from the header, loses no word of it, and what formats manual pages finds
# nothing wrong with that page and those of the tools.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
cd "$TB_SOURCE"
page=capi/man/tokenbucket.3

words_of() { sed 's/\\f.//g' "$1" | grep -oE '[A-Za-z]{3,}' | sort -u; }
scaffolding='API|CONSTANT|LIST|STATUS|MIT|SPDX|License|Identifier|GNUC|attribute|cplusplus|visibility|extern|enum|defined|ifdef|ifndef|endif|undef|stddef|stdint'
lost=$(comm -23 <(words_of capi/include/tokenbucket.h) <(words_of "$page") | grep -vxE "$scaffolding" || true)
[ -z "$lost" ] || fail "words of the header that are not in $page: $lost"

pages=("$page" examples/*/*/*.1)
checked=0
# The header's version stands where others put a date.
if command -v mandoc >/dev/null; then
    said=$(mandoc -T lint -W warning "${pages[@]}" | grep -v 'missing date' || true)
    [ -z "$said" ] || fail "mandoc: $said"
    checked=1
fi
if command -v groff >/dev/null; then
    for page in "${pages[@]}"; do
        said=$(groff -man -ww -z -T utf8 "$page" 2>&1)
        [ -z "$said" ] || fail "groff: $said"
    done
    checked=1
fi
[ "$checked" = 1 ] || skip "neither mandoc nor groff is installed"

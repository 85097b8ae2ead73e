#!/usr/bin/env bash
# The reference pages are made: each public name has a comment, and each link and anchor leads somewhere. All languages
# that are installed are there.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require python3 doxygen sphinx-build
folder=$(fresh_folder reference)
bash "$TB_SOURCE/capi/reference/build" "$folder/site" >"$folder/log" 2>&1 || {
    tail -n 40 "$folder/log" >&2
    fail "see above"
}
grep -E '^skipped: ' "$folder/log" || true

# The check sees a page that is gone, and an anchor that is.
check() { python3 -B "$TB_SOURCE/capi/reference/check.py" "$folder/site"; }
sed -i 's/id="tokenbucket.TokenBucket.allow"//' "$folder/site/python/index.html"
said=$(check) && fail "an anchor that is gone is not missed"
grep -q 'TokenBucket.allow: no such anchor$' <<<"$said" || fail "of an anchor that is gone it says: $said"
rm "$folder/site/c/index.html"
said=$(check) && fail "a page that is gone is not missed"
grep -q '^index.html: c/index.html: no such page$' <<<"$said" || fail "of a page that is gone it says: $said"

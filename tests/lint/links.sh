#!/usr/bin/env bash
# What a text refers to is there: files, headings, sections of the headers.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require python3
links=$TB_SOURCE/tests/lint/links.py

# In a small tree it finds all that leads nowhere, and no more.
tree=$(fresh_folder lint_links)
mkdir "$tree/sub"
cat >"$tree/page.md" <<'END_OF_PAGE'
# Two words, and `code`
## Again
## Again
[good](#two-words-and-code) [good](sub/other.md#again-1) [good](https://example.org/none#none) <img src="sub/other.md">
`[code](none.md)` [bad](none.md) [bad](#two-words) [bad](sub/other.md#again-2) [bad](../..) <img src="none.svg">
<source srcset="none.svg"> See "Again"; README, "Again".

[bad]: none.md
END_OF_PAGE
printf '# Again\n# Again\n[good](../page.md#again-1)\n' >"$tree/sub/other.md"
cat >"$tree/sub/sections.h" <<'END_OF_HEADER'
/* ---- Known: a section ---- */
/* Under no "Name"; as under "Known", under
 * "Unknown", sub/other.md#again, sub/other.md#none and sub/none.md. */
END_OF_HEADER
if python3 -B "$links" "$tree" >"$tree/found" 2>/dev/null; then fail "it finds nothing wrong"; fi
diff "$tree/found" - <<'END_OF_FAULTS' || fail "it finds something else"
page.md: none.md: no such file
page.md: #two-words: no such heading
page.md: sub/other.md#again-2: no such heading
page.md: ../..: no such file
page.md: none.md: no such file
page.md: none.svg: no such file
page.md: none.svg: no such file
page.md: See "Again": not a link
page.md: README, "Again": not a link
sub/sections.h: sub/other.md#none: no such heading
sub/sections.h: sub/none.md: no such file
sub/sections.h: under "Unknown": no such section
END_OF_FAULTS

python3 -B "$links" "$TB_SOURCE" || fail "references that lead nowhere"

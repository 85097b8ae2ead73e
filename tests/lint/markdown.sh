#!/usr/bin/env bash
# No code block of a text escapes the tests: each has a language that a test compiles, or one that is no program. What
# the README shows of a language stands in that language's own page.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
cd "$TB_SOURCE"

# Text, language, the test that compiles its blocks. Rust's documentation tests take what has no language for Rust.
compiled="
README.md c bindings/cpp/tests/readme.sh
capi/README.md c bindings/cpp/tests/readme.sh
capi/redis/README.md c tests/redis/library.sh
bindings/cpp/README.md cpp bindings/cpp/tests/readme.sh
bindings/go/README.md go bindings/go/test.sh
bindings/rust/README.md rust bindings/rust/test.sh
bindings/rust/tokenbucket/README.md none bindings/rust/tokenbucket/src/lib.rs
bindings/rust/tokenbucket/README.md rust bindings/rust/tokenbucket/src/lib.rs
bindings/rust/tokenbucket-sys/README.md none bindings/rust/tokenbucket-sys/src/lib.rs
bindings/rust/tokenbucket-sys/README.md rust bindings/rust/tokenbucket-sys/src/lib.rs
bindings/csharp/README.md csharp bindings/csharp/test.sh
bindings/python/README.md python bindings/python/test.sh
"
no_program='sh|text|toml|xml'

# The language of each block, as code_blocks.py reads it: what follows the fence, to the end of the line.
languages() {
    awk '/^ *(```|~~~)/ { inside = !inside; if (inside) { sub(/^```/, ""); print $0 == "" ? "none" : $0 } }' "$1" | sort -u
}

# It takes the blocks out of that text and is run with the others.
compiles() { # TEST TEXT LANGUAGE
    case $1 in
        *.rs) grep -qF '#![doc = include_str!("../README.md")]' "$1" ;;
        *) grep -qE "^(script|once|calm) [a-z_]+ $1$" tests/tests.txt && grep -q code_blocks.py "$1" && grep -qF "$(basename "$2")" "$1" &&
            grep -qw "$3" "$1" ;;
    esac
}

mapfile -t texts < <(
    find . \( -name '.?*' -o -name 'build*' -o -name target -o -name bin -o -name obj \) -prune -o -name '*.md' -print |
        sed 's|^\./||' | sort
)
bad=0
blocks=0
complain() {
    echo "$*"
    bad=1
}

check_block() { # TEXT LANGUAGE
    local test
    if grep -qxE "$no_program" <<<"$2"; then return; fi
    test=$(awk -v text="$1" -v language="$2" '$1 == text && $2 == language { print $3 }' <<<"$compiled")
    if [ -z "$test" ]; then
        complain "$1: no test compiles its blocks of '$2'"
    elif ! compiles "$test" "$1" "$2"; then
        complain "$1: $test does not compile its blocks of '$2'"
    fi
}

for text in "${texts[@]}"; do
    while read -r language; do
        blocks=$((blocks + 1))
        check_block "$text" "$language"
    done < <(languages "$text")
done
# | language | `code` `code` | [name](page) |
# shellcheck disable=SC2016 # backticks of Markdown
shown_lines() {
    sed -nE 's/^\| [^|]+ \| (`.*`) \| \[[a-z]+\]\(([^)]+)\) \|$/\2 \1/p' README.md |
        awk -F '`' '{ for (i = 2; i < NF; i += 2) print $1 $i }'
}

shown=0
while read -r page code; do
    shown=$((shown + 1))
    grep -qF -- "$code" "$page" || complain "README.md shows '$code', which is not in $page"
done < <(shown_lines)
[ $shown -ge 12 ] || complain "the README shows $shown lines of code in its table"
[ $blocks -gt 0 ] || fail "no code blocks found"
[ $bad = 0 ] || fail "code blocks that are not tested"

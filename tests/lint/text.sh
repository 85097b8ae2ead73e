#!/usr/bin/env bash
# The names at the top, the text of the files, and the one version.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
cd "$TB_SOURCE"

# What version control holds; in an unpacked archive, what is there but for build folders.
files() {
    if git -c safe.directory='*' ls-files --cached --others --exclude-standard 2>/dev/null | grep .; then return; fi
    find . \( -name .git -o -name 'build*' -o -name target -o -name bin -o -name obj -o -name __pycache__ \) -prune -o \
        -type f -print | sed 's|^\./||'
}
mapfile -t all < <(files | while read -r file; do if [ -f "$file" ]; then echo "$file"; fi; done)
[ "${#all[@]}" -gt 0 ] || fail "no files found"

folders='(capi|core|bindings|tests|examples|\.ci)/.*'
lone_files='CMakeLists\.txt|meson\.build|meson_options\.txt|LICENSE|(README|CHANGELOG|CONTRIBUTING|SECURITY)\.md|\.[^/]+'
if printf '%s\n' "${all[@]}" | grep -vxE "$folders|$lone_files"; then fail "names that do not belong at the top"; fi

# Sources and pages; recorded data may look as it likes.
suffixes='c|cc|cpp|h|hpp|rs|go|cs|csproj|py|sh|cmake|build|toml|md|yml|in|map|txt'
mapfile -t sources < <(
    printf '%s\n' "${all[@]}" | grep -E "(^|/)[^./]+$|\\.($suffixes)$" | grep -v '^examples/.*\.txt$'
)

# none DESCRIPTION PATTERN FILE...: no file holds the pattern.
none() {
    local what=$1 pattern=$2
    shift 2
    if grep -InE -e "$pattern" -- "$@"; then fail "$what in the lines above"; fi
}
none "white space at the end" '[[:blank:]]+$' "${sources[@]}"
none "a carriage return" $'\r' "${sources[@]}"
none "an unfinished mark" '\b(TO''DO|FIX''ME|XX''X)\b' "${sources[@]}"
mapfile -t without_tabs < <(printf '%s\n' "${sources[@]}" | grep -vE '\.go$|(^|/)README\.md$|/debian/rules$')
none "a tab" $'\t' "${without_tabs[@]}"
for file in "${sources[@]}"; do
    [ -z "$(tail -c 1 "$file")" ] || fail "$file does not end its last line"
done

version=$(cat capi/VERSION)
grep -qxE '[0-9]+\.[0-9]+\.[0-9]+' <<<"$version" || fail "capi/VERSION is no version: $version"
newest_node=$(sed -nE 's/^TOKENBUCKET_([0-9.]+) \{$/\1/p' capi/abi/tokenbucket.map | sort -V | tail -1)
[ "$(printf '%s\n' "$newest_node" "$version" | sort -V | tail -1)" = "$version" ] ||
    fail "the version script names $newest_node, newer than $version"

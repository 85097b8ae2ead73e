#!/usr/bin/env bash
# clang-tidy 14, with the checks of .clang-tidy, finds nothing in the library's sources and headers, nor in the
# C++ binding and example. Other versions bring other checks, and would judge differently.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require clang-tidy
version=$(clang-tidy --version | sed -nE 's/.*LLVM version ([0-9]+).*/\1/p')
[ "$version" = 14 ] || skip "clang-tidy 14 is needed, not $version"
database=$TB_BUILD/compile_commands.json
[ -f "$database" ] || fail "no $database"
cd "$TB_SOURCE"
mapfile -t sources < <(cat core/sources.txt capi/sources.txt core/platform/*/sources.txt | sort -u)

# Each platform's own sources as in a build for it; all others as in this one.
with_arguments() {
    local folder
    folder=$(dirname "$1")
    if [ -f "$folder/state.h" ]; then echo "$1 --extra-arg-before=-I$TB_SOURCE/$folder"; else echo "$1"; fi
}

# Takes a while, so it is done again only for new input.
seen=$TB_BUILD/lint_tidy.seen
mapfile -t inputs < <(find core capi bindings/cpp/include examples/cpp -name '*.cc' -o -name '*.h' -o -name '*.hpp' | sort)
input=$(cat .clang-tidy "$database" "${inputs[@]}" | sha256sum)
if [ -f "$seen" ] && [ "$(cat "$seen")" = "$version $input" ]; then exit 0; fi

for source in "${sources[@]}"; do with_arguments "$source"; done |
    xargs -P 2 -L 1 clang-tidy -p "$TB_BUILD" --quiet 2>"$TB_BUILD/lint_tidy.log" ||
    fail "clang-tidy: $(grep -v 'warnings generated' "$TB_BUILD/lint_tidy.log" || true)"

# Compiled as users do: any standard, any flags. A handle's constness is that of what it refers to.
for file in bindings/cpp/include/tokenbucket.hpp examples/cpp/*/*.cc; do
    clang-tidy --quiet --header-filter='job_pool|bindings/cpp/include' --checks=-readability-make-member-function-const "$file" -- -x c++ -std=c++20 \
        -Icapi/include -Ibindings/cpp/include 2>"$TB_BUILD/lint_tidy.log" ||
        fail "clang-tidy: $(grep -v 'warnings generated' "$TB_BUILD/lint_tidy.log" || true)"
done
echo "$version $input" >"$seen"

#!/usr/bin/env bash
# All C and C++ files are as clang-format 14 writes them. Other versions write some things differently.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require clang-format
version=$(clang-format --version | sed -nE 's/.*version ([0-9]+).*/\1/p')
[ "$version" = 14 ] || skip "clang-format 14 is needed, not $version"
cd "$TB_SOURCE"
mapfile -t files < <(c_and_cpp_files)
[ "${#files[@]}" -gt 0 ] || fail "no files found"
clang-format --dry-run -Werror "${files[@]}" || fail "run clang-format -i on the files above"

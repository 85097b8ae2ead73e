#!/usr/bin/env bash
# Nothing in the scripts is found wanting by shellcheck.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require shellcheck
cd "$TB_SOURCE"
# By suffix or by first line.
mapfile -t scripts < <(
    find . \( -name '.?*' ! -name .ci -o -name 'build*' -o -name target -o -name bin -o -name obj \) -prune -o -type f \
        -exec awk 'FNR == 1 {if (FILENAME ~ /\.sh$/ || /^#!.*sh$/) print FILENAME; nextfile}' {} + | sort
)
[ "${#scripts[@]}" -gt 0 ] || fail "no scripts found"
# SC1091: sourced files are checked by themselves.
shellcheck --shell=bash --severity=style --exclude=SC1091 "${scripts[@]}" || fail "shellcheck"

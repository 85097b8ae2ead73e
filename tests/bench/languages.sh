#!/usr/bin/env bash
# Runs bindings/*/bench.sh, or those of the languages that are named, and makes one table of what they measure, as
# Markdown. A bench.sh prints lines `language | call | ns per call | peer's name | peer's ns | ratio`, or says why it
# is skipped and exits with 77. Whatever is not measured is named.
set -euo pipefail
: "${TB_SOURCE:?the folder of the sources}" "${TB_BUILD:?the folder with the built library}"
languages=("$@")
if [ $# = 0 ]; then mapfile -t languages < <(cd "$TB_SOURCE/bindings" && find . -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort); fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
notes=()
bad=0

# The lines of the log as rows; nothing if there is none, or one that is broken: its ratio the other way round, too.
rows() {
    awk -F ' *[|] *' '
        !/[|]/ || /^language [|]/ { next }
        $5 > 0 && ($6 * $5 > 2 * $3 || 2 * $6 * $5 < $3) { broken = 1 }
        NF != 6 || $3 !~ /^[0-9.]+$/ || $5 !~ /^([0-9.]+|-)$/ || $6 == "" { broken = 1 }
        { lines = lines "| " $1 " | " $2 " | " $3 " | " $4 " | " $5 " | " $6 " |\n" }
        END { if (broken || lines == "") exit 1; printf "%s", lines }' "$log"
}

measure() { # LANGUAGE
    local script=$TB_SOURCE/bindings/$1/bench.sh status=0
    if [ ! -f "$script" ]; then
        notes+=("$1: not measured, there is no bindings/$1/bench.sh")
        return
    fi
    bash "$script" </dev/null >"$log" 2>"$log.errors" || status=$?
    if [ $status = 77 ]; then
        notes+=("$1: $(tail -n 1 "$log")")
    elif [ $status != 0 ] || ! rows; then
        notes+=("$1: FAILED with $status: $(cat "$log" "$log.errors" | tail -n 5)")
        bad=1
    fi
    rm -f "$log.errors"
}

echo
echo "| language | call | ns | usual limiter | its ns | ours / its |"
echo "|---|---|---|---|---|---|"
for language in "${languages[@]}"; do measure "$language"; done
if [ ${#notes[@]} -gt 0 ]; then printf '\n%s\n' "${notes[@]}"; fi
exit $bad

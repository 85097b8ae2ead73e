#!/usr/bin/env bash
# The pictures are those of their data, and what they say is true of the library as it is built now.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require python3
folder=$TB_SOURCE/tests/bench/pictures
export TB_BUILD
python3 -B "$folder" check "$folder/results" || fail "make the pictures anew with tests/bench/run pictures"

# Data that do not bear out a title are refused, and so is a picture that was drawn from others.
copy=$(fresh_folder pictures)
cp "$folder/results"/* "$copy"
sed -i 's/"ns": [0-9.]*/"ns": 9999/' "$copy/cost.json"
if python3 -B "$folder" check "$copy" 2>/dev/null; then fail "a title that is not true of its data was drawn"; fi
cp "$folder/results/cost.json" "$copy"
sed -i 's/0 %/1 %/; s/>5th</>6th</' "$copy/cancel.dark.svg"
if python3 -B "$folder" check "$copy" 2>/dev/null; then fail "a picture that is not of its data was taken for it"; fi

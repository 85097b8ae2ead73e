#!/usr/bin/env bash
# examples/run: what it shows first, how it lists the rest and refuses what it has not, and that all of it can be read on
# 80 columns. The examples have tests of their own.
set -Eeuo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
[[ -x $TB_BUILD/throttle ]] || skip "the examples were not built here"
cd "$(fresh_folder run_test)"
trap 'fail "lines $LINENO ${BASH_LINENO[*]}: $BASH_COMMAND; it said: $(cat out err)"' ERR
export TB_BUILD
fits() { (($(wc -L <"$1") <= 80)); }
plain() { [[ $(tr -d '\n -~' <"$1" | wc -c) == 0 ]]; }

bash "$TB_SOURCE/examples/run" --help >out 2>err
fits out
grep -qx 'Usage: examples/run \[NAME... | all\]' out
mapfile -t names < <(sed -n 's/^  \([A-Za-z_]*\)  .*/\1/p' out)
[[ ${names[0]} == throttle && ${#names[@]} -ge 10 ]]
# Each example that can be shown by itself is listed, with a line.
for demo in "$TB_SOURCE"/examples/*/*/demo.sh; do
    name=$(basename "$(dirname "$demo")")
    grep -qE "^  $name  .{20,}" out
done

# Without a name it shows the first, and at the end how to see more; no colours here. A machine with much else to do may
# keep it from reaching its rate, which is then said; it never exceeds it.
status=0
bash "$TB_SOURCE/examples/run" >out 2>err || status=$?
[[ ! -s err && $(head -n 1 out) == "throttle: "* ]]
fits out
plain out
(($(wc -l <out) <= 24))
grep -qE '^  fullest window .* ok$' out
grep -qE '^  data received .* ok$' out
[[ $status-$(tail -n 1 out) == "$(if grep -q '  FAIL$' out; then echo 1-FAIL; else echo 0-PASS; fi)" ]]
bash "$TB_SOURCE/examples/run" dlopen dlopen >out 2>err
fits out
[[ $(grep -c '^dlopen: ' out) == 2 && $(tail -n 1 out) == PASS ]]
[[ $(tail -n 2 out | head -n 1) == "More: examples/run NAME or all; examples/run --help lists the names." ]]

status=0
bash "$TB_SOURCE/examples/run" throttle none >out 2>err || status=$?
[[ $status == 2 && ! -s out && $(cat err) == "run: no such example: 'none'; examples/run --help lists them" ]]
# What is shown as wrong makes it fail.
mkdir broken
cp "$TB_BUILD"/libtokenbucket.so* broken/
printf "#!/bin/sh\nexec '%s' --rate 4MB/s --burst 1MiB --log \"\$6\"\n" "$TB_BUILD/throttle" >broken/throttle
chmod +x broken/throttle
status=0
TB_BUILD=$PWD/broken bash "$TB_SOURCE/examples/run" >out 2>err || status=$?
[[ $status == 1 && $(tail -n 1 out) == FAIL ]]

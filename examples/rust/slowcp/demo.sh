#!/usr/bin/env bash
# Copies programs of this machine by slowcp, several at a time under one bandwidth, and checks what arrived and how fast.
# TB_BUILD: the folder of the built library.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require cargo awk sha256sum
here=$TB_SOURCE/examples/rust/slowcp

export CARGO_NET_OFFLINE=true CARGO_TARGET_DIR=$TB_BUILD/slowcp-target
TOKENBUCKET_LIB_DIR=$TB_BUILD TOKENBUCKET_STATIC=1 cargo build --quiet --locked --manifest-path "$here/Cargo.toml"
slowcp=$CARGO_TARGET_DIR/debug/slowcp
work=$(fresh_folder slowcp)
log=$work/log rate=4000000 burst=262144 most=8000000

# The largest programs of no more than $most bytes together.
choose_files() {
    find /usr/bin -maxdepth 1 -type f -readable -size -1500k -printf '%s %p\n' | sort -rn |
        awk -v most="$most" 'sum + $1 <= most && n < 12 { sum += $1; ++n; print $2 }'
}
mkdir "$work/from" "$work/to"
mapfile -t chosen < <(choose_files)
cp -L --preserve=mode "${chosen[@]}" "$work/from/"
files=("$work"/from/*)
chmod 640 "${files[0]}"
[ "${#files[@]}" -ge 2 ] || fail "found nothing to copy"

started=$(date +%s%N)
"$slowcp" --rate 4M --burst 256Ki --jobs 4 --log "$log" "${files[@]}" "$work/to"
took_ns=$(($(date +%s%N) - started))

# sums FOLDER: checksum, mode and name of each file.
sums() {
    (cd "$1" && sha256sum -- * && stat -c '%a %n' -- *)
}
[ "$(sums "$work/from")" = "$(sums "$work/to")" ] || fail "the copies differ"
total=$(cat "$work"/to/* | wc -c)
[ "$(awk '{ sum += $3 } END { print sum }' "$log")" = "$total" ] || fail "the log misses something"
excess=$(sort -k2n "$log" | awk -v rate=$rate -v burst=$burst -f "$here/excess.awk")
[ "$excess" -le 0 ] || fail "a window exceeds the limit by $excess bytes"
least_ns=$(((total - burst) * 1000 / (rate / 1000000)))
[ "$took_ns" -ge "$least_ns" ] || fail "$total bytes took only $took_ns ns"

# What cannot be copied is told, the others are; nothing half done stays.
status=0
said=$("$slowcp" --rate 1G "$work/none" "$work/from" "${files[0]}" "$work/to" 2>&1) || status=$?
[ "$status" = 1 ] || fail "a missing file: exit status $status"
[[ $said == *"none': No such file"*"from': not a regular file"* || $said == *"from': not a regular"*"none': No such"* ]] ||
    fail "said: $said"
status=0
said=$("$slowcp" --rate 1G "${files[0]}" "${files[0]}" 2>&1) || status=$?
[[ $status == 1 && $said == *"the same file"* ]] || fail "onto itself: exit status $status, $said"
mkdir -p "$work/blocked/$(basename "${files[0]}")"
status=0
"$slowcp" --rate 1G "${files[0]}" "$work/blocked" 2>"$work/said" || status=$?
[ "$status" = 1 ] || fail "onto a folder of its name: exit status $status"
[ "$(sums "$work/from")" = "$(sums "$work/to")" ] || fail "a failure changed a file"
[ -z "$(find "$work" -name '.*.slowcp')" ] || fail "a partial file stayed"

row() {
    printf '  %-28s %14s  %s\n' "$@"
}
echo "slowcp --rate 4M --burst 256Ki --jobs 4: ${#files[@]} programs of this machine"
row "copied" "$total B" "SHA-256 and modes compared"
row "time" "$((took_ns / 1000000)) ms" "of at least $((least_ns / 1000000))"
row "rate" "$((total * 1000 / (took_ns / 1000000))) B/s" "of $rate, burst included"
row "fullest window of any length" "$excess B" "from burst + rate * time"

#!/usr/bin/env bash
# The command line of throttle: what it refuses and how it says so, the amounts it takes, its help and its manual page,
# and what it shows on a terminal.
set -Eeuo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
source "$TB_SOURCE/tests/examples/command_line.sh"
throttle=$TB_BUILD/throttle
[[ -x $throttle ]] || skip "the examples were not built here"
cd "$(fresh_folder throttle_options_test)"
trap 'fail "lines $LINENO ${BASH_LINENO[*]}: $BASH_COMMAND; standard error: $(cat err)"' ERR
head -c 300000 /dev/urandom >in

bytes='must be from 0.000000001 to 10GB/s, such as 512K, 10MB or 1MiB/s'
lines='must be from 0.000000001 to 10G lines per second, such as 0.5 or 10K'
for rate in 0 0.0 ten '' -5 1e6 0x10 inf nan 1.2.3 . 5Q 10Mb 1m '10 MB' 1MB/h 1M/s/s 99999999999999999999T 20G 10.1GB; do
    refuses "$throttle" "--rate $bytes, not '$rate'" "--rate=$rate"
done
for rate in 0 10MB 1KiB/s ten; do refuses "$throttle" "--rate $lines, not '$rate'" --lines "--rate=$rate"; done
for burst in 0 1 1.9 -1 '' ten 1MB/s 1001TB; do
    refuses "$throttle" "--burst must be from 2 to 1000TB, such as 64K or 1MiB, not '$burst'" -r 1M "--burst=$burst"
done
refuses "$throttle" "--burst must be from 2 to 1000T lines, such as 100 or 1K, not '1KB'" -l -r 1M -b 1KB
refuses "$throttle" "--rate is needed, such as '--rate 10MB/s'"
refuses "$throttle" "it copies standard input and takes no argument such as 'file'" -r 1M file
refuses "$throttle" "unrecognized option '--no-such'" --rate 1M --no-such
refuses "$throttle" "option '--rate' requires an argument" --rate
informs "$throttle" "$TB_SOURCE/examples/c/throttle/throttle.1"

# Where standard output is closed the log does not take its place.
status=0
head -c 9 in | "$throttle" -r 1M --log log >&- 2>err || status=$?
[[ $status == 1 && $(cat err) == "throttle: standard output: Bad file descriptor" && ! -s log ]]

# Its amounts, as the burst shows them: all but a byte of it, which a stalled reader might hold back, goes at once.
passes() { # BURST BYTES
    local status patience
    head -c $(($2 - 1)) in | timeout 10 "$throttle" -r 0.001 -b "$1" >out 2>err
    [[ ! -s err && $(stat -c %s out) == $(($2 - 1)) ]]
    for patience in 0.3 2 9; do # a busy machine may take longer to begin
        status=0
        head -c "$2" in | timeout $patience "$throttle" -r 0.001 -b "$1" >out 2>err || status=$?
        if (($(stat -c %s out) >= $2 - 1)); then break; fi
    done
    [[ $status == 124 && $(stat -c %s out) == $(($2 - 1)) ]]
}
passes 2 2
passes 2k 2000
passes 2KB 2000
passes 2Ki 2048
passes 2KiB 2048
passes 0.002M 2000
for rate in 512K 10MB 1MiB/s 1G/s 10GB 2Gi 300000B 0.001T/s; do
    cp in same
    "$throttle" -r "$rate" -b 1M <in 2>err | cmp same -
done

# Progress: on a terminal, with the whole and the time left of a file; none if piped, quiet, or if the data goes there.
if command -v script >/dev/null; then
    on_terminal "'$throttle' -r 400k -b 2k <in >out"
    grep -qE '^[0-9.]+ kB of 300\.0 kB, now [0-9.]+ kB/s, average [0-9.]+ kB/s, 0:[0-9]{2} left' shown
    grep -qE '^300\.0 kB in [0-9.]+ s, average [0-9.]+ kB/s' shown
    # Also while it waits for a token; a busy machine may take longer to begin.
    while_waiting() { # RATE TIME
        for patience in 0.6 2 9; do
            on_terminal "timeout -s INT $patience '$throttle' -r $1 -b 2 <in >out"
            if [[ $(grep -cE "^1 B of 300\.0 kB, .*, $2" shown) -ge 2 ]]; then return; fi
        done
        return 1
    }
    while_waiting 0.00001 'never ends'
    while_waiting 0.001 '3[0-9]{3} days left'
    on_terminal "cat in | '$throttle' -r 400k -b 2k >out"
    grep -qE '^[0-9.]+ kB, now .* kB/s.{0,4}$' shown
    on_terminal "'$throttle' -q -r 400k -b 2k <in >out"
    [[ ! -s shown ]]
    on_terminal "head -c 1000 /dev/zero | tr '\\0' x | '$throttle' -r 2k -b 2"
    [[ $(tr -d '\n' <shown) =~ ^x{1000}$ ]]
fi
"$throttle" -r 1M -b 2k <in >out 2>err
[[ ! -s err ]]

# The reader of the help may go before it has all.
{ "$throttle" --help || true; } 2>err | true
[[ ! -s err ]]

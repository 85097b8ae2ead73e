#!/usr/bin/env bash
# The throttle example: what it copies, how it ends, and that it is never faster than its limit. No upper bound on
# time is asserted. Each command is a check: the first that fails ends the test.
set -Eeuo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
throttle=$TB_BUILD/throttle
[[ -x $throttle ]] || skip "the examples were not built here"
cd "$(fresh_folder throttle_test)"
trap 'fail "lines $LINENO ${BASH_LINENO[*]}: $BASH_COMMAND; standard error: $(cat err)"' ERR
trap 'kill -KILL "${pid:-}" 2>/dev/null || true' EXIT

said() { grep -qE -- "$1" err; }
runs() { # STATUS SAID ARGUMENT...: from $from to $to, which are the files in and out; says nothing where SAID is ''
    local status=0
    "$throttle" "${@:3}" <"${from:-in}" >"${to:-out}" 2>err || status=$?
    [[ $status == "$1" ]]
    if [[ -n $2 ]]; then said "$2"; else [[ ! -s err ]]; fi
}
copies() { # ARGUMENT...
    runs 0 '' "$@" --log log
    cmp in out
}
within() { # RATE BURST: by the file log
    awk -v rate="$1" -v burst="$2" -f "$TB_SOURCE/examples/c/excess.awk" log | awk '{ exit !($1 <= 0) }'
}
until_so() { # COMMAND...: for ten seconds
    for _ in {1..1000}; do if "$@"; then return; fi; sleep 0.01; done
    return 1
}
start() { # INPUT OUTPUT ARGUMENT...: as the job $pid
    : >out 2>err
    "$throttle" --progress "${@:3}" <"$1" >"$2" 2>err &
    pid=$!
}
gone() { ! kill -s "${1:-0}" "$pid" 2>/dev/null; }
ends() { # STATUS: the job $pid, with a last line of progress
    local status=0
    until_so gone
    wait "$pid" || status=$?
    [[ $status == "$1" ]]
    said '^throttle: [0-9.]+ k?B in '
}

head -c 300000 /dev/urandom >in
copies --rate 1G
copies --rate 10Mi --burst 64Ki -q
read -r began _ </proc/uptime # it ticks each 10 ms
copies --rate 1M --burst 100k
read -r ended _ </proc/uptime
awk "BEGIN { exit !($ended - $began >= 0.19) }"
within 1000000 100000
"$throttle" -r 2M -b 40k --log log <in | { sleep 0.3; cat >out; } # the bucket refills while the reader stalls
cmp in out
within 2000000 40000
runs 0 '^throttle: bytes=300000 seconds=[0-9.]+ mean_rate=[0-9.]+ waited_seconds=[0-9.]+ waits=[1-9]' --stats --rate 1M --burst 100k
awk -F '[ =]' '{ exit !($5 >= 0.2 && $7 > 299999 / ($5 + 0.001) && $7 < 300001 / ($5 - 0.001) && $9 > 0 && $9 <= $5) }' err
printf 'x' >in
copies --rate 0.001

{ printf 'one\n\nthree\n'; head -c 200000 /dev/zero; printf '\nlast, without an end'; } >in
copies --lines --rate 1M
[[ $(awk '{ n += $2 } END { print n }' log) == 5 ]]
{ printf 'a\nb'; sleep 0.05; printf 'c\n'; } | "$throttle" -l -r 1M --log log | cmp - <(printf 'a\nbc\n')
[[ $(awk '{ print $2 }' log | xargs) == "1 1" ]] # the second line leaves whole, though its parts arrive apart
seq 300 >in
copies --lines --rate 1000 --burst 100
within 1000 100
runs 0 '^throttle: bytes=1092 lines=300 .* waited_seconds=0.000 waits=0$' --stats --lines --rate 1M

from=/ runs 1 '^throttle: standard input: Is a directory' -r 1M
to=/dev/full runs 1 '^throttle: standard output: No space left' -r 1M
runs 1 '^throttle: no/such/folder/log: ' -r 1M --log no/such/folder/log

# The end of the reader ends it as SIGPIPE does, without a word.
yes | "$throttle" -r 100M 2>err | head -c 1 >out || statuses=${PIPESTATUS[*]}
[[ $statuses == "141 141 0" && ! -s err ]]

# Descriptors may be non-blocking, as another process that shares them may leave them behind.
mkfifo source sink slow
exec 5<>source 6<>sink
head -c 200000 /dev/urandom >in
dd iflag=nonblock oflag=nonblock count=0 <&5 >&6 2>/dev/null
cat in >source &
"$throttle" --progress -r 100M <&5 >&6 2>err &
pid=$!
timeout 10 head -c 200000 <sink | cmp - in

# SIGTERM ends it out of a read, out of a write, a second after it began, and out of tb_wait, a wait of hours.
kill "$pid"
ends 143
start in sink -r 10M
until_so test -s err
kill "$pid"
ends 143
start in out -r 0.0001 -b 2
until_so test -s out
kill "$pid"
ends 143

# Each SIGUSR1 doubles the rate, also for the chunk that is being waited for: here hours become moments.
printf 'data' >in
start in out -r 0.0001 -b 2
until_so test -s out
until_so gone USR1
ends 0
cmp in out

# Larger chunks at a higher rate buy no larger burst, though a reader stalls and holds one back.
head -c 400000 /dev/urandom >in
start in slow -r 250k -b 40k --log log
{ head -c 100000; sleep 0.3; cat; } <slow >out &
until_so test -s out
for limit in '500.0 kB' '1.0 MB' '2.0 MB'; do
    kill -USR1 "$pid"
    until_so said "^throttle: limit now $limit/s"
done
ends 0
until_so cmp -s in out
within 2000000 40000

# What leaves after a SIGUSR2 keeps to the half. The windows looked at begin when that was in force.
start /dev/zero out -r 1M -b 20k --log all
until_so test -s out
kill -USR2 "$pid"
until_so said '^throttle: limit now 500.0 kB/s'
sleep 0.3
kill "$pid"
ends 143
awk 'NR == FNR { last = $1; next } $1 > last - 200000000' all all >log
[[ $(wc -l <log) -ge 2 ]]
within 500000 20000

# A rate that no bucket can have is refused, and copying goes on at the old one.
start source out -r 10G
printf 'data' >&5
until_so test -s out
kill -USR1 "$pid"
printf 'more\n' >&5
until_so said '^throttle: the rate stays: it must be from 0.000000001 to 10G per second$'
until_so grep -qx datamore out
kill "$pid"
ends 143

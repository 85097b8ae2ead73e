#!/usr/bin/env bash
# The throttle example: what it copies, how it ends, and that it is never faster than its limit. No upper bound on
# time is asserted.
set -euo pipefail

throttle=$TB_BUILD/throttle
[[ -x $throttle ]] || { echo "skipped: the examples were not built here"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

failures=0
fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

expect_status() { # WANTED WHAT
    [[ $status == "$1" ]] || fail "$2: exit status $status, not $1; stderr: $(cat err)"
}

expect_stderr() { # PATTERN WHAT
    grep -qE -- "$1" err || fail "$2: standard error has no '$1' but: $(cat err)"
}

run() { # ARGUMENT...: from the file in to the files out and err
    status=0
    "$throttle" "$@" <in >out 2>err || status=$?
}

# Copies the file in and expects it unchanged, with nothing said.
expect_copy() { # ARGUMENT...
    run "$@"
    expect_status 0 "throttle $*"
    cmp -s in out || fail "throttle $*: the output differs from the input"
    [[ ! -s err ]] || fail "throttle $*: said $(cat err)"
}

expect_no_excess() { # RATE BURST LOG WHAT
    local excess
    excess=$(awk -v rate="$1" -v burst="$2" -f "$TB_SOURCE/examples/c/excess.awk" "$3")
    awk -v excess="$excess" 'BEGIN { exit !(excess <= 0) }' || fail "$4: a window exceeds the limit by $excess"
}

uptime_ms() {
    local seconds
    read -r seconds _ </proc/uptime
    echo "$((10#${seconds/./}0))"
}

data() { # BYTES: binary, the same every time
    awk -v n="$1" 'BEGIN { for (i = 0; i < n; ++i) printf "%c", (i * i + int(i / 256)) % 256 }' | head -c "$1"
}

test_bytes() {
    data 300000 >in
    expect_copy --rate 1G
    expect_copy --rate 10Mi --burst 64Ki
    expect_copy --rate 1.5M -b 100k -q
    : >in
    expect_copy --rate 1
    printf 'x' >in
    expect_copy --rate 0.001
}

test_lines() {
    { printf 'one\n\nthree\n'; head -c 200000 /dev/zero; printf '\nlast, without an end'; } >in
    expect_copy --lines --rate 1M
    expect_copy --lines --rate 1M --log log
    [[ $(awk '{ n += $2 } END { print n }' log) == 5 ]] || fail "five lines were counted as: $(cat log)"

    # A line leaves whole, though its parts arrive apart.
    { printf 'a\nb'; sleep 0.05; printf 'c\n'; } | "$throttle" -l -r 1M --log log >out
    printf 'a\nbc\n' | cmp -s - out || fail "lines in parts: $(cat out)"
    [[ $(awk '{ print $2 }' log | xargs) == "1 1" ]] || fail "lines in parts were counted as: $(cat log)"
}

# All but the burst has to be waited for. The clock read here ticks each 10 ms.
test_never_faster() {
    data 300000 >in
    local began took
    began=$(uptime_ms)
    expect_copy --rate 1M --burst 100k --log log
    took=$(($(uptime_ms) - began))
    ((took >= 200 - 10)) || fail "300000 bytes at 1 MB/s and bursts of 100 kB took only $took ms"
    expect_no_excess 1000000 100000 log "300000 bytes"

    seq 1 30 >in
    began=$(uptime_ms)
    expect_copy --lines --rate 100 --burst 10 --log log
    took=$(($(uptime_ms) - began))
    ((took >= 200 - 10)) || fail "30 lines at 100 per second and bursts of 10 took only $took ms"
    expect_no_excess 100 10 log "30 lines"
}

# Neither an idle source nor a reader that stalls until the pipe is full, while the bucket refills, buys a larger burst.
test_bounded_burst() {
    data 200000 >in
    { head -c 100000 in; sleep 0.3; tail -c +100001 in; } | "$throttle" -r 2M -b 100k --log log | cmp -s - in ||
        fail "an idle source: the output differs"
    expect_no_excess 2000000 100000 log "an idle source"

    "$throttle" -r 2M -b 40k --log log <in | { sleep 0.3; cat >out; }
    cmp -s in out || fail "a slow reader: the output differs"
    expect_no_excess 2000000 40000 log "a slow reader"
}

test_refusals() {
    local argument
    printf 'data' >in
    for argument in 0 0.0 ten '' -5 1e6 0x10 inf nan 1.2.3 . 5Q 10MB 99999999999999999999T 20G; do
        run "--rate=$argument"
        expect_status 2 "--rate=$argument"
        expect_stderr '^throttle: ' "--rate=$argument"
        [[ ! -s out ]] || fail "--rate=$argument: copied"
    done
    run --rate 0
    expect_stderr 'TB_E_OUT_OF_RANGE' "--rate 0"
    run --rate 1M --burst 1
    expect_status 2 "--burst 1"
    expect_stderr 'burst must be at least 2' "--burst 1"
    run
    expect_status 2 "no rate"
    expect_stderr 'rate is needed' "no rate"
    run --rate 1M file
    expect_status 2 "an argument"
    run --rate 1M --no-such-option
    expect_status 2 "an unknown option"
    run --help
    expect_status 0 "--help"
    grep -q '^Usage: throttle' out || fail "--help: $(cat out)"
}

test_failures() {
    status=0
    "$throttle" -r 1M <&- >out 2>err || status=$?
    expect_status 1 "closed input"
    expect_stderr '^throttle: standard input: Bad file descriptor' "closed input"
    status=0
    "$throttle" -r 1M </ >out 2>err || status=$?
    expect_status 1 "a folder as input"
    printf 'data' >in
    status=0
    "$throttle" -r 1M <in >/dev/full 2>err || status=$?
    expect_status 1 "a full disk"
    expect_stderr '^throttle: standard output: No space left' "a full disk"
    run -r 1M --log no/such/folder/log
    expect_status 1 "a log that cannot be written"
}

# The end of the reader ends throttle as SIGPIPE does, without a word.
test_reader_gone() {
    local statuses
    set +e +o pipefail
    yes | "$throttle" -r 100M 2>err | head -c 1 >out
    statuses=${PIPESTATUS[*]}
    set -e -o pipefail
    [[ $statuses == "141 141 0" ]] || fail "a reader that leaves: exit statuses $statuses"
    [[ ! -s err ]] || fail "a reader that leaves: said $(cat err)"
}

start() { # INPUT OUTPUT ARGUMENT...: as the job $pid, which says how far it came when it ends
    : >out
    : >err
    "$throttle" --progress "${@:3}" <"$1" >"$2" 2>err &
    pid=$!
}

until_written() { # FILE: or for ten seconds
    local i
    for ((i = 0; i < 1000; ++i)); do
        if [[ -s $1 ]]; then return; fi
        sleep 0.01
    done
    fail "nothing was written"
}

end_by() { # SIGNAL WANTED WHAT: ends the job $pid, which has ten seconds for it
    local i
    kill -"$1" "$pid"
    for ((i = 0; i < 1000; ++i)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.01
    done
    kill -KILL "$pid" 2>/dev/null || true
    status=0
    wait "$pid" 2>/dev/null || status=$?
    expect_status "$2" "$3"
    expect_stderr '^throttle: [0-9.]+ k?B in ' "$3"
}

# A signal ends it out of tb_wait (a wait of hours), out of a read and out of a write, with a last line of progress.
test_signals() {
    local pid
    mkfifo source sink
    exec 5<>source 6<>sink

    printf 'data' >in
    start in out -r 0.0001 -b 2
    until_written out
    end_by TERM 143 "SIGTERM during tb_wait"

    printf 'data' >&5
    start source out -r 1M
    until_written out
    end_by TERM 143 "SIGTERM during a read"

    data 200000 >in
    start in sink -r 10M
    until_written err # what it shows after a second
    end_by TERM 143 "SIGTERM during a write"
}

until_said() { # PATTERN: or for ten seconds
    local i
    for ((i = 0; i < 1000; ++i)); do
        if grep -qE -- "$1" err; then return; fi
        sleep 0.01
    done
    fail "never said '$1' but: $(cat err)"
}

# Each SIGUSR1 doubles the rate, also for the chunk that is being waited for: here hours become moments.
test_doubling() {
    local pid i
    printf 'data' >in
    start in out -r 0.0001 -b 2
    until_written out
    for ((i = 0; i < 1000; ++i)); do
        kill -USR1 "$pid" 2>/dev/null || break
        sleep 0.01
    done
    kill -KILL "$pid" 2>/dev/null || true
    status=0
    wait "$pid" || status=$?
    expect_status 0 "doublings"
    cmp -s in out || fail "doublings: the output differs"
    expect_stderr '^throttle: limit now ' "doublings"
}

# Larger chunks at a higher rate buy no larger burst, though a reader stalls and holds one back.
test_doubling_keeps_burst() {
    local pid reader limit
    data 400000 >in
    mkfifo slow
    : >out
    : >err
    "$throttle" --progress -r 250k -b 40k --log log <in >slow 2>err &
    pid=$!
    { head -c 100000; sleep 0.3; cat; } <slow >out &
    reader=$!
    until_written out
    for limit in '500.0 kB' '1.0 MB' '2.0 MB'; do
        kill -USR1 "$pid"
        until_said "^throttle: limit now $limit/s"
    done
    wait "$reader" "$pid" || fail "doublings with a slow reader: exit status $?"
    cmp -s in out || fail "doublings with a slow reader: the output differs"
    expect_no_excess 2000000 40000 log "doublings with a slow reader"
}

# What leaves after a SIGUSR2 keeps to the half. The windows looked at begin when that was in force.
test_halving() {
    local pid
    : >out
    : >err
    yes | "$throttle" --progress -r 1M -b 20k --log log 2>err >out &
    pid=$!
    until_written out
    kill -USR2 "$pid"
    until_said '^throttle: limit now 500.0 kB/s'
    sleep 0.3
    end_by TERM 143 "SIGTERM after a halving"
    awk 'NR == FNR { last = $1; next } $1 > last - 200000000' log log >end.log
    [[ $(wc -l <end.log) -ge 2 ]] || fail "a halving: nothing was copied after it"
    expect_no_excess 500000 20000 end.log "a halving"
}

# A rate that no bucket can have is refused, and copying goes on at the old one.
test_doubling_beyond() {
    local pid
    mkfifo feed
    exec 9<>feed
    start feed out -r 10G
    printf 'data' >&9
    until_written out
    kill -USR1 "$pid"
    printf 'more' >&9
    until_said '^throttle: doubling the rate: TB_E_OUT_OF_RANGE'
    printf 'end' >&9
    until_copied datamoreend
    end_by TERM 143 "SIGTERM after a doubling too many"
}

until_copied() { # TEXT: or for ten seconds
    local i
    for ((i = 0; i < 1000; ++i)); do
        if [[ $(cat out) == "$1" ]]; then return; fi
        sleep 0.01
    done
    fail "copied $(cat out), not $1"
}

stat_of() { # NAME: from the last line said, as "name=3.14"
    tail -n 1 err | grep -oE "\b$1=[0-9.]+" | cut -d = -f 2
}

expect_stats() { # CONDITION OF bytes lines seconds rate waited waits
    awk -v bytes="$(stat_of bytes)" -v lines="$(stat_of lines)" -v seconds="$(stat_of seconds)" \
        -v rate="$(stat_of mean_rate)" -v waited="$(stat_of waited_seconds)" -v waits="$(stat_of waits)" \
        "BEGIN { exit !($1) }" || fail "--stats, $1: $(cat err)"
}

test_stats() {
    data 300000 >in
    run --stats --rate 1M --burst 100k
    expect_status 0 "--stats"
    cmp -s in out || fail "--stats: the output differs"
    [[ $(wc -l <err) == 1 ]] || fail "--stats: said $(cat err)"
    expect_stats 'bytes == 300000 && lines == "" && seconds >= 0.2 && waits >= 1'
    expect_stats 'waited > 0 && waited <= seconds && rate > 299999 / (seconds + 0.001) && rate < 300001 / (seconds - 0.001)'

    printf 'one\ntwo\nthree\n' >in
    run --stats --lines --rate 1M
    expect_stats 'bytes == 14 && lines == 3 && waits == 0 && waited == 0'
}

# Non-blocking descriptors, as another process that shares them may leave them behind.
test_non_blocking() {
    data 300000 >in
    mkfifo from to
    exec 7<>from 8<>to
    dd iflag=nonblock oflag=nonblock count=0 <&7 >&8 2>/dev/null
    cat in >from &
    "$throttle" -r 100M <&7 >&8 2>err &
    local pid=$!
    head -c 300000 <to | cmp -s - in || fail "non-blocking descriptors: the output differs; stderr: $(cat err)"
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

test_bytes
test_lines
test_never_faster
test_bounded_burst
test_refusals
test_failures
test_reader_gone
test_signals
test_doubling
test_doubling_keeps_burst
test_halving
test_doubling_beyond
test_stats
test_non_blocking
exit $((failures > 0))

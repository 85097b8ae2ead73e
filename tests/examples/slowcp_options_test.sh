#!/usr/bin/env bash
# The command line of slowcp: what it refuses and how it says so, whom it blames for what it cannot copy, what it shows
# on a terminal, and how it ends.
set -Eeuo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
source "$TB_SOURCE/tests/examples/command_line.sh"
require cargo
export CARGO_NET_OFFLINE=true CARGO_TARGET_DIR=$TB_BUILD/slowcp-target
TOKENBUCKET_LIB_DIR=$TB_BUILD TOKENBUCKET_STATIC=1 cargo build --quiet --locked --manifest-path "$TB_SOURCE/examples/rust/slowcp/Cargo.toml"
slowcp=$CARGO_TARGET_DIR/debug/slowcp
cd "$(fresh_folder slowcp_options_test)"
trap 'fail "lines $LINENO ${BASH_LINENO[*]}: $BASH_COMMAND; standard error: $(cat err)"' ERR
mkdir to
head -c 300000 /dev/urandom >a
cp a b

for rate in 0 ten '' -5 1e6 0x10 inf nan 1.2.3 . 5Q 10Mb 1m 1MB/h 99999999999999999999T 20G; do
    refuses "$slowcp" "--rate must be from 0.000000001 to 10GB/s, such as 512K, 10MB or 1MiB/s, not '$rate'" "--rate=$rate" a to
done
for burst in 0 0.9 -1 '' ten 1MB/s 1001TB; do
    refuses "$slowcp" "--burst must be from 1 to 1000TB, such as 64K or 1MiB, not '$burst'" -r 1M "--burst=$burst" a to
done
for jobs in 0 -1 four '' 1.5 1001; do
    refuses "$slowcp" "--jobs must be from 1 to 1000, such as 4, not '$jobs'" -r 1M "--jobs=$jobs" a to
done
refuses "$slowcp" "--rate is needed, such as '--rate 10MB/s'" a to
refuses "$slowcp" "a FILE and a TARGET are needed" -r 1M a
refuses "$slowcp" "unrecognized option '--no-such'" --no-such -r 1M a to
refuses "$slowcp" "option '--rate' requires an argument" a to --rate
refuses "$slowcp" "option '--quiet' takes no argument such as 'no'" -r 1M --quiet=no a to
informs "$slowcp"
{ "$slowcp" --help || true; } 2>err | true
[[ ! -s err ]]

# fails MESSAGE ARGUMENT...: exits with 1, and says that alone; nothing half done stays.
fails() {
    local status=0
    timeout -s KILL 10 "$slowcp" --rate 1G "${@:2}" >out 2>err || status=$?
    [[ $status == 1 && ! -s out && $(cat err) == "slowcp: $1" ]]
    [[ -z $(find . -name '.*.slowcp') ]]
}
fails "cannot read 'none': No such file or directory" none to
fails "cannot read '/': not a regular file" / to
fails "cannot read 'to': not a regular file" to c
mkfifo pipe
fails "cannot read 'pipe': not a regular file" pipe c
fails "cannot write 'pipe': not a regular file" a pipe
[[ -p pipe ]]
fails "cannot create a file in '/nope/dir': No such file or directory" a /nope/dir/x
fails "cannot create a file in 'a': Not a directory" b a/x
fails "the target '/nope/dir/' is not a folder" a /nope/dir/
fails "the target 'c' is not a folder" a b c
fails "two files would go to 'to/a'" a ./a to
fails "cannot write './a': source and target are the same file" a ./a
mkdir to/a
fails "cannot write 'to/a': Is a directory" a to
rmdir to/a
fails "cannot write 'no/log': No such file or directory" --log no/log a to
fails "cannot write '/dev/full': No space left on device" --log /dev/full a to
touch to/.a.slowcp
status=0
"$slowcp" --rate 1G a to 2>err || status=$?
[[ $status == 1 && $(cat err) == "slowcp: cannot create 'to/.a.slowcp': it is there: another slowcp copies to it, or was killed and left it behind" ]]
rm to/.a.slowcp to/a
# Where a folder of a few pages can be had, one that is full.
mkdir small
if unshare -rm mount -t tmpfs -o size=64k none small 2>/dev/null; then
    # shellcheck disable=SC2016 # the inner shell's
    unshare -rm sh -c 'mount -t tmpfs -o size=64k none small && "$1" --rate 1G a small; echo $?; ls -A small' sh "$slowcp" >out 2>err
    [[ $(cat err) == "slowcp: cannot write 'small/a': No space left on device" && $(cat out) == 1 ]]
fi

# A signal ends it at once, in a wait of hours, as that signal does, without a word and without a partial file.
for signal in INT TERM HUP; do
    # What runs in the background of a script ignores SIGINT.
    env --default-signal=INT "$slowcp" --rate 0.001 --burst 1 a b to 2>err &
    pid=$!
    for _ in {1..1000}; do if [[ $(find to -name '.*.slowcp' | wc -l) == 2 ]]; then break; fi; sleep 0.01; done
    kill -s "$signal" "$pid"
    status=0
    { wait "$pid" || status=$?; } 2>/dev/null
    [[ $status == $((128 + $(kill -l "$signal"))) && ! -s err && -z $(ls -A to) ]]
done

# Progress: on a terminal, with the whole and the time left; none if not, or if quiet.
"$slowcp" --rate 10M a b to >out 2>err
[[ ! -s err && ! -s out ]]
"$slowcp" --progress --rate 10M a b to >out 2>err
grep -qE '^slowcp: 600\.0 kB in [0-9.]+ s, average [0-9.]+ [kMG]B/s$' err
if command -v script >/dev/null; then
    on_terminal "'$slowcp' -r 800k -b 20k a b to"
    grep -qE '^[0-9.]+ kB of 600\.0 kB, now [0-9.]+ kB/s, average [0-9.]+ kB/s, 0:[0-9]{2} left' shown
    grep -qE '^600\.0 kB in [0-9.]+ s, average [0-9.]+ kB/s' shown
    for patience in 0.7 2 9; do # a busy machine may take longer to begin
        on_terminal "timeout -s INT $patience '$slowcp' -r 0.00001 -b 1 a to"
        shows=$(grep -cE '^[01] B of 300\.0 kB, .*, never ends' shown || true)
        if ((shows >= 2)); then break; fi
    done
    ((shows >= 2))
    on_terminal "'$slowcp' -q -r 800k -b 20k a b to"
    [[ ! -s shown ]]
fi

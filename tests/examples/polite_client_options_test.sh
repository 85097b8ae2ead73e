#!/usr/bin/env bash
# The command line of polite_client: what it refuses and how it says so, its help, what it shows on a terminal, and how
# it ends.
set -Eeuo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
source "$TB_SOURCE/tests/examples/command_line.sh"
source "$TB_SOURCE/bindings/python/build.sh"
python=$(system_python)
[[ -n $python ]] || skip "Python is not installed"
cd "$(fresh_folder polite_client_options_test)"
trap 'fail "lines $LINENO ${BASH_LINENO[*]}: $BASH_COMMAND; standard error: $(cat err)"' ERR
trap 'kill -KILL "${pid:-}" "${server_process:-}" 2>/dev/null || true' EXIT
export PYTHONPATH=$TB_SOURCE/bindings/python/src PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH=$TB_BUILD
folder=$TB_SOURCE/examples/python/polite_client
printf '#!/bin/sh\nexec "%s" "%s/client.py" "$@"\n' "$python" "$folder" >polite_client
chmod +x polite_client
client=$PWD/polite_client

for port in 0 65536 -1 http '' 8080x; do
    refuses "$client" "PORT must be from 1 to 65535, such as 8080, not '$port'" "$port" 5
done
for time in 0 0.05 -5 five '' 1e3 25h 86401 5m nan; do
    refuses "$client" "TIME must be from 0.1s to 24h, such as 500ms, 5s or 2min, not '$time'" 8080 "$time"
done
refuses "$client" "PORT and TIME are needed, such as '8080 5s'"
refuses "$client" "PORT and TIME are needed, such as '8080 5s'" 8080
refuses "$client" "unrecognized option '--no-such'" 8080 5 --no-such
refuses "$client" "it takes no argument such as '7'" 8080 5 7
refuses "$client" "-q/--quiet ignored explicit argument 'no'" --quiet=no 8080 5
informs "$client"

coproc server { exec "$python" "$folder/server.py"; }
# shellcheck disable=SC2154 # coproc sets it
server_process=$server_PID
read -r port <&"${server[0]}"
# Ctrl-C ends it without a word.
env --default-signal=INT "$client" "$port" 60 >out 2>err &
pid=$!
served() { # what the server has served
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET /report HTTP/1.0\r\n\r\n' >&3
    sed -n 's/^{"served": \([0-9]*\).*/\1/p' <&3
    exec 3>&-
}
for _ in {1..1000}; do if (($(served) > 0)); then break; fi; sleep 0.01; done
kill -INT "$pid"
status=0
{ wait "$pid" || status=$?; } 2>/dev/null
[[ $status == 130 && ! -s err && ! -s out ]]
"$client" "$port" 200ms >out 2>err
[[ ! -s err ]]
grep -qE '^\{"served": [1-9]' out
status=0
"$client" "$port" 0.2 >/dev/full 2>err || status=$?
[[ $status == 1 && $(cat err) == "polite_client: standard output: No space left on device" ]]
# A reader that has gone ends it without a word, too.
"$client" "$port" 0.2 2>err | true || status=${PIPESTATUS[0]}
[[ $status == 141 && ! -s err ]]
if command -v script >/dev/null; then
    on_terminal "'$client' $port 0.8 >out"
    grep -qE '^[0-9]+ requests, now [0-9.]+/s, average [0-9.]+/s, 0:00 left' shown
    on_terminal "'$client' --quiet $port 0.4 >out"
    [[ ! -s shown ]]
fi

# A server that is gone, and one of another kind.
kill "$server_process"
wait "$server_process" 2>/dev/null || true
status=0
"$client" "$port" 1 >out 2>err || status=$?
[[ $status == 1 && ! -s out && $(cat err) == "polite_client: the server at 127.0.0.1:$port: Connection refused" ]]
"$python" -c '
import itertools, socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    for answer in itertools.chain([b"220 mail\r\n"] * 40, itertools.repeat(b"HTTP/1.0 404 Not Found\r\n\r\n{}")):
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(answer)
        connection.close()
' >other &
pid=$!
for _ in {1..1000}; do if [[ -s other ]]; then break; fi; sleep 0.01; done
for _ in mail other-pages; do
    status=0
    "$client" "$(cat other)" 1 >out 2>err || status=$?
    [[ $status == 1 && ! -s out && $(cat err) == "polite_client: the server at 127.0.0.1:$(cat other): its answer is none of server.py" ]]
done

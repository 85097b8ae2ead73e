#!/usr/bin/env bash
# The command line of quotaproxy: what it refuses and how it says so, its help and its manual page, and how it ends.
set -Eeuo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
source "$TB_SOURCE/tests/examples/command_line.sh"
source "$TB_SOURCE/bindings/go/env.sh"
cd "$(fresh_folder quotaproxy_options_test)"
trap 'fail "lines $LINENO ${BASH_LINENO[*]}: $BASH_COMMAND; standard error: $(cat err)"' ERR
trap 'kill -KILL "${pid:-}" 2>/dev/null || true' EXIT
quotaproxy=$PWD/quotaproxy
(cd "$TB_SOURCE/examples/go" && go build -o "$quotaproxy" ./quotaproxy)
target=(--target http://127.0.0.1:9)

rate='must be from 0.000000001 to 10G requests per second, such as 10, 2.5K/s or 600/min'
for value in 0 -4 ten '' 1e6 inf nan 10MB 5Q 20G 10/day 10/s/s; do
    refuses "$quotaproxy" "--rate $rate, not '$value'" "${target[@]}" --rate "$value"
    refuses "$quotaproxy" "--upstream-rate $rate, not '$value'" "${target[@]}" "--upstream-rate=$value"
done
for value in 0 -1 0.9 ten '' 10/s 1001T; do
    refuses "$quotaproxy" "--burst must be from 1 to 1000T requests, such as 20 or 1K, not '$value'" "${target[@]}" --burst "$value"
    refuses "$quotaproxy" "--upstream-burst must be from 1 to 1000T requests, such as 20 or 1K, not '$value'" "${target[@]}" --upstream-burst "$value"
done
for value in 0 -1 many '' 1.1G; do
    refuses "$quotaproxy" "--max-clients must be from 1 to 1G clients, such as 100K, not '$value'" "${target[@]}" --max-clients "$value"
done
for flag in upstream-wait grace; do
    for value in -1s soon '' 25h 86401; do
        refuses "$quotaproxy" "--$flag must be from 0 to 24h, such as 500ms, 5s or 1m30s, not '$value'" "${target[@]}" "--$flag" "$value"
    done
done
for flag in listen metrics; do
    for value in 127.0.0.1 8080 :70000 ::1:80 '' :no-such-service; do
        refuses "$quotaproxy" "--$flag must be an address and a port, such as 127.0.0.1:8080 or :80, not '$value'" "${target[@]}" "--$flag" "$value"
    done
done
for value in '' 127.0.0.1:80 ftp://a http:// 'http://[' /path; do
    refuses "$quotaproxy" "--target must be a URL of http or https, such as http://127.0.0.1:9000, not '$value'" --target "$value"
done
for value in '' 'X Y' 'X:'; do
    refuses "$quotaproxy" "--key-header must be the name of a header, such as X-Api-Key, not '$value'" "${target[@]}" --key-header "$value"
done
refuses "$quotaproxy" "--target is needed, such as '--target http://127.0.0.1:9000'"
refuses "$quotaproxy" "it takes no argument such as 'http://a'" http://a
refuses "$quotaproxy" "unrecognized option '--no-such'" "${target[@]}" --no-such
refuses "$quotaproxy" "option '--rate' requires an argument" "${target[@]}" --rate
informs "$quotaproxy" "$TB_SOURCE/examples/go/quotaproxy/quotaproxy.1"
{ "$quotaproxy" --help || true; } 2>err | true
[[ ! -s err ]]

# It says where it listens, and a signal ends it with success. Another one there is told that the port is taken.
env --default-signal=INT "$quotaproxy" "${target[@]}" --listen 127.0.0.1:0 2>err &
pid=$!
for _ in {1..1000}; do if [[ -s err ]]; then break; fi; sleep 0.01; done
[[ $(cat err) =~ ^'quotaproxy: '(127\.0\.0\.1:[0-9]+)' -> http://127.0.0.1:9, 10 requests per second and client, bursts of 20'$ ]]
address=${BASH_REMATCH[1]}
for flag in listen metrics; do
    status=0
    "$quotaproxy" "${target[@]}" "--$flag" "$address" 2>err || status=$?
    [[ $status == 1 && $(cat err) == "quotaproxy: cannot listen on '$address': address already in use" ]]
done
kill -INT "$pid"
wait "$pid"

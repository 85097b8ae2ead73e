#!/usr/bin/env bash
# Runs the client for five seconds against a server that counts, and checks: no quota exceeded, no Retry-After ignored,
# and the scarcer of the two budgets used to nine tenths at least. TB_BUILD is the folder with the library.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

python=$(command -v /usr/bin/python3 || command -v python3 || true)
if [[ -z $python ]] || ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
    echo "skipped: Python 3.9 (python3) is not installed"
    exit 77
fi
export PYTHONPATH=$PWD/../../../bindings/python/src PYTHONDONTWRITEBYTECODE=1
export LD_LIBRARY_PATH=${TB_BUILD:?the folder with the built library}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

"$python" client_test.py
coproc server { exec "$python" server.py; }
# shellcheck disable=SC2154 # coproc sets it, and forgets it when the server has ended
readonly server_process=$server_PID
trap 'kill "$server_process" 2>/dev/null; wait "$server_process" 2>/dev/null || true' EXIT
read -r port <&"${server[0]}"
echo "40 tasks under two quotas, a minute made of 2 seconds, for 5 seconds:"
"$python" client.py "$port" 5 | "$python" table.py || { echo "the client was impolite, or too shy" && exit 1; }

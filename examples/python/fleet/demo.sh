#!/usr/bin/env bash
# Three processes ask for tokens of one limit in Redis for one and a half seconds, as fast as they can. The demo
# checks: together they were granted no more than the limit allows, and nearly all of that. It starts a server of its
# own, without a port. TB_BUILD is the folder with the library.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

python=$(command -v /usr/bin/python3 || command -v python3 || true)
if [[ -z $python ]] || ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
    echo "skipped: Python 3.9 (python3) is not installed"
    exit 77
fi
if ! command -v redis-server >/dev/null; then
    echo "skipped: redis-server is not installed"
    exit 77
fi
if ! "$python" -c 'import redis' 2>/dev/null; then
    echo "skipped: redis for Python (python3-redis) is not installed"
    exit 77
fi
export PYTHONPATH=$PWD/../../../bindings/python/src PYTHONDONTWRITEBYTECODE=1
export LD_LIBRARY_PATH=${TB_BUILD:?the folder with the built library}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

folder=$(mktemp -d)
redis-server --port 0 --unixsocket "$folder/s" --save '' --appendonly no --dir "$folder" --logfile "$folder/log" &
readonly server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
for ((tries = 0; tries < 1000; ++tries)); do
    if [[ -S $folder/s ]]; then break; fi
    sleep 0.01
done
"$python" fleet.py "$folder/s"

#!/usr/bin/env bash
# Four forked processes take from one bucket in shared memory for a second, as fast as they can. The demo checks:
# together they were granted no more than the limit allows, and nearly all of that. TB_BUILD is the folder with the
# library.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

python=$(command -v /usr/bin/python3 || command -v python3 || true)
if [[ -z $python ]] || ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
    echo "skipped: Python 3.9 (python3) is not installed"
    exit 77
fi
export PYTHONPATH=$PWD/../../../bindings/python/src PYTHONDONTWRITEBYTECODE=1
export LD_LIBRARY_PATH=${TB_BUILD:?the folder with the built library}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
"$python" workers.py

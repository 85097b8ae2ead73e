#!/usr/bin/env bash
# Measures the package in TB_BUILD's terms: language | call | ns per call | peer's name | peer's ns | ratio.
# The peer is the usual Python bucket, a lock and a float, in the same process.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TB_BUILD=$(cd "${TB_BUILD:?the folder with the built library}" && pwd)
# shellcheck source-path=SCRIPTDIR source=build.sh
source "$here/build.sh"

python=$(system_python)
reason=$(missing_for_python)
if [[ -n $reason ]]; then
    echo "skipped: $reason"
    exit 77
fi
unset PYTHONPATH TOKENBUCKET_STATIC

out=$TB_BUILD/python-bench
rm -rf "$out"
mkdir -p "$out"
export PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
source_archive "$out"
PKG_CONFIG_PATH=$TB_BUILD wheel "$out"/tokenbucket-*.tar.gz "$out/wheel"
site "$out"/wheel/*.whl "$out/site"

export LD_LIBRARY_PATH=$TB_BUILD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} PYTHONPATH=$out/site
for backend in native ctypes; do TOKENBUCKET_BACKEND=$backend "$python" "$here/bench.py" "$@"; done

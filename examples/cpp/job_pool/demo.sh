#!/usr/bin/env bash
# Builds the job pool against the library in TB_BUILD and runs it: a table of what three flooding tenants were granted.
# How it is judged: exactly from above, and from below by a machine that stalls for no more than half a minute.
set -euo pipefail
here=$TB_SOURCE/examples/cpp/job_pool

skip() {
    echo "skipped: $1"
    exit 77
}
read -ra cxx <<<"${CXX:-c++}"
command -v "${cxx[0]}" >/dev/null || skip "a C++ compiler (${cxx[0]}) is not installed"
command -v pkg-config >/dev/null || skip "pkg-config is not installed"
export PKG_CONFIG_PATH=$TB_BUILD LD_LIBRARY_PATH=$TB_BUILD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

program=$TB_BUILD/job_pool
flags=()
eval "flags=($(pkg-config --cflags --libs tokenbucket))" # quoted for the shell
"${cxx[@]}" -std=c++17 -O2 -Wall -Wextra -Wpedantic -Werror "$here/main.cc" "${flags[@]}" -pthread -o "$program"

echo "job_pool: three tenants submit 2500 tokens' worth of jobs each, patience 1 s"
status=0
table=$("$program") || status=$?
echo "$table"
((status == 0)) || { echo "job_pool: exit status $status"; exit 1; }
# All that was accepted ran by the shared limit: not before its time, and without a stall of a thread or a lost wake-up.
awk '
    $1 == "all" { seen = 1; ran = $4; last = $5; soonest = (ran - $3) / $2 }
    $1 != "all" && $NF == "ok" { ++tenants; accepted += $4 }
    END { exit !(seen && tenants == 3 && accepted == ran && last >= soonest - 0.01 && last < soonest + 30) }' <<<"$table" ||
    { echo "job_pool: the table does not add up"; exit 1; }

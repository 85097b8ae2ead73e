#!/usr/bin/env bash
# Measures a take in C and in C++ with the library in TB_BUILD, beside a bucket of a mutex and a double. Prints lines
# `language | call | ns per call | peer's name | peer's ns | ratio`: medians of rounds that hold one sample of each.
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${TB_BUILD:?the folder with the built library}"
read -ra cxx <<<"${CXX:-c++}"

skip() {
    echo "skipped: $1"
    exit 77
}
command -v "${cxx[0]}" >/dev/null || skip "a C++ compiler (${cxx[0]}) is not installed"
flags=(-std=c++20 -O2 -I"$source" -I"$source/capi/include" -I"$source/bindings/cpp/include")
echo '#include <benchmark/benchmark.h>' | "${cxx[@]}" -x c++ -fsyntax-only - 2>/dev/null ||
    skip "Google Benchmark (libbenchmark-dev) is not installed"

folder=$TB_BUILD/cpp_bench
mkdir -p "$folder"
"${cxx[@]}" "${flags[@]}" -shared -fPIC "$source/tests/bench/mutex_bucket.cc" -o "$folder/libmutex_bucket.so"
"${cxx[@]}" "${flags[@]}" "$source/bindings/cpp/bench.cc" "$source/tests/bench/rounds.cc" \
    -L"$folder" -lmutex_bucket -L"$TB_BUILD" -ltokenbucket -lbenchmark -pthread -o "$folder/bench"
LD_LIBRARY_PATH=$folder:$TB_BUILD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$folder/bench"

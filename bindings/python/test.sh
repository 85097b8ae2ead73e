#!/usr/bin/env bash
# Builds the Python package as a user would, with the extension, without it, with the library linked in and with the
# library's sources, and runs its tests on both backends against the library in TB_BUILD.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../tests/support/shell.sh
source "$TB_SOURCE/tests/support/shell.sh"
here=$TB_SOURCE/bindings/python
# shellcheck source-path=SCRIPTDIR source=build.sh
source "$here/build.sh"

python=$(system_python)
reason=$(missing_for_python)
[[ -z $reason ]] || skip "$reason"
require pkg-config
unset TOKENBUCKET_BACKEND TOKENBUCKET_STATIC PYTHONPATH PYTHONHOME PKG_CONFIG

out=$(fresh_folder python)
# pip's cache is not this test's to fill.
export PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 CFLAGS="-Werror -Wconversion -Wshadow"
library_path=$TB_BUILD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# run SITE COMMAND...: Python with the package in SITE.
run() {
    LD_LIBRARY_PATH=$library_path PYTHONPATH=$1 "$python" "${@:2}"
}

expect() { # WHAT FOUND WANTED
    [[ $2 == "$3" ]] || fail "$1: $2, not $3"
}

source_archive "$out"
archive=$(echo "$out"/tokenbucket-*.tar.gz)

# ---- With the extension ----

PKG_CONFIG_PATH=$TB_BUILD wheel "$archive" "$out/native"
wheel=$(echo "$out"/native/*.whl)
[[ $wheel == *-cp310-abi3-linux_*.whl ]] || fail "no wheel of the stable ABI: $wheel"
site "$wheel" "$out/site"
expect "symbols" "$(nm -D --defined-only "$out"/site/tokenbucket/_native.abi3.so | awk '{print $3}')" PyInit__native

for backend in native ctypes; do
    # Development mode: warnings, debug hooks of the memory allocators, asyncio's checks. The C library overwrites what it
    # frees, so that a use after that shows.
    if ! (cd "$here/tests" && MALLOC_PERTURB_=85 TOKENBUCKET_BACKEND=$backend run "$out/site" -X dev -m unittest) >"$out/$backend.log" 2>&1; then
        cat "$out/$backend.log"
        fail "the tests on the $backend backend"
    fi
    count=$(sed -nE 's/^Ran ([0-9]+) tests.*/\1/p' "$out/$backend.log")
    ((count >= 200)) || fail "only $count tests ran on the $backend backend"
done

# ---- Without it: where there is no compiler, but the library ----

CC=/nonexistent LD_LIBRARY_PATH=$library_path wheel "$archive" "$out/pure"
wheel=$(echo "$out"/pure/*.whl)
[[ $wheel == *-py3-none-any.whl ]] || fail "no pure wheel: $wheel"
site "$wheel" "$out/pure-site"
expect "backend of the pure wheel" "$(run "$out/pure-site" -c 'import tokenbucket; print(tokenbucket.backend)')" ctypes

# ---- Where no library is installed: built from the sources in the archive, or refused ----

self_contained() { # SITE
    expect "symbols" "$(nm -D --defined-only "$1"/tokenbucket/_native.abi3.so | awk '{print $3}')" PyInit__native
    if readelf -dW "$1"/tokenbucket/_native.abi3.so | grep -E 'NEEDED.*(tokenbucket|stdc)'; then fail "$1 needs a library"; fi
    expect "what $1 grants" "$(LD_LIBRARY_PATH='' PYTHONPATH=$1 "$python" -c \
        'import tokenbucket as t; b = t.TokenBucket(1, 0.001); print(t.backend, b.allow(), b.allow())')" "native True False"
}

export PKG_CONFIG=/nonexistent
# pip takes the archive apart in a folder of its own: nothing of this tree is in reach.
CFLAGS='' wheel "$archive" "$out/bundled"
site "$out"/bundled/*.whl "$out/bundled-site"
self_contained "$out/bundled-site"

refused() { # REASON: with the compilers that CC and CXX name
    local said
    if said=$(LD_LIBRARY_PATH='' wheel "$archive" "$out/none" 2>&1); then fail "a package was built that cannot be imported"; fi
    [[ $said == *"tokenbucket cannot be built: $1"*"sudo apt install g++ python3-dev"* ]] || fail "refused with: $said"
}
if ! ldconfig -p | grep -q libtokenbucket; then
    CC=/nonexistent refused "there is no C compiler /nonexistent"
    CXX=/nonexistent refused "/nonexistent finds no installed library, and to build it there is no C++ compiler /nonexistent"
fi
unset PKG_CONFIG

# ---- With the library linked in ----

PKG_CONFIG_PATH=$TB_BUILD TOKENBUCKET_STATIC=1 wheel "$archive" "$out/static"
site "$out"/static/*.whl "$out/static-site"
self_contained "$out/static-site"

# ---- The programs in the pages ----

blocks=$("$python" "$TB_SOURCE/tests/support/code_blocks.py" "$here/README.md" python "$out/blocks" py)
[ -n "$blocks" ] || fail "no program in bindings/python/README.md"
for block in $blocks; do
    if grep -q '^import redis' "$block" && ! "$python" -c 'import redis.asyncio' 2>/dev/null; then continue; fi
    quietly run "$out/site" -X dev -W error "$block" || fail "a program in README.md"
done

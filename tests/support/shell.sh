# Sourced by the test scripts, after set -euo pipefail: how they fail, skip, and find what they need.

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

skip() {
    printf 'skipped: %s\n' "$*"
    exit 77
}

require() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || skip "$tool is not installed"
    done
}

# An empty folder of this test's own in the build folder.
fresh_folder() {
    rm -rf "${TB_BUILD:?}/$1"
    mkdir -p "$TB_BUILD/$1"
    printf '%s\n' "$TB_BUILD/$1"
}

# The C and C++ sources and headers, build products left out.
c_and_cpp_files() {
    cd "$TB_SOURCE" || return
    find . \( -name '.?*' -o -name 'build*' -o -name target -o -name bin -o -name obj \) -prune -o \
        -type f \( -name '*.c' -o -name '*.cc' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' \) -print |
        sed 's|^\./||' | sort
}

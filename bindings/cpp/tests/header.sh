#!/usr/bin/env bash
# tokenbucket.hpp compiles alone, without a warning, in every standard from C++17 with every compiler at hand, with and
# without exceptions and run-time types; the headers that it includes compile alone; parts compiled differently make one
# program; whatever tokenbucket.h declares can be reached; and no answer is dropped unseen.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require python3
folder=$(fresh_folder cpp_header)
here=$TB_SOURCE/bindings/cpp/tests
include=$TB_SOURCE/bindings/cpp/include
mapfile -t parts < <(cd "$include" && printf '%s\n' tokenbucket/*.hpp)
flags=(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wold-style-cast -Wnon-virtual-dtor -Werror
    -I"$TB_SOURCE/capi/include" -I"$include")
bare=(-fno-exceptions -fno-rtti)

knows() { "$1" -x c++ "-std=$2" -fsyntax-only /dev/null 2>/dev/null; }

# standards COMPILER: the newest is named as compilers of either age know it.
standards() {
    local standard
    for standard in c++17 c++20 c++2b; do
        if knows "$1" "$standard"; then echo "$standard"; fi
    done
}

# compiles_alone HEADER COMPILER OPTION...: twice over, so that the guard is seen to work.
compiles_alone() {
    printf '#include <%s>\n' "$1" "$1" >"$folder/alone.cc"
    "${@:2}" "${flags[@]}" -fsyntax-only "$folder/alone.cc" || fail "$*"
}

# linked NAME COMPILER OPTION...: a program of two halves; "half" and "main" hold what is special to each.
linked() {
    local name=$1 compiler=$2
    "$compiler" "${@:3}" "${half[@]}" "${flags[@]}" -c "$here/odr_half.cc" -o "$folder/half.o"
    "$compiler" "${@:3}" "${main[@]}" "${flags[@]}" -c "$here/odr_main.cc" -o "$folder/main.o"
    "$compiler" "${@:3}" "$folder/half.o" "$folder/main.o" "$TB_SHARED" -Wl,-rpath,"$(dirname "$TB_SHARED")" \
        -o "$folder/program"
    "$folder/program" || fail "$name: the program's step $? goes wrong"
}

try() {
    local compiler=$1 standard header newest half main
    if ! command -v "$compiler" >/dev/null; then
        echo "not tried: $compiler, which is not installed"
        return
    fi
    for standard in $(standards "$compiler"); do
        compiles_alone tokenbucket.hpp "$compiler" "-std=$standard"
        compiles_alone tokenbucket.hpp "$compiler" "-std=$standard" "${bare[@]}"
    done
    for header in "${parts[@]}"; do compiles_alone "$header" "$compiler" -std=c++17; done
    newest=$(standards "$compiler" | tail -1)
    half=(-std=c++17 "${bare[@]}")
    main=("-std=$newest")
    linked "$compiler -std=c++17 ${bare[*]} with -std=$newest" "$compiler"
    # Only gcc compares the types of the parts when it links.
    case $compiler in g++) linked "$compiler -flto" "$compiler" -O2 -flto -Wodr -Wlto-type-mismatch -Werror ;; esac
    is_seen "$compiler"
    tried=$((tried + 1))
}

# An answer that is dropped, and a handler that would be gone at once, do not compile.
is_seen() {
    local compiler=$1 line compiled
    # Included at the head of each, it is read once.
    compiled=$folder/$compiler.hpp
    echo '#include <tokenbucket.hpp>' >"$compiled"
    "$compiler" -std=c++17 "${flags[@]}" -x c++-header "$compiled" -o "$compiled.gch"
    local parameters='(tokenbucket::Bucket &b, tokenbucket::Table &t, tokenbucket::RemoteLimit &r, tokenbucket::Config &c)'
    while read -r line; do
        printf 'void f%s;\n' "$parameters" >"$folder/seen.cc"
        printf 'void f%s { (void)b; (void)t; (void)r; (void)c; %s }\n' "$parameters" "$line" >>"$folder/seen.cc"
        if "$compiler" -std=c++17 "${flags[@]}" -include "$compiled" -fsyntax-only "$folder/seen.cc" 2>/dev/null; then
            fail "$compiler compiles: $line"
        fi
    done <<'END'
b.allow();
b.take();
b.wait_for(1, std::chrono::seconds(1));
b.reserve();
b.enqueue(1);
tokenbucket::Waiter w = b.enqueue(1); tokenbucket::Waiter c2 = w;
tokenbucket::Bucket::create(1, 1);
c.notify([](const tokenbucket::Event &) {});
bool granted = b.allow(); (void)granted;
tokenbucket::Bucket copy = b;
t.allow("a");
t.enqueue("a", 1);
t.reserve("a");
tokenbucket::Batch batch; t.allow_many(batch);
tokenbucket::Table copy = t;
tokenbucket::Limits(b.member()).allow();
tokenbucket::Limits(b.member()).wait();
tokenbucket::Limits(b.member()).reserve();
tokenbucket::Limits(b.member()).enqueue(1);
auto w = tokenbucket::Limits(b.member()).enqueue(1); auto c2 = w;
auto all = tokenbucket::Limits(b.member()).reserve(); auto c2 = *all;
tokenbucket::RemoteLimit::create(c, std::chrono::seconds(1));
r.take("a");
r.take("a")->read({});
tokenbucket::RemoteLimit copy = std::as_const(r);
END
    printf 'void f%s;\nvoid f%s { (void)r; (void)c; %s }\n' "$parameters" "$parameters" \
        'if (b.allow() && t.take("a")) (void)b.reserve();' >"$folder/seen.cc"
    "$compiler" -std=c++17 "${flags[@]}" -include "$compiled" -fsyntax-only "$folder/seen.cc" ||
        fail "$compiler refuses what is right"
}

# Every function, status and flag of the C header, and every field of its structs, is named in the C++ ones.
reaches_all() {
    local names found name
    found=$(grep -ohE '\b(tb_[a-z0-9_]+\(|TB_[A-Z_]+\b|[.>][a-z_]+\b|[a-z_]+\b)' "$include"/*.hpp "$include"/*/*.hpp |
        tr -d '.>(' | sort -u)
    names=$(python3 -B "$TB_SOURCE/capi/abi/generate/header.py" |
        awk '/^(function|status|constant|field) / {sub(".*[.]", "", $2); print $2}' |
        grep -vxE 'TB_VERSION_.*|TB_REMOTE_MAX_REPLY|reserved|ticket')
    [ "$(wc -l <<<"$names")" -ge 80 ] || fail "only these were found in the C header: $names"
    while read -r name; do
        grep -qxF "$name" <<<"$found" || fail "$name cannot be reached"
    done <<<"$names"
}

tried=0
reaches_all
for compiler in g++ clang++; do try $compiler; done
[ $tried -gt 0 ] || skip "neither g++ nor clang++ is installed"

#!/usr/bin/env bash
# Which room may include from which, and where the operating system and the processor may be named.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
cd "$TB_SOURCE"

# Room: what it may include from, besides itself. What lies in none of these may not exist.
arrows="
core/status.h:
core/versioned.h:
core/memory.h:
core/units:       core/status.h
core/platform:    core/status.h
core/bucket:      core/status.h core/versioned.h core/units
core/clock:       core/status.h core/versioned.h core/units core/platform
core/queue:       core/status.h core/versioned.h core/memory.h core/units core/platform core/clock core/bucket
core/shared:      core/status.h core/units core/platform core/bucket core/queue
core/limiter:     core/status.h core/memory.h core/units core/platform core/clock core/bucket core/queue core/shared
core/remote:      core/status.h core/units core/bucket
core/table:       core/status.h core/versioned.h core/memory.h core/units core/platform core/clock core/bucket core/queue core/shared core/limiter
core/compose:     core/status.h core/units core/bucket core/queue core/limiter core/table
capi/include:
capi/redis:
capi/src: core/status.h core/memory.h core/platform core/clock core/bucket core/limiter core/shared core/remote core/table core/compose capi/include
"

# Conditions outside core/platform, beside include guards: file, macro.
conditions="
core/units/wide.h __cplusplus
core/units/wide.h __SIZEOF_INT128__
capi/include/tokenbucket.h __cplusplus
capi/include/tokenbucket.h __GNUC__
capi/include/tokenbucket.h TB_API
capi/src/handles.h NDEBUG
capi/redis/include/tokenbucket_redis.h __cplusplus
capi/redis/src/process.cc MADV_WIPEONFORK
"

bad=0
complain() {
    echo "$*"
    bad=1
}

# core/platform/linux and the like belong to core/platform; a header right in core is a room of its own.
folder_of() { cut -d / -f 1-2 <<<"$1"; }

# A system's folder includes from itself, from unix and the interface; unix and the interface from no system's.
check_platform_include() {
    local file=$1 target=$2 from to
    from=$(dirname "$file")
    to=$(dirname "$target")
    case $to in
        "$from" | core/platform) ;;
        core/platform/unix) [ "$from" != core/platform ] || complain "$file includes $target, which is for some systems" ;;
        *) complain "$file includes $target, which is for another system" ;;
    esac
}

check_include() {
    local file=$1 target=$2 from to
    # Each system's folder has its own, and is on the include path.
    if [ "$file $target" = "core/platform/platform.h state.h" ]; then return; fi
    from=$(folder_of "$file")
    to=$(folder_of "$target")
    [ -f "$target" ] || complain "$file includes \"$target\", which is no path from the root"
    [ "$from" = "$to" ] || grep -qE "^$from:.* $to( |$)" <<<"$arrows" ||
        complain "$file includes $target: no arrow $from -> $to"
    case $file in core/platform/*) check_platform_include "$file" "$target" ;; esac
}

# C++ headers have no suffix, and of C's these two are freestanding; all others are the operating system's, or of another
# library, which is what capi/redis is there for. It knows of this one what its users know.
check_system_include() {
    local file=$1 header=$2
    case $file in capi/redis/*) return ;; esac
    case $header in
        stddef.h | stdint.h) ;;
        *.h) complain "$file includes <$header>: only core/platform may" ;;
    esac
}

check_condition() {
    local file=$1 condition=$2 macro guard
    guard=$(guard_of "$file")
    while read -r macro; do
        [ "$macro" = "$guard" ] || grep -qxF "$file $macro" <<<"$conditions" ||
            complain "$file asks for $macro: only core/platform may"
    done < <(grep -oE '[A-Za-z_][A-Za-z_0-9]*' <<<"$condition" | grep -vxE 'if|ifdef|ifndef|elif|defined')
}

# The include guard is named for the file.
guard_of() {
    case $1 in
        capi/include/tokenbucket.h) echo TOKENBUCKET_H ;;
        capi/redis/include/tokenbucket_redis.h) echo TOKENBUCKET_REDIS_H ;;
        *) tr 'a-z/.' 'A-Z__' <<<"TOKENBUCKET_$1" ;;
    esac
}

while read -r line; do
    complain "$line: bindings and examples include public headers only"
done < <(grep -rHoE '^ *# *include *["<]([^">]*/)?(core|capi)/.*' bindings examples)

mapfile -t files < <(find core capi -name '*.cc' -o -name '*.h' -o -name '*.c' | sort)
[ "${#files[@]}" -gt 0 ] || fail "no files found"
for file in "${files[@]}"; do
    grep -q "^$(folder_of "$file"):" <<<"$arrows" || complain "$file is in no room: it has no row in $0"
    while read -r target; do
        check_include "$file" "$target"
    done < <(sed -nE 's/^ *# *include *"(.*)".*/\1/p' "$file")
    case $file in core/platform/*) continue ;; esac
    while read -r header; do
        check_system_include "$file" "$header"
    done < <(sed -nE 's/^ *# *include *<(.*)>.*/\1/p' "$file")
    while read -r condition; do
        check_condition "$file" "$condition"
    done < <(sed -nE 's/^ *# *((if|ifdef|ifndef|elif)\b.*)/\1/p' "$file")
done

for list in core/platform/*/sources.txt; do
    [ -f "$(dirname "$list")/state.h" ] || complain "$(dirname "$list") has no state.h"
done
while read -r file; do
    grep -qxF "$file" core/sources.txt capi/sources.txt capi/redis/sources.txt core/platform/*/sources.txt || complain "no list names $file"
done < <(find core capi -name '*.cc')
[ $bad -eq 0 ] || fail "the arrows of the house"

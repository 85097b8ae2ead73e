#!/usr/bin/env bash
# The lines by which README.md and capi/packaging/README.md install, as printed, on a Debian 12 on which nothing else is
# installed: as root with CMake and with Meson, and as a user without root.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
require debootstrap unshare chroot python3
((EUID == 0)) || skip "only root can set up a bare system"

# Kept between runs, as it was made; each run works in a copy.
debian=$TB_BUILD/install_bare_debian
if [ ! -e "$debian.done" ]; then
    rm -rf "$debian"
    debootstrap --variant=minbase bookworm "$debian" >"$debian.log" 2>&1 || skip "debootstrap: $(tail -n 1 "$debian.log")"
    touch "$debian.done"
fi
folder=$(fresh_folder install_bare)
machine=$folder/machine
cp -a "$debian" "$machine"
cp /etc/resolv.conf "$machine/etc"
# Nothing asks, and nothing comes that is not asked for.
echo 'APT::Get::Assume-Yes "true"; APT::Install-Recommends "false";' >"$machine/etc/apt/apt.conf.d/bare"

# in_machine USER FOLDER COMMAND: what is mounted for it goes with it. The compilers need take no pains.
in_machine() {
    # shellcheck disable=SC2016 # expanded by that shell
    unshare --mount --fork sh -ec 'mount --bind /proc "$0/proc" && mount --bind /dev "$0/dev" && exec chroot "$@"' "$machine" "$machine" \
        su - "$1" -c "set -e; export DEBIAN_FRONTEND=noninteractive CMAKE_BUILD_PARALLEL_LEVEL=2 CMAKE_BUILD_TYPE=None CFLAGS=-O0 CXXFLAGS=-O0; cd $2; $3" >"$folder/log" 2>&1
}

must() { in_machine "$@" || fail "$1 in $2: $3: $(tail -n 20 "$folder/log")"; }

must root / "apt-get update && apt-get install sudo && useradd -m somebody"
for home in root home/somebody; do
    mkdir "$machine/$home/source" "$machine/$home/project"
    tar -C "$TB_SOURCE" --anchored --exclude=./.git --exclude='./build*' --no-anchored --exclude=target --exclude=bin \
        --exclude=obj -cf - . | tar -C "$machine/$home/source" -xf -
    cp "$TB_SOURCE/tests/install/main.c" "$machine/$home/project/program.c"
    printf '%s\n' 'cmake_minimum_required(VERSION 3.22)' 'project(mine C)' 'find_package(tokenbucket 1 REQUIRED)' \
        'add_executable(mine program.c)' 'target_link_libraries(mine tokenbucket::tokenbucket)' \
        >"$machine/$home/project/CMakeLists.txt"
done
must root / "chown -R somebody: /home/somebody"
for page in README.md capi/packaging/README.md; do
    python3 -B "$TB_SOURCE/tests/support/code_blocks.py" "$TB_SOURCE/$page" sh "$folder/$page" sh >"$folder/log"
done
block() { # PAGE WORD: its one block that has it
    local found
    found=$(grep -l -- "$2" "$folder/$1"/* || true)
    [ -f "$found" ] || fail "not one block of $1 has $2: $found"
    cat "$found"
}

version=$(cat "$TB_SOURCE/capi/VERSION")
said="$version TB_SUCCESS TB_DENIED"
uses_it() {
    must root /root/project "cc program.c -ltokenbucket -o program && test \"\$(./program)\" = '$said'"
    must root / "find / -xdev -name 'libtokenbucket.*' -path '/usr/*' -delete; ldconfig"
}

must root / "apt-get install cmake"
if in_machine root /root/source "cmake -S . -B build"; then fail "built by nothing"; fi
grep -q "sudo apt install make gcc g++" "$folder/log" || fail "cmake says $(cat "$folder/log")"

long=capi/packaging/README.md
must root /root/source "$(block $long 'sudo cmake --install')"
uses_it
mv "$machine/root/source/build" "$machine/root/built"
must root /root/source "$(block $long 'sudo meson install')"
if in_machine root / "command -v dpkg-architecture"; then fail "this machine has dpkg-dev, by which Meson chooses another folder"; fi
uses_it
# The same lines as the first, so they compile nothing anew.
rm -r "$machine/root/source/build"
mv "$machine/root/built" "$machine/root/source/build"
must root /root/source "$(block README.md 'sudo cmake --install')"
uses_it

must somebody /home/somebody/source "$(block $long 'cmake --install build --prefix')"
must somebody /home/somebody/project "$(block $long 'rpath')
    cmake --build build && cc program.c \$(pkg-config --cflags --libs tokenbucket) -o searching
    test \"\$(./searching)\" = '$said'; unset LD_LIBRARY_PATH; test \"\$(./program)\" = '$said'; test \"\$(build/mine)\" = '$said'
    ! ./searching"

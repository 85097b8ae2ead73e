# Sourced by the tests of the tools' command lines: what is alike in all tools.
# shellcheck shell=bash

# refuses PROGRAM MESSAGE ARGUMENT...: exits with 2, prints nothing but the message, with the tool's name before it, and
# where help is.
refuses() {
    local name=${1##*/} status=0
    name=${name%.py}
    timeout 10 "$1" "${@:3}" >out 2>err </dev/null || status=$?
    [[ $status == 2 && ! -s out ]] || fail "$name ${*:3}: exit status $status, $(cat out err)"
    [[ $(cat err) == "$name: $2"$'\n'"Try '$name --help'." ]] || fail "$name ${*:3} says: $(cat err), not: $2"
}

# informs PROGRAM [PAGE]: --help and --version are as the other tools' are; PAGE is the manual page of this help.
informs() {
    local name=${1##*/} widest
    name=${name%.py}
    "$1" --version >out 2>err
    [[ $(cat out) == "$name (tokenbucket) $(cat "$TB_SOURCE/capi/VERSION")" && ! -s err ]] || fail "$name --version: $(cat out err)"
    "$1" --help >out 2>err
    [[ $(head -n 1 out) == "Usage: $name "* && ! -s err ]] || fail "$name --help: $(cat out err)"
    widest=$(wc -L <out)
    ((widest <= 80)) || fail "$name --help has a line of $widest columns"
    for word in --help --version 'Exit status:'; do
        grep -qF -e "$word" out || fail "$name --help does not tell of $word"
    done
    if (($# == 1)); then return; fi
    awk -v version="$(cat "$TB_SOURCE/capi/VERSION")" -f "$TB_SOURCE/examples/help_to_man.awk" out | diff -u --label "$2" --label "$name --help" "$2" - ||
        fail "make it anew: $name --help | awk -v version=\$(cat capi/VERSION) -f examples/help_to_man.awk >$2"
}

# on_terminal COMMAND: what the command shows on a terminal, in the file shown; each writing over of a line is a line.
on_terminal() {
    { script -qec "$1" /dev/null </dev/null || true; } | tr '\r' '\n' >shown
}

"""The exported symbols: the linker's version script, and what Debian's packages say of its versions."""

import re

from header import Unreadable

SCRIPT = """\
# Every exported symbol, one node per release: once released, a node is history and never edited.
# Made from tokenbucket.h by capi/abi/generate, which keeps the nodes of older versions as they are.
"""
NODE = re.compile(r"(TOKENBUCKET_[0-9.]+) \{.*?\}(?: TOKENBUCKET_[0-9.]+)?;", re.DOTALL)


def version_script(entries, old):
    """`old` is the present script. What no older node has belongs to the node of the header's version."""
    versions = [str(entry.value) for entry in entries if entry.name.startswith("TB_VERSION_")]
    current = f"TOKENBUCKET_{'.'.join(versions[:2])}"
    text, listed, last = SCRIPT, [], ""
    for node in NODE.finditer(old):
        if node[1] != current:
            text += node[0] + "\n"
            listed += re.findall(r"tb_\w+", node[0])
            last = node[1]
    functions = [entry.name for entry in entries if entry.kind == "function"]
    if gone := set(listed) - set(functions):
        raise Unreadable(f"released, and not in tokenbucket.h: {gone}")
    if new := sorted(set(functions) - set(listed)):
        local = "" if listed else "    local:\n        *;\n"
        names = "".join(f"        {name};\n" for name in new)
        text += f"{current} {{\n    global:\n{names}{local}}}{last and ' ' + last};\n"
    return text


def debian_symbols(script):
    text = "libtokenbucket.so.1 libtokenbucket1 #MINVER#\n* Build-Depends-Package: libtokenbucket-dev\n"
    for node in NODE.finditer(script):
        text += f" (symver){node[1]} {node[1].removeprefix('TOKENBUCKET_')}.0\n"
    return text

"""The declarations of the Python binding: for ctypes, and the numbers alone."""

SCALARS = {
    "void": "None",
    "double": "c_double",
    "int32_t": "c_int32",
    "int64_t": "c_int64",
    "uint32_t": "c_uint32",
    "uint64_t": "c_uint64",
    "size_t": "c_size_t",
}
POINTERS = {"void": "c_void_p", "char": "c_char_p"}
BEGINNING = '''\
"""tokenbucket.h for ctypes. Made by capi/abi/generate."""

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

'''


def spelled(type_):
    text, pointers = SCALARS.get(type_.name, type_.name), len(type_.pointers)
    if type_.name in POINTERS and pointers:
        text, pointers = POINTERS[type_.name], pointers - 1
    return "POINTER(" * pointers + text + ")" * pointers


def signature(entry):
    return ", ".join([spelled(entry.type), *(spelled(type_) for _, type_ in entry.members)])


def declaration(entry):
    if entry.kind == "alias":
        return f"{entry.name} = {spelled(entry.type)}\n"
    if entry.kind == "callback":
        return f"\n\n{entry.name}: Any = CFUNCTYPE({signature(entry)})\n"
    fields = "".join(f'        ("{name}", {spelled(type_)}),\n' for name, type_ in entry.members)
    body = f"_fields_ = [\n{fields}    ]\n" if entry.members else "pass\n"
    return f"\n\nclass {entry.name}(Structure):\n    {body}"


def declarations(entries):
    types = (entry for entry in entries if entry.kind in ("alias", "opaque", "struct", "callback"))
    functions = (f'    "{entry.name}": [{signature(entry)}],\n' for entry in entries if entry.kind == "function")
    text = BEGINNING + "".join(map(declaration, types))
    return f"{text}\n\n# name: result, then the parameters.\nFUNCTIONS = {{\n{''.join(functions)}}}\n"


def constants(entries):
    text = '"""The numbers of tokenbucket.h, under its names. Made by capi/abi/generate."""\n\n'
    for entry in entries:
        if entry.kind in ("constant", "status"):
            text += f"{entry.name} = {'2**63 - 1' if entry.value == 2**63 - 1 else entry.value}\n"
    return text

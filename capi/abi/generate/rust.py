"""The declarations of the crate tokenbucket-sys."""

import re

SCALARS = {
    "void": "c_void",
    "char": "c_char",
    "double": "f64",
    "int32_t": "i32",
    "int64_t": "i64",
    "uint32_t": "u32",
    "uint64_t": "u64",
    "size_t": "usize",
}
BEGINNING = """\
//! Made from tokenbucket.h by capi/abi/generate.
use core::ffi::c_void;
use core::marker::{PhantomData, PhantomPinned};

use crate::c_char;
"""
OPAQUE = """
/// Opaque; never made or moved by Rust code, and by itself neither `Send` nor `Sync`.
#[repr(C)]
pub struct %s {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}
"""


def spelled(type_):
    text, is_const = SCALARS.get(type_.name, type_.name), type_.is_const
    for pointer_is_const in type_.pointers:
        text, is_const = f"*{'const' if is_const else 'mut'} {text}", pointer_is_const
    return text


def result(type_):
    return "" if spelled(type_) == "c_void" else f" -> {spelled(type_)}"


def parameters(members):
    return ", ".join(f"{name}: {spelled(type_)}" for name, type_ in members)


def declaration(entry):
    name = entry.name
    if entry.kind in ("constant", "status"):
        value = "i64::MAX" if entry.value == 2**63 - 1 else entry.value
        return f"pub const {name}: {spelled(entry.type)} = {value};\n"
    if entry.kind == "alias":
        return f"\npub type {name} = {spelled(entry.type)};\n\n"
    if entry.kind == "callback":
        signature = f"fn({parameters(entry.members)}){result(entry.type)}"
        return f'\n/// It must not unwind.\npub type {name} = Option<unsafe extern "C" {signature}>;\n\n'
    if entry.kind == "opaque":
        return OPAQUE % name
    fields = "".join(f"    pub {name}: {spelled(type_)},\n" for name, type_ in entry.members)
    return f"\n#[repr(C)]\n#[derive(Clone, Copy, Debug)]\npub struct {name} {{\n{fields}}}\n"


def declarations(entries):
    text = BEGINNING + "".join(declaration(entry) for entry in entries if entry.name and entry.kind != "function")
    text += '\nextern "C" {\n'
    for entry in entries:
        if entry.kind == "function":
            text += f"    pub fn {entry.name}({parameters(entry.members)}){result(entry.type)};\n"
    text += "}\n"
    return re.sub(r"\n{3,}", "\n\n", text)

"""Reads the source of tokenbucket-sys, and spells its types as in C."""

import re

from table import Binding, Unreadable, number, put

CTYPES = {
    "i32": "int32_t",
    "i64": "int64_t",
    "u32": "uint32_t",
    "u64": "uint64_t",
    "f64": "double",
    "usize": "size_t",
    "c_char": "char",
    "c_void": "void",
}
FUNCTION = r"fn (\w+)\((.*?)\)(?: -> ([^;]+))?"
OPAQUE = "_data: [u8; 0], _marker: PhantomData<(*mut u8, PhantomPinned)>,"
HARMLESS = r"derive\(.*\)|repr\(C\)"


def read(text):
    text = " ".join(re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.S).split())
    table, attributes = {}, []
    while text:
        for pattern, reader in ITEMS:
            if m := re.match(pattern, text):
                break
        else:
            raise Unreadable(f"rust: {text[:80]}")
        if reader is attribute:
            attributes.append(m[1])
        else:
            # An attribute such as cfg could change or hide a declaration.
            if odd := [a for a in attributes if reader is not nothing and not re.fullmatch(HARMLESS, a)]:
                raise Unreadable(f"rust: {odd[0]} on {m[0]}")
            reader(table, m, attributes)
            attributes = []
        text = text[m.end() :].lstrip()
    return table


def attribute(table, m, attributes):
    raise AssertionError("attributes are gathered, not read")


def nothing(table, m, attributes):
    pass


def alias(table, m, attributes):
    put(table, m[1], "alias", (("", ctype(m[2])),), m[0])


def callback(table, m, attributes):
    f = re.fullmatch(r"fn\((.*)\)(?: -> (.+))?", m[2])
    put(table, m[1], "callback", (("", result(f[2])), *fields(f[1])), m[0])


def constant(table, m, attributes):
    put(table, m[1], "constant", ((number(m[3], "i64::MAX"), ctype(m[2])),), m[0])


def struct(table, m, attributes):
    if "repr(C)" not in attributes:
        put(table, m[1], "struct without repr(C)", (), m[0])
    elif m[2].strip() == OPAQUE:
        put(table, m[1], "opaque", (), m[0])
    else:
        put(table, m[1], "struct", fields(m[2]), m[0])


def functions(table, m, attributes):
    for item in filter(None, map(str.strip, m[1].split(";"))):
        f = re.fullmatch("pub " + FUNCTION, item)
        if f is None:
            raise Unreadable(f"rust: {item}")
        put(table, f[1], "function", (("", result(f[3])), *fields(f[2])), item)


ITEMS = [
    (r"#!\[[^\]]*\]", nothing),
    (r"#\[([^\]]*)\]", attribute),
    (r"use [^;]+;", nothing),
    (r"pub type c_char = [iu]8;", nothing),
    (r'pub type (\w+) = Option<unsafe extern "C" (fn[^;]*)>;', callback),
    (r"pub type (\w+) = (\w+);", alias),
    (r"pub const (\w+): (\w+) = ([^;]+);", constant),
    (r"pub struct (\w+) \{([^}]*)\}", struct),
    (r'extern "C" \{([^}]*)\}', functions),
]


def fields(text):
    return tuple(named(part) for part in map(str.strip, text.split(",")) if part)


def named(text):
    m = re.fullmatch(r"(?:pub )?(\w+): (.+)", text)
    if m is None:
        raise Unreadable(f"rust: {text}")
    return m[1], ctype(m[2])


def result(text):
    return ctype(text) if text else "void"


def ctype(text):
    """A type that has no C spelling here stands for itself, and so equals none of the header's."""
    text = text.strip()
    m = re.fullmatch(r"\*(mut|const) (.+)", text)
    if m is None:
        return CTYPES.get(text, text)
    target = ctype(m[2])
    if m[1] == "const":
        target = "const " + target
    return target + ("*" if target.endswith("*") else " *")


BINDING = Binding(name="rust", files="bindings/rust/tokenbucket-sys/src/*.rs", read=read)

"""Reads tokenbucket.h: the shape of header that this project writes, and nothing else. Types are spelled as
in C: "double", "const tb_config *", "tb_bucket **"."""

import re

from table import Unreadable, number, put

NO_DECLARATION = {"TOKENBUCKET_H", "TB_API", "TB_STATUS_CONSTANT"}
STATUS_ENUM = "enum { TB_STATUS_LIST(TB_STATUS_CONSTANT) }"


def read(text):
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S).replace("\\\n", " ")
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif", " ", text, flags=re.S)
    table = {}
    for line in re.findall(r"^#.*$", text, flags=re.M):
        read_directive(table, line)
    for statement in statements(re.sub(r"^#.*$", " ", text, flags=re.M)):
        read_statement(table, statement)
    return table


def read_directive(table, line):
    if re.match(r"#(if|ifdef|ifndef|else|endif|include|undef)\b", line):
        return
    macro = re.fullmatch(r"#define (\w+)(\(.*?\))?(.*)", line)
    if macro is None:
        raise Unreadable(f"header: {line}")
    name, parameters, value = macro[1], macro[2], macro[3].strip()
    if name == "TB_STATUS_LIST":
        read_statuses(table, value)
    elif name not in NO_DECLARATION:
        if parameters:
            raise Unreadable(f"header: {line}")
        put(table, name, "constant", (constant(value),), line)


def read_statuses(table, entries):
    entry = r'X\((\w+), (-?\d+), "[^"]*"\)\s*'
    if not re.fullmatch(f"({entry})+", entries):
        raise Unreadable(f"header: TB_STATUS_LIST is {entries}")
    for name, number in re.findall(entry, entries):
        put(table, name, "constant", ((int(number), "tb_status"),), f"{name} = {number}")


def constant(text):
    if unsigned := re.fullmatch(r"UINT32_C\((\d+)\)", text):
        return int(unsigned[1]), "uint32_t"
    value = number(text.strip("()"), "INT64_MAX")
    if isinstance(value, float):
        return value, "double"
    return value, "int32_t" if abs(value) < 2**31 else "int64_t"


def statements(text):
    """The text between semicolons that stand outside all braces."""
    start = depth = 0
    for i, c in enumerate(text):
        depth += {"{": 1, "}": -1}.get(c, 0)
        if c == ";" and depth == 0:
            yield " ".join(text[start:i].split())
            start = i + 1
    if text[start:].strip():
        raise Unreadable(f"header: {text[start:].strip()}")


def read_statement(table, s):
    if s == STATUS_ENUM:
        return
    if m := re.fullmatch(r"TB_API (.+?)(\w+)\((.*)\)", s):
        put(table, m[2], "function", (("", ctype(m[1])), *parameters(m[3])), s.removeprefix("TB_API "))
    elif m := re.fullmatch(r"typedef struct (\w+) \{ (.*); \} \1", s):
        put(table, m[1], "struct", (named(member) for member in m[2].split(";")), s)
    elif m := re.fullmatch(r"typedef struct (\w+) \1", s):
        put(table, m[1], "opaque", (), s)
    elif m := re.fullmatch(r"typedef (.+?)\(\*(\w+)\)\((.*)\)", s):
        put(table, m[2], "callback", (("", ctype(m[1])), *parameters(m[3])), s)
    elif m := re.fullmatch(r"typedef (\w+) (\w+)", s):
        put(table, m[2], "alias", (("", ctype(m[1])),), s)
    else:
        raise Unreadable(f"header: {s}")


def parameters(text):
    return () if text == "void" else tuple(named(p) for p in text.split(","))


def named(text):
    m = re.fullmatch(r"\s*(.+?)(\w+)\s*", text)
    if m is None:
        raise Unreadable(f"header: {text}")
    return m[2], ctype(m[1])


def ctype(text):
    m = re.fullmatch(r"((?:const )?\w+)\s*(\**)", text.strip())
    if m is None:
        raise Unreadable(f"header: the type {text}")
    return f"{m[1]} {m[2]}".strip()

"""Reads the native declarations of the C# binding, in C#'s spelling of types."""

import re

from table import Binding, Unreadable, number, put

SCALARS = {
    "int32_t": "int",
    "tb_status": "int",
    "int64_t": "long",
    "uint32_t": "uint",
    "uint64_t": "ulong",
    "size_t": "nuint",
}
# A SafeHandle keeps what it passes alive; only its own release, and a struct, hold the bare address.
HANDLES = {"tb_bucket": "BucketHandle", "tb_clock": "ClockHandle"}
CALLBACKS = {
    "tb_clock_fn": "delegate* unmanaged[Cdecl]<void*, long>",
    "tb_event_fn": "delegate* unmanaged[Cdecl]<void*, tb_event*, void>",
}
FUNCTION = r"internal static partial ([\w*]+) (\w+)\((.*?)\);"
CONSTANT = r"const (\w+) (TB_\w+) = ([^;]+);"
STRUCT = r"((?:\[[^\]]*\] )*)(?:internal |public |unsafe )*struct (tb_\w+) \{([^}]*)\}"
FIELD = r"public (\w+\*?|delegate\*[^>]*>) (\w+)"


def read(text):
    text = " ".join(re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.S).split())
    table = {}
    for attributes, name, members in re.findall(STRUCT, text):
        if attributes.strip() != "[StructLayout(LayoutKind.Sequential)]":
            raise Unreadable(f"csharp: {attributes} on {name}")
        put(table, name, "struct", fields(members), f"struct {name} {{{members}}}")
    for type_, name, value in re.findall(CONSTANT, text):
        put(table, name, "constant", ((number(value, "long.MaxValue"), type_),), f"{type_} {name} = {value}")
    for attributes, declaration in re.findall(r"\[LibraryImport\(([^\]]*)\] ([^;]*;)", text):
        function = re.fullmatch(FUNCTION, declaration)
        if function is None or not re.fullmatch(r"Library\)(, SuppressGCTransition)?", attributes):
            raise Unreadable(f"csharp: [LibraryImport({attributes}] {declaration}")
        shape = (("", function[1]), *(parameter(p) for p in split_parameters(function[3])))
        put(table, function[2], "function", shape, declaration)
    refuse_the_rest(text, table)
    return table


def refuse_the_rest(text, table):
    """Declarations in a form that was passed over above."""
    declared = {kind: sum(d.kind == kind for d in table.values()) for kind in ("function", "struct", "constant")}
    found = {
        "function": len(re.findall(r"(?:Library|Dll)Import\(", text)),
        "struct": len(re.findall(r"struct tb_", text)),
        "constant": len(re.findall(r"\bconst \w+ TB_", text)),
    }
    for kind, count in declared.items():
        if count != found[kind]:
            raise Unreadable(f"csharp: of the {kind}s, {count} were understood and {found[kind]} are there")


def fields(text):
    for member in filter(None, map(str.strip, text.split(";"))):
        field = re.fullmatch(FIELD, member)
        if field is None:
            raise Unreadable(f"csharp: {member}")
        yield field[2], field[1]


def split_parameters(text):
    """At the commas outside of <>."""
    return [p.strip() for p in re.split(r",(?![^<]*>)", text) if p.strip()]


def parameter(text):
    type_, _, name = text.rpartition(" ")
    return name, type_


def accepts(ctype, type_):
    target = ctype.removeprefix("const ").removesuffix(" *").removesuffix(" **")
    if not ctype.endswith("*"):
        return type_ == CALLBACKS.get(ctype, SCALARS.get(ctype, ctype))
    if target in HANDLES:
        handle = HANDLES[target]
        return type_ in ({f"out {handle}"} if ctype.endswith("**") else {handle, "nint"})
    target = {"char": "byte"}.get(target, SCALARS.get(target, target))
    by_reference = {f"in {target}"} if ctype.startswith("const ") else {f"out {target}", f"ref {target}"}
    return type_ in {f"{target}*"} | by_reference


BINDING = Binding(
    name="csharp",
    files="bindings/csharp/TokenBucket/*.cs",
    read=read,
    kinds=frozenset({"function", "struct", "constant"}),
    accepts=accepts,
)

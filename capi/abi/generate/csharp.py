"""The declarations of the C# binding. Blittable types only: size_t is nuint, callbacks are function pointers, bytes that
are read are a span, which is pinned for the call.

A new handle is an address, which the library writes on success only."""

from header import Type

SCALARS = {
    "double": "double",
    "char": "byte",
    "int32_t": "int",
    "int64_t": "long",
    "uint32_t": "uint",
    "uint64_t": "ulong",
    "size_t": "nuint",
}
# What the binding has wrapped. Other handles, and those in structs and of functions that destroy them, are addresses.
HANDLES = {"tb_bucket": "BucketHandle", "tb_clock": "ClockHandle", "tb_remote": "RemoteHandle", "tb_table": "TableHandle"}
# The functions that never wait for anything: see NativeMethods.cs.
SUPPRESSING = {"tb_allow", "tb_try_consume", "tb_take", "tb_take_up_to", "tb_available", "tb_time_until"}
SUPPRESSING |= {"tb_table_allow", "tb_table_take", "tb_table_take_up_to", "tb_table_available", "tb_table_time_until"}
# Outputs that are arrays.
ARRAYS = {"out_answers", "out_arguments", "out_reply", "out_reservations", "out_statuses"}
BEGINNING = """\
// Made from tokenbucket.h by capi/abi/generate.
using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace TokenBucket;
"""


class CSharp:
    def __init__(self, entries):
        self.entries = [entry for entry in entries if entry.name]
        self.named = {entry.name: entry for entry in self.entries}

    def bare(self, type_):
        """As fields, results and callbacks have it."""
        entry, stars = self.named.get(type_.name), "*" * len(type_.pointers)
        if entry is None or entry.kind == "struct":
            return SCALARS.get(type_.name, type_.name) + stars
        if entry.kind == "opaque":
            return "nint" + stars[1:]
        if entry.kind == "alias":
            return self.bare(entry.type) + stars
        types = [self.bare(member) for _, member in entry.members] + [self.bare(entry.type)]
        return f"delegate* unmanaged[Cdecl]<{', '.join(types)}>{stars}"

    def parameter(self, function, name, type_):
        entry, is_output = self.named.get(type_.name), name.startswith("out_")
        if entry and entry.kind == "opaque" and str(function.type) != "void":
            handle = HANDLES.get(type_.name, "nint")
            if len(type_.pointers) == 1:
                return handle
            if len(type_.pointers) == 2 and is_output:
                return "out nint"
        if type_.name == "void" and type_.is_const and len(type_.pointers) == 1:
            return "ReadOnlySpan<byte>"
        if name in ARRAYS:
            return self.bare(type_)
        if len(type_.pointers) != 1 or type_.is_const or type_.name == "void" or (entry and entry.kind == "opaque"):
            return self.bare(type_)
        # A struct that begins with its size is never empty: as an output it is "ref", as an input it is built in place.
        is_sized = entry and entry.kind == "struct" and entry.members[0][0] == "struct_size"
        if is_sized and not is_output:
            return self.bare(type_)
        return f"{'out' if is_output and not is_sized else 'ref'} {self.bare(Type(type_.name))}"

    def function(self, entry):
        suppress = ", SuppressGCTransition" if entry.name in SUPPRESSING else ""
        parameters = ", ".join(f"{self.parameter(entry, *member)} {member[0]}" for member in entry.members)
        return (
            f"    [LibraryImport(Library){suppress}] internal static partial "
            f"{self.bare(entry.type)} {entry.name}({parameters});\n"
        )

    def struct(self, entry):
        fields = "".join(f"    public {self.bare(type_)} {name};\n" for name, type_ in entry.members)
        unsafe = "unsafe " if "*" in fields else ""
        return f"\n[StructLayout(LayoutKind.Sequential)]\ninternal {unsafe}struct {entry.name}\n{{\n{fields}}}\n"

    def constant(self, entry):
        value = "long.MaxValue" if entry.value == 2**63 - 1 else entry.value
        return f"    internal const {self.bare(entry.type)} {entry.name} = {value};\n"

    def of(self, *kinds):
        return (entry for entry in self.entries if entry.kind in kinds)


def declarations(entries):
    csharp = CSharp(entries)
    return (
        BEGINNING
        + "".join(map(csharp.struct, csharp.of("struct")))
        + "\ninternal static unsafe partial class NativeMethods\n{\n"
        + "".join(map(csharp.constant, csharp.of("constant", "status")))
        + "\n"
        + "".join(map(csharp.function, csharp.of("function")))
        + "}\n"
    )

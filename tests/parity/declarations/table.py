"""What a header or a binding declares: a table of Declarations by their C name, and the comparison of two tables.

A shape is a tuple of (name, type) pairs:

    function, callback   ("", result), then the parameters
    struct               the fields
    opaque               none
    alias                ("", type)
    constant             (value, type)
"""

import operator
import re
from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Declaration:
    kind: str
    shape: tuple
    spelling: str


@dataclass(frozen=True)
class Binding:
    name: str
    files: str
    read: Callable
    # A thin binding may leave declarations out; those that it has must be right.
    is_complete: bool = True
    # What the language has a declaration for.
    kinds: frozenset = frozenset({"function", "callback", "struct", "opaque", "alias", "constant"})
    # Whether a type of the binding, as its reader spells it, is right for a type of the header.
    accepts: Callable = operator.eq


class Unreadable(Exception):
    """The text holds something that its reader does not know, and so cannot vouch for."""


def put(table, name, kind, shape, spelling):
    if name in table:
        raise Unreadable(f"{name} is declared twice: {spelling}")
    table[name] = Declaration(kind, tuple(shape), " ".join(spelling.split()))


def number(text, int64_max):
    """The value of a literal; int64_max is how the language writes the greatest int64_t."""
    if text == int64_max:
        return 2**63 - 1
    if not re.fullmatch(r"-?\d+(\.\d+)?", text):
        raise Unreadable(f"a constant is {text}")
    return float(text) if "." in text else int(text)


def compare(binding, declared, header):
    """Sentences that say where what a binding declares departs from the header."""
    complaints = []
    for name, wanted in header.items():
        if name in declared:
            if not is_right(binding, declared[name], wanted):
                spellings = f'the header has "{wanted.spelling}", the binding "{declared[name].spelling}"'
                complaints.append(f"{binding.name}: {name} differs; {spellings}")
        elif binding.is_complete and wanted.kind in binding.kinds:
            complaints.append(f'{binding.name}: {name} is not declared; the header has "{wanted.spelling}"')
    for name in declared.keys() - header.keys():
        spelling = declared[name].spelling
        complaints.append(f'{binding.name}: {name} is not in the header; the binding has "{spelling}"')
    return sorted(complaints)


def is_right(binding, declared, wanted):
    return (
        declared.kind == wanted.kind
        and [name for name, _ in declared.shape] == [name for name, _ in wanted.shape]
        and all(binding.accepts(w, d) for (_, w), (_, d) in zip(wanted.shape, declared.shape))
    )

"""What a header or a binding declares: a table of Declarations by their C name.

Types are spelled as in C, whoever declares them: "double", "const tb_config *", "tb_bucket **". The shapes are

    function, callback   (result type, (parameter name, type) ...)
    struct               ((field name, type) ...)
    opaque               ()
    alias                (type,)
    constant             (type, value)
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Declaration:
    kind: str
    shape: tuple
    spelling: str = field(compare=False)


class Unreadable(Exception):
    """The text holds something that its reader does not know, and so cannot vouch for."""


def put(table, name, kind, shape, spelling):
    if name in table:
        raise Unreadable(f"{name} is declared twice: {spelling}")
    table[name] = Declaration(kind, tuple(shape), " ".join(spelling.split()))


def compare(binding, declared, header, is_complete=True):
    """Sentences that say where a binding's table departs from the header's. Only a complete binding has to declare
    all; what is declared must be right."""
    complaints = []
    for name, wanted in header.items():
        if name not in declared:
            if is_complete:
                complaints.append(f'{binding}: {name} is not declared; the header has "{wanted.spelling}"')
        elif declared[name] != wanted:
            spellings = f'the header has "{wanted.spelling}", the binding "{declared[name].spelling}"'
            complaints.append(f"{binding}: {name} differs; {spellings}")
    for name in declared.keys() - header.keys():
        complaints.append(f'{binding}: {name} is not in the header; the binding has "{declared[name].spelling}"')
    return sorted(complaints)

"""Reads tokenbucket.h into a list of entries; the only reader of the header that this project has.

It knows the C that the header is written in, and refuses the rest. As a program it prints the table, an entry a line:
python3 capi/abi/generate/header.py
"""

import pathlib
import re
import sys
from dataclasses import dataclass
from typing import Any, Optional, Tuple

FILE = pathlib.Path(__file__).resolve().parents[2] / "include" / "tokenbucket.h"
TOKEN = re.compile(
    r'(?P<space>\s+)|(?P<comment>/\*.*?\*/)|(?P<directive>#(?:\\\n|/\*.*?\*/|[^\n])*)|(?P<string>"[^"\n]*")'
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign>[{}()*,;])",
    re.DOTALL,
)
SCALARS = "void char double int32_t int64_t uint32_t uint64_t size_t"
TITLE = re.compile(r"/\* -+ (.*?) -+ \*/")
STATUS = r'\s*X\((TB_\w+), (-?\d+), "([^"]*)"\)'
CONSTANTS = (
    (r"INT64_MAX", "int64_t", lambda digits: 2**63 - 1),
    (r"UINT32_C\((\d+)\)", "uint32_t", int),
    (r"UINT64_C\((\d+)\)", "uint64_t", int),
    (r"(\d+)|\((-\d+)\)", "int32_t", int),
    (r"(\d+\.\d+)|\((-\d+\.\d+)\)", "double", float),
)
# Every declaration stands under the first condition alone, and extern "C" under both.
GUARD = "#ifndef TOKENBUCKET_H"
CPLUSPLUS = "#ifdef __cplusplus"


class Unreadable(Exception):
    """The header holds something that this reader does not know, and so cannot vouch for."""


@dataclass(frozen=True)
class Type:
    """Of "const char **": the name char, const, and for each * whether that pointer is itself const."""

    name: str
    is_const: bool = False
    pointers: Tuple[bool, ...] = ()

    def __str__(self):
        stars = "".join("*const " if is_const else "*" for is_const in self.pointers).rstrip()
        return ("const " if self.is_const else "") + self.name + (" " + stars if stars else "")


@dataclass(frozen=True)
class Entry:
    """One of these kinds; text is as the header has it, comment what stands directly above.

    function, callback   type: the result; members: the parameters as (name, Type)
    struct, opaque       members: the fields, or none
    alias                type
    constant, status     type, value; of a status, message
    title, comment       of no declaration
    """

    kind: str
    text: str
    name: str = ""
    type: Optional[Type] = None
    members: Tuple[Tuple[str, Type], ...] = ()
    value: Any = None
    message: str = ""
    comment: str = ""
    # Whether a blank line stands above it, its comment included.
    is_apart: bool = True

    def lines(self):
        """Of the table: kind, name, type, and what else there is."""
        members = ", ".join(f"{type_} {name}".replace("* ", "*") for name, type_ in self.members)
        if self.kind == "struct":
            yield f"struct {self.name}"
            yield from (f"field {self.name}.{name} {type_}" for name, type_ in self.members)
        elif self.kind in ("function", "callback"):
            yield f"{self.kind} {self.name} {self.type} ({members or 'void'})"
        else:
            about = (self.kind, self.name, self.type, self.value, self.message)
            yield " ".join(str(part) for part in about if part not in (None, ""))


class Reader:
    def __init__(self, text):
        self.text = text
        # Where the present token starts and ends, and where the last entry ends.
        self.start = self.position = self.end = 0
        self.entries, self.types, self.names = [], set(SCALARS.split()), set()
        # The start and end of a comment that may be that of the next declaration.
        self.comment = None
        self.conditions = []

    def refuse(self, why):
        line = self.text.count("\n", 0, self.position) + 1
        raise Unreadable(f"tokenbucket.h:{line}: {why}")

    def token(self, *, comments=False):
        """The next token and its kind; between declarations comments count."""
        while self.position < len(self.text):
            found = TOKEN.match(self.text, self.position)
            if found is None:
                self.refuse(f"what is {self.text[self.position : self.position + 20]!r}?")
            kind = found.lastgroup
            self.position = found.end()
            if kind != "space" and (comments or kind != "comment"):
                self.start = found.start()
                return kind, found[0]
        return "end", ""

    def peek(self):
        position = self.position
        found = self.token()
        self.position = position
        return found[1]

    def expect(self, *wanted):
        for text in wanted:
            found = self.token()[1]
            if found != text:
                self.refuse(f"{found!r}, not {text!r}")

    def name(self):
        kind, text = self.token()
        if kind != "name":
            self.refuse(f"{text!r} is no name")
        return text

    def skip(self, text):
        is_there = self.peek() == text
        if is_there:
            self.token()
        return is_there

    def a_type(self):
        is_const, name, pointers = self.skip("const"), self.name(), []
        if name not in self.types:
            self.refuse(f"{name} is no type known here")
        while self.skip("*"):
            pointers.append(self.skip("const"))
        return Type(name, is_const, tuple(pointers))

    def named(self):
        type_ = self.a_type()
        return self.name(), type_

    def parameters(self):
        self.expect("(")
        members = []
        if self.peek() == "void":
            position = self.position
            self.token()
            if self.skip(")"):
                return ()
            self.position = position
        while True:
            members.append(self.named())
            if not self.skip(","):
                self.expect(")")
                return tuple(members)

    def add(self, kind, start, name="", **about):
        """An entry whose text begins at `start` and ends here, with a comment that follows on the same line."""
        if self.conditions != [GUARD]:
            self.refuse(f"{name} depends on {self.conditions}")
        if name:
            if name in self.names:
                self.refuse(f"{name} is declared twice")
            self.names.add(name)
        rest = re.compile(r"[ \t]*/\*.*?\*/", re.DOTALL).match(self.text, self.position)
        self.position = rest.end() if rest else self.position
        comment, self.comment = self.comment, None
        if comment and self.text[comment[1] : start] != "\n":
            self.free(comment)
            comment = None
        first = comment[0] if comment else start
        self.entries.append(
            Entry(
                kind,
                self.text[start : self.position],
                name,
                comment=self.text[comment[0] : comment[1]] if comment else "",
                is_apart="\n\n" in self.text[self.end : first],
                **about,
            )
        )
        self.end = self.position

    def free(self, comment):
        self.entries.append(Entry("comment", self.text[comment[0] : comment[1]]))
        self.end = comment[1]

    def read(self):
        while True:
            kind, text = self.token(comments=True)
            if self.comment and kind in ("comment", "end"):
                self.free(self.comment)
                self.comment = None
            if kind == "end":
                break
            if kind == "comment" and (title := TITLE.fullmatch(text)):
                self.entries.append(Entry("title", title[1]))
            elif kind == "comment":
                self.comment = (self.start, self.position)
            elif kind == "directive":
                self.directive(text)
            else:
                self.declaration(text, self.start)
        if self.conditions:
            self.refuse(f"{self.conditions} has no #endif")
        return self.entries

    def directive(self, text):
        line = " ".join(re.sub(r"/\*.*?\*/|\\\n", " ", text, flags=re.DOTALL).split())
        word, _, rest = line.partition(" ")
        if word in ("#if", "#ifdef", "#ifndef"):
            self.conditions.append(line)
        elif word == "#else" and self.conditions:
            self.conditions[-1] += " #else"
        elif word == "#endif" and self.conditions:
            self.conditions.pop()
        elif word == "#define":
            self.definition(text, *re.fullmatch(r"(\w+)(\(\w+(?:, \w+)*\))?(.*)", rest).groups())
        elif word not in ("#include", "#undef"):
            self.refuse(line)

    def definition(self, text, name, parameters, value):
        start = self.start
        if name == "TB_STATUS_LIST":
            self.statuses(start, value)
        elif name not in ("TOKENBUCKET_H", "TB_API", "TB_STATUS_CONSTANT"):
            for pattern, type_, number in CONSTANTS:
                if not parameters and (found := re.fullmatch(pattern, value.strip())):
                    digits = "".join(filter(None, found.groups()))
                    self.add("constant", start, name, type=Type(type_), value=number(digits))
                    return
            self.refuse(f"{name} is no constant known here")

    def statuses(self, start, value):
        if not re.fullmatch(f"({STATUS})+", value):
            self.refuse("TB_STATUS_LIST is no list of X(name, number, message)")
        for name, number, message in re.findall(STATUS, value):
            self.add("status", start, name, type=Type("tb_status"), value=int(number), message=message)

    def declaration(self, word, start):
        if word == "TB_API":
            type_, name = self.a_type(), self.name()
            members = self.parameters()
            self.expect(";")
            self.add("function", start, name, type=type_, members=members)
        elif word == "typedef":
            self.typedef(start)
        elif word == "enum":
            self.expect("{", "TB_STATUS_LIST", "(", "TB_STATUS_CONSTANT", ")", "}", ";")
        elif word == "extern" and self.conditions == [GUARD, CPLUSPLUS]:
            self.expect('"C"', "{")
        elif word != "}" or self.conditions != [GUARD, CPLUSPLUS]:
            self.refuse(f"{word!r} begins no declaration known here")

    def typedef(self, start):
        about = {}
        if self.skip("struct"):
            kind, name = "opaque", self.name()
            if self.skip("{"):
                kind, fields = "struct", []
                while not fields or not self.skip("}"):
                    fields.append(self.named())
                    self.expect(";")
                about["members"] = tuple(fields)
            self.expect(name)
        else:
            about["type"] = self.a_type()
            if self.skip("("):
                self.expect("*")
                kind, name = "callback", self.name()
                self.expect(")")
                about["members"] = self.parameters()
            else:
                kind, name = "alias", self.name()
        self.expect(";")
        self.add(kind, start, name, **about)
        self.types.add(name)


def read(text):
    return Reader(text).read()


if __name__ == "__main__":
    try:
        entries = read(FILE.read_text(encoding="utf-8"))
    except Unreadable as unreadable:
        sys.exit(str(unreadable))
    for named in filter(lambda entry: entry.name, entries):
        print(*named.lines(), sep="\n")

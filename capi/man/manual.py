"""Makes the manual page tokenbucket(3) from the header: manual.py HEADER >tokenbucket.3

The page is kept beside this file, so that no build needs Python; a test tells when the header has moved on.
"""

import pathlib
import re
import sys

SECTION = re.compile(r"/\* -+ (.*?) -+ \*/")
COMMENT = re.compile(r"/\*.*?\*/\n?", re.DOTALL)
FUNCTION = re.compile(r"^TB_API (.*?\b(tb_\w+)\([^;]*\);)", re.MULTILINE)
STATUS = re.compile(r'X\((TB_\w+), (-?\d+), "(.*?)"\)')
# What a compiler needs and a reader does not.
SCAFFOLDING = re.compile(
    r"^(#define TB_STATUS_LIST\(X\)(.*\\\n)*.*|#define TB_STATUS_CONSTANT.*|enum \{ TB_STATUS_LIST.*|#undef .*)\n?",
    re.MULTILINE,
)


def escaped(text):
    for plain, roff in (("\\", "\\e"), ("'", "\\(aq"), ("^", "\\(ha"), ("~", "\\(ti"), ("`", "\\(ga")):
        text = text.replace(plain, roff)
    return re.sub(r"^\.", r"\\&.", text)


def code(line):
    return escaped(line).replace("-", "\\-")


def prose(line):
    """Functions are bold, parameters in backticks italic, and a minus sign is no hyphen."""
    line = re.sub(r"(?<![\w.])-(?=[\dk])", r"\\-", escaped(line))
    line = re.sub(r"\\\(ga(\w+)\\\(ga", r"\\fI\1\\fP", line)
    return re.sub(r"\b(tb_\w+)(?![\w*.])", r"\\fB\1\\fP", line)


def flowing(lines):
    """A paragraph, in which a status that begins a sentence and a line of the header begins a line here too."""
    out = ".PP\n"
    for before, line in zip(["", *lines], lines):
        is_new_line = before.endswith(".") and re.match(r"TB_\w+:", line)
        out += (".br\n" if is_new_line else "") + prose(line) + "\n"
    return out


def literal(lines):
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    return ".PP\n.RS 4\n.nf\n" + "".join(code(line[margin:]) + "\n" for line in lines) + ".fi\n.RE\n"


def numbered(lines):
    """The points of a list, whose further lines hang."""
    out = ""
    for line in lines:
        point = re.match(r" ?(\d+)\. +(.*)", line)
        out += f".IP {point[1]}. 4\n{prose(point[2])}\n" if point else prose(line.strip()) + "\n"
    return out


def paragraph(lines):
    if re.match(r" 1\. ", lines[0]):
        return numbered(lines)
    out, run = "", []
    for line, following in zip(lines, [*lines[1:], None]):
        run.append(line)
        if following is None or following.startswith("  ") != line.startswith("  "):
            out += literal(run) if line.startswith("  ") else flowing(run)
            run = []
    return out


def words(comment):
    """The text of a comment without its frame, paragraph by paragraph."""
    inner = comment.strip()[2:-2].rstrip()
    lines = [re.sub(r"^ (\* ?)?", "", line, count=1) for line in inner.split("\n")]
    groups = re.split(r"\n\n+", "\n".join(lines).strip("\n"))
    return "".join(paragraph(group.split("\n")) for group in groups)


def declarations(block):
    block = re.sub(r"^TB_API ", "", SCAFFOLDING.sub("", block), flags=re.MULTILINE).strip("\n")
    if not block:
        return ""
    lines = "".join(f"\\fB{code(line)}\\fP\n" if line else "\n" for line in block.split("\n"))
    return f".PP\n.nf\n{lines}.fi\n"


def statuses(block):
    rows = STATUS.findall(block)
    return "".join(f".TP\n{name} {code(number)}\n{prose(message)}\n" for name, number, message in rows)


def part(block):
    """A title; or declarations, with what the comment above them says below them; or a comment alone."""
    title = SECTION.fullmatch(block)
    if title:
        return f'.SS "{prose(title[1])}"\n'
    comment = COMMENT.match(block)
    if not comment:
        return declarations(block)
    declared = declarations(block[comment.end() :])
    said = words(comment[0])
    if not declared:
        return said + statuses(block)
    return f"{declared}.RS 4\n{said.removeprefix('.PP' + chr(10))}.RE\n"


def introduction(comment):
    """The comment that opens the header, without the licence and the one-line summary."""
    return words(re.sub(r"^/\*.*\n \*\n \* tokenbucket: .*\n \*\n", "/*\n", comment))


def page(header):
    opening = COMMENT.match(header)[0]
    content = header[SECTION.search(header).start() : header.rindex("#ifdef __cplusplus")]
    version = ".".join(re.findall(r"#define TB_VERSION_\w+ (\d+)", header))
    functions = FUNCTION.findall(header)
    names = ",\n".join(["tokenbucket", *(name for _, name in functions)])
    summary = re.search(r"\* tokenbucket: (.*)\.", opening)[1]
    synopsis = "".join(f"\\fB{code(line)}\\fP\n" for function, _ in functions for line in function.split("\n"))
    text = (
        '.\\" Made from tokenbucket.h by manual.py.\n'
        f'.TH TOKENBUCKET 3 "" "tokenbucket {version}" "Library Functions Manual"\n.nh\n.ad l\n'
        f".SH NAME\n{names} \\- {summary}\n"
        f".SH SYNOPSIS\n.nf\n\\fB#include <tokenbucket.h>\\fP\n\n{synopsis}.fi\n"
        ".PP\ncc program.c $(pkg\\-config \\-\\-cflags \\-\\-libs tokenbucket)\n"
        f".SH DESCRIPTION\n{introduction(opening)}"
        + "".join(map(part, re.split(r"\n\n+", content.strip("\n"))))
        + ".SH SEE ALSO\n.BR pkg\\-config (1),\n.BR clock_gettime (2),\n.BR signal\\-safety (7)\n"
    )
    return re.sub(r"^(\.S[HS] .*\n)\.PP\n", r"\1", text, flags=re.MULTILINE)


if __name__ == "__main__":
    sys.stdout.write(page(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")))

"""The manual page tokenbucket(3)."""

import re


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


def declarations(entries):
    lines = "\n".join(entry.text.replace("TB_API ", "") for entry in entries).split("\n")
    return ".PP\n.nf\n" + "".join(f"\\fB{code(line)}\\fP\n" if line else "\n" for line in lines) + ".fi\n"


def statuses(entries):
    return "".join(f".TP\n{e.name} {code(str(e.value))}\n{prose(e.message)}\n" for e in entries)


def part(group):
    """A title; a comment alone; statuses below their comment; or declarations above theirs."""
    first = group[0]
    if first.kind == "title":
        return f'.SS "{prose(first.text)}"\n'
    if first.kind == "comment":
        return words(first.text)
    said = words(first.comment) if first.comment else ""
    if first.kind == "status":
        return said + statuses(group)
    said = f".RS 4\n{said.removeprefix('.PP' + chr(10))}.RE\n" if said else ""
    return declarations(group) + said


def groups(entries):
    """Declarations stand together until a blank line, or a comment, which is that of all below it."""
    group = []
    for entry in entries:
        if group and (entry.is_apart or entry.comment):
            yield group
            group = []
        group.append(entry)
    yield group


def introduction(comment):
    """The comment that opens the header, without the licence and the one-line summary."""
    return words(re.sub(r"^/\*.*\n \*\n \* tokenbucket: .*\n \*\n", "/*\n", comment))


def page(entries):
    opening, *content = entries
    version = ".".join(str(entry.value) for entry in content if entry.name.startswith("TB_VERSION_"))
    functions = [entry for entry in content if entry.kind == "function"]
    names = ",\n".join(["tokenbucket", *(function.name for function in functions)])
    summary = re.search(r"\* tokenbucket: (.*)\.", opening.text)[1]
    synopsis = declarations(functions).removeprefix(".PP\n.nf\n")
    text = (
        '.\\" Made from tokenbucket.h by capi/abi/generate.\n'
        f'.TH TOKENBUCKET 3 "" "tokenbucket {version}" "Library Functions Manual"\n.nh\n.ad l\n'
        f".SH NAME\n{names} \\- {summary}\n"
        f".SH SYNOPSIS\n.nf\n\\fB#include <tokenbucket.h>\\fP\n\n{synopsis}"
        ".PP\ncc program.c $(pkg\\-config \\-\\-cflags \\-\\-libs tokenbucket)\n"
        f".SH DESCRIPTION\n{introduction(opening.text)}"
        + "".join(map(part, groups(content)))
        + ".SH SEE ALSO\n.BR pkg\\-config (1),\n.BR clock_gettime (2),\n.BR signal\\-safety (7)\n"
    )
    return re.sub(r"^(\.S[HS] .*\n)\.PP\n", r"\1", text, flags=re.MULTILINE)

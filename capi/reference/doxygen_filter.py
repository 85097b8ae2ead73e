"""Writes a header of this project with its comments as Doxygen wants them; Doxygen calls it as its filter.

In C a heading becomes a group, and a comment above several declarations that of each. What is literal stays so. In C++
the comment at the top of tokenbucket.hpp becomes the first page. In both, what the C header declares is linked.
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "abi" / "generate"))

import header  # noqa: E402


def linked(line, links):
    return re.sub(r"\b(?:tb|TB)_\w+\b(?!\\?\*|\()", lambda name: links.get(name[0], name[0]), line)


def words(comment, links):
    """The text of a comment without its frame; a status that begins a line and a sentence begins a paragraph."""
    lines = [re.sub(r"^ (\* ?)?", "", line, count=1) for line in comment.strip()[2:-2].rstrip().split("\n")]
    out, is_list = [], False
    for before, line in zip(["", *lines], lines):
        is_list = bool(re.match(r" ?\d+\. ", line)) or (is_list and line.startswith("    "))
        if line.startswith("    ") and not is_list:
            out.append(line)
            continue
        if before.endswith(".") and re.match(r"TB_\w+:", line):
            out.append("")
        line = re.sub(r"^ (?=\d)", "", line)
        line = re.sub(r"[\\<>*]|::", lambda sign: "\\" + sign[0], line)
        out.append(linked(line, links))
    return "\n".join(line for line in out if not line.startswith("SPDX"))


def links_of(entries):
    kinds = {"function": "{}()", "constant": "#{}", "status": "#{}", "struct": "@ref {}", "callback": "#{}"}
    return {entry.name: kinds[entry.kind].format(entry.name) for entry in entries if entry.kind in kinds}


def fields(text, links):
    """Comments behind fields; one that begins with a small letter is no sentence, and needs none."""
    return re.sub(r";([ \t]*)/\*(.*?)\*/", lambda c: f";{c[1]}/**<{words('/*' + c[2] + '*/', links)} */", text, flags=re.S)


def declaration(entry, comment, links):
    text = fields(entry.text, links).replace("TB_API ", "")
    behind = re.fullmatch(r"(#define[^\n]*?)\s*(/\*.*\*/)", text, re.S)
    if behind:
        text, comment = behind[1], behind[2]
    return (f"/** {words(comment, links)} */\n" if comment else "") + text


def section(title, group, entries, links):
    """A group, which says first what stands in no declaration's comment."""
    free = "\n\n".join(words(entry.text, links) for entry in entries if entry.kind == "comment")
    out = [f"/** @defgroup {group} {title}\n\n{free}\n\n@{{ */"]
    statuses = [entry for entry in entries if entry.kind == "status"]
    comment = ""
    for entry in entries:
        comment = entry.comment or ("" if entry.is_apart else comment)
        if entry.kind not in ("comment", "status"):
            out.append(declaration(entry, comment, links))
    if statuses:
        numbers = "".join(f"{e.name} = {e.value}, /**< {e.message} */\n" for e in statuses)
        out.append(f"/** {words(statuses[0].comment, links)} */\nenum {{\n{numbers}}};")
    return "\n".join([*out, "/** @} */"])


def doxygen(entries, path, links):
    titles = [i for i, entry in enumerate(entries) if entry.kind == "title"]
    about = f"{path.name}\n{words(entries[0].text, links)} */"
    out = ["#pragma once", f"/** @file {about}" if path != header.FILE else f"/** @file */\n/** @mainpage {about}"]
    for number, (start, end) in enumerate(zip(titles, [*titles[1:], None]), 1):
        out.append(section(entries[start].text, f"{path.stem}_{number:02}", entries[start + 1 : end], links))
    return "\n".join(out)


def cpp(text, path, links):
    if path.name == "tokenbucket.hpp":
        head, end, rest = text.partition("#ifndef")
        text = "/// @mainpage tokenbucket.hpp\n" + re.sub("^//", "///", head, flags=re.M).split("\n", 1)[1] + end + rest
    prose = re.compile(r"^\s*///(?!     ).*|(?<=;)\s*///<.*", re.M)
    return prose.sub(lambda line: linked(line[0], links), text)


def filtered(path):
    text, entries = path.read_text("utf-8"), header.read(header.FILE.read_text("utf-8"))
    if path == header.FILE:
        return doxygen(entries, path, links_of(entries))
    if path.suffix == ".hpp":
        return cpp(text, path, links_of(entries))
    reader = header.Reader(text.replace(f"{path.stem.upper()}_H", "TOKENBUCKET_H"))
    reader.types |= {entry.name for entry in entries if entry.name}
    own = reader.read()
    return doxygen(own, path, links_of(entries + own))


if __name__ == "__main__":
    print(filtered(pathlib.Path(sys.argv[1]).resolve()))

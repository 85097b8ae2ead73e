"""Follows what the texts of a tree refer to within it. links.py FOLDER: prints what leads nowhere, and then fails.

In Markdown: the targets of links, pictures and HTML attributes, and the headings that their anchors name, as GitHub
makes anchors of headings. A heading is referred to by a link, not by its words in quotes, which nothing could follow.
In sources: files named as folder/page.md, with or without an anchor. In a header: sections, named as under "Section".
The lints themselves, which quote what they look for, are left out.
"""

import html.parser
import os
import pathlib
import re
import sys

BUILT = re.compile(r"\.(?!ci$).+|build.*|target|bin|obj|__pycache__")
SOURCES = {".c", ".cc", ".cs", ".csproj", ".go", ".h", ".hpp", ".in", ".py", ".rs", ".sh", ".toml", ".txt"}


def files(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not BUILT.fullmatch(name)]
        yield from (pathlib.Path(folder, name) for name in names)


def prose(text):
    """The text without its code, and with as many lines."""
    text = re.sub(r"^ *(```|~~~).*?^ *\1 *$", lambda code: "\n" * code[0].count("\n"), text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


class Attributes(html.parser.HTMLParser):
    """Collects the targets and the anchors in the HTML of a page."""

    def __init__(self, text):
        super().__init__()
        self.targets, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src"):
                self.targets.append(value)
            elif name == "srcset":
                self.targets += [candidate.split()[0] for candidate in value.split(",")]
            elif name in ("id", "name"):
                self.anchors.add(value)


def anchors(text):
    """Of the headings: in small letters, spaces as hyphens, other punctuation left out, a number after the first."""
    found = set()
    without_blocks = re.sub(r"^ *(```|~~~).*?^ *\1 *$", "", text, flags=re.M | re.S)
    for heading in re.findall(r"^#{1,6} +(.*?)[ #]*$", without_blocks, re.M):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        plain = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        anchor, number = plain, 0
        while anchor in found:
            number += 1
            anchor = f"{plain}-{number}"
        found.add(anchor)
    return found | Attributes(prose(text)).anchors


def targets(text):
    text = prose(text)
    yield from re.findall(r"\]\(\s*<?([^)\s>]*)", text)
    yield from re.findall(r"^ *\[[^]]+\]: +(\S+)", text, re.M)
    yield from Attributes(text).targets


class Tree:
    def __init__(self, root):
        self.root = root.resolve()
        self.followed = 0

    def fault(self, target, folders):
        """Why a target leads nowhere from all of these folders, or None."""
        self.followed += 1
        path, _, anchor = target.partition("#")
        candidates = [(folder / path).resolve() for folder in folders]
        there = [file for file in candidates if file.exists() and file.is_relative_to(self.root)]
        if not there:
            return "no such file"
        if anchor and not any(file.suffix == ".md" and anchor in anchors(file.read_text("utf-8")) for file in there):
            return "no such heading"
        return None

    def faults_of_page(self, page):
        text = page.read_text("utf-8")
        for target in targets(text):
            if not re.match(r"[a-z]+:", target):
                yield target, self.fault(target if target[:1] != "#" else page.name + target, [page.parent])
        for words in re.findall(r'\b(?:[Ss]ee|[A-Z]{6,}(?:\.md)?),?\s"[^"]+"', prose(text)):
            yield " ".join(words.split()), "not a link"

    def faults_of_source(self, source):
        text = source.read_text("utf-8", errors="replace")
        for target in re.findall(r"(?<![\w./*$-])(?:[\w.-]+/)+[\w-]+\.md\b(?:#[\w-]+)?", text):
            yield target, self.fault(target, [self.root, source.parent])
        if source.suffix == ".h" and (sections := re.findall(r"^/\* -{4} (.*?) -+ \*/$", text, re.M)):
            for name in re.findall(r'\bunder "([^"]+)"', re.sub(r"\n \* *", " ", text)):
                self.followed += 1
                known = any(section.split(":")[0] == name for section in sections)
                yield f'under "{name}"', None if known else "no such section"

    def faults(self):
        for file in sorted(files(self.root)):
            found = ()
            if file.suffix == ".md":
                found = self.faults_of_page(file)
            elif file.suffix in SOURCES and file.parent != self.root / "tests" / "lint":
                found = self.faults_of_source(file)
            yield from (f"{file.relative_to(self.root)}: {what}: {why}" for what, why in found if why)


def main(root):
    tree = Tree(pathlib.Path(root))
    faults = list(tree.faults())
    print(*faults, sep="\n", end="\n" if faults else "")
    if faults or not tree.followed:
        sys.exit(f"{len(faults)} of {tree.followed} references lead nowhere")


if __name__ == "__main__":
    main(*sys.argv[1:])

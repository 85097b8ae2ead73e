"""Follows every link and anchor within a site. check.py FOLDER: prints those that lead nowhere, and then fails."""

import html.parser
import json
import pathlib
import re
import sys
import urllib.parse


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.targets, self.anchors = set(), {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.targets.add(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def targets_of_search(text):
    """The names that the first page searches are data of its script."""
    found = re.search(r"^const names = (.*);$", text, re.M)
    return {url for _, _, url in json.loads(found[1].replace("<\\/", "</"))} if found else set()


def main(folder):
    site = pathlib.Path(folder).resolve()
    texts = {path: path.read_text("utf-8", errors="replace") for path in sorted(site.rglob("*.html"))}
    pages = {path: Page(text) for path, text in texts.items()}
    followed, faults = 0, []
    for path, page in pages.items():
        for target in sorted(page.targets | targets_of_search(texts[path])):
            if re.match(r"[a-z]+:", target):
                continue
            followed += 1
            file, _, anchor = target.partition("#")
            to = (path.parent / urllib.parse.unquote(file.partition("?")[0])).resolve() if file else path
            if to.is_dir():
                to /= "index.html"
            # rustdoc marks lines by a script: 10-20 are those of the lines with these numbers.
            anchor = re.sub(r"^(\d+)-\d+$", r"\1", anchor)
            if not to.exists() or not to.is_relative_to(site):
                faults.append(f"{path.relative_to(site)}: {target}: no such page")
            elif to in pages and not {anchor, urllib.parse.unquote(anchor)} & pages[to].anchors:
                faults.append(f"{path.relative_to(site)}: {target}: no such anchor")
    print(*faults, sep="\n", end="\n" if faults else "")
    if faults or not followed:
        sys.exit(f"{len(faults)} of {followed} links lead nowhere")
    print(f"{followed} links on {len(pages)} pages")


if __name__ == "__main__":
    main(*sys.argv[1:])

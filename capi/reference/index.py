"""Writes the first page of the reference, with a search over the names of all languages.

index.py SITE WORK: the pages are in folders of SITE, Doxygen's tag files in WORK.
"""

import html
import json
import pathlib
import re
import sys
import xml.etree.ElementTree

# Folder, language, its first page, and where its names stand, as a pattern of anchor and name on the pages named.
PARTS = [
    ("c", "C", "index.html", None, None),
    ("cpp", "C++", "index.html", None, None),
    ("go", "Go", "tokenbucket.html", "*.html", r'<h3 id="(.*?)">(?:type|func|const|var) (.*?)</h3>'),
    ("rust", "Rust", "tokenbucket/index.html", "tokenbucket/**/*.html", r'<section id="(method\.(\w+))" class="method">'),
    ("python", "Python", "index.html", "index.html", r'<dt class="sig[^>]*? id="tokenbucket\.((?:[\w.]+))">'),
    ("csharp", "C#", "TokenBucket.html", "*.html", r'<h[23] id="(.*?)">(.*?)</h[23]>'),
]
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>tokenbucket: reference</title><link rel="stylesheet" href="style.css"></head><body>
<h1>tokenbucket: reference</h1>
<p>An exact token-bucket rate limiter. The C header is the manual; the other languages name what differs.</p>
<table>
{rows}
</table>
<p><label>Search all languages: <input id="words" type="search" autocomplete="off"></label></p>
<ul id="found"></ul>
<script>
const names = {names};
const words = document.getElementById("words"), found = document.getElementById("found");
words.oninput = () => {{
  const wanted = words.value.toLowerCase().split(/\\s+/).filter(Boolean);
  const hits = wanted.length ? names.filter(([name, language]) =>
    wanted.every(word => (name + " " + language).toLowerCase().includes(word))) : [];
  found.replaceChildren(...hits.slice(0, 50).map(([name, language, url]) => {{
    const item = document.createElement("li"), link = document.createElement("a"), where = document.createElement("span");
    link.href = url, link.textContent = name, where.textContent = language;
    item.append(link, where);
    return item;
  }}));
}};
</script></body></html>
"""


def of_tags(path, folder):
    """From Doxygen's tag file: what is named, and where."""
    for compound in xml.etree.ElementTree.parse(path).getroot().iter("compound"):
        owner = compound.findtext("name").replace("tokenbucket::", "")
        if compound.get("kind") in ("class", "struct"):
            yield owner, f"{folder}/{compound.findtext('filename')}"
        for member in compound.iter("member"):
            if member.findtext("anchorfile"):
                name = member.findtext("name")
                whole = f"{owner}::{name}" if compound.get("kind") in ("class", "struct") and folder == "cpp" else name
                yield whole, f"{folder}/{member.findtext('anchorfile')}#{member.findtext('anchor')}"


def of_pages(site, folder, pages, pattern):
    for page in sorted((site / folder).glob(pages)):
        text = page.read_text("utf-8")
        owner = re.fullmatch(r"(?:struct|enum|trait)\.(\w+)\.html", page.name)
        if owner:
            yield owner[1], page.relative_to(site).as_posix()
        for found in re.findall(pattern, text):
            anchor, name = found if isinstance(found, tuple) else (f"tokenbucket.{found}", found)
            name = f"{owner[1]}::{name}" if owner else html.unescape(name)
            yield name, f"{page.relative_to(site).as_posix()}#{html.unescape(anchor)}"


def main(site, work):
    rows, names = [], []
    for folder, language, first, pages, pattern in PARTS:
        if not (site / folder).exists():
            continue
        found = of_pages(site, folder, pages, pattern) if pages else of_tags(work / f"{folder}.tag", folder)
        of_language = sorted({(name, language, url) for name, url in found})
        if not of_language:
            sys.exit(f"no names on the pages for {language}")
        names += of_language
        rows.append(f'<tr><th><a href="{folder}/{first}">{language}</a></th><td>{len(of_language)} names</td></tr>')
    data = json.dumps(names).replace("</", "<\\/")
    (site / "index.html").write_text(PAGE.format(rows="\n".join(rows), names=data), "utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))

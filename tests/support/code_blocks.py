"""Writes the fenced code blocks of one language in a Markdown file to numbered files.

code_blocks.py FILE LANGUAGE FOLDER EXTENSION: FOLDER/1.EXTENSION is the first block whose fence says exactly LANGUAGE.
Prints each file's name. Fails if there is none: a test that compiles no block proves nothing.
"""

import pathlib
import re
import sys


def blocks(text, language):
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def main(source, language, folder, extension):
    found = blocks(pathlib.Path(source).read_text(encoding="utf-8"), language)
    if not found:
        sys.exit(f"no block of {language} in {source}")
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    for number, code in enumerate(found, 1):
        target = pathlib.Path(folder) / f"{number}.{extension}"
        target.write_text(code, encoding="utf-8")
        print(target)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Makes whatever follows from tokenbucket.h: the manual page, the exported symbols, the declarations of the bindings.

    python3 capi/abi/generate           writes them
    python3 capi/abi/generate --check   fails if one is not as it would be written
"""

import difflib
import sys

import csharp
import exports
import header
import manual
import python
import rust

ROOT = header.FILE.parents[2]
SCRIPT = "capi/abi/tokenbucket.map"


def made(entries):
    version = ".".join(str(entry.value) for entry in entries if entry.name.startswith("TB_VERSION_"))
    if version != text_of("capi/VERSION").strip():
        raise header.Unreadable(f"tokenbucket.h is of version {version}, capi/VERSION another")
    script = exports.version_script(entries, old=text_of(SCRIPT))
    return {
        SCRIPT: script,
        "capi/man/tokenbucket.3": manual.page(entries),
        "capi/packaging/debian/libtokenbucket1.symbols": exports.debian_symbols(script),
        "bindings/csharp/TokenBucket/Declarations.cs": csharp.declarations(entries),
        "bindings/python/src/tokenbucket/_constants.py": python.constants(entries),
        "bindings/python/src/tokenbucket/_declarations.py": python.declarations(entries),
        "bindings/rust/tokenbucket-sys/src/declarations.rs": rust.declarations(entries),
    }


def text_of(path):
    return (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).exists() else ""


def main(*arguments):
    if arguments not in ((), ("--check",)):
        sys.exit(__doc__)
    try:
        files = made(header.read(header.FILE.read_text(encoding="utf-8")))
    except header.Unreadable as unreadable:
        sys.exit(str(unreadable))
    stale = {path: text for path, text in files.items() if text != text_of(path)}
    for path, text in stale.items():
        if arguments:
            lines = difflib.unified_diff(text_of(path).splitlines(), text.splitlines(), path, "as made anew", lineterm="")
            print(*lines, sep="\n", file=sys.stderr)
        else:
            (ROOT / path).write_text(text, encoding="utf-8")
    if arguments and stale:
        sys.exit(f"run: python3 capi/abi/generate; not as tokenbucket.h has it: {' '.join(stale)}")


if __name__ == "__main__":
    main(*sys.argv[1:])

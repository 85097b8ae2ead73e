"""Holds what each binding declares against capi/include/tokenbucket.h."""

import pathlib
import sys

import csharp
import header
import python
import rust
from table import Unreadable, compare

SOURCE = pathlib.Path(__file__).resolve().parents[3]
HEADER = "capi/include/tokenbucket.h"
BINDINGS = [csharp.BINDING, python.BINDING, rust.BINDING]


def text_of(pattern):
    files = sorted(SOURCE.glob(pattern))
    if not files:
        raise Unreadable(f"there is no {pattern}")
    return "\n".join(file.read_text() for file in files)


def main():
    complaints = []
    try:
        wanted = header.read(text_of(HEADER))
        for binding in BINDINGS:
            complaints += compare(binding, binding.read(text_of(binding.files)), wanted)
    except Unreadable as unreadable:
        complaints.append(f"cannot be read: {unreadable}")
    print("\n".join(complaints), end="\n" if complaints else "", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())

"""Pictures from measurements. The data lie as JSON beside the pictures, so that they can be drawn again.

measure FOLDER: reads the table of tests/bench/languages.sh, computes the rest, and writes data and pictures.
draw FOLDER: draws the pictures of the data that are there.
check FOLDER: the pictures are those of the data, what they say is true of the data, and of what is computed anew with
    fewer cases; what does not depend on their number comes out the same.
"""

import json
import pathlib
import sys

import cancel
import cost
import exactness
import overload
from svg import THEMES

PICTURES = [cost, exactness, overload, cancel]
FEWER_CASES = 300


def read(folder, picture):
    return json.loads((folder / f"{picture.NAME}.json").read_text("utf-8"))


def drawings(picture, data):
    untrue = [claim for claim, is_true in picture.claims(data).items() if not is_true]
    if untrue:
        sys.exit(f"{picture.NAME}: not true of the data: {'; '.join(untrue)}")
    return {f"{picture.NAME}.{theme}.svg": picture.draw(data, theme) for theme in THEMES}


def measure(folder):
    for picture in PICTURES:
        data = picture.measure(sys.stdin.readlines()) if picture is cost else picture.measure()
        (folder / f"{picture.NAME}.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    draw(folder)


def draw(folder):
    for picture in PICTURES:
        for name, drawing in drawings(picture, read(folder, picture)).items():
            (folder / name).write_text(drawing, "utf-8")
            print(folder / name)


def check(folder):
    for picture in PICTURES:
        for name, drawing in drawings(picture, read(folder, picture)).items():
            if (folder / name).read_text("utf-8") != drawing:
                sys.exit(f"{name} is not what its data draw")
    for picture in (overload, cancel):
        if json.loads(json.dumps(picture.measure())) != read(folder, picture):
            sys.exit(f"{picture.NAME}: the library gives other data now")
    drawings(exactness, exactness.measure(FEWER_CASES))


if __name__ == "__main__":
    {"measure": measure, "draw": draw, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))

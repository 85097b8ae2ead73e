"""What a granted call costs in each language beside the limiter that is usual there, from tests/bench/languages.sh."""

import datetime
import os
import pathlib
import platform
import re

from svg import LINE, MARGIN, WIDTH, Picture

NAME = "cost"
# The rows of the table: a take that is granted, on one thread, against the peer and not against a bare call.
CALLS = {
    "C": "tb_allow(bucket, 1), granted, 1 thread",
    "C++": "bucket.allow(1), granted, 1 thread",
    "Rust": "allow, granted, 1 thread",
    "C#": "Bucket.Allow, granted",
    "Go": "Allow",
    "Python (native)": "allow granted",
}


def machine():
    processor = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    system = re.search(r'^PRETTY_NAME="?(.*?)"?$', pathlib.Path("/etc/os-release").read_text(), re.M)
    return {
        "processor": processor[1] if processor else platform.machine(),
        "cores": os.cpu_count(),
        "system": system[1] if system else platform.system(),
    }


def measure(table):
    """The rows of a table as Markdown, and where and when it was measured: now, here."""
    rows = [[cell.strip() for cell in line.strip("|\n ").split("|")] for line in table if line.startswith("|")]
    found = {}
    for language, call, ns, peer, peer_ns, _ in (row for row in rows if len(row) == 6):
        if CALLS.get(language) == call:
            found.setdefault(language, {"call": call, "ns": float(ns), "peer": peer, "peer_ns": float(peer_ns)})
    return {
        **machine(),
        "date": datetime.date.today().isoformat(),
        "languages": {language: found[language] for language in CALLS if language in found},
    }


def claims(data):
    return {
        "each language is there, or was not measured": 0 < len(data["languages"]) <= len(CALLS),
        "ours costs less in each": all(row["ns"] < row["peer_ns"] for row in data["languages"].values()),
    }


def draw(data, theme):
    picture = Picture(theme, ["A take costs less than with the limiter", "that is usual in the language"])
    picture.lines("nanoseconds per take that is granted, on one thread")
    picture.y += 8
    rows = data["languages"]
    longest = max(max(row["ns"], row["peer_ns"]) for row in rows.values())
    left = 86
    per_ns = (WIDTH - MARGIN - left - 44) / longest
    for language, row in rows.items():
        picture.text(MARGIN, picture.y + 18, language.split(" ")[0], weight="600")
        bars = ((4, row["ns"], "ours", ""), (24, row["peer_ns"], "peer", row["peer"]))
        for offset, ns, colour, peer in bars:
            width = per_ns * ns
            picture.bar(left, picture.y + offset, width, 17, colour)
            words = f"{ns:.0f} {peer}".strip()
            if left + width + len(words) * 9 > WIDTH:
                picture.text(left + width + 6, picture.y + offset + 14, f"{ns:.0f}")
                picture.text(left + width - 8, picture.y + offset + 14, peer, "on peer", "end")
            else:
                picture.text(left + width + 6, picture.y + offset + 14, words)
        picture.y += 52
    picture.y += 6
    for colour, words in (("ours", "tokenbucket"), ("peer", "the usual limiter, by its name")):
        picture.y += LINE
        picture.bar(MARGIN, picture.y - 12, 30, 14, colour)
        picture.text(MARGIN + 40, picture.y, words)
    picture.y += 6
    picture.lines(f"{data['processor']}, {data['cores']} cores", f"{data['system']}, {data['date']}")
    return picture.svg()

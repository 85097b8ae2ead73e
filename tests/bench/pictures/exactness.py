"""How many answers differ from exact arithmetic, by rate: ours, and those of the formulas that others use.

Each limiter is drained and then asked for 10 to 500 tokens three times: too early, one nanosecond before they are
there, and when they are there. That is where rounding shows; far from it the decisions of all are right.
"""

import random

import ours
import peers
from svg import LINE, MARGIN, WIDTH, Picture

NAME = "exactness"
CASES = 5000
CAPACITY = 500  # up to 549 the unit is a billionth of a token, and each rate is whole in units per nanosecond
RATES = [("1", 1), ("3", 3), ("1 k", 1000), ("30 k", 30_000), ("7 M", 7_000_000), ("600 M", 600_000_000)]
LIMITERS = [
    ("tokenbucket", ours.Bucket),
    ("x/time/rate", peers.FloatSeconds),
    ("governor", peers.NanosecondsPerToken),
    ("Bucket4j", peers.WholeTokens),
]


def count(kind, tokens, cases):
    """Of 3 * cases decisions and of the waits, those that differ, and how much too early a grant was at most."""
    order = random.Random(1)
    exact, limiter = peers.Exact(CAPACITY, tokens, peers.SECOND), kind(CAPACITY, tokens, peers.SECOND)
    decisions = waits = all_waits = early_ns = 0
    exact.ask(0, CAPACITY), limiter.ask(0, CAPACITY)
    for _ in range(cases):
        n = order.randint(10, CAPACITY)
        there = exact.first_ns(n)
        for now_ns in (order.randint(exact.last, there - 1), there - 1, there):
            (right, right_wait), (granted, wait) = exact.ask(now_ns, n), limiter.ask(now_ns, n)
            decisions += granted != right
            if granted:
                early_ns = max(early_ns, there - now_ns)
            elif not right:
                all_waits += 1
                waits += wait != right_wait
    return {"decisions": decisions, "of": 3 * cases, "waits": waits, "of_waits": all_waits, "early_ns": early_ns}


def excess(kind, tokens):
    """What is granted to a caller who always asks, as a fraction of what exact arithmetic grants."""
    granted = []
    for limiter in (peers.Exact(CAPACITY, tokens, peers.SECOND), kind(CAPACITY, tokens, peers.SECOND)):
        limiter.ask(0, CAPACITY)
        step = CAPACITY * peers.SECOND // tokens // 100
        granted.append(sum(limiter.ask(i * step, 10)[0] for i in range(10_000)))
    return granted[1] / granted[0]


def measure(cases=CASES):
    def of(kind):
        return [{**count(kind, tokens, cases), "granted": round(excess(kind, tokens), 4)} for _, tokens in RATES]

    return {
        "capacity": CAPACITY,
        "rates": [rate for rate, _ in RATES],
        "limiters": {name: of(kind) for name, kind in LIMITERS},
    }


def claims(data):
    """What the picture says in words; each must be true of the data."""
    ours_, doubles, whole_ns, whole_tokens = data["limiters"].values()
    return {
        "ours is never wrong": all(not row["decisions"] and not row["waits"] for row in ours_),
        "each of the others is": all(
            any(row["decisions"] or row["waits"] for row in rows) for rows in (doubles, whole_ns, whole_tokens)
        ),
        "doubles are early by two nanoseconds at most": 0 < max(row["early_ns"] for row in doubles) <= 2,
        "whole nanoseconds grant 67 % too much": 1.66 < whole_ns[-1]["granted"] < 1.67,
        "of whole tokens only the waits are wrong": all(not row["decisions"] for row in whole_tokens),
    }


def table(picture, title, data, share):
    picture.lines(title, colour="text")
    column = 60
    left = WIDTH - MARGIN - column * len(data["rates"])
    picture.y += LINE
    picture.text(MARGIN, picture.y, "in %, at tokens/s:", "faint")
    for i, rate in enumerate(data["rates"]):
        picture.text(left + column * (i + 0.5), picture.y, rate, "faint", "middle")
    picture.y += 7
    for name, rows in data["limiters"].items():
        picture.text(MARGIN, picture.y + 19, name, weight="600" if name == "tokenbucket" else "400")
        for i, row in enumerate(rows):
            percent = 100 * share(row)
            colour = "wrong" if percent else "right"
            picture.bar(left + column * i + 1, picture.y + 1, column - 2, 26, f"{colour} cell")
            words = f"{percent:.0f}" if percent == 0 or percent >= 1 else f"{percent:.1g}"
            picture.text(left + column * (i + 0.5), picture.y + 19, words, colour, "middle")
        picture.y += 28
    picture.y += 6


def draw(data, theme):
    picture = Picture(theme, ["Rounding shows at the nanosecond:", "only exact units answer right at every rate"])
    table(picture, "Decisions that differ from exact arithmetic", data, lambda row: row["decisions"] / row["of"])
    table(picture, "Waits told that differ from exact arithmetic", data, lambda row: row["waits"] / row["of_waits"])
    picture.lines(
        f"{data['limiters']['tokenbucket'][0]['of']:,} decisions per number, a third of them too early, a",
        "third 1 ns before the tokens are there, a third when they",
        "are. The others are their formulas: x/time/rate counts in",
        "doubles and grants up to 2 ns early; governor in whole ns",
        "per token, which at 600 M/s lets 67 % too many through;",
        "Bucket4j in whole tokens, but it rounds waits down.",
        f"Capacity {data['capacity']}: a unit of 1e-9 token. A manual clock.",
    )
    return picture.svg()

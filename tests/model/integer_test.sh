#!/usr/bin/env bash
# Holds the integers and the readings of doubles of tests/model against Python's.
set -euo pipefail

command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
out=$TB_BUILD/integer_calculator
$CXX -std=c++20 -O1 -I"$TB_SOURCE" "$TB_SOURCE/tests/model/integer_calculator.cc" -o "$out"
python3 - "$out" <<'PYTHON'
import math
import random
import subprocess
import sys
from fractions import Fraction

random.seed(1)


def number(bits):
    n = random.choice([random.getrandbits(bits), 2**bits - random.getrandbits(3) - 1, 2**random.randrange(bits), random.getrandbits(2)])
    return random.choice([n, -n])


def written(*numbers):
    return " ".join(f"{n:x}" for n in numbers)


def simplest_that_reads_as(x):
    for q in range(1, 10**7):
        p = round(Fraction(x) * q)
        if p / q == x:
            return Fraction(p, q)


questions = []
for _ in range(20000):
    bits = random.choice([8, 64, 65, 120, 127])
    a, b, c = number(bits), number(bits), number(2 * bits)
    d = abs(random.choice([b, c])) or 1
    questions += [
        (f"+ {c:x} {a:x}", written(c + a)),
        (f"- {c:x} {a:x}", written(c - a)),
        (f"* {a:x} {b:x}", written(a * b)),
        (f"/ {c:x} {d:x}", written(*divmod(c, d))),
        (f"gcd {abs(a):x} {abs(b):x}", written(math.gcd(a, b))),
        (f"< {a:x} {b:x}", f"{a < b:d}{a == b:d}{a > b:d}"),
        (f"< {a:x} {a:x}", "010"),
    ]
for _ in range(3000):
    decimal = f"{random.randrange(1, 10**random.randrange(1, 16))}e{random.randrange(-14, 4)}"
    meant = Fraction(decimal)
    questions.append((f"meaning {float(decimal)!r}", written(meant.numerator, meant.denominator)))
for _ in range(300):
    x = random.randrange(1, 2000) / random.randrange(1, 2000)
    meant = Fraction(repr(x)) if len(repr(x).replace(".", "").strip("0")) <= 15 and "e" not in repr(x) else simplest_that_reads_as(x)
    questions.append((f"meaning {x!r}", written(meant.numerator, meant.denominator)))

answers = subprocess.run([sys.argv[1]], input="\n".join(q for q, _ in questions), text=True, capture_output=True, check=True).stdout.splitlines()
wrong = [(q, a, e) for (q, e), a in zip(questions, answers, strict=True) if a != e]
if wrong:
    sys.exit(f"{len(wrong)} of {len(questions)} wrong, such as (question, answer, expected) {wrong[0]}")
print(f"{len(questions)} answers equal Python's")
PYTHON

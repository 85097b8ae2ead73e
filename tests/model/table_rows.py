"""Checks tests/conformance/tables.txt against a map of buckets of exact fractions, written from the header's prose.

A key that has taken something has a bucket of its own, that of wait_rows.py; any other is full. The limit is that of
all keys, and a change of it touches none: what exceeds the capacity is not taken off before something is taken or put
in.
"""
import sys
from fractions import Fraction
from math import ceil, floor

from wait_rows import NEVER, Bucket, Wrong, check, duration, rate


class Key(Bucket):
    """As of a bucket, but without promises the level may exceed the capacity, of which the rest cannot be had."""

    def is_promised(self):
        return self.reservations or self.waiters

    def advance(self, to, seen=None):
        if self.is_promised():
            return super().advance(to, seen)
        self.level += self.rate * (to - self.at)
        self.at, self.now = Fraction(to), to

    def clamp(self):
        self.level = min(self.level, self.capacity)

    def available(self):
        return super().available() if self.is_promised() else min(self.level, self.capacity)

    def time_until(self, n):
        return ceil(max(0, n - self.available()) / self.rate)


class Row:
    """Replays a row. expect(right, said) is called for every value that the row asserts."""

    def __init__(self, limits, expect):
        given = dict(limit.split("=") for limit in limits.split())
        if given.pop("full", "evict") not in ("evict", "deny", "admit") or int(given.pop("keys")) < 1:
            raise Wrong("no such table")
        self.capacity, self.rate = Fraction(given["burst"]), given["rate"]
        self.expect = expect
        self.now = 0
        self.keys, self.reservations = {}, {}

    def key(self, name):
        if name not in self.keys:
            self.keys[name] = Key(f"burst={self.capacity} rate={self.rate}")
            self.keys[name].level = self.capacity
            self.keys[name].at, self.keys[name].now = Fraction(self.now), self.now
        return self.keys[name]

    def step(self, text):
        words = [w for w in text.split() if w != "="]
        if words[0].startswith("@"):
            self.now = max(self.now, duration(words.pop(0)[1:]))
            for k in self.keys.values():
                k.advance(self.now)
        if not words:
            return
        name = words.pop(0)[:-1] if words[0].endswith(":") else ""
        key, slash, verb = words[0].rpartition("/") if not words[0].startswith("rate") else ("", "", "rate")
        if not slash:
            return getattr(self, "all_" + verb)(words)
        options = dict(w.split("=") for w in words if "=" in w)
        getattr(self, "do_" + verb)(self.key("" if key == '""' else key), words[1:], options, name)

    # ---- The table

    def all_rate(self, words):
        self.rate = words[1]
        for k in self.keys.values():
            if k.reservations:
                k.change("rate", words[1])
            k.rate = rate(words[1])

    def all_burst(self, words):
        self.capacity = Fraction(words[1])
        for k in self.keys.values():
            if k.reservations:
                raise Wrong("nothing is known of reservations under another capacity")
            k.capacity = self.capacity

    def all_close(self, words):
        pass

    def all_many(self, words):
        keys, said = words[1:len(words) // 2 + 1], words[len(words) // 2 + 1:]
        for key, answer in zip(keys, said, strict=True):
            self.expect(self.take("" if key == '""' else key, Fraction(1)), answer)

    def take(self, name, n):
        k = self.key(name)
        if n <= k.available():
            k.clamp()
        return k.take(n)

    # ---- A key

    def do_take(self, key, words, options, _):
        name = next(n for n, k in self.keys.items() if k is key)
        for _ in range(next((int(w[1:]) for w in words if w.startswith("*")), 1)):
            self.expect(self.take(name, Fraction(words[0])), words[1])
            if "retry" in options:
                self.expect(key.time_until(Fraction(words[0])), duration(options["retry"]))
            if "rem" in options:
                self.expect(max(0, floor(key.available())), int(options["rem"]))

    def do_upto(self, key, words, *_):
        taken = max(0, floor(min(Fraction(words[0]), key.available())))
        if taken:
            key.clamp()
        key.level -= taken
        self.expect(taken, int(words[1]))

    def do_peek(self, key, words, *_):
        self.expect(floor(key.available()), int(words[0]))

    def do_peekx(self, key, words, *_):
        self.expect(key.available(), Fraction(words[0]))

    def do_est(self, key, words, *_):
        self.expect(key.time_until(Fraction(words[0])), duration(words[1]))

    def do_force(self, key, words, *_):
        key.clamp()
        key.change("force", words[0])
        self.expect(ceil(max(0, -key.available()) / key.rate), duration(words[1]))

    def do_add(self, key, words, *_):
        key.clamp()
        key.change("add", words[0])

    def do_resv(self, key, words, options, name):
        most = duration(options["max"]) if "max" in options else NEVER
        said = words[-1] if words[-1] in ("no", "never") else duration(words[-1])
        key.clamp()
        self.expect(key.reserve(name or object(), Fraction(words[0]), most), said)
        if name:
            self.reservations[name] = key

    def do_cancel(self, key, words, *_):
        if self.reservations[words[0]] is key:
            key.reservations.pop(words[0], None)

    def do_remove(self, key, *_):
        self.keys = {n: k for n, k in self.keys.items() if k is not key}

    def check_end(self):
        """Nothing need be so at the end."""


if __name__ == "__main__":
    sys.exit(check(sys.argv[1], Row, 50))

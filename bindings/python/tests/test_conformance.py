"""The rows of tests/conformance, through this package."""

import math
import re
import unittest
from fractions import Fraction

from support import ROOT
from tokenbucket import ManualClock, RateLimitExceeded, TokenBucket

UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}


def nanoseconds(text):
    amount, unit = re.fullmatch(r"([\d.]+)(ns|us|ms|s)", text).groups()
    return int(Fraction(amount) * UNITS[unit])


def rate(text):
    """"10/s" or "1/2s": tokens, and the period in seconds."""
    tokens, period = text.split("/")
    ns = nanoseconds(period if period[0].isdigit() else "1" + period)
    return float(tokens), Fraction(ns, 10**9)


def to_ns(seconds):
    return round(seconds * 10**9)


class Replay:
    def __init__(self, test, limit):
        self.test = test
        self.clock = ManualClock()
        self.reservations = {}
        self.seen = set()
        parts = dict(part.split("=") for part in limit.split())
        tokens, period = rate(parts.pop("rate"))
        burst, initial = float(parts.pop("burst")), parts.pop("init", None)
        test.assertEqual(parts, {}, "unknown part of the limit")
        self.bucket = TokenBucket(
            burst,
            tokens,
            period=period,
            clock=self.clock,
            initial_tokens=None if initial is None else float(initial),
        )

    def run(self, steps):
        for step in steps.split(";"):
            words = step.replace(" = ", " ").split()
            if words[0].startswith("@"):
                self.clock.set(Fraction(nanoseconds(words.pop(0)[1:]), 10**9))
                self.seen.add("@")
            if words:
                with self.test.subTest(step=step.strip()):
                    self.step(words)

    def step(self, words):
        name = words.pop(0) if words[0].endswith(":") else ""
        if words[0].startswith("peek"):
            words = words[0].split("=")
        verb, *words = words
        handler = getattr(self, "do_" + verb, None)
        if handler is None:
            raise LookupError(f"unknown step {verb}")
        self.seen.add(verb)
        handler(*words, **({"name": name} if name else {}))

    def do_peek(self, tokens):
        self.test.assertEqual(math.floor(self.bucket.tokens), int(tokens))

    def do_peekx(self, tokens):
        self.test.assertEqual(self.bucket.tokens, float(tokens))

    def do_take(self, tokens, answer, *checks):
        times = [int(check[1:]) for check in checks if check.startswith("*")]
        for _ in range(times[0] if times else 1):
            decision = self.bucket.take(float(tokens))
            self.check_decision(decision, answer)
            for check in checks:
                self.check_detail(decision, check)

    def check_decision(self, decision, answer):
        allowed, retries = {"ok": (True, True), "no": (False, True), "never": (False, False)}[answer]
        self.test.assertIs(decision.allowed, allowed)
        self.test.assertIs(math.isfinite(decision.retry_after), retries)

    def check_detail(self, decision, check):
        if check.startswith("retry="):
            self.test.assertEqual(decision.retry_after_ns, nanoseconds(check[6:]))
        elif check.startswith("rem="):
            self.test.assertEqual(math.floor(decision.remaining), int(check[4:]))
        elif not check.startswith("*"):
            raise LookupError(f"unknown check {check}")

    def do_upto(self, most, taken):
        self.test.assertEqual(self.bucket.take_up_to(float(most)), int(taken))

    def do_est(self, tokens, time):
        self.test.assertEqual(to_ns(self.bucket.retry_after(float(tokens))), nanoseconds(time))

    def do_force(self, tokens, time):
        self.test.assertEqual(to_ns(self.bucket.charge(float(tokens))), nanoseconds(time))

    def do_add(self, tokens):
        self.bucket.refund(float(tokens))

    def do_resv(self, tokens, *rest, name=""):
        *limits, answer = rest
        max_wait = None
        for limit in limits:
            self.test.assertTrue(limit.startswith("max="), limit)
            max_wait = Fraction(nanoseconds(limit[4:]), 10**9)
        refusal = {"no": RateLimitExceeded, "never": ValueError}.get(answer)
        if refusal:
            self.test.assertRaises(refusal, self.bucket.reserve, float(tokens), max_wait)
            return
        reservation = self.bucket.reserve(float(tokens), max_wait)
        self.test.assertEqual(to_ns(reservation.delay), nanoseconds(answer))
        self.reservations[name[:-1]] = reservation

    def do_cancel(self, name):
        self.reservations[name].cancel()

    def do_rate(self, text):
        tokens, period = rate(text)
        self.bucket.tokens_per_second = Fraction(tokens) / period

    def do_burst(self, capacity):
        self.bucket.capacity = float(capacity)


class Conformance(unittest.TestCase):
    def test_rows(self):
        rows = (ROOT / "tests" / "conformance" / "rows.txt").read_text(encoding="utf-8").splitlines()
        self.assertGreaterEqual(len(rows), 18)
        seen = set()
        for row in rows:
            identity, limit, steps = row.split("|")
            with self.subTest(row=identity.strip()):
                replay = Replay(self, limit)
                replay.run(steps)
                seen |= replay.seen
        self.assertLessEqual({"@", "peek", "peekx", "take", "upto", "est", "force", "add", "resv", "cancel", "rate"}, seen)

    def test_an_unknown_step_fails(self):
        replay = Replay(self, "rate=1/s burst=1")
        for steps in ("jump 3", "take 1 ok sideways"):
            with self.assertRaises(LookupError):
                replay.step(steps.split())

    def test_the_step_no_row_has(self):
        replay = Replay(self, "rate=1/s burst=5")
        replay.run("burst 2; peek=2; take 3 never")


if __name__ == "__main__":
    unittest.main()

"""The rows of tests/conformance, through this package."""

import asyncio
import contextlib
import functools
import math
import re
import time
import unittest
from fractions import Fraction

from support import ROOT, Outcome
from tokenbucket import BucketClosed, ManualClock, RateLimitExceeded, Status, Table, TokenBucket

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


def exactly(text):
    """The time in seconds."""
    return Fraction(nanoseconds(text), 10**9)


class Replay:
    def __init__(self, test, limit):
        self.test = test
        self.clock = ManualClock()
        self.reservations = {}
        self.seen = set()
        self.open(dict(part.split("=") for part in limit.split()))

    def open(self, parts):
        tokens, period = rate(parts.pop("rate"))
        burst, initial = float(parts.pop("burst")), parts.pop("init", None)
        most, lateness = parts.pop("max_waiters", None), parts.pop("lateness", None)
        self.test.assertEqual(parts, {}, "unknown part of the limit")
        self.bucket = self.limiter = TokenBucket(
            burst,
            tokens,
            period=period,
            clock=self.clock,
            initial_tokens=None if initial is None else float(initial),
            max_waiters=most and int(most),
            max_lateness=lateness and exactly(lateness),
        )

    def run(self, steps):
        for step in steps.split(";"):
            words = step.replace(" = ", " ").split()
            if words[0].startswith("@"):
                self.clock.set(exactly(words.pop(0)[1:]))
                self.seen.add("@")
            if words:
                with self.test.subTest(step=step.strip()):
                    self.step(words)

    def step(self, words):
        name = words.pop(0) if words[0].endswith(":") else ""
        if words[0].startswith("peek"):
            words = [*words[0].split("="), *words[1:]]
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
            max_wait = exactly(limit[4:])
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
        self.limiter.tokens_per_second = Fraction(tokens) / period

    def do_burst(self, capacity):
        self.limiter.capacity = float(capacity)

    def do_close(self):
        self.limiter.close()


class WaitReplay(Replay):
    """With waits in threads, in tasks, or both in turn. One that leaves is always a task."""

    PATIENCE_S = 30

    def __init__(self, test, limit, steps, kinds):
        super().__init__(test, limit)
        self.steps = steps.split(";")
        self.kinds = kinds
        self.leavers = set(re.findall(r"\bleave (\w+)", steps))
        # What the kind of wait does not change the answer to: a thread is told when a take would be granted.
        self.tells_times = kinds == ["task"] or not re.search("priority=|resv", steps)
        self.tasks, self.threads = {}, {}
        self.ended, self.looked_at = {}, set()

    async def replay(self):
        for step in self.steps:
            words = step.replace(" = ", " ").split()
            with self.test.subTest(step=step.strip()):
                if words[0].startswith("@"):
                    await self.move_to(nanoseconds(words.pop(0)[1:]))
                    self.seen.add("@")
                if words:
                    await self.wait_step(words)
        self.test.assertEqual(set(self.ended) - self.looked_at, set(), "the row does not say how they ended")
        self.bucket.close()
        await self.settled()

    async def wait_step(self, words):
        verb, rest = words[0], words[1:]
        if rest and verb[:-1] + ":" == verb and rest[0] == "wait":
            await self.enter(verb[:-1], *rest[1:])
        elif verb == "leave":
            await self.leave(*rest)
        elif verb == "jump":
            self.clock.set(exactly(*rest))
        elif verb in self.tasks or verb in self.threads:
            self.check_waiter(verb, *rest)
        else:
            self.step(words)
        if verb in ("leave", "jump") or rest[:1] == ["wait"]:
            self.seen.add(rest[0] if verb.endswith(":") else verb)
        await self.settled()

    async def settled(self):
        """Returns once each waiter is counted by the clock, or has ended and said so."""
        deadline = time.monotonic() + self.PATIENCE_S
        while self.clock.waiters().waiting + len(self.ended) != len(self.tasks) + len(self.threads):
            self.test.assertLess(time.monotonic(), deadline, "a waiter neither ended nor waits")
            await asyncio.sleep(0.0002)

    async def move_to(self, ns):
        while True:
            next_due = self.clock.waiters().next_due
            stop = ns if next_due is None else min(ns, to_ns(next_due))
            self.clock.set(Fraction(stop, 10**9))
            await self.settled()
            if stop == ns and self.clock.now_ns >= ns:
                return

    async def enter(self, name, tokens, *words):
        options = {"timeout": None}
        answers = {}
        for word in words:
            key, _, value = word.partition("=")
            if key == "within":
                options["timeout"] = exactly(value)
            elif key == "priority":
                options["priority"] = int(value)
            else:
                answers[key] = value
        kind = self.kinds[(len(self.tasks) + len(self.threads)) % len(self.kinds)]
        if kind == "task" or name in self.leavers:
            self.tasks[name] = asyncio.ensure_future(self.in_task(name, float(tokens), options))
        else:
            self.threads[name] = Outcome(self.in_thread, (name, float(tokens), options))
        await self.settled()
        for answer, time_ in answers.items():
            how, at, error = self.ended.get(name, (None, None, None))
            self.test.assertEqual((how, at), (answer, self.clock.now_ns))
            if time_ and self.tells_times:
                self.test.assertEqual(to_ns(error.retry_after), nanoseconds(time_))
            self.looked_at.add(name)

    async def in_task(self, name, tokens, options):
        with self.recorded(name):
            self.test.assertIsNone(await self.bucket.wait_async(tokens, **options))

    def in_thread(self, name, tokens, options):
        with self.recorded(name):
            self.test.assertIsNone(self.bucket.wait(tokens, **options))

    @contextlib.contextmanager
    def recorded(self, name):
        how, error = "ok", None
        try:
            yield
        except RateLimitExceeded as refused:
            how, error = {Status.TIMED_OUT: "late", Status.QUEUE_FULL: "full"}[refused.status], refused
        except ValueError:
            how = "never"
        except BucketClosed:
            how = "closed"
        self.ended[name] = how, self.clock.now_ns, error

    async def leave(self, name):
        task = self.tasks.pop(name)
        self.test.assertNotIn(name, self.ended)
        task.cancel()
        await asyncio.wait([task])

    def check_waiter(self, name, what):
        if what == "waits":
            self.test.assertNotIn(name, self.ended)
            return
        how, at = what.split("@")
        self.test.assertEqual(self.ended.get(name, (None, None))[:2], (how, nanoseconds(at)))
        self.looked_at.add(name)

    def do_waiting(self, count):
        self.test.assertEqual(self.clock.waiters().waiting, int(count))

    def do_next(self, time_):
        next_due = self.clock.waiters().next_due
        self.test.assertEqual(next_due and to_ns(next_due), None if time_ == "never" else nanoseconds(time_))

    def do_reset(self, tokens):
        self.bucket.reset(float(tokens))

    def do_set(self, tokens):
        self.bucket.set_tokens(float(tokens))


class OneKey:
    """A table's bucket, with the calls of a TokenBucket."""

    def __init__(self, table, key):
        self._table, self._key = table, key

    def __getattr__(self, name):
        return functools.partial(getattr(self._table, name), self._key)

    @property
    def tokens(self):
        return self._table.tokens(self._key)


class TableReplay(Replay):
    ANSWERS = {"ok": True, "no": False, "never": False, "full": None}

    def open(self, parts):
        tokens, period = rate(parts.pop("rate"))
        self.limiter = Table(
            float(parts.pop("burst")),
            tokens,
            period=period,
            clock=self.clock,
            max_keys=int(parts.pop("keys")),
            when_full=parts.pop("full", "evict"),
        )
        self.test.assertEqual(parts, {}, "unknown part of the limit")

    def step(self, words):
        """A step is of the key before its verb, or of the table."""
        place = words[0].endswith(":")
        if "/" in words[place]:
            key, verb = words[place].split("/", 1)
            self.bucket = OneKey(self.limiter, self.key(key))
            words = [*words[:place], verb, *words[place + 1 :]]
        super().step(words)

    @staticmethod
    def key(text):
        return b"" if text == '""' else text.encode()

    def do_many(self, *words):
        half = len(words) // 2
        keys, answers = words[:half], words[half:]
        self.test.assertEqual(self.limiter.allow_many(map(self.key, keys)), [self.ANSWERS[word] for word in answers])

    def do_remove(self):
        self.bucket.remove()


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

    def test_table_rows(self):
        rows = (ROOT / "tests" / "conformance" / "tables.txt").read_text(encoding="utf-8").splitlines()
        self.assertGreaterEqual(len(rows), 40)
        seen = set()
        for row in rows:
            identity, limit, steps = row.split("|")
            with self.subTest(row=identity.strip()):
                replay = TableReplay(self, limit)
                replay.run(steps)
                seen |= replay.seen
        steps = {"@", "add", "burst", "cancel", "close", "est", "force", "many", "peek", "peekx", "rate", "remove"}
        self.assertLessEqual(steps | {"resv", "take", "upto"}, seen)

    def test_wait_rows(self):
        rows = (ROOT / "tests" / "conformance" / "waits.txt").read_text(encoding="utf-8").splitlines()
        self.assertGreaterEqual(len(rows), 130)
        seen = set()
        for row in rows:
            identity, limit, steps = row.split("|")
            for kinds in (["thread"], ["task"], ["thread", "task"]):
                with self.subTest(row=identity.strip(), kinds=kinds):
                    replay = WaitReplay(self, limit, steps, kinds)
                    asyncio.run(replay.replay())
                    seen |= replay.seen
        self.assertLessEqual({"@", "peek", "take", "wait", "leave", "jump", "next", "rate", "reset"}, seen)

    def test_wait_steps_that_no_row_has(self):
        limit = "rate=1/s burst=5 init=0 max_waiters=2"
        steps = "A: wait 2; B: wait 1 priority=1; C: wait 1 full; D: wait 6 within=0s never; E: wait 1 within=0s late=4s"
        steps += "; waiting = 2; set 1; B ok@0ms; A waits; close; A closed@0ms; next = never"
        for kinds in (["thread"], ["task"]):
            asyncio.run(WaitReplay(self, limit, steps, kinds).replay())

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

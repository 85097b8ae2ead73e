"""The rows of tests/conformance, through this package."""

import asyncio
import contextlib
import functools
import math
import pathlib
import re
import time
import unittest
from fractions import Fraction

from support import ROOT, Outcome
from tokenbucket import BucketClosed, Limits, ManualClock, RateLimitExceeded, Status, Table, TokenBucket

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


def parts_of(limit):
    return dict(part.split("=") for part in limit.split())


class Replay:
    def __init__(self, test, limit):
        self.test = test
        self.clock = ManualClock()
        self.reservations = {}
        self.seen = set()
        self.open_all(limit)

    def open_all(self, limit):
        self.open(parts_of(limit))

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
            self.test.assertEqual(to_ns(decision.retry_after), nanoseconds(check[6:]))
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
        self.close_all()
        await self.settled()

    def close_all(self):
        self.bucket.close()

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
        await self.enter_queue(name, self.bucket, float(tokens), words)

    async def enter_queue(self, name, limiter, amount, words):
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
            self.tasks[name] = asyncio.ensure_future(self.in_task(name, limiter, amount, options))
        else:
            self.threads[name] = Outcome(self.in_thread, (name, limiter, amount, options))
        await self.settled()
        self.check_answers(name, answers)

    def check_answers(self, name, answers):
        for answer, time_ in answers.items():
            how, at, error = self.ended.get(name, (None, None, None))
            self.test.assertEqual((how, at), (answer, self.clock.now_ns))
            if time_ and self.tells_times:
                self.test.assertEqual(to_ns(error.retry_after), nanoseconds(time_))
            self.looked_at.add(name)

    async def in_task(self, name, limiter, amount, options):
        with self.recorded(name):
            self.test.assertIsNone(await limiter.wait_async(amount, **options))

    def in_thread(self, name, limiter, amount, options):
        with self.recorded(name):
            self.test.assertIsNone(limiter.wait(amount, **options))

    @contextlib.contextmanager
    def recorded(self, name):
        how, error = "ok", None
        try:
            yield
        except RateLimitExceeded as refused:
            how, error = {Status.TIMED_OUT: "late", Status.QUEUE_FULL: "full"}[refused.status], refused
        except ValueError as refused:
            how, error = "never", refused
        except BucketClosed as refused:
            how, error = "closed", refused
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
        most = parts.pop("max_waiters", None)
        self.limiter = Table(
            float(parts.pop("burst")),
            tokens,
            period=period,
            clock=self.clock,
            max_keys=int(parts.pop("keys")),
            max_waiters=most and int(most),
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


class LimitsReplay(WaitReplay):
    """Of rows with several limits.

    Tasks alone come to rest by themselves. What the clock counts and who has ended is then known after each step, so a
    replay with threads waits until it is so there, and all threads sleep.
    """

    def __init__(self, test, limit, steps, kinds, expected=None):
        super().__init__(test, limit, steps, kinds)
        self.tells_times = False
        self.expected = expected
        self.states = []
        self.joint = {}

    def open_all(self, limit):
        self.limiters = {}
        for one in limit.split(";"):
            name, rest = one.split(maxsplit=1)
            parts = parts_of(rest)
            (TableReplay if "keys" in parts else Replay).open(self, parts)
            self.limiters[name] = self.limiter

    def close_all(self):
        for limiter in self.limiters.values():
            limiter.close()

    def state(self):
        return (*self.clock.waiters(), frozenset(self.ended))

    def threads_sleep(self):
        for name, thread in self.threads.items():
            if name not in self.ended:
                stat = pathlib.Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
                if stat.rpartition(")")[2].split()[0] != "S":
                    return False
        return True

    async def settled(self):
        if self.expected is None:
            rest = 0
            while rest < 10:
                before = self.state()
                await asyncio.sleep(0)
                rest = rest + 1 if self.state() == before else 0
        else:
            expected = self.expected[len(self.states)]
            deadline = time.monotonic() + self.PATIENCE_S
            while self.state() != expected or not self.threads_sleep():
                self.test.assertLess(time.monotonic(), deadline, f"{self.state()}, not {expected}")
                await asyncio.sleep(0.0002)
        self.states.append(self.state())

    async def wait_step(self, words):
        named = words[0].endswith(":")
        verb = words[named]
        if named and verb == "wait":
            members, rest = self.members(words[2:])
            self.joint[words[0][:-1]] = members[1]
            await self.enter_queue(words[0][:-1], *members[0], rest)
            self.seen.add("wait")
            await self.settled()
        elif named and verb.endswith("/wait"):
            self.bucket = self.limiter_of(verb[:-5])
            await super().wait_step([words[0], "wait", *words[2:]])
        else:
            await super().wait_step(words)

    def step(self, words):
        """A step is of the bucket, key or table before its verb, or of several."""
        if "/" in words[0]:
            name, verb = words[0].split("/")
            self.bucket = self.limiter_of(name)
            self.limiter = self.limiters[name[0]]
            words = [{"peek": "peekx"}.get(verb, verb), *words[1:]]
        super().step(words)

    def limiter_of(self, name):
        letter, _, key = name.partition(".")
        return OneKey(self.limiters[letter], key) if key else self.limiters[letter]

    def members(self, words):
        """The limits with the costs, and the names of the members; and what follows them."""
        count = next((i for i, word in enumerate(words) if ":" not in word), len(words))
        names, costs = zip(*(word.split(":") for word in words[:count]))
        parts = [name.partition(".") for name in names]
        limits = Limits([(self.limiters[name], key) if key else self.limiters[name] for name, _, key in parts])
        return ((limits, [float(cost) for cost in costs]), names), words[count:]

    def check_member(self, names, error, by):
        """An error of a member has its index, in a ValueError in the text."""
        index = getattr(error, "member", None)
        if isinstance(error, ValueError):
            index = int(re.match(r"member (\d+): ", str(error)).group(1))
        self.test.assertEqual(f"by={names[index]}", by)

    def check_answers(self, name, answers):
        by, retry = answers.pop("by", None), answers.pop("retry", None)
        super().check_answers(name, answers)
        if answers and name in self.joint:
            error = self.ended[name][2]
            if error or by:
                self.check_member(self.joint[name], error, f"by={by}")
            self.test.assertEqual("late" in answers, retry is not None)
            if retry:
                self.test.assertEqual(to_ns(error.retry_after), nanoseconds(retry))

    def check_waiter(self, name, what, by=None):
        super().check_waiter(name, what)
        error = self.ended.get(name, (None, None, None))[2]
        if name in self.joint and (error or by):
            self.check_member(self.joint[name], error, by)

    def do_all(self, *words):
        ((limits, costs), names), (answer, *checks) = self.members(words)
        if answer == "closed":
            with self.test.assertRaises(BucketClosed) as caught:
                limits.take(costs)
            self.check_member(names, caught.exception, *checks)
            return
        decision = limits.take(costs)
        self.check_decision(decision, answer)
        told = [] if decision else [f"by={names[decision.member]}"]
        self.test.assertEqual(checks[:1], told)
        self.test.assertEqual(len(checks), {"ok": 0, "no": 2, "never": 1}[answer])
        for check in checks[1:]:
            self.check_detail(decision, check)

    def do_resv(self, *words, name=""):
        ((limits, costs), names), rest = self.members(words)
        max_wait = exactly(rest[0][4:]) if rest[0].startswith("max=") else None
        answer, *checks = rest[max_wait is not None :]
        refusal = {"late": RateLimitExceeded, "never": ValueError, "closed": BucketClosed}.get(answer)
        if refusal:
            with self.test.assertRaises(refusal) as caught:
                limits.reserve(costs, max_wait)
            self.check_member(names, caught.exception, checks[0])
            if answer == "late":
                self.check_detail(caught.exception, checks[1])
            return
        reservation = limits.reserve(costs, max_wait)
        self.test.assertEqual(to_ns(reservation.delay), nanoseconds(answer))
        self.reservations[name[:-1]] = reservation

    def do_force(self, tokens):
        self.bucket.charge(float(tokens))


class Silent(unittest.TestCase):
    """Of which an assertion that fails is not one of the test that runs."""

    @contextlib.contextmanager
    def subTest(self, step):
        yield


LIMIT_ROWS = ROOT / "tests" / "conformance" / "limits.txt"


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

    def test_limit_rows(self):
        rows = LIMIT_ROWS.read_text(encoding="utf-8").splitlines()
        self.assertGreaterEqual(len(rows), 40)
        seen = set()
        for row in rows:
            identity, limit, steps = row.split("|")
            expected = None
            for kinds in (["task"], ["thread"], ["thread", "task"]):
                with self.subTest(row=identity.strip(), kinds=kinds):
                    replay = LimitsReplay(self, limit, steps, kinds, expected)
                    asyncio.run(replay.replay())
                    expected = replay.states
                    seen |= replay.seen
        steps = {"@", "all", "resv", "cancel", "wait", "leave", "waiting", "next", "take", "peekx", "force", "add"}
        self.assertLessEqual(steps | {"rate", "burst", "close", "reset", "set"}, seen)

    def test_limit_steps(self):
        limit = "r rate=1/s burst=10 init=0 max_waiters=2; t rate=10/s burst=100; u rate=1/s burst=5 keys=100"
        steps = "all t:1 u.a:5 ok; all t:1 u.a:1 no by=u.a retry=1s; all u.a:6 t:1 never by=u.a; t/peek = 99; t/add 1"
        steps += "; A: wait r:2 u.b:1; waiting = 1; next = 2s; B: wait u.b:4 u.a:2 priority=1; waiting = 2; r/peek = -2"
        steps += "; C: r/wait 1; D: wait u.c:1 r:1 full by=r; E: wait t:1 u.a:1 within=1s late by=u.a retry=3s; leave C"
        steps += "; R: resv u.a:1 t:1 = 3s; resv t:1 u.a:1 max=1s late by=u.a retry=4s; cancel R; u.a/take 1 no"
        steps += "; F: wait r:1 t:3 within=3s; r/rate 0.5/s; F late@0ms by=r; G: wait t:100 u.z:1 ok; t/force 5; t/set 3"
        steps += "; @2s B ok@2s; A waits; H: wait t:50 r:1; t/burst 40; H never@2s by=t; r/reset 4; A ok@2s; r/peek = 2"
        steps += "; I: wait t:30 u.q:1; r/close; all t:1 r:1 closed by=r; u/close; I closed@2s by=u.q; next = never"
        expected = None
        for kinds in (["task"], ["thread"], ["thread", "task"]):
            replay = LimitsReplay(self, limit, steps, kinds, expected)
            asyncio.run(replay.replay())
            expected = replay.states

    def test_limit_steps_that_are_wrong(self):
        limit = "r rate=1/s burst=10; t rate=1/s burst=10 init=0"
        for steps in (
            "all r:1 t:1 no by=r retry=1s",
            "all r:1 t:1 no by=t retry=2s",
            "all r:1 t:1 no by=t",
            "all r:1 t:11 never by=r",
            "r/close; all t:1 r:1 closed by=t",
            "R: resv r:1 t:1 = 2s",
            "resv r:1 t:1 max=0s late by=r retry=1s",
            "resv r:1 t:1 max=0s late by=t retry=2s",
            "A: wait r:1 t:1 ok",
            "A: wait r:1 t:1 within=0s late by=r retry=1s",
            "A: wait r:1 t:1 within=0s late by=t retry=2s",
            "A: wait r:1 t:11 never by=r",
            "A: wait r:1 t:1; waiting = 2",
            "A: wait r:1 t:1; @1s A ok@999ms",
            "A: wait r:1 t:1; @2s A waits",
            "A: wait r:1 t:1; t/close; A closed@0ms by=r",
            "A: wait r:1 t:1; t/close",
            "r/peek = 9",
        ):
            with self.subTest(steps), self.assertRaises(AssertionError):
                asyncio.run(LimitsReplay(Silent(), limit, steps, ["task"]).replay())

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

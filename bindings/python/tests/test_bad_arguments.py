"""What errors say of arguments that are refused: the rows of bindings/bad_arguments.txt, and what is Python's alone."""

import asyncio
import math
import os
import re
import unittest
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from support import ROOT, BucketTest
from tokenbucket import (
    Limits,
    ManualClock,
    Mismatch,
    RedisLimits,
    RedisTable,
    Table,
    TokenBucket,
    address_key,
    remove_shared,
)

FILE_NAME = "the name of a file, without a slash or a leading dot, or an absolute path"
NAMES = {"rate": "tokens_per_second", "initial": "initial_tokens", "key_size": "key", "text": "address"}
# Python takes no 0 for "the default".
RANGES = {"max_waiters": "1 or more", "max_lateness": "more than 0"}
ROWS = [
    [field.strip() for field in line.split("|")]
    for line in (ROOT / "bindings" / "bad_arguments.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
SHARED = f"tokenbucket-python-bad-{os.getpid()}"


class Silent:
    """A client that nobody may ask."""

    def evalsha(self, *words):
        raise AssertionError("the server was asked")

    eval = evalsha


def value_of(text):
    if re.fullmatch(r"-?\d+s", text):
        return timedelta(seconds=int(text[:-1]))
    try:
        return float(text)
    except ValueError:
        return text


def create(kind, given, *more, **options):
    given = dict(given)
    limit = [given.pop(name, default) for name, default in (("capacity", 10), ("tokens_per_second", 5))]
    # Counts are ints in Python.
    for name in given.keys() & {"max_waiters", "max_keys", "max_bytes"}:
        given[name] = int(given[name])
    return kind(*more, *limit, **{**options, **given})


class Shared(BucketTest):
    """Replays the rows; every call is one with keywords."""

    def setUp(self):
        super().setUp()
        self.table = self.new_table()
        self.server = create(RedisTable, {}, Silent())
        self.reservation = self.bucket.reserve(1)

    # ---- Creating ----

    def bucket_(self, **given):
        create(TokenBucket, given)

    def shared(self, **given):
        create(TokenBucket.shared, given, given.pop("name", SHARED))

    def shared_again(self, **given):
        there = create(TokenBucket.shared, {}, SHARED)
        self.addCleanup(remove_shared, SHARED)
        with self.assertRaises(Mismatch) as caught:
            self.shared(**given)
        self.assertIn(SHARED, str(caught.exception))
        self.assertEqual((there.capacity, there.tokens_per_second), (10, 5))
        raise ValueError(str(caught.exception))

    def table_(self, **given):
        create(Table, given, **({} if "max_bytes" in given else {"max_keys": 100}))

    def server_(self, **given):
        options = {"on_unavailable": "local"} if "share" in given else {}
        create(RedisTable, given, Silent(), **options)

    # ---- Calling ----

    def time_until(self, tokens):
        self.bucket.retry_after(tokens)

    def settle(self, actual):
        self.reservation.settle(actual)

    def set_rate(self, tokens_per_second):
        self.bucket.tokens_per_second = tokens_per_second

    def set_capacity(self, capacity):
        self.bucket.capacity = capacity

    def table_take(self, tokens=1, key=1):
        self.table.take("a" * int(key), tokens)

    def table_set_rate(self, tokens_per_second):
        self.table.tokens_per_second = tokens_per_second

    def table_set_capacity(self, capacity):
        self.table.capacity = capacity

    def clock(self, start):
        ManualClock(start)

    def limits(self, members):
        Limits([self.new_bucket() for _ in range(int(members))])

    def address(self, address, ipv6_prefix=64):
        address_key(address, int(ipv6_prefix))

    def call(self, name):
        """A function for the first word of a row: one above, or the method of that name."""
        own = getattr(type(self), name + "_", getattr(type(self), name, None))
        if own is not None:
            return lambda **given: own(self, **given)
        of, _, method = name.partition("_")
        if of == "clock":
            return getattr(ManualClock(1), method)
        if of in ("table", "server"):
            return lambda **given: getattr(getattr(self, of), method)("a", **given)
        return getattr(self.bucket, name)

    def state(self):
        return self.bucket.tokens, self.bucket.capacity, self.bucket.rate, self.table.tokens("a"), self.reservation.tokens

    def replay(self, call, arguments, argument, allowed, as_time):
        pairs = (pair.split("=") for pair in arguments.split(", "))
        given = {NAMES.get(name, name): value_of(value) for name, value in pairs}
        bad = given[NAMES.get(argument, argument)]
        bad = bad // timedelta(seconds=1) if isinstance(bad, timedelta) else bad
        shown = repr(bad) if isinstance(bad, str) else f"{bad:.15g}"
        for name, value in given.items():
            if isinstance(value, timedelta):
                given[name] = as_time(value // timedelta(seconds=1))
        text = f"{NAMES.get(argument, argument)} must be {RANGES.get(argument, allowed)}"
        before = self.state()
        with self.assertRaises(ValueError) as caught:
            self.call(call)(**given)
        self.assertRegex(str(caught.exception), f"^{re.escape(text)}.*, got {re.escape(shown)}$")
        self.assertEqual(self.state(), before)

    def test_rows(self):
        self.assertGreaterEqual(len(ROWS), 80)
        for row in ROWS:
            for as_time in (int, float, Fraction, Decimal, lambda time: timedelta(seconds=time)):
                with self.subTest(" | ".join(row)):
                    self.replay(*row, as_time)


class Text(BucketTest):
    """What no other language has."""

    def refuses(self, text, call, *args, error=ValueError, **options):
        with self.assertRaises(error) as caught:
            result = call(*args, **options)
            if asyncio.iscoroutine(result):
                asyncio.run(result)
        self.assertEqual(str(caught.exception), text)

    def test_numbers_of_all_kinds_are_shown_as_the_library_has_them(self):
        allowed = "capacity must be from 1e-6 to 1e15 tokens"
        shown = {0: "0", -0.5: "-0.5", Fraction(-1, 2): "-0.5", Decimal("1e-7"): "1e-07", math.nan: "nan", 10**5000: "inf"}
        for value, text in shown.items():
            self.refuses(f"{allowed}, got {text}", TokenBucket, value, 5)
        self.refuses(f"{allowed}, got -inf", TokenBucket, -(10**400), 5)

    def test_a_wrong_type_names_argument_and_type(self):
        table, limits, server = self.new_table(), Limits([self.bucket]), RedisTable(Silent(), 10, 5)
        wrong = type("Wrong", (), {})()
        number, time, count = "a real number", "a number of seconds or a timedelta", "an int or None"
        cases = [
            ("capacity", number, TokenBucket, (wrong, 5), {}),
            ("tokens_per_second", number, TokenBucket, (10, wrong), {}),
            ("initial_tokens", number, TokenBucket, (10, 5), {"initial_tokens": wrong}),
            ("period", time, TokenBucket, (10, 5), {"period": wrong}),
            ("max_lateness", time, TokenBucket, (10, 5), {"max_lateness": wrong}),
            ("max_waiters", count, TokenBucket, (10, 5), {"max_waiters": wrong}),
            ("clock", "a ManualClock or None", TokenBucket, (10, 5), {"clock": wrong}),
            ("on_event", "callable", TokenBucket, (10, 5), {"on_event": wrong}),
            ("name", "a str or None", TokenBucket.shared, (wrong, 10, 5), {}),
            ("name", "a str or None", remove_shared, (wrong,), {}),
            ("max_keys", count, Table, (10, 5), {"max_keys": wrong}),
            ("max_bytes", count, Table, (10, 5), {"max_bytes": wrong}),
            ("client", "one like redis.Redis", RedisTable, (wrong, 10, 5), {}),
            ("prefix", "a str or bytes", RedisTable, (Silent(), 10, 5), {"prefix": wrong}),
            ("max_wait", time, RedisTable, (Silent(), 10, 5), {"max_wait": wrong}),
            ("share", number, RedisTable, (Silent(), 10, 5), {"on_unavailable": "local", "share": wrong}),
            ("start", time, ManualClock, (wrong,), {}),
            ("now", time, self.clock.set, (wrong,), {}),
            ("duration", time, self.clock.advance, (wrong,), {}),
            ("tokens", number, self.bucket.allow, (wrong,), {}),
            ("tokens", number, self.bucket.try_consume, (wrong,), {}),
            ("tokens", number, self.bucket.take, (wrong,), {}),
            ("most", number, self.bucket.take_up_to, (wrong,), {}),
            ("tokens", number, self.bucket.wait, (wrong,), {}),
            ("timeout", time, self.bucket.wait, (1, wrong), {}),
            ("priority", "an int", self.bucket.wait, (1,), {"priority": wrong}),
            ("timeout", time, self.bucket.wait_async, (1, wrong), {}),
            ("max_wait", time, self.bucket.reserve, (1, wrong), {}),
            ("tokens", number, self.bucket.charge, (wrong,), {}),
            ("tokens", number, self.bucket.refund, (wrong,), {}),
            ("tokens", number, self.bucket.reset, (wrong,), {}),
            ("tokens", number, self.bucket.set_tokens, (wrong,), {}),
            ("tokens", number, self.bucket.retry_after, (wrong,), {}),
            ("actual", number, self.bucket.reserve().settle, (wrong,), {}),
            ("key", "a str, bytes, an int or a tuple of these", table.allow, (wrong,), {}),
            ("tokens", number, table.allow, ("a", wrong), {}),
            ("most", number, table.take_up_to, ("a", wrong), {}),
            ("timeout", time, table.wait, ("a", 1, wrong), {}),
            ("tokens", number, table.allow_many, (["a"], wrong), {}),
            ("tokens", number, table.allow_many, (["a"], [wrong]), {}),
            ("costs", number, limits.allow, (wrong,), {}),
            ("costs", number, limits.wait, ([wrong],), {}),
            ("timeout", time, limits.wait, (), {"timeout": wrong}),
            ("actual", number, limits.reserve().settle, (wrong,), {}),
            ("key", "a str or bytes", server.allow, (wrong,), {}),
            ("tokens", number, server.allow, ("a", wrong), {}),
            ("most", number, server.take_up_to, ("a", wrong), {}),
            ("timeout", time, server.wait, ("a", 1, wrong), {}),
            ("max_wait", time, server.reserve, ("a", 1, wrong), {}),
            ("address", "a str", address_key, (wrong,), {}),
            ("ipv6_prefix", "an int", address_key, ("::1", wrong), {}),
        ]
        for argument, wanted, call, args, options in cases:
            with self.subTest(argument=argument, call=call, args=args):
                self.refuses(f"{argument} must be {wanted}, not Wrong", call, *args, error=TypeError, **options)

    def test_a_call_for_many_keys_takes_no_single_one(self):
        for table in (self.new_table(), RedisTable(Silent(), 10, 5)):
            for keys in ("abc", b"abc", 5):
                text = f"keys must be a list of keys, not {type(keys).__name__}"
                self.refuses(text, table.allow_many, keys, error=TypeError)
        self.assertEqual(self.new_table().allow_many({"abc": 1}), [True])

    def test_the_most_of_a_call_is_named(self):
        refused = "most must be finite and more than 0, got -1"
        self.refuses(refused, self.bucket.take_up_to, -1)
        self.refuses(refused, self.new_table().take_up_to, "a", -1)
        self.refuses(refused, RedisTable(Silent(), 10, 5).take_up_to, "a", -1)

    def test_one_for_each(self):
        table, limits = self.new_table(), Limits([self.bucket, self.new_bucket()])
        self.refuses("tokens must be 2 numbers, one for each key, got 1", table.allow_many, ["a", "b"], [1])
        self.refuses("costs must be 2 numbers, one for each member, got 3", limits.allow, [1, 2, 3])
        self.refuses("actual must be 2 numbers, one for each member, got 1", limits.reserve().settle, [1])
        self.refuses("tokens must be finite and more than 0, got 0", table.allow_many, ["a", "b"], [1, 0])
        self.refuses("member 1: costs must be finite and more than 0, got 0", limits.allow, [1, 0])
        self.refuses("actual must be finite and 0 or more, got -2", limits.reserve().settle, [1, -2])

    def test_members(self):
        user = (RedisTable(Silent(), 10, 5), "{a}")
        self.refuses("members must be from 1 to 16 tables and keys, got 0", RedisLimits, [])
        self.refuses("costs must be finite and more than 0, got nan", RedisLimits([user]).allow, math.nan)

    def test_words(self):
        words = '"evict", "deny" or "admit"'
        self.refuses(f"when_full must be {words}, got 'never'", Table, 10, 5, max_keys=1, when_full="never")
        self.refuses(f"when_full must be {words}, got None", Table, 10, 5, max_keys=1, when_full=None)
        words = '"error", "closed", "open" or "local"'
        self.refuses(f"on_unavailable must be {words}, got 'no'", RedisTable, Silent(), 10, 5, on_unavailable="no")

    def test_priorities(self):
        allowed = "priority must be from -2**31 to 2**31 - 1"
        self.refuses(f"{allowed}, got 2147483648", self.bucket.wait, priority=2**31)
        self.refuses(f"{allowed}, got -2147483649", self.bucket.wait_async, priority=-(2**31) - 1)

    def test_more_than_the_capacity_is_never_granted(self):
        table, server = self.new_table(), RedisTable(Silent(), 10, 5)
        limits, on_server = Limits([(table, "a"), self.bucket]), RedisLimits([(server, "{a}")])
        asked = [self.bucket.allow(11), self.bucket.try_consume(11), self.bucket.take(11), limits.allow([1, 11])]
        asked += [table.allow("a", 11), table.take("a", 11), *table.allow_many(["a", "b"], 11), limits.take(11)]
        asked += [*server.allow_many(["a", "b"], 11), on_server.allow(11), on_server.take(11)]
        self.assertFalse(any(asked))
        times = [self.bucket.retry_after(11), table.retry_after("a", 11), server.retry_after("a", 11)]
        times += [answer.retry_after for answer in asked if answer.__class__ is not bool]
        self.assertEqual(set(times), {math.inf})
        text = "11 tokens exceed the capacity of 10: they can never be granted"
        for waiter, *key in ((self.bucket,), (table, "a"), (limits,)):
            for call in (waiter.wait, waiter.wait_async, waiter.reserve):
                self.refuses("member 0: " * (waiter is limits) + text, call, *key, 11)
        self.refuses(text, server.wait, "a", 11)
        self.refuses(text, server.reserve, "a", 11)
        self.assertEqual((self.bucket.tokens, table.tokens("a")), (10, 10))
        self.bucket.charge(11)
        self.assertEqual(self.bucket.tokens, -1)
        self.bucket.refund(1000)
        self.assertEqual((self.bucket.take_up_to(11), table.take_up_to("a", 11)), (10, 10))

    def test_a_rate_in_a_period_names_both(self):
        allowed = "tokens_per_second must be from 1e-9 to 1e10 tokens per second"
        self.refuses(f"{allowed} when divided by period=3600, got 0", TokenBucket, 10, 0, period=timedelta(hours=1))
        self.refuses(f"{allowed} when divided by period=1e+15, got 5", Table, 10, 5, max_keys=1, period=1e15)
        self.refuses(f"{allowed} when divided by period=60, got 1e+15", RedisTable, Silent(), 10, 1e15, period=60)
        self.refuses(f"{allowed} when divided by period=0.5, got 1e+15", TokenBucket.shared, None, 10, 1e15, period=0.5)
        self.refuses(f"{allowed}, got 0", TokenBucket, 10, 0, period=1)
        self.refuses("period must be more than 0 seconds, got -1", TokenBucket, 10, 5, period=-1)

    def test_more_than_can_be_addressed(self):
        text = "max_keys must be so few that they can be addressed, got 1e+30"
        self.refuses(text, Table, 10, 5, max_keys=10**30)

    def test_a_rate_that_reservations_do_not_allow(self):
        bucket = self.new_bucket(1, 1e-9, initial_tokens=0)
        bucket.reserve(1)
        allowed = "so low that at most 2^58 units come in until the last reservation is due"
        with self.assertRaises(ValueError) as caught:
            bucket.tokens_per_second = 1e10
        self.assertEqual(str(caught.exception), f"tokens_per_second must be {allowed}, got 10000000000")

    def test_a_nameless_or_unknown_name(self):
        for name in ("", "a\0b", "a/b", ".hidden", "x" * 5000):
            text = f"name must be {FILE_NAME}, got {name!r}"
            self.refuses(text, TokenBucket.shared, name, 10, 5)
            self.refuses(text, remove_shared, name)


if __name__ == "__main__":
    unittest.main()

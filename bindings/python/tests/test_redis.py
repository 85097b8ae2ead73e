"""A limit in Redis, for threads, against a server."""

import math
import pickle
import signal
import time
from fractions import Fraction

from redis_server import RedisTest
from tokenbucket import JointDecision, Mismatch, RateLimitExceeded, RedisLimits, RedisTable, Status, TokenBucket

NEVER_NS = 2**63 - 1


class TableTest(RedisTest):
    def new_table(self, capacity=10, tokens_per_second=0.001, **options):
        """Gains as good as nothing, unless told."""
        return RedisTable(self.client, capacity, tokens_per_second, **{"prefix": "tb:test:", **options})

    def left(self, key, table=None):
        """Without what comes in during a test."""
        return round((table or self.new_table()).tokens(key), 2)

    def calls(self, command):
        return self.client.info("commandstats").get("cmdstat_" + command, {"calls": 0})["calls"]


class Takes(TableTest):
    def test_all_or_nothing(self):
        table = self.new_table()
        self.assertEqual([table.allow("ann", n) for n in (8, 3, 2, 1)], [True, False, True, False])
        self.assertTrue(table.try_consume("bob", 10))

    def test_a_decision_is_that_of_a_bucket(self):
        limits = ((10, 5, 1, 8), (10, 7, 60, 10), (0.5, Fraction(1, 3), 1, 0.25), (1000, 1000, 3600, 1))
        for number, (capacity, rate, period, n) in enumerate(limits):
            table = self.new_table(capacity, rate, period=period, prefix=f"tb:{number}:")
            wanted, found = TokenBucket(capacity, rate, period=period).take(n), table.take("ann", n)
            with self.subTest(table):
                self.assertEqual((found.allowed, found.retry_after_ns), (True, 0))
                self.assertAlmostEqual(found.remaining, wanted.remaining, places=6)
                self.assertTrue(0 <= found.reset_after_ns - math.ceil(n / table.rate * 10**9) <= 1000)
                self.assertEqual((table.capacity, table.rate), (capacity, Fraction(rate) / period))
                self.assertEqual(table.tokens_per_second, float(table.rate))

    def test_denied_it_says_when(self):
        table = self.new_table(10, 5)
        began = time.monotonic()
        table.take("ann", 8)
        decision = table.take("ann", 8)
        passed = time.monotonic() - began
        self.assertFalse(decision)
        self.assertTrue(1.2 - passed - 1e-6 <= decision.retry_after <= 1.2)
        self.assertAlmostEqual(decision.reset_after - decision.retry_after, 0.4, places=6)

    def test_more_than_the_capacity(self):
        table = self.new_table()
        table.take("ann", 4)
        decision = table.take("ann", 11)
        self.assertEqual((decision.allowed, decision.retry_after_ns), (False, NEVER_NS))
        self.assertEqual((round(decision.remaining, 2), round(decision.reset_after)), (6, 4000))
        self.assertEqual(table.retry_after("ann", 11), math.inf)
        self.assertFalse(table.allow("ann", 11))

    def test_up_to(self):
        table = self.new_table()
        self.assertEqual([table.take_up_to("ann", most) for most in (3.9, 100, 1)], [3, 7, 0])

    def test_after_it_said_the_tokens_are_there(self):
        table = self.new_table(2, 100)
        decision = table.take("ann")
        while decision:
            decision = table.take("ann")
        time.sleep(decision.retry_after)
        self.assertTrue(table.allow("ann"))

    def test_in_debt_nothing_remains(self):
        table = self.new_table()
        self.assertEqual(table.charge("ann", 10.05), 50)
        self.assertEqual(self.left("ann"), -0.05)
        self.assertEqual(table.take("ann").remaining, 0)

    def test_changes(self):
        table = self.new_table()
        table.take("ann", 5)
        table.refund("ann", 2)
        self.assertEqual(self.left("ann"), 7)
        table.refund("ann", 100)
        self.assertEqual(self.left("ann"), 10)
        table.reset("ann", 4)
        self.assertEqual(self.left("ann"), 4)
        table.reset("ann", 0)
        self.assertEqual(self.left("ann"), 0)
        table.reset("ann")
        self.assertEqual(table.tokens("ann"), 10)

    def test_decoded_replies_are_no_different(self):
        table = self.new_table()
        decoding = RedisTable(self.server.client(decode_responses=True), 10, 0.001, prefix="tb:test:")
        self.addCleanup(decoding._client.close)
        self.assertTrue(table.allow("ann", 4))
        self.assertEqual([decoding.allow("ann", 4), decoding.allow("ann", 4)], [True, False])
        self.assertEqual(decoding.take_up_to("ann", 9), 2)
        decoding.charge("ann", 0.05)
        self.assertEqual(round(decoding.reserve("ann", 0.001).delay), 51)
        self.client.script_flush()
        self.assertEqual(decoding.allow_many(["ann", "bob"]), [False, True])

    def test_a_lost_script_is_sent_again_once(self):
        table = self.new_table()
        for n in range(3):
            self.client.script_flush()
            self.client.config_resetstat()
            self.assertTrue(table.allow("ann"))
            self.assertEqual((self.calls("evalsha"), self.calls("eval"), self.left("ann")), (1, 1, 9 - n))

    def test_bad_arguments(self):
        table = self.new_table()
        calls = (table.allow, table.take, table.wait, table.reserve, table.charge, table.refund, table.take_up_to)
        for call in (*calls, table.retry_after, lambda key, n: table.allow_many([key, key], [1, n])):
            for n in (0, -1, math.nan, math.inf):
                with self.subTest(call=call, n=n), self.assertRaises(ValueError):
                    call("ann", n)
            with self.assertRaises(TypeError):
                call("ann", "3")
            with self.assertRaises(TypeError):
                call(3, 1)
        for bad in (-1, 11, math.nan):
            with self.assertRaises(ValueError):
                table.reset("ann", bad)
        with self.assertRaisesRegex(ValueError, "exceed the capacity of 10"):
            table.wait("ann", 11)
        with self.assertRaises(ValueError):
            table.wait("ann", 1, timeout=-1)
        with self.assertRaises(ValueError):
            table.allow_many(["ann", "bob"], [1])
        with self.assertRaisesRegex(OverflowError, "max_wait"):
            table.charge("ann", 1000)
        with self.assertRaisesRegex(OverflowError, "max_wait"):
            [table.charge("ann", 9) for _ in range(3)]
        self.client.delete("tb:test:ann")
        self.assertEqual(self.client.keys(), [])

    def test_bad_limits(self):
        wrong = {
            "capacity": ((0, 1), (math.nan, 1)),
            "tokens_per_second": ((1, 0), (1, math.inf), (1e15, 1e-9), (10, math.pi)),
        }
        for name, limits in wrong.items():
            for limit in limits:
                with self.subTest(limit), self.assertRaisesRegex(ValueError, f"^{name} must be"):
                    self.new_table(*limit)
        for options, error in (
            ({"max_wait": -1}, ValueError),
            ({"period": 0}, ValueError),
            ({"prefix": 7}, TypeError),
            ({"on_unavailable": "maybe"}, ValueError),
            ({"on_unavailable": "local"}, TypeError),
            ({"share": 0.5}, TypeError),
            ({"on_unavailable": "local", "share": 0}, ValueError),
            ({"on_unavailable": "local", "share": 1.5}, ValueError),
        ):
            with self.subTest(options), self.assertRaises(error):
                self.new_table(**options)
        for client in (None, self.server, self.server.async_client()):
            with self.subTest(client), self.assertRaisesRegex(TypeError, "redis.Redis"):
                RedisTable(client, 10, 5)

    def test_it_stays_where_it_is(self):
        with self.assertRaises(TypeError):
            pickle.dumps(self.new_table())
        with self.assertRaises(TypeError):
            pickle.dumps(self.new_table().reserve("ann"))


class Keys(TableTest):
    def test_text_and_its_bytes_are_the_same(self):
        table = self.new_table()
        self.assertTrue(table.allow("Ärger", 10))
        self.assertFalse(table.allow("Ärger".encode()))
        self.assertEqual(self.client.keys(), ["tb:test:Ärger".encode()])
        self.assertFalse(self.new_table(prefix=b"tb:test:").allow("Ärger"))

    def test_every_byte(self):
        table = self.new_table()
        keys = [bytes([byte]) for byte in range(256)] + [bytes(range(256)), b""]
        for key in keys:
            self.assertTrue(table.allow(key, 10))
        self.assertEqual(set(self.client.keys()), {b"tb:test:" + key for key in keys})
        self.assertEqual(table.allow_many(keys), [False] * 258)
        self.client.flushall()
        for key in keys:
            if key != b"}":
                self.assertEqual(table.reserve(key, 10).delay, 0)
                self.assertEqual(round(table.reserve(key, 0.05).delay), 50)
        self.assertEqual(len(self.client.keys()), 2 * 257)
        with self.assertRaisesRegex(ValueError, "closing brace"):
            table.reserve(b"}", 10)
        self.assertEqual(round(table.reserve(b"a}{b}", 10).delay), 0)

    def test_too_long(self):
        table = self.new_table()
        self.assertTrue(table.allow(b"x" * (65536 - 8)))
        with self.assertRaisesRegex(ValueError, "65536"):
            table.allow(b"x" * (65536 - 7))

    def test_what_is_no_bucket(self):
        """No denial, and no server that is silent, under any policy."""
        self.client.rpush("tb:test:list", 1)
        self.client.set("tb:test:text", "hello")
        self.client.rpush("q:{tb:test:ann}", 1)
        for policy in ("error", "closed", "open"):
            table = self.new_table(on_unavailable=policy)
            for call in (
                lambda: table.allow("list"),
                lambda: table.wait("list"),
                lambda: table.take("text"),
                lambda: table.allow_many(["bob", "list"]),
                lambda: table.reserve("ann"),
                lambda: RedisLimits([(table, "list")]).allow(),
            ):
                with self.assertRaisesRegex(Mismatch, "no bucket of this limit") as raised:
                    call()
                self.assertEqual(type(raised.exception.__cause__).__name__, "ResponseError")


class ManyKeys(TableTest):
    def test_each_in_order(self):
        table = self.new_table()
        self.assertEqual(table.allow_many(["ann", b"bob", "ann", "ann"], tokens=6), [True, True, False, False])
        self.assertEqual(table.allow_many(["ann", "bob", "cat"], [4, 5, 11]), [True, False, False])
        self.assertEqual([self.left(key) for key in ("ann", "bob", "cat")], [0, 4, 10])
        self.assertEqual(table.allow_many([]), [])

    def test_more_than_a_call_can_have(self):
        table = self.new_table()
        self.client.config_resetstat()
        keys = [f"user:{i}" for i in range(1500)] * 2
        self.assertEqual(table.allow_many(iter(keys), tokens=7), [True] * 1500 + [False] * 1500)
        self.assertLessEqual(self.calls("evalsha") + self.calls("eval"), 4)

    def test_all_or_none(self):
        calls, tokens = self.new_table(prefix="tb:calls:"), self.new_table(1000, 0.1, prefix="tb:tokens:")
        limits = RedisLimits([(calls, "{ann}"), (tokens, "{ann}")])
        self.assertEqual(limits.take([1, 800]), JointDecision(True, None, 0))
        refused = limits.take([2, 800])
        self.assertEqual((refused.allowed, refused.member, round(refused.retry_after)), (False, 1, 6000))
        self.assertEqual((self.left("{ann}", calls), round(tokens.tokens("{ann}"))), (9, 200))
        self.assertEqual([limits.allow([1, 200]), limits.try_consume(), limits.allow([11, 1])], [True, False, False])
        self.assertEqual(limits.take([11, 2000]), JointDecision(False, 0, NEVER_NS))
        self.assertEqual(limits.take([1, 2000]), JointDecision(False, 1, NEVER_NS))
        self.client.script_flush()
        self.assertEqual(limits.take([8.5, 0.1]).member, 0)

    def test_members_that_cannot_be(self):
        table, other = self.new_table(), RedisTable(self.server.client(), 10, 5)
        self.addCleanup(other._client.close)
        for members, error in (
            ([], ValueError),
            ([(table, f"{{ann}}{i}") for i in range(17)], ValueError),
            ([(table, "ann"), (table, "bob")], ValueError),
            ([(table, "{ann}"), (table, "{ann}")], ValueError),
            ([(table, "{ann}"), (other, "{ann}")], ValueError),
            ([table], TypeError),
            ([(table, 7)], TypeError),
            ([(TokenBucket(1, 1), "ann")], TypeError),
        ):
            with self.subTest(members), self.assertRaises(error):
                RedisLimits(members)
        limits = RedisLimits([(table, "{ann}a"), (table, "{ann}b")])
        for costs in ([1], [1, 0], math.nan, [1, 2, 3]):
            with self.subTest(costs), self.assertRaises(ValueError):
                limits.take(costs)
        self.assertEqual(self.client.keys(), [])


class Waits(TableTest):
    def test_it_sleeps_so_long(self):
        table = self.new_table(10, 500)
        began = time.monotonic()
        table.wait("ann", 10)
        table.wait("ann", 10, timeout=1)
        self.assertTrue(0.02 - 0.001 <= time.monotonic() - began < 1)
        self.assertLessEqual(table.tokens("ann"), 500 * (time.monotonic() - began - 0.019))

    def test_in_the_order_of_the_calls(self):
        table = self.new_table(10, 5)
        delays = [table.reserve("ann", 5).delay for _ in range(4)]
        self.assertEqual([round(delay, 1) for delay in delays], [0, 0, 1, 2])

    def test_a_timeout_that_cannot_be_met_takes_nothing(self):
        table = self.new_table(10, 0.1)
        table.wait("ann", 10)
        for options in ({"timeout": 5}, {"timeout": 0}):
            with self.assertRaises(RateLimitExceeded) as raised:
                table.wait("ann", 1, **options)
            self.assertEqual((raised.exception.status, round(raised.exception.retry_after)), (Status.TIMED_OUT, 10))
        with self.assertRaises(RateLimitExceeded) as raised:
            table.wait("ann", 7)  # longer than max_wait
        self.assertEqual(round(raised.exception.retry_after), 70)
        self.assertEqual(round(table.tokens("ann"), 1), 0)

    def test_reservations(self):
        table = self.new_table(10, 0.1)
        first, second, third = table.reserve("ann", 10), table.reserve("ann", 2), table.reserve("ann", 1, max_wait=31)
        self.assertEqual([round(r.delay) for r in (first, second, third)], [0, 20, 30])
        self.assertEqual([r.tokens for r in (first, second, third)], [10, 2, 1])
        second.cancel()
        second.cancel()
        self.assertEqual((round(table.tokens("ann"), 1), second.tokens, round(third.delay)), (-1, 0, 30))
        third.settle(0.5)
        first.settle(4)
        self.assertEqual(round(table.tokens("ann"), 1), 5.5)
        for ended in (second, third):
            with self.assertRaisesRegex(ValueError, "already"):
                ended.settle(1)

    def test_a_settling_that_is_refused_can_be_done_again(self):
        table = self.new_table()
        reservation = table.reserve("ann", 1)
        table.charge("ann", 5)
        for wrong, error in ((-1, ValueError), (math.nan, ValueError), (1000, OverflowError), (10.05, OverflowError)):
            with self.subTest(wrong), self.assertRaises(error):
                reservation.settle(wrong)
        reservation.settle(0)
        self.assertEqual(self.left("ann"), 5)

    def in_20_ms(self, handler):
        was = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, was)
        signal.setitimer(signal.ITIMER_REAL, 0.02)

    def test_what_a_signal_handler_raises_gives_the_tokens_back(self):
        table = self.new_table(10, 0.1)
        table.wait("ann", 10)

        def interrupt(*_):
            raise KeyboardInterrupt

        self.in_20_ms(interrupt)
        with self.assertRaises(KeyboardInterrupt):
            table.wait("ann", 5)
        self.assertEqual(round(table.tokens("ann"), 1), 0)

    def test_after_a_handler_that_returns_it_goes_on(self):
        table = self.new_table(10, 40)  # the wait is ten times as long as until the signal
        table.wait("ann", 10)
        told = []
        self.in_20_ms(lambda *_: told.append(table.tokens("ann")))
        table.wait("ann", 8)
        self.assertEqual(len(told), 1)
        self.assertLess(told[0], 0)

"""Table: keys, what each call answers, what happens where there is no room."""

import copy
import gc
import math
import pickle
import threading
import unittest
import weakref
from datetime import timedelta
from fractions import Fraction

from support import BucketTest
from test_original import NO_AMOUNT, NO_NUMBER
from tokenbucket import (
    BucketClosed,
    Decision,
    RateLimitExceeded,
    Status,
    Table,
    TableFull,
    TableStats,
    address_key,
)
from tokenbucket._keys import encode

FOREVER = 2**63 - 1
MOST = 65536


class TableTest(BucketTest):
    """With a table of 10 that gain 5 a second, on a clock that stands at 0."""

    def setUp(self):
        super().setUp()
        self.table = self.new_table()


class Create(TableTest):
    def test_how_large(self):
        self.assertEqual(self.new_table(max_bytes=6400).stats(), TableStats(400, 0, 0, 0.0))
        self.assertGreaterEqual(self.new_table(max_keys=1000).stats().places, 1000)
        for options in ({}, {"max_keys": 1, "max_bytes": 64}):
            with self.subTest(options), self.assertRaisesRegex(TypeError, "max_keys or max_bytes"):
                Table(10, 5, **options)

    def test_what_cannot_be(self):
        wrong = {
            "max_keys": (0, -1, 2**63),
            "max_bytes": (0, 63, -64),
            "when_full": ("", "evict fullest", "EVICT", 1),
            "max_waiters": (0, -1),
            "max_lateness": (0, -1),
            "period": (0, -1, math.nan),
        }
        for name, values in wrong.items():
            for value in values:
                size = {} if name.startswith("max_") and name[4:] in ("keys", "bytes") else {"max_keys": 10}
                with self.subTest(name=name, value=value), self.assertRaisesRegex(ValueError, f"^{name} must be"):
                    Table(10, 5, **size, **{name: value})
        for capacity in (0, 1e16, math.nan):
            with self.subTest(capacity=capacity), self.assertRaisesRegex(ValueError, "^capacity must be"):
                Table(capacity, 1, max_keys=10)
        for rate in (0, 1e11, math.inf):
            with self.subTest(rate=rate), self.assertRaisesRegex(ValueError, "^tokens_per_second must be"):
                Table(1, rate, max_keys=10)
        for options in ({"max_keys": 1.5}, {"max_keys": True}, {"max_bytes": "64"}, {"clock": 1}):
            with self.subTest(options), self.assertRaises(TypeError):
                Table(10, 5, **{"max_keys": 10, **options})

    def test_more_memory_than_there_is(self):
        for size in ({"max_keys": 2**61}, {"max_bytes": 2**62}):
            with self.subTest(size), self.assertRaises((ValueError, MemoryError)):
                Table(10, 5, **size)

    def test_period_and_fractions(self):
        self.assertEqual(self.new_table(10, 700_000, period=timedelta(hours=1)).rate, Fraction(1750, 9))
        self.assertEqual(self.new_table(10, Fraction(1, 3)).rate, Fraction(1, 3))

    def test_without_init(self):
        table = Table.__new__(Table)
        for call in (table.allow, table.take, table.wait, table.tokens, table.reserve, table.remove):
            with self.subTest(call), self.assertRaisesRegex(RuntimeError, "the table does not exist"):
                call("a")
        with self.assertRaisesRegex(RuntimeError, "the table does not exist"):
            table.allow_many(["a"])
        self.assertIn("not initialised", repr(table))

    def test_a_second_init_changes_nothing(self):
        self.table.allow("a", 4)
        with self.assertRaisesRegex(RuntimeError, "exists already"):
            self.table.__init__(3, 1, max_keys=10)
        self.assertEqual((self.table.tokens("a"), self.table.capacity), (6, 10))

    def test_no_copies(self):
        for make in (pickle.dumps, copy.copy, copy.deepcopy):
            with self.subTest(make), self.assertRaisesRegex(TypeError, "cannot pickle or copy a Table"):
                make(self.table)

    def test_a_cycle_through_it_is_collected(self):
        class Holder(Table):
            pass

        table = Holder(10, 5, max_keys=10)
        table.self = table
        gone = weakref.ref(table)
        del table
        gc.collect()
        self.assertIsNone(gone())

    def test_repr(self):
        self.assertEqual(repr(self.table), "<Table capacity=10, tokens_per_second=5>")
        self.table.close()
        self.assertEqual(repr(self.table), "<Table capacity=10, tokens_per_second=5, closed>")


class Keys(TableTest):
    def test_different_ones_are_different(self):
        keys = [
            *("", "a", "aa", "a\0", "\0a", "1", "ä", "ÿ", "s", "ÿs"),
            *(b"\xff", b"\xffs", b"\xffi", b"\xffs\xff", b"\xff\xff", b"\xc3", b"\xe4"),
            *(0, 1, -1, 255, 256, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 2**64, 10**30, -(10**30)),
            *((), ("",), ("a",), (1,), ("1",), ("a", "a"), ("aa",), ("a", ""), ("", "a"), ("a", 1), ("a", "1")),
            *((("a",),), (("a",), "a"), (("a", "a"),), ((),), ((), ()), (((),),), (b"\xff",), (b"\xffs",), (2**63,)),
        ]
        # What another key is as bytes.
        keys += [encode(key) for key in keys if not isinstance(key, (str, bytes))]
        self.assertEqual(len({encode(key) for key in keys}), len(keys))
        for i, key in enumerate(keys):
            self.assertEqual((self.table.tokens(key), self.table.allow(key, 1 + i % 7)), (10, True), key)
        for i, key in enumerate(keys):
            self.assertEqual(self.table.tokens(key), 10 - (1 + i % 7), key)

    def test_both_ways_to_make_them_agree(self):
        """In one call of the library and in another one."""
        for key in ("a", "", b"\xff", b"\xffsa", 7, -(2**63), 2**63 - 1, 2**63, ("a", 7), "ä" * 1000):
            self.assertTrue(self.table.allow(key, 4))
            self.assertEqual((self.table.tokens(key), self.table.allow_many([key, key], 4)), (6, [True, False]), key)

    def test_a_str_is_its_utf_8(self):
        for text in ("ann", "", "änn", "\U0001f600"):
            self.table.allow(text, 4)
            self.assertEqual(self.table.tokens(text.encode()), 6)
        self.table.allow(("ann", 1), 3)
        self.assertEqual(self.table.tokens((b"ann", 1)), 7)

    def test_kinds_of_str_bytes_int_and_tuple(self):
        class Text(str):
            pass

        class Data(bytes):
            pass

        class Pair(tuple):
            pass

        for key, same in ((Text("a"), "a"), (Data(b"b"), b"b"), (Status.DENIED, 1), (Pair((1, "a")), (1, "a"))):
            self.table.allow(key, 4)
            self.assertEqual(self.table.tokens(same), 6)

    def test_zero_bytes_inside(self):
        self.table.allow("a\0b", 4)
        self.assertEqual([self.table.tokens(key) for key in ("a", "a\0", "a\0c", b"a\0b")], [10, 10, 10, 6])

    def test_as_long_as_can_be(self):
        for key in ("", b"", "x" * MOST, b"x" * MOST, "x" * (MOST - 2) + "ä", b"\xff" * (MOST - 2)):
            self.table.remove(key)
            self.assertTrue(self.table.allow(key, 10))
            self.assertFalse(self.table.allow(key))

    def test_too_long(self):
        for key in ("x" * (MOST + 1), b"x" * (MOST + 1), "ä" * (MOST // 2 + 1), b"\xff" * MOST, ("x" * MOST,)):
            for call in (self.table.allow, self.table.tokens, self.table.wait, lambda k: self.table.allow_many([k])):
                with self.subTest(call), self.assertRaisesRegex(ValueError, "^key must be at most 65536 bytes, got [0-9]+$"):
                    call(key)

    def test_what_is_no_key(self):
        calls = (
            self.table.allow,
            self.table.take,
            self.table.wait,
            self.table.tokens,
            self.table.reserve,
            self.table.charge,
            self.table.refund,
            self.table.remove,
            self.table.retry_after,
            lambda key: self.table.take_up_to(key, 1),
            lambda key: self.table.allow_many(["a", key]),
        )
        for key in (None, True, 1.0, ["a"], {"a"}, bytearray(b"a"), ("a", None), ("a", False), object()):
            for call in calls:
                with self.subTest(key=key, call=call), self.assertRaisesRegex(TypeError, "^key must be a str"):
                    call(key)
        with self.assertRaises(UnicodeEncodeError):
            self.table.allow("\ud800")
        self.assertEqual(self.table.stats().occupied, 0)


class Take(TableTest):
    def test_allow(self):
        self.assertIs(self.table.allow("a", 8), True)
        self.assertIs(self.table.allow("a", 3), False)
        self.assertIs(self.table.allow("a", 11), False)
        self.assertIs(self.table.try_consume(key="a", tokens=2), True)
        self.assertIs(self.table.try_consume("a"), False)
        self.assertIs(self.table.allow("b"), True)
        self.clock.advance(1)
        self.assertEqual((self.table.tokens("a"), self.table.tokens("b")), (5, 10))

    def test_take(self):
        self.assertEqual(self.table.take("a", 4), Decision(True, 6.0, 0, 800_000_000))
        self.assertEqual(self.table.take("a", tokens=7), Decision(False, 6.0, 200_000_000, 800_000_000))
        decision = self.table.take("a", 11)
        self.assertEqual((decision.allowed, decision.retry_after_ns), (False, FOREVER))
        self.assertEqual(self.table.take("b").remaining, 9)

    def test_take_up_to(self):
        self.table.allow("a", 2.5)
        taken = self.table.take_up_to("a", 3), self.table.take_up_to("a", most=100), self.table.take_up_to("a", 1)
        self.assertEqual((taken, self.table.tokens("a")), ((3, 4, 0), 0.5))
        self.assertIs(type(taken[0]), int)

    def test_wrong_arguments(self):
        calls = (
            lambda: self.table.allow(),
            lambda: self.table.allow(tokens=1),
            lambda: self.table.allow("a", 1, 1),
            lambda: self.table.allow("a", n=1),
            lambda: self.table.allow("a", key="b"),
            lambda: self.table.take_up_to("a"),
            lambda: self.table.wait("a", 1, 1, 1),
            lambda: self.table.wait(timeout=1),
        )
        for call in calls:
            self.assertRaises(TypeError, call)
        self.assertEqual(self.table.stats().occupied, 0)

    def test_no_amount_and_no_number(self):
        calls = (
            self.table.allow,
            self.table.take,
            self.table.take_up_to,
            self.table.wait,
            self.table.reserve,
            self.table.charge,
            self.table.refund,
            self.table.retry_after,
            lambda key, n: self.table.allow_many([key, key], [n, 1]),
            lambda key, n: self.table.allow_many([key, key], [1, n]),
        )
        for call in calls:
            for n in NO_AMOUNT:
                with self.subTest(call=call, n=n), self.assertRaises(ValueError):
                    call("a", n)
            for n in NO_NUMBER:
                with self.subTest(call=call, n=n), self.assertRaises(TypeError):
                    call("a", n)
        self.assertEqual(self.table.tokens("a"), 10)

    def test_allow_many(self):
        self.assertEqual(self.table.allow_many(["a", "b", "a"], 6), [True, True, False])
        self.assertEqual(self.table.allow_many(iter(["a", "b", "c"]), [4, 5, 11]), [True, False, False])
        self.assertEqual(self.table.allow_many(("a", "b", 7, ("a", 7))), [False, True, True, True])
        self.assertEqual([self.table.tokens(key) for key in ("a", "b", "c", 7, ("a", 7))], [0, 3, 10, 9, 9])
        self.assertEqual((self.table.allow_many([]), self.table.allow_many([], [])), ([], []))

    def test_allow_many_of_more_than_fit_a_batch(self):
        keys = [f"user {i % 200}" for i in range(2500)]
        answers = self.table.allow_many(keys)
        self.assertEqual(answers, [i < 2000 for i in range(2500)])
        self.assertEqual({self.table.tokens(key) for key in keys}, {0})

    def test_allow_many_takes_all_or_nothing_if_a_key_or_an_amount_is_none(self):
        for keys, tokens, error in (
            (["a", None], 1, TypeError),
            (["a", "b"], [1], ValueError),
            (["a"], [1, 1], ValueError),
            (["a"], [], ValueError),
            (["a", "b"], [1, "1"], TypeError),
            (["a"], True, TypeError),
            (["a"], "1", TypeError),
            (["a"], b"1", TypeError),
            (["a"], 0, ValueError),
            (5, 1, TypeError),
        ):
            with self.subTest(keys=keys, tokens=tokens), self.assertRaises(error):
                self.table.allow_many(keys, tokens)
        self.assertEqual(self.table.stats().occupied, 0)

    def test_retry_after(self):
        self.table.allow("a", 10)
        self.assertEqual(self.table.retry_after("a"), 0.2)
        self.assertEqual((self.table.retry_after("b", 10), self.table.retry_after("b", tokens=11)), (0, math.inf))


class Adjust(TableTest):
    def test_charge_and_refund(self):
        self.assertEqual((self.table.charge("a", 4), self.table.charge("a", 16), self.table.tokens("a")), (0, 2, -10))
        self.table.refund("a", 12)
        self.table.refund("a")
        self.assertEqual(self.table.tokens("a"), 3)
        self.table.refund("a", 100)
        self.assertEqual((self.table.tokens("a"), self.table.tokens("b")), (10, 10))
        with self.assertRaisesRegex(OverflowError, "than the table can count"):
            self.table.charge("a", 1e300)

    def test_remove(self):
        self.table.charge("a", 50)
        self.table.allow("b", 4)
        self.table.remove("a")
        self.assertEqual((self.table.tokens("a"), self.table.tokens("b"), self.table.stats().occupied), (10, 6, 1))

    def test_rate(self):
        self.table.allow_many(["a", "b"], 10)
        self.table.tokens_per_second = 20
        self.clock.advance(0.25)
        self.assertEqual((self.table.tokens("a"), self.table.tokens("b"), self.table.tokens_per_second), (5, 5, 20))

    def test_capacity(self):
        self.table.allow("a", 2)
        self.table.capacity = 4
        self.assertEqual((self.table.tokens("a"), self.table.tokens("b"), self.table.capacity), (4, 4, 4))
        self.table.capacity = 20
        self.assertEqual((self.table.tokens("a"), self.table.tokens("b")), (8, 20))

    def test_limits_that_cannot_be(self):
        for value in (*NO_AMOUNT, 1e15):
            with self.subTest(value), self.assertRaisesRegex(ValueError, "capacity must be"):
                self.table.capacity = value
        for value in (*NO_AMOUNT, 1e10):
            with self.subTest(value), self.assertRaisesRegex(ValueError, "tokens_per_second must be"):
                self.table.tokens_per_second = value
        self.assertEqual((self.table.capacity, self.table.tokens_per_second), (10, 5))

    def test_reserve_and_cancel(self):
        self.table.allow("a", 10)
        reservation = self.table.reserve("a", 5)
        self.assertEqual((reservation.tokens, reservation.delay, reservation.ready_at), (5, 1, 1))
        self.assertEqual((self.table.tokens("a"), self.table.reserve("b").delay), (-5, 0))
        self.clock.advance(0.4)
        self.assertEqual(reservation.delay, 0.6)
        reservation.cancel()
        reservation.cancel()
        self.assertEqual((self.table.tokens("a"), self.table.tokens("b"), reservation.tokens), (2, 10, 0))

    def test_settle(self):
        self.table.reserve("a", 6).settle(2)
        self.table.reserve(("b", 1), 2).settle(11)
        self.assertEqual((self.table.tokens("a"), self.table.tokens(("b", 1))), (8, -1))
        reservation = self.table.reserve("c", 6)
        for actual in (-1, math.nan, math.inf):
            with self.assertRaisesRegex(ValueError, "0 or more"):
                reservation.settle(actual)
        with self.assertRaises(OverflowError):
            reservation.settle(1e300)
        reservation.settle(0)
        with self.assertRaisesRegex(ValueError, "already"):
            reservation.settle(0)
        self.assertEqual(self.table.tokens("c"), 10)

    def test_max_wait(self):
        self.table.allow("a", 10)
        with self.assertRaises(RateLimitExceeded) as caught:
            self.table.reserve("a", 5, max_wait=0.9)
        self.assertEqual((caught.exception.retry_after, self.table.tokens("a")), (1, 0))
        self.assertEqual(self.table.reserve("a", 5, timedelta(seconds=1)).delay, 1)
        with self.assertRaisesRegex(ValueError, "11 tokens exceed the capacity of 10"):
            self.table.reserve("b", 11)

    def test_a_reservation_of_a_key_that_was_removed_is_void(self):
        self.table.allow("a", 10)
        reservation = self.table.reserve("a", 5)
        self.table.remove("a")
        reservation.cancel()
        self.assertEqual(self.table.tokens("a"), 10)


class Room(TableTest):
    """64 bytes are four places."""

    def full_table(self, when_full, cost=4):
        table = self.new_table(max_bytes=64, when_full=when_full)
        for key in range(4):
            table.charge(key, cost)
        self.assertEqual((table.stats().places, table.stats().occupied), (4, 4))
        return table

    def test_deny(self):
        table = self.full_table("deny")
        calls = (
            table.allow,
            table.try_consume,
            table.take,
            table.wait,
            table.reserve,
            table.charge,
            lambda key: table.take_up_to(key, 1),
        )
        for call in calls:
            with self.subTest(call), self.assertRaisesRegex(TableFull, "no room for another key") as caught:
                call("new")
            self.assertIsInstance(caught.exception, RateLimitExceeded)
            error = pickle.loads(pickle.dumps(caught.exception))
            self.assertEqual((error.status, error.tokens, error.retry_after), (Status.TABLE_FULL, 1, math.inf))
        self.assertEqual(table.allow_many([0, "new", 1, 3], [1, 1, 7, 1]), [True, None, False, True])
        self.assertEqual([table.tokens(key) for key in range(4)], [5, 6, 6, 5])
        self.clock.advance(1)
        self.assertIs(table.allow("new"), True)

    def test_evict_the_fullest(self):
        table = self.full_table("evict")
        table.allow(2)
        table.refund(1, 2)
        self.assertIs(table.allow("new"), True)
        self.assertEqual([table.tokens(key) for key in (0, 1, 2, 3, "new")], [6, 10, 5, 6, 9])
        self.assertEqual(table.stats(), TableStats(4, 4, 1, 2.0))

    def test_evict_none_that_is_in_debt(self):
        table = self.full_table("evict", 11)
        with self.assertRaises(TableFull):
            table.allow("new")
        self.assertEqual(([table.tokens(key) for key in range(4)], table.stats().evicted), ([-1] * 4, 0))

    def test_admit(self):
        table = self.full_table("admit")
        self.assertEqual([table.allow("new", 10) for _ in range(3)], [True] * 3)
        self.assertEqual((table.tokens("new"), table.stats().tokens_forgiven), (10, 30))
        self.assertEqual([table.tokens(key) for key in range(4)], [6] * 4)


class Close(TableTest):
    def test_calls_after_it(self):
        reservation = self.table.reserve("a", 4)
        self.assertFalse(self.table.closed)
        self.table.close()
        self.table.close()
        self.assertTrue(self.table.closed)
        calls = (
            lambda: self.table.allow("a"),
            lambda: self.table.try_consume("a"),
            lambda: self.table.take("a"),
            lambda: self.table.take_up_to("a", 1),
            lambda: self.table.allow_many(["a", "b"]),
            lambda: self.table.wait("a"),
            lambda: self.table.reserve("a"),
            lambda: self.table.charge("a"),
            lambda: self.table.refund("a"),
            lambda: reservation.settle(1),
            lambda: setattr(self.table, "capacity", 5),
            lambda: setattr(self.table, "tokens_per_second", 5),
        )
        for call in calls:
            with self.subTest(call), self.assertRaisesRegex(BucketClosed, "the table is closed"):
                call()
        self.assertEqual((self.table.tokens("a"), self.table.capacity, self.table.retry_after("a", 10)), (6, 10, 0.8))
        self.assertEqual(self.table.stats().occupied, 1)


class Addresses(unittest.TestCase):
    def test_ipv4(self):
        for text in ("192.0.2.1", "192.0.2.1:80", "::ffff:192.0.2.1"):
            self.assertEqual(address_key(text), bytes([192, 0, 2, 1]))

    def test_ipv6(self):
        network = bytes.fromhex("20010db8000000000000000000000000")
        for text in ("2001:db8::1", "[2001:db8::1]:80", "2001:db8::ffff:1:2:3", "2001:db8::1%eth0"):
            self.assertEqual(address_key(text), network)
        self.assertEqual(address_key("2001:db8::1", 128), network[:-1] + b"\1")
        self.assertEqual(address_key("2001:db8::1", ipv6_prefix=0), bytes(16))

    def test_no_address(self):
        for text in ("", "a", "192.0.2", "192.0.2.256", "1.2.3.4\0", "\ud800", "ä", ":::"):
            with self.subTest(text), self.assertRaisesRegex(ValueError, "^address must be an IPv4 or IPv6 address, got '"):
                address_key(text)
        for prefix in (-1, 129, 2**40):
            with self.subTest(prefix), self.assertRaisesRegex(ValueError, f"^ipv6_prefix must be from 0 to 128, got {prefix:.15g}$"):
                address_key("::1", prefix)
        for arguments in ((b"::1",), (None,), ("::1", "64"), ("::1", True), ("::1", 64.0)):
            with self.subTest(arguments), self.assertRaises(TypeError):
                address_key(*arguments)


class Threads(TableTest):
    def test_16_threads_and_many_keys(self):
        """Each key grants what it holds, whoever asks."""
        table = self.new_table(50, 1)
        keys = [*range(20), *(f"user {i}" for i in range(20)), *((i, "b") for i in range(20))]
        gate = threading.Barrier(16)

        def work(number):
            gate.wait()
            granted = 0
            for i in range(5):
                granted += sum(map(table.allow, keys[number:] + keys[:number]))
                granted += sum(table.allow_many(keys))
            return granted

        threads = [self.in_thread(work, number) for number in range(16)]
        self.assertEqual(sum(thread.get() for thread in threads), 50 * len(keys))
        self.assertEqual({table.tokens(key) for key in keys}, {0})
        self.assertEqual(table.stats()[1:3], (len(keys), 0))


if __name__ == "__main__":
    unittest.main()

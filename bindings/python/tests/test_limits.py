"""Several limits in one decision: taking, reserving, events."""

import asyncio
import copy
import gc
import math
import pickle
import unittest
import weakref
from datetime import timedelta
from fractions import Fraction

from support import BucketTest
from test_original import NO_AMOUNT, NO_NUMBER
from tokenbucket import BucketClosed, JointDecision, Limits, RateLimitExceeded, Status, TableFull, TokenBucket


class LimitsTest(BucketTest):
    """Requests, 10 with 1 per second; tokens, 100 with 10 per second; and users, 5 with 1 per second."""

    def setUp(self):
        super().setUp()
        self.requests = self.new_bucket(10, 1)
        self.tokens = self.new_bucket(100, 10)
        self.users = self.new_table(5, 1)
        self.limits = Limits([self.requests, self.tokens, (self.users, "u")])

    def left(self):
        return self.requests.tokens, self.tokens.tokens, self.users.tokens("u")

    def empty(self):
        self.assertTrue(self.limits.allow([10, 100, 5]))
        self.users.refund("u", 5)
        self.assertEqual(self.left(), (0, 0, 5))


class Making(LimitsTest):
    def test_members(self):
        members = self.requests, (self.users, "u"), (self.users, ("u", 1))
        limits = Limits(member for member in members)
        self.assertEqual((limits.members, repr(limits)), (members, f"<Limits {[*members]}>"))

    def test_up_to_16(self):
        limits = Limits([(self.users, key) for key in range(16)])
        self.assertTrue(limits.allow(5))
        self.assertEqual([self.users.tokens(key) for key in (0, 15, 16)], [0, 0, 5])
        for count in (0, 17):
            with self.assertRaisesRegex(ValueError, f"^members must be from 1 to 16 buckets and keys, got {count}$"):
                Limits([(self.users, key) for key in range(count)])

    def test_none_occurs_twice(self):
        for twice in ([self.requests, self.requests], [(self.users, "u"), self.requests, (self.users, b"u")]):
            with self.assertRaisesRegex(ValueError, "twice"):
                Limits(twice)
        Limits([(self.users, "u"), (self.new_table(), "u"), (self.users, "v")])

    def test_no_member(self):
        users = self.users
        for wrong in (None, 1, "u", users, (users,), (self.requests, "u"), [users, "u"], (users, 1, 2)):
            with self.subTest(wrong), self.assertRaisesRegex(TypeError, "a TokenBucket or a tuple of a Table and a"):
                Limits([self.requests, wrong])
        for wrong, error in ((None, TypeError), (True, TypeError), ("x" * 65537, ValueError)):
            with self.assertRaisesRegex(error, "^key must be"):
                Limits([(self.users, wrong)])
        self.assertRaises(TypeError, Limits, self.requests)

    def test_what_does_not_exist(self):
        with self.assertRaisesRegex(RuntimeError, "__init__ has not run"):
            Limits([TokenBucket.__new__(TokenBucket)])
        limits = Limits.__new__(Limits)
        for call in (limits.allow, limits.take, limits.wait, limits.reserve):
            with self.assertRaisesRegex(RuntimeError, "__init__ has not run"):
                call()
        with self.assertRaisesRegex(RuntimeError, "exist already"):
            self.limits.__init__([self.tokens])

    def test_no_copy(self):
        for thing in (self.limits, self.limits.reserve()):
            for call in (pickle.dumps, copy.copy, copy.deepcopy):
                with self.assertRaisesRegex(TypeError, "cannot pickle or copy a"):
                    call(thing)

    def test_it_keeps_its_members(self):
        limits = Limits([self.new_bucket(), (self.new_table(), "u" * 1000), (self.new_table(), "")])
        gc.collect()
        self.assertTrue(limits.allow(10))
        self.assertEqual(limits.take(), JointDecision(False, 0, 200_000_000))

    def test_it_is_collected_with_its_members(self):
        bucket = self.new_bucket()
        bucket.limits = Limits([bucket])
        gone = weakref.ref(bucket), weakref.ref(bucket.limits)
        del bucket
        gc.collect()
        self.assertEqual([reference() for reference in gone], [None, None])


class Allow(LimitsTest):
    def test_from_all_or_from_none(self):
        self.assertIs(self.limits.allow([1, 60, 2]), True)
        self.assertEqual(self.left(), (9, 40, 3))
        self.assertIs(self.limits.allow([1, 41, 1]), False)
        self.assertIs(self.limits.try_consume([1, 40, 4]), False)
        self.assertEqual(self.left(), (9, 40, 3))
        self.assertIs(self.limits.try_consume([1, 40, 3]), True)
        self.assertEqual(self.left(), (8, 0, 0))

    def test_one_amount_for_all(self):
        self.assertTrue(self.limits.allow())
        self.assertTrue(self.limits.allow(1.5))
        self.assertTrue(self.limits.allow(costs=Fraction(1, 2)))
        self.assertTrue(self.limits.allow((1, Fraction(1, 4), 2)))
        self.assertEqual(self.left(), (6, 96.75, 0))

    def test_who_refuses_and_for_how_long(self):
        self.assertEqual(self.limits.take(5), JointDecision(True, None, 0))
        decision = self.limits.take([1, 96, 3])
        self.assertEqual((bool(decision), decision), (False, (False, 2, 3 * 10**9)))
        self.assertEqual(self.limits.take([1, 100, 0.1]).member, 1)
        self.assertEqual(self.limits.take([10, 100, 0.1]), (False, 0, 5 * 10**9))
        never = self.limits.take([1, 101, 1])
        self.assertEqual((never.member, never.retry_after), (1, math.inf))
        self.assertEqual(self.left(), (5, 95, 0))

    def test_no_costs(self):
        for wrong in ([1, 1], [1, 1, 1, 1], []):
            with self.assertRaisesRegex(ValueError, f"^costs must be 3 numbers, one for each member, got {len(wrong)}$"):
                self.limits.allow(wrong)
        for wrong in NO_AMOUNT:
            with self.subTest(wrong), self.assertRaisesRegex(ValueError, "^member 1: costs must be finite and more than 0, got"):
                self.limits.allow([1, wrong, 1])
        for wrong in NO_NUMBER:
            for costs in (wrong, [1, wrong, 1]):
                with self.subTest(costs), self.assertRaises((TypeError, ValueError)):
                    self.limits.allow(costs)
        with self.assertRaises(TypeError):
            self.limits.allow("111")
        self.assertEqual(self.left(), (10, 100, 5))

    def test_closed(self):
        self.tokens.close()
        for call in (self.limits.allow, self.limits.take, self.limits.wait, self.limits.reserve):
            with self.assertRaisesRegex(BucketClosed, "member 1: the bucket is closed") as caught:
                call()
            self.assertEqual(caught.exception.member, 1)
        with self.assertRaises(BucketClosed) as caught:
            self.tokens.allow()
        self.assertIsNone(caught.exception.member)
        self.assertEqual(self.left(), (10, 100, 5))

    def test_no_room_for_a_key(self):
        table = self.new_table(max_bytes=64, when_full="deny")
        self.assertEqual(table.allow_many(range(4)), [True] * 4)
        limits = Limits([self.requests, (table, "new")])
        for call in (limits.allow, limits.take, limits.wait, limits.reserve):
            with self.assertRaisesRegex(TableFull, "member 1: 1 tokens: the table has no room") as caught:
                call()
            self.assertEqual((caught.exception.member, caught.exception.status), (1, Status.TABLE_FULL))
        self.assertEqual(self.requests.tokens, 10)

    def test_errors_can_be_sent(self):
        for call, member in ((lambda: self.limits.wait([10, 100, 6]), None), (lambda: self.limits.wait(4, timeout=0), 2)):
            self.users.charge("u", 4)
            with self.assertRaises((ValueError, RateLimitExceeded)) as caught:
                call()
            error = pickle.loads(pickle.dumps(caught.exception))
            self.assertEqual((str(error), getattr(error, "member", None)), (str(caught.exception), member))

    def test_threads(self):
        """Never more than any member has, never less, whichever order the members stand in."""
        hour = self.new_bucket(1000, 1)
        several = [Limits([hour, (self.new_table(300, 1), 1)]), Limits([self.new_bucket(1000, 1), hour])]

        def use(limits):
            return sum(limits.allow() for _ in range(500))

        calls = [self.in_thread(use, several[i % 2]) for i in range(8)]
        granted = [call.get() for call in calls]
        self.assertEqual(sum(granted), 1000)
        self.assertLessEqual(sum(granted[::2]), 300)
        self.assertEqual(hour.tokens, 0)


class Events(BucketTest):
    def watched(self, name, **options):
        return self.new_bucket(on_event=lambda event: self.told.append((name, *event)), **options)

    def setUp(self):
        super().setUp()
        self.told = []
        self.quiet = self.new_bucket()
        self.a, self.b = self.watched("a", initial_tokens=0), self.watched("b", initial_tokens=0)
        self.limits = Limits([self.quiet, self.a, self.b])

    def test_who_refuses_is_told(self):
        self.assertFalse(self.limits.allow([1, 2, 1]))
        self.assertRaises(RateLimitExceeded, self.limits.wait, [1, 1, 2], timeout=0)
        self.assertEqual(self.told, [("a", Status.DENIED, 2, 0), ("b", Status.TIMED_OUT, 2, 0)])

    def test_each_is_told_of_its_wait(self):
        wait = self.in_thread(self.limits.wait, [1, 1, 2])
        self.until_waiting(2)
        self.clock.set(0.2)
        self.until_waiting(1)
        self.clock.set(0.4)
        wait.get()
        self.assertEqual(sorted(self.told), [("a", Status.SUCCESS, 1, 0.4), ("b", Status.SUCCESS, 2, 0.4)])

    def test_each_is_told_of_a_tasks_wait(self):
        async def use(ends):
            del self.told[:]
            task = asyncio.ensure_future(self.limits.wait_async([1, 1, 2]))
            await asyncio.sleep(0)
            self.clock.advance(0.4)
            ends(task)
            await asyncio.wait([task])

        asyncio.run(use(lambda task: None))
        self.assertEqual(sorted(self.told), [("a", Status.SUCCESS, 1, 0.4), ("b", Status.SUCCESS, 2, 0.4)])
        self.limits.reserve([1, 2, 2])
        asyncio.run(use(lambda task: task.cancel()))
        self.assertEqual(sorted(name for name, *_ in self.told), ["a", "b"])

    def test_what_is_called_may_call(self):
        self.a = self.watched("a", initial_tokens=0)

        def call(event):
            self.told.append(event.status)
            self.assertFalse(self.a.allow(3))

        limits = Limits([self.a, self.new_bucket(initial_tokens=0, on_event=call)])
        wait = self.in_thread(limits.wait, [1, 1])
        self.until_waiting(2)
        self.clock.set(0.2)
        wait.get()
        self.assertCountEqual(self.told, [Status.SUCCESS, ("a", Status.SUCCESS, 1, 0.2), ("a", Status.DENIED, 3, 0)])


class Reserve(LimitsTest):
    def setUp(self):
        super().setUp()
        self.empty()

    def test_all_may_be_used_at_the_latest_time(self):
        reservation = self.limits.reserve([2, 50, 1])
        self.assertEqual((reservation.tokens, reservation.delay), ((2, 50, 1), 5))
        self.assertEqual(repr(reservation), "<JointReservation of 2, 50, 1 tokens, due in 5 s>")
        self.assertEqual(self.left(), (-2, -50, 4))
        self.clock.set(2)
        self.assertEqual(reservation.delay, 3)
        self.clock.set(5)
        self.assertEqual((reservation.delay, self.limits.reserve([1, 1, 1], max_wait=1).delay), (0, 0.1))

    def test_cancel(self):
        """While any is not due all comes back."""
        for time_ in (0, 2):
            reservation = self.limits.reserve([2, 50, 1])
            self.clock.set(time_)
            for _ in range(2):
                reservation.cancel()
                self.assertEqual(self.left(), (time_, 10 * time_, 5))
            self.assertEqual((reservation.tokens, repr(reservation)), ((0, 0, 0), "<JointReservation that has ended>"))
        reservation = self.limits.reserve([2, 50, 1])
        self.clock.set(5)
        reservation.cancel()
        self.assertEqual(self.left(), (3, 0, 5), "all are due")

    def test_settle(self):
        reservation = self.limits.reserve([2, 50, 1])
        self.clock.set(5)
        for wrong in ([1, 1], [1, -1, 1], [1, math.inf, 1], -1, math.nan):
            self.assertRaises(ValueError, reservation.settle, wrong)
        self.assertRaises(TypeError, reservation.settle, "111")
        reservation.settle([2, 30, 3])
        self.assertEqual(self.left(), (3, 20, 3))
        self.assertRaisesRegex(ValueError, "already", reservation.settle, 0)
        reservation.cancel()
        self.assertEqual(self.left(), (3, 20, 3))
        self.limits.reserve([3, 20, 3]).settle(0)
        self.assertEqual(self.left(), (3, 20, 3))

    def test_settle_goes_on_to_the_end(self):
        reservation = self.limits.reserve([2, 50, 1])
        self.requests.close()
        with self.assertRaisesRegex(BucketClosed, "member 0: the bucket is closed"):
            reservation.settle(0)
        self.assertEqual(self.left(), (-2, 0, 5))

    def test_refusals(self):
        for max_wait in (0, 4.999999999, timedelta(seconds=4)):
            with self.assertRaises(RateLimitExceeded) as caught:
                self.limits.reserve([2, 50, 1], max_wait)
            self.assertEqual((caught.exception.member, caught.exception.retry_after), (1, 5))
        with self.assertRaisesRegex(ValueError, "member 2: 6 tokens exceed the capacity of 5"):
            self.limits.reserve([1, 1, 6])
        self.assertRaises(ValueError, self.limits.reserve, 1, -1)
        self.assertEqual(self.left(), (0, 0, 5))

    def test_a_debt_beyond_what_can_be_counted(self):
        fast = self.new_bucket(10, 1e10)
        for n in (1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 10):
            with self.assertRaises(OverflowError):
                while True:
                    fast.charge(n)
        with self.assertRaisesRegex(OverflowError, "one of the members"):
            Limits([self.requests, fast]).reserve(10)
        self.assertEqual(self.left(), (0, 0, 5))


if __name__ == "__main__":
    unittest.main()

"""What else the original class had not: closing, events, statistics, clocks."""

import asyncio
import copy
import functools
import gc
import math
import pickle
import sys
import threading
import unittest
import weakref
from datetime import timedelta
from fractions import Fraction
from unittest import mock

from support import BucketTest
from tokenbucket import BucketClosed, Event, ManualClock, RateLimitExceeded, Status, TokenBucket


class Close(BucketTest):
    def test_calls_after_it(self):
        self.assertFalse(self.bucket.closed)
        self.bucket.close()
        self.bucket.close()
        self.assertTrue(self.bucket.closed)
        calls = (
            self.bucket.allow,
            self.bucket.try_consume,
            self.bucket.take,
            lambda: self.bucket.take_up_to(1),
            self.bucket.wait,
            self.bucket.reserve,
            self.bucket.charge,
            self.bucket.refund,
            self.bucket.reset,
            self.bucket.__enter__,
            lambda: setattr(self.bucket, "capacity", 5),
            lambda: setattr(self.bucket, "tokens_per_second", 5),
        )
        for call in calls:
            with self.subTest(call), self.assertRaises(BucketClosed):
                call()

    def test_looking_goes_on(self):
        self.bucket.allow(4)
        self.bucket.close()
        self.assertEqual((self.bucket.tokens, self.bucket.capacity, self.bucket.retry_after(10)), (6, 10, 0.8))
        self.assertEqual(repr(self.bucket), "<TokenBucket capacity=10, tokens_per_second=5, closed>")


class Events(BucketTest):
    def setUp(self):
        super().setUp()
        self.events = []
        self.bucket = self.new_bucket(on_event=self.events.append)

    def test_refusals_are_told_and_grants_are_not(self):
        self.bucket.allow(8)
        for call in (self.bucket.allow, self.bucket.try_consume, self.bucket.take):
            call(3)
        self.assertEqual(self.events, [Event(Status.DENIED, 3.0, 0.0)] * 3)

    def test_the_end_of_a_wait(self):
        self.bucket.allow(10)
        wait = self.in_thread(self.bucket.wait, 5)
        self.until_waiting(1)
        self.clock.advance(1)
        wait.get()
        self.assertEqual(self.events, [Event(Status.SUCCESS, 5.0, 1.0)])

    def test_refused_waits_and_reservations(self):
        self.bucket.allow(10)
        for call in (lambda: self.bucket.wait(5, 0.5), lambda: self.bucket.reserve(5, 0.5)):
            with self.assertRaises(RateLimitExceeded):
                call()
        self.assertEqual(self.events, [Event(Status.TIMED_OUT, 5.0, 0.0)] * 2)

    def test_in_the_thread_that_calls(self):
        threads = []
        bucket = self.new_bucket(on_event=lambda event: threads.append(threading.get_ident()), initial_tokens=0)
        thread = self.in_thread(bucket.allow)
        thread.get()
        self.assertEqual(threads, [thread.ident])

    def test_it_may_use_the_bucket(self):
        bucket = self.new_bucket(on_event=lambda event: bucket.refund(event.tokens), initial_tokens=0)
        self.assertEqual((bucket.allow(3), bucket.allow(3)), (False, True))

    def test_an_error_goes_to_the_hook(self):
        def broken(event):
            raise KeyError("broken")

        bucket = self.new_bucket(on_event=broken, initial_tokens=0)
        with mock.patch.object(sys, "unraisablehook") as hook:
            self.assertFalse(bucket.allow())
            self.assertRaises(RateLimitExceeded, bucket.wait, timeout=0)
        errors = [call.args[0] for call in hook.call_args_list]
        self.assertEqual([error.exc_type for error in errors], [KeyError] * 2)
        self.assertTrue(all(error.exc_traceback for error in errors))

    def test_from_120_threads(self):
        self.bucket.allow(10)
        threads = [self.in_thread(self.bucket.allow, i + 1) for i in range(120)]
        for thread in threads:
            thread.get()
        self.assertEqual(sorted(e.tokens for e in self.events), list(range(1, 11)))

    def test_a_cycle_through_it_is_collected(self):
        kept = []
        bucket = TokenBucket(1, 1, on_event=functools.partial(print, kept))
        kept.append(bucket)
        gone = weakref.ref(bucket)
        del bucket, kept
        self.assertIsNotNone(gone())
        gc.collect()
        self.assertIsNone(gone())


class AsyncEvents(Events, unittest.IsolatedAsyncioTestCase):
    async def test_of_tasks(self):
        self.bucket.allow(10)
        tasks = [asyncio.ensure_future(self.bucket.wait_async(n)) for n in (1, 2, 3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        self.clock.advance(0.2)
        await tasks[0]
        self.bucket.close()
        await asyncio.wait(tasks)
        told = [(e.status, e.tokens, e.waited) for e in self.events]
        self.assertEqual(told, [(Status.INTERRUPTED, 2, 0), (Status.SUCCESS, 1, 0.2), (Status.CLOSED, 3, 0.2)])
        self.assertIsInstance(tasks[2].exception(), BucketClosed)

    async def test_of_tasks_too_many(self):
        bucket = self.new_bucket(max_waiters=1, initial_tokens=0, on_event=self.events.append)
        task = asyncio.ensure_future(bucket.wait_async())
        await asyncio.sleep(0)
        with self.assertRaises(RateLimitExceeded):
            await bucket.wait_async(2)
        self.assertEqual(self.events, [Event(Status.QUEUE_FULL, 2, 0)])
        task.cancel()

    async def test_of_a_task_pushed_behind_its_timeout(self):
        self.bucket.allow(10)
        task = asyncio.ensure_future(self.bucket.wait_async(5, timeout=1))
        await asyncio.sleep(0)
        self.bucket.charge(1)
        with self.assertRaises(RateLimitExceeded) as caught:
            await task
        self.assertEqual(caught.exception.retry_after, 1.2)
        self.assertEqual(self.events, [Event(Status.TIMED_OUT, 5, 0)])


class AsyncStatistics(BucketTest, unittest.IsolatedAsyncioTestCase):
    async def test_tasks_are_counted_as_threads_are(self):
        bucket = self.new_bucket(statistics=True, initial_tokens=0)
        tasks = [asyncio.ensure_future(bucket.wait_async(n)) for n in (2, 3, 4)]
        await asyncio.sleep(0)
        self.assertEqual(bucket.stats().waiting, 3)
        tasks[2].cancel()
        await asyncio.wait(tasks[2:])
        self.clock.advance(1)
        await asyncio.gather(*tasks[:2])
        with self.assertRaises(RateLimitExceeded):
            await bucket.wait_async(5, timeout=0.5)
        stats = bucket.stats()
        self.assertEqual((stats.granted, stats.timed_out, stats.cancelled, stats.waiting), (2, 1, 1, 0))
        self.assertEqual((stats.waits, stats.total_wait, stats.longest_wait), (3, 2, 1))
        self.assertEqual((stats.tokens_taken, stats.tokens_given_back), (9, 4))


class Statistics(BucketTest):
    def test_counts(self):
        bucket = self.new_bucket(statistics=True)
        bucket.allow(8)
        bucket.allow(8)
        wait = self.in_thread(bucket.wait, 4)
        self.until_waiting(1)
        self.assertEqual(bucket.stats().waiting, 1)
        self.clock.advance(0.4)
        wait.get()
        bucket.reserve(5).cancel()
        with self.assertRaises(RateLimitExceeded):
            bucket.wait(5, 0)
        stats = bucket.stats()
        self.assertEqual((stats.granted, stats.denied, stats.timed_out, stats.cancelled), (3, 1, 1, 1))
        self.assertEqual((stats.waits, stats.total_wait, stats.longest_wait, stats.waiting), (1, 0.4, 0.4, 0))
        self.assertEqual((stats.tokens_taken, stats.tokens_given_back), (17, 5))

    def test_only_where_asked_for(self):
        with self.assertRaisesRegex(RuntimeError, "statistics=True"):
            self.bucket.stats()


class Clocks(BucketTest):
    def test_moves(self):
        clock = ManualClock(1.5)
        clock.advance(timedelta(milliseconds=250))
        self.assertEqual((clock.now, clock.now_ns), (1.75, 1_750_000_000))
        clock.set(7)
        clock.set(3)
        self.assertEqual(clock.now, 7)
        self.assertIn("7.0", repr(clock))

    def test_every_nanosecond_can_be_named(self):
        for ns in range(1, 1000):
            self.assertEqual(ManualClock(ns / 10**9).now_ns, ns)
        for ns in (10**17 + 1, 2**63 - 2):
            self.assertEqual(ManualClock(Fraction(ns, 10**9)).now_ns, ns)

    def test_times_that_cannot_be(self):
        for call in (ManualClock, self.clock.set, self.clock.advance):
            for time in (-1, math.nan, -math.inf):
                with self.subTest(call=call, time=time), self.assertRaises(ValueError):
                    call(time)
            with self.assertRaises(TypeError):
                call("1")
        self.clock.set(1)
        with self.assertRaises(OverflowError):
            self.clock.advance(math.inf)
        self.assertEqual(self.clock.now, 1)

    def test_serves_many_buckets(self):
        buckets = [self.new_bucket(1, rate, initial_tokens=0) for rate in (1, 2, 4)]
        waits = [self.in_thread(bucket.wait) for bucket in buckets]
        self.until_waiting(3)
        self.assertEqual(self.clock.waiters(), (3, 0.25))
        self.clock.advance(1)
        self.assertEqual([wait.get() for wait in waits], [None] * len(waits))

    def test_lives_as_long_as_its_buckets(self):
        bucket = TokenBucket(1, 1, clock=ManualClock(5))
        self.assertEqual(bucket.reserve().ready_at, 5)

    def test_a_second_init_changes_nothing(self):
        with self.assertRaisesRegex(RuntimeError, "exists already"):
            self.clock.__init__(7)


class Copies(BucketTest):
    def test_none(self):
        for thing in (self.bucket, self.clock, self.bucket.reserve()):
            for make in (pickle.dumps, copy.copy, copy.deepcopy):
                with self.subTest(thing=thing, make=make), self.assertRaisesRegex(TypeError, "cannot pickle or copy"):
                    make(thing)

    def test_errors_can_be_pickled(self):
        error = pickle.loads(pickle.dumps(RateLimitExceeded(Status.TIMED_OUT, 5.0, 1.5)))
        self.assertEqual((error.status, error.tokens, error.retry_after), (Status.TIMED_OUT, 5, 1.5))
        self.assertIsInstance(error, TimeoutError)
        self.assertIs(error.errno, None)


if __name__ == "__main__":
    unittest.main()

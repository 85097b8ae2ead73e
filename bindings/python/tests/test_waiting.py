"""wait(): order, timeouts, changes meanwhile, the decorator, the context manager."""

import asyncio
import math
import sys
import threading
import time
import unittest
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from support import BucketTest
from test_original import NO_AMOUNT, NO_NUMBER
from tokenbucket import BucketClosed, ManualClock, RateLimitExceeded, Status, TokenBucket


class Wait(BucketTest):
    def test_at_once_if_the_tokens_are_there(self):
        self.assertIsNone(self.bucket.wait())
        self.assertIsNone(self.bucket.wait(tokens=9))
        self.assertEqual(self.bucket.tokens, 0)

    def test_until_they_are_there(self):
        self.bucket.allow(10)
        wait = self.in_thread(self.bucket.wait, 4)
        self.until_waiting(1)
        self.assertEqual(self.clock.waiters().next_due, 0.8)
        self.clock.set(0.799999999)
        self.assertEqual(self.clock.waiters().waiting, 1)
        self.clock.set(0.8)
        self.assertIsNone(wait.get())
        self.assertEqual(self.bucket.tokens, 0)

    def test_more_than_the_capacity_fails_at_once(self):
        with self.assertRaisesRegex(ValueError, "15 tokens exceed the capacity of 10"):
            self.bucket.wait(15)
        self.assertEqual(self.bucket.tokens, 10)

    def test_no_amount(self):
        for tokens in NO_AMOUNT:
            with self.subTest(tokens), self.assertRaises(ValueError):
                self.bucket.wait(tokens)

    def test_no_number(self):
        for tokens in NO_NUMBER:
            with self.subTest(tokens), self.assertRaises(TypeError):
                self.bucket.wait(tokens)

    def test_wrong_arguments(self):
        for args, options in (((1, 2, 3), {}), ((), {"n": 1}), ((1, 1), {"timeout": 1}), ((), {"priority": 1.5})):
            with self.subTest(args), self.assertRaises(TypeError):
                self.bucket.wait(*args, **options)
        self.assertEqual(self.bucket.tokens, 10)

    def test_times_of_all_kinds(self):
        for two in (2, 2.0, Fraction(2), Decimal(2), timedelta(seconds=2)):
            with self.subTest(two):
                bucket = self.new_bucket(1, 1, period=two, initial_tokens=0, max_lateness=two)
                self.assertEqual(bucket.reserve(1, max_wait=two).delay, 2)
                for wait in (bucket.wait, lambda n, timeout: asyncio.run(bucket.wait_async(n, timeout))):
                    with self.assertRaises(RateLimitExceeded) as caught:
                        wait(1, two)
                    self.assertEqual(caught.exception.retry_after, 4)
                self.clock.advance(two)
                self.assertEqual((bucket.tokens, ManualClock(two).now), (0, 2))

    def test_in_the_order_of_the_calls(self):
        self.bucket.allow(10)
        order, waits = [], []
        for count, tokens in enumerate((5, 1, 3), 1):
            waits.append(self.in_thread(lambda n: (self.bucket.wait(n), order.append(n)), tokens))
            self.until_waiting(count)
        for time_, wait in zip((1, 1.2, 1.8), waits):
            self.clock.set(time_)
            wait.get()
        self.assertEqual(order, [5, 1, 3])

    def test_allow_does_not_overtake(self):
        self.bucket.allow(10)
        wait = self.in_thread(self.bucket.wait, 10)
        self.until_waiting(1)
        self.clock.set(1)
        self.assertFalse(self.bucket.allow(0.1))
        self.clock.set(2)
        wait.get()

    def test_a_higher_priority_goes_first(self):
        self.bucket.allow(10)
        order, waits = [], []
        for count, priority in enumerate((-(2**31), 0, 7, 2**31 - 1, 7), 1):
            wait = lambda c, p: (self.bucket.wait(5, priority=p), order.append((p, c)))  # noqa: E731
            waits.append(self.in_thread(wait, count, priority))
            self.until_waiting(count)
        for time_, wait in zip((1, 2, 3, 4, 5), (waits[i] for i in (3, 2, 4, 1, 0))):
            self.clock.set(time_)
            wait.get()
        self.assertEqual(order, [(2**31 - 1, 4), (7, 3), (7, 5), (0, 2), (-(2**31), 1)])

    def test_no_priority(self):
        for priority in (2**31, -(2**31) - 1, 10**30):
            with self.subTest(priority), self.assertRaises(ValueError):
                self.bucket.wait(priority=priority)
        for priority in (True, 1.0, "1", None):
            with self.subTest(priority), self.assertRaises(TypeError):
                self.bucket.wait(priority=priority)
        self.assertEqual(self.bucket.tokens, 10)

    def test_real_time(self):
        bucket = TokenBucket(1, 20)
        bucket.allow()
        start = time.monotonic_ns()
        bucket.wait()
        took = time.monotonic_ns() - start
        self.assertGreater(took, 40_000_000)
        self.assertLess(took, 5_000_000_000)

    def test_precise_in_real_time(self):
        bucket = TokenBucket(1, 100, precise=True)
        bucket.allow()
        due = time.monotonic_ns() + bucket.take().retry_after_ns
        bucket.wait()
        self.assertGreaterEqual(time.monotonic_ns(), due - 5_000)

    def test_other_threads_run_meanwhile(self):
        """With a switch interval of a minute the interpreter's lock is only had when a wait gives it away."""
        before = sys.getswitchinterval()
        self.addCleanup(sys.setswitchinterval, before)
        self.bucket.allow(10)
        wait = self.in_thread(self.bucket.wait, 5)
        sys.setswitchinterval(60)
        self.until_waiting(1)
        counted = sum(range(10000))
        self.clock.set(1)
        self.assertIsNone(wait.get())
        self.assertEqual(counted, 49995000)

    def test_a_bucket_whose_last_name_goes_while_it_waits(self):
        bucket = self.new_bucket(1, 1, initial_tokens=0)
        wait = self.in_thread(bucket.wait)
        self.until_waiting(1)
        del bucket
        self.clock.advance(1)
        self.assertIsNone(wait.get())


class Timeout(BucketTest):
    def setUp(self):
        super().setUp()
        self.bucket.allow(10)

    def test_fails_at_once_if_it_cannot_do(self):
        with self.assertRaises(RateLimitExceeded) as caught:
            self.bucket.wait(5, timeout=0.999999999)
        error = caught.exception
        self.assertEqual((error.status, error.tokens, error.retry_after), (Status.TIMED_OUT, 5, 1))
        self.assertEqual(self.bucket.tokens, 0)
        self.assertIn("5 tokens", str(error))

    def test_waits_if_it_can(self):
        wait = self.in_thread(self.bucket.wait, 5, timeout=1)
        self.until_waiting(1)
        self.clock.set(1)
        self.assertIsNone(wait.get())

    def test_zero_is_a_poll(self):
        with self.assertRaises(RateLimitExceeded):
            self.bucket.wait(timeout=0)
        self.clock.advance(0.2)
        self.assertIsNone(self.bucket.wait(timeout=0))

    def test_ways_to_say_it(self):
        for timeout in (1, 1.0, timedelta(seconds=1), math.inf, None, 10**30):
            with self.subTest(timeout):
                wait = self.in_thread(self.bucket.wait, 5, timeout)
                self.until_waiting(1)
                self.clock.advance(1)
                self.assertIsNone(wait.get())

    def test_no_time(self):
        for timeout in (-1, -1e-9, math.nan, -math.inf, timedelta(seconds=-1)):
            with self.subTest(timeout), self.assertRaises(ValueError):
                self.bucket.wait(1, timeout)
        for timeout in ("1", True, [], 1j):
            with self.subTest(timeout), self.assertRaises(TypeError):
                self.bucket.wait(1, timeout)

    def test_a_lower_rate_ends_a_wait_that_would_now_be_too_long(self):
        wait = self.in_thread(self.bucket.wait, 5, timeout=1)
        self.until_waiting(1)
        self.bucket.tokens_per_second = 1
        with self.assertRaises(RateLimitExceeded):
            wait.get()
        self.assertEqual(self.bucket.tokens, 0)

    def test_it_is_the_error_of_a_deadline(self):
        with self.assertRaises(TimeoutError) as caught:
            self.bucket.wait(5, timeout=0.9)
        self.assertEqual(caught.exception.retry_after, 1)

    def test_max_waiters(self):
        bucket = self.new_bucket(10, 5, initial_tokens=0, max_waiters=1)
        wait = self.in_thread(bucket.wait)
        self.until_waiting(1)
        with self.assertRaises(RateLimitExceeded) as caught:
            bucket.wait()
        self.assertEqual(caught.exception.status, Status.QUEUE_FULL)
        self.assertIn("too many wait already", str(caught.exception))
        self.clock.advance(1)
        self.assertIsNone(wait.get())


class Meanwhile(BucketTest):
    def setUp(self):
        super().setUp()
        self.bucket.allow(10)
        self.wait = self.in_thread(self.bucket.wait, 10)
        self.until_waiting(1)

    def test_close(self):
        self.bucket.close()
        with self.assertRaisesRegex(BucketClosed, "closed"):
            self.wait.get()
        self.assertEqual(self.bucket.tokens, 0)

    def test_a_higher_rate(self):
        self.bucket.tokens_per_second = 10
        self.assertEqual(self.clock.waiters().next_due, 1)
        self.clock.set(1)
        self.assertIsNone(self.wait.get())

    def test_refund(self):
        self.bucket.refund(10)
        self.assertIsNone(self.wait.get())

    def test_reset(self):
        self.bucket.reset()
        self.assertIsNone(self.wait.get())
        self.assertEqual(self.bucket.tokens, 0)

    def test_what_a_server_says_is_left(self):
        """It forgives those who wait nothing, and lets none of them go earlier than the server would."""
        self.bucket.set_tokens(4)
        self.assertEqual(self.clock.waiters(), (1, 1.2))
        self.bucket.set_tokens(0)
        self.assertEqual((self.clock.waiters(), self.bucket.tokens), ((1, 2), -10))
        self.clock.set(2)
        self.assertIsNone(self.wait.get())

    def test_a_capacity_too_small(self):
        self.bucket.capacity = 9
        with self.assertRaises(ValueError):
            self.wait.get()


class ContextManager(BucketTest):
    def test_takes_one(self):
        with self.bucket as entered:
            self.assertIs(entered, self.bucket)
            self.assertEqual(self.bucket.tokens, 9)
        self.assertEqual(self.bucket.tokens, 9)

    def test_passes_errors(self):
        with self.assertRaises(KeyError), self.bucket:
            raise KeyError

    def test_waits(self):
        self.bucket.allow(10)

        def use():
            with self.bucket:
                return self.clock.now

        used = self.in_thread(use)
        self.until_waiting(1)
        self.clock.advance(0.2)
        self.assertEqual(used.get(), 0.2)


class Decorator(BucketTest):
    def test_bare(self):
        @self.bucket.limit
        def double(x):
            """Twice."""
            return 2 * x

        self.assertEqual((double(2), double(x=3)), (4, 6))
        self.assertEqual((double.__name__, double.__doc__), ("double", "Twice."))
        self.assertEqual(self.bucket.tokens, 8)

    def test_tokens(self):
        limited = self.bucket.limit(tokens=4)(len)
        self.assertEqual(limited("ab"), 2)
        self.assertEqual(self.bucket.tokens, 6)

    def test_timeout(self):
        calls = []
        limited = self.bucket.limit(tokens=6, timeout=0)(calls.append)
        limited(1)
        with self.assertRaises(RateLimitExceeded) as caught:
            limited(2)
        self.assertEqual((calls, caught.exception.retry_after), ([1], 0.4))

    def test_method(self):
        class Client:
            @self.bucket.limit(tokens=2)
            def get(self, key):
                return self, key

        client = Client()
        self.assertEqual(client.get("a"), (client, "a"))
        self.assertEqual(self.bucket.tokens, 8)

    def test_what_it_cannot_decorate(self):
        def generator():
            yield

        async def async_generator():
            yield

        for wrong in (generator, async_generator, 5):
            with self.subTest(wrong), self.assertRaises(TypeError):
                self.bucket.limit(wrong)
        self.assertEqual(self.bucket.tokens, 10)

    def test_threads(self):
        limited = self.bucket.limit(threading.get_ident)
        calls = [self.in_thread(limited) for _ in range(12)]
        self.until_waiting(2)
        self.clock.advance(0.4)
        self.assertEqual(len([call.get() for call in calls]), 12)


if __name__ == "__main__":
    unittest.main()

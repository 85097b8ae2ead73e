"""What the original class had not: decisions, reservations, adjusting."""

import math
import pickle
import time
import unittest
from datetime import timedelta
from decimal import Decimal

from support import BucketTest
from test_original import NO_AMOUNT
from tokenbucket import BucketClosed, Decision, RateLimitExceeded, TokenBucket

FOREVER = 2**63 - 1


class Take(BucketTest):
    def test_granted(self):
        decision = self.bucket.take(4)
        self.assertEqual(decision, Decision(True, 6.0, 0, 800_000_000))
        self.assertTrue(decision)
        self.assertEqual((decision.retry_after, decision.reset_after), (0, 0.8))

    def test_denied(self):
        self.bucket.allow(8)
        decision = self.bucket.take(tokens=4)
        self.assertEqual(decision, Decision(False, 2.0, 400_000_000, 1_600_000_000))
        self.assertFalse(decision)
        self.assertIsInstance(decision, Decision)

    def test_never(self):
        decision = self.bucket.take(15)
        self.assertEqual((decision.allowed, decision.retry_after_ns, decision.retry_after), (False, FOREVER, math.inf))

    def test_decision_is_a_value(self):
        decision = self.bucket.take()
        self.assertEqual(pickle.loads(pickle.dumps(decision)), decision)
        allowed, remaining, _, _ = decision
        self.assertEqual((allowed, remaining), (True, 9))
        with self.assertRaises(AttributeError):
            decision.remaining = 1

    def test_up_to(self):
        self.bucket.allow(2.5)
        self.assertEqual((self.bucket.take_up_to(3), self.bucket.take_up_to(most=100)), (3, 4))
        self.assertEqual((self.bucket.take_up_to(1), self.bucket.tokens), (0, 0.5))
        self.assertIs(type(self.bucket.take_up_to(1)), int)
        for args, options in (((), {}), ((1, 2), {}), ((), {"tokens": 1})):
            with self.assertRaises(TypeError):
                self.bucket.take_up_to(*args, **options)

    def test_a_time_too_long_for_nanoseconds_is_for_ever(self):
        for longest in (10**400, 1e300, math.inf, Decimal("1e300")):
            with self.subTest(longest):
                self.bucket.reserve(1, longest)
        with self.assertRaises(ValueError):
            self.bucket.reserve(1, -1e300)

    def test_retry_after(self):
        self.bucket.allow(10)
        self.assertEqual(self.bucket.retry_after(), 0.2)
        self.assertEqual(self.bucket.retry_after(15), math.inf)
        self.clock.advance(0.2)
        self.assertEqual(self.bucket.retry_after(tokens=1), 0)
        for tokens in NO_AMOUNT:
            with self.subTest(tokens), self.assertRaises(ValueError):
                self.bucket.retry_after(tokens)


class Reserve(BucketTest):
    def test_at_once(self):
        reservation = self.bucket.reserve(10)
        self.assertEqual((reservation.tokens, reservation.delay, reservation.ready_at), (10, 0, 0))

    def test_later(self):
        self.clock.set(100)
        self.bucket.reserve(10)
        reservation = self.bucket.reserve(5)
        self.assertEqual((reservation.delay, reservation.ready_at, self.bucket.tokens), (1, 101, -5))
        self.clock.advance(0.4)
        self.assertEqual(reservation.delay, 0.6)
        self.clock.advance(5)
        self.assertEqual(reservation.delay, 0)

    def test_max_wait(self):
        self.bucket.allow(10)
        with self.assertRaises(RateLimitExceeded) as caught:
            self.bucket.reserve(5, max_wait=0.9)
        self.assertEqual((caught.exception.retry_after, self.bucket.tokens), (1, 0))
        self.assertEqual(self.bucket.reserve(5, timedelta(seconds=1)).delay, 1)

    def test_what_cannot_be_reserved(self):
        with self.assertRaises(ValueError):
            self.bucket.reserve(15)
        for tokens in NO_AMOUNT:
            with self.subTest(tokens), self.assertRaises(ValueError):
                self.bucket.reserve(tokens)
        with self.assertRaises(ValueError):
            self.bucket.reserve(1, max_wait=-1)
        self.assertEqual(self.bucket.tokens, 10)

    def test_cancel(self):
        self.bucket.allow(10)
        reservation = self.bucket.reserve(5)
        reservation.cancel()
        reservation.cancel()
        self.assertEqual((self.bucket.tokens, reservation.tokens), (0, 0))
        self.assertIn("ended", repr(reservation))

    def test_cancel_when_due_gives_nothing(self):
        reservation = self.bucket.reserve(5)
        self.clock.advance(0.5)
        reservation.cancel()
        self.assertEqual(self.bucket.tokens, 7.5)

    def test_settle_for_less_and_for_more(self):
        self.bucket.reserve(6).settle(2)
        self.assertEqual(self.bucket.tokens, 8)
        self.bucket.reserve(2).settle(11)
        self.assertEqual(self.bucket.tokens, -3)

    def test_settle_for_nothing(self):
        self.bucket.reserve(6).settle(0)
        self.assertEqual(self.bucket.tokens, 10)

    def test_settle_twice(self):
        reservation = self.bucket.reserve(6)
        reservation.settle(6)
        with self.assertRaisesRegex(ValueError, "already"):
            reservation.settle(6)
        self.assertEqual(self.bucket.tokens, 4)

    def test_settle_for_no_amount_leaves_it_open(self):
        reservation = self.bucket.reserve(6)
        for actual in (-1, math.nan, math.inf):
            with self.subTest(actual), self.assertRaisesRegex(ValueError, "0 or more"):
                reservation.settle(actual)
        with self.assertRaises(TypeError):
            reservation.settle("1")
        reservation.settle(1)
        self.assertEqual(self.bucket.tokens, 9)

    def test_settle_after_close(self):
        reservation = self.bucket.reserve(6)
        self.bucket.close()
        with self.assertRaises(BucketClosed):
            reservation.settle(1)
        self.assertEqual(reservation.tokens, 6)
        reservation.cancel()

    def test_the_system_clock_is_the_monotonic_one(self):
        bucket = TokenBucket(1, 10)
        before = time.monotonic()
        bucket.reserve()
        ready_at = bucket.reserve().ready_at
        self.assertLess(abs(ready_at - before - 0.1), 5)


class Adjust(BucketTest):
    def test_charge(self):
        self.assertEqual(self.bucket.charge(4), 0)
        self.assertEqual((self.bucket.charge(tokens=16), self.bucket.tokens), (2, -10))
        self.clock.advance(2)
        self.assertEqual(self.bucket.tokens, 0)

    def test_charge_beyond_what_can_be_counted(self):
        with self.assertRaises(OverflowError):
            self.bucket.charge(1e300)
        self.assertEqual(self.bucket.tokens, 10)

    def test_refund(self):
        self.bucket.allow(5)
        self.bucket.refund()
        self.bucket.refund(tokens=1.5)
        self.assertEqual(self.bucket.tokens, 7.5)

    def test_no_amount(self):
        for call in (self.bucket.charge, self.bucket.refund):
            for tokens in NO_AMOUNT:
                with self.subTest(call=call.__name__, tokens=tokens), self.assertRaises(ValueError):
                    call(tokens)
            with self.assertRaises(TypeError):
                call("1")
        self.assertEqual(self.bucket.tokens, 10)

    def test_reset(self):
        self.bucket.charge(100)
        self.bucket.reset()
        self.assertEqual(self.bucket.tokens, 10)
        self.bucket.reset(0)
        self.assertEqual(self.bucket.tokens, 0)
        self.bucket.reset(tokens=7.5)
        self.assertEqual(self.bucket.tokens, 7.5)

    def test_reset_to_what_does_not_fit(self):
        for tokens in (-1, -0.5, 10.5, math.nan, math.inf):
            with self.subTest(tokens), self.assertRaises(ValueError):
                self.bucket.reset(tokens)
        self.assertEqual(self.bucket.tokens, 10)

    def test_set_tokens(self):
        self.bucket.charge(100)
        self.bucket.set_tokens(tokens=7.5)
        self.assertEqual(self.bucket.tokens, 7.5)
        self.bucket.allow(5)
        reservation = self.bucket.reserve(5)
        self.bucket.set_tokens(0)
        self.assertEqual((self.bucket.tokens, reservation.delay), (-5, 0.5))

    def test_set_tokens_to_what_does_not_fit(self):
        for tokens in (-1, -0.5, 10.5, math.nan, math.inf):
            with self.subTest(tokens), self.assertRaises(ValueError):
                self.bucket.set_tokens(tokens)
        with self.assertRaises(TypeError):
            self.bucket.set_tokens(None)
        self.assertEqual(self.bucket.tokens, 10)

    def test_rate(self):
        self.bucket.allow(10)
        self.bucket.tokens_per_second = 20
        self.clock.advance(0.25)
        self.assertEqual((self.bucket.tokens, self.bucket.tokens_per_second), (5, 20))

    def test_limits_that_cannot_be(self):
        for value in NO_AMOUNT:
            with self.subTest(value), self.assertRaisesRegex(ValueError, "capacity"):
                self.bucket.capacity = value
            with self.subTest(value), self.assertRaisesRegex(ValueError, "tokens_per_second"):
                self.bucket.tokens_per_second = value
        with self.assertRaisesRegex(ValueError, "from 1 to 2.58 units of this bucket, got 288230377"):
            self.bucket.capacity = 288_230_377  # 2**58 billionths are less
        for value in ("1", None, True):
            with self.subTest(value), self.assertRaises(TypeError):
                self.bucket.capacity = value
            with self.subTest(value), self.assertRaises(TypeError):
                self.bucket.tokens_per_second = value
        self.assertEqual((self.bucket.capacity, self.bucket.tokens_per_second), (10, 5))

    def test_what_cannot_be_set(self):
        for name in ("tokens", "rate", "closed"):
            with self.subTest(name), self.assertRaises(AttributeError):
                setattr(self.bucket, name, 1)


if __name__ == "__main__":
    unittest.main()

"""The original class: its constructor, allow, wait, try_consume, and what it promised about tokens and time."""

import math
import time
import unittest
from decimal import Decimal
from fractions import Fraction

from support import BucketTest, OriginalBucket
from tokenbucket import ManualClock, TokenBucket

NO_AMOUNT = (0, 0.0, -0.0, -1, -0.5, math.nan, math.inf, -math.inf, 10**400, -(10**400), Fraction(0))
NO_NUMBER = (None, True, False, "1", b"1", [], {}, 1j, object())


class Initialisation(unittest.TestCase):
    def test_positional(self):
        bucket = TokenBucket(10, 5)
        self.assertEqual((bucket.capacity, bucket.tokens_per_second), (10.0, 5.0))

    def test_keywords(self):
        bucket = TokenBucket(tokens_per_second=5, capacity=10)
        self.assertEqual((bucket.capacity, bucket.tokens_per_second), (10.0, 5.0))

    def test_starts_full(self):
        self.assertEqual(TokenBucket(10, 5).tokens, 10.0)

    def test_initial_tokens(self):
        for initial in (0, 3, 10):
            self.assertEqual(TokenBucket(10, 5, initial_tokens=initial, clock=ManualClock()).tokens, initial)

    def test_initial_tokens_out_of_range(self):
        for initial in (-1, -0.5, 10.5, math.nan, math.inf):
            with self.subTest(initial), self.assertRaises(ValueError):
                TokenBucket(10, 5, initial_tokens=initial)

    def test_fractional(self):
        bucket = TokenBucket(2.5, 0.1)
        self.assertEqual((bucket.capacity, bucket.tokens_per_second), (2.5, 0.1))

    def test_other_real_numbers(self):
        bucket = TokenBucket(Decimal("2.5"), Fraction(1, 4))
        self.assertEqual((bucket.capacity, bucket.tokens_per_second), (2.5, 0.25))

    def test_capacity_that_is_no_amount(self):
        for capacity in NO_AMOUNT:
            with self.subTest(capacity), self.assertRaises(ValueError):
                TokenBucket(capacity, 5)

    def test_rate_that_is_no_amount(self):
        for rate in NO_AMOUNT:
            with self.subTest(rate), self.assertRaises(ValueError):
                TokenBucket(10, rate)

    def test_capacity_that_is_no_number(self):
        for capacity in NO_NUMBER:
            with self.subTest(capacity), self.assertRaises(TypeError):
                TokenBucket(capacity, 5)

    def test_rate_that_is_no_number(self):
        for rate in NO_NUMBER:
            with self.subTest(rate), self.assertRaises(TypeError):
                TokenBucket(10, rate)

    def test_range_of_capacity(self):
        for capacity in (1e-6, 1e15):
            self.assertEqual(TokenBucket(capacity, 1).capacity, capacity)
        for capacity in (9e-7, 1.1e15):
            with self.subTest(capacity), self.assertRaisesRegex(ValueError, "1e-6 to 1e15"):
                TokenBucket(capacity, 1)

    def test_range_of_rate(self):
        for rate in (1e-9, 1e10):
            self.assertEqual(TokenBucket(1, rate).tokens_per_second, rate)
        for rate in (9e-10, 1.1e10):
            with self.subTest(rate), self.assertRaisesRegex(ValueError, "1e-9 to 1e10"):
                TokenBucket(1, rate)

    def test_missing_and_unknown_arguments(self):
        for args, options in (((), {}), ((10,), {}), ((10, 5, 1), {}), ((10, 5), {"burst": 1})):
            with self.subTest(args), self.assertRaises(TypeError):
                TokenBucket(*args, **options)

    def test_message_names_the_argument_and_its_value(self):
        with self.assertRaisesRegex(ValueError, r"^capacity must be from 1e-6 to 1e15 tokens, got -3$"):
            TokenBucket(-3, 5)
        with self.assertRaisesRegex(ValueError, r"^tokens_per_second must be from 1e-9 to 1e10 tokens per second, got 0$"):
            TokenBucket(3, 0)

    def test_options_of_the_wrong_kind(self):
        for options in ({"clock": 1}, {"on_event": 1}, {"max_waiters": "1"}, {"max_waiters": True}, {"period": "1"}, {"max_lateness": "1"}):
            with self.subTest(options), self.assertRaises(TypeError):
                TokenBucket(10, 5, **options)

    def test_options_out_of_range(self):
        wrong = {"max_waiters": (0, -1), "period": (0, -1, math.nan), "max_lateness": (0, -1, 1e-10, math.nan)}
        for options in ({name: value} for name, values in wrong.items() for value in values):
            with self.subTest(options), self.assertRaises(ValueError):
                TokenBucket(10, 5, **options)

    def test_a_second_init_changes_nothing(self):
        bucket = TokenBucket(10, 5)
        with self.assertRaisesRegex(RuntimeError, "exists already"):
            bucket.__init__(20, 5)
        self.assertEqual(bucket.capacity, 10)

    def test_without_init_nothing_crashes(self):
        bucket = TokenBucket.__new__(TokenBucket)
        for call in (bucket.allow, bucket.take, bucket.wait, bucket.reserve, bucket.charge, bucket.retry_after):
            with self.subTest(call), self.assertRaisesRegex(RuntimeError, "__init__"):
                call()
        for name in ("tokens", "capacity", "rate"):
            with self.subTest(name), self.assertRaises(RuntimeError):
                getattr(bucket, name)
        self.assertIn("not initialised", repr(bucket))

    def test_subclass(self):
        class Named(TokenBucket):
            def __init__(self, name, *args, **options):
                super().__init__(*args, **options)
                self.name = name

        bucket = Named("api", 10, 5)
        self.assertTrue(bucket.allow(10))
        self.assertEqual(bucket.name, "api")


class Allow(BucketTest):
    def test_one_by_default(self):
        self.assertIs(self.bucket.allow(), True)
        self.assertEqual(self.bucket.tokens, 9)

    def test_until_empty(self):
        self.assertEqual([self.bucket.allow() for _ in range(12)], [True] * 10 + [False] * 2)

    def test_several(self):
        self.assertTrue(self.bucket.allow(7))
        self.assertEqual(self.bucket.tokens, 3)

    def test_all_or_nothing(self):
        self.bucket.allow(7)
        self.assertIs(self.bucket.allow(4), False)
        self.assertEqual(self.bucket.tokens, 3)

    def test_exactly_the_capacity(self):
        self.assertTrue(self.bucket.allow(10))
        self.assertEqual(self.bucket.tokens, 0)

    def test_more_than_the_capacity(self):
        self.assertIs(self.bucket.allow(15), False)
        self.assertEqual(self.bucket.tokens, 10)

    def test_keyword(self):
        self.assertTrue(self.bucket.allow(tokens=4))
        self.assertEqual(self.bucket.tokens, 6)

    def test_kinds_of_numbers(self):
        for tokens in (2, 2.0, Fraction(2), Decimal(2), np_like(2)):
            self.assertTrue(self.bucket.allow(tokens))
        self.assertEqual(self.bucket.tokens, 0)

    def test_no_amount(self):
        for call in (self.bucket.allow, self.bucket.try_consume, self.bucket.take, self.bucket.take_up_to):
            for tokens in NO_AMOUNT:
                with self.subTest(call=call.__name__, tokens=tokens), self.assertRaises(ValueError):
                    call(tokens)
        self.assertEqual(self.bucket.tokens, 10)

    def test_no_number(self):
        for call in (self.bucket.allow, self.bucket.try_consume, self.bucket.take, self.bucket.take_up_to):
            for tokens in NO_NUMBER:
                with self.subTest(call=call.__name__, tokens=tokens), self.assertRaises(TypeError):
                    call(tokens)
        self.assertEqual(self.bucket.tokens, 10)

    def test_wrong_arguments(self):
        for args, options in (((1, 2), {}), ((), {"n": 1}), ((1,), {"tokens": 1}), ((), {"tokens": 1, "timeout": 1})):
            with self.subTest(args=args, options=options), self.assertRaises(TypeError):
                self.bucket.allow(*args, **options)
        self.assertEqual(self.bucket.tokens, 10)

    def test_an_error_of_the_number_passes(self):
        class Broken:
            def __float__(self):
                raise KeyError("broken")

        with self.assertRaises(KeyError):
            self.bucket.allow(Broken())

    def test_try_consume_is_the_same(self):
        self.assertIs(self.bucket.try_consume(6), True)
        self.assertIs(self.bucket.try_consume(tokens=6), False)
        self.assertIs(self.bucket.try_consume(15), False)
        self.assertEqual(self.bucket.tokens, 4)
        self.assertIs(self.bucket.try_consume(), True)

    def test_as_the_original_class_decides(self):
        """Call for call, on amounts where a float loses nothing."""
        ours, original = TokenBucket(64, 1e-9), OriginalBucket(64, 1e-9)
        for i in range(200):
            tokens = (i * 7 % 13 + 1) / 4
            self.assertIs(ours.allow(tokens), original.allow(tokens), f"call {i} for {tokens}")


def np_like(value):
    """A number of another kind, as numpy has them: no int, no float."""

    class Number:
        def __float__(self):
            return float(value)

    return Number()


class Wait(BucketTest):
    def test_it_returns_what_the_original_class_returns(self):
        ours, original = TokenBucket(2, 1000), OriginalBucket(2, 1000)
        for tokens in (1, 2, 0.5):
            self.assertIs(ours.wait(tokens), original.wait(tokens))
        self.assertIs(ours.wait(tokens=1), original.wait(tokens=1))


class Refill(BucketTest):
    def setUp(self):
        super().setUp()
        self.bucket.allow(10)

    def test_over_time(self):
        self.clock.advance(1)
        self.assertEqual(self.bucket.tokens, 5)

    def test_fractions_of_a_token(self):
        self.clock.advance(0.05)
        self.assertEqual(self.bucket.tokens, 0.25)
        self.assertFalse(self.bucket.allow())
        self.assertTrue(self.bucket.allow(0.25))

    def test_one_token_at_its_time_and_not_before(self):
        self.clock.set(0.199999999)
        self.assertFalse(self.bucket.allow())
        self.clock.set(0.2)
        self.assertTrue(self.bucket.allow())

    def test_refusals_cost_nothing(self):
        for _ in range(1000):
            self.bucket.allow()
        self.clock.advance(0.2)
        self.assertTrue(self.bucket.allow())

    def test_in_many_small_steps(self):
        for _ in range(1000):
            self.clock.advance(0.001)
            self.bucket.tokens
        self.assertEqual(self.bucket.tokens, 5)

    def test_a_clock_that_stands_gives_nothing(self):
        self.assertEqual([self.bucket.allow() for _ in range(5)], [False] * 5)

    def test_a_clock_set_back_is_held(self):
        self.clock.set(1)
        self.clock.set(0)
        self.assertEqual((self.clock.now, self.bucket.tokens), (1, 5))

    def test_real_time(self):
        bucket = TokenBucket(1000, 1000, initial_tokens=0)
        time.sleep(0.05)
        self.assertGreaterEqual(bucket.tokens, 50)


class Clamping(BucketTest):
    def test_never_more_than_the_capacity(self):
        self.clock.advance(3600)
        self.assertEqual(self.bucket.tokens, 10)

    def test_after_a_long_idle_only_one_burst(self):
        self.bucket.allow(10)
        self.clock.advance(10**6)
        self.assertEqual([self.bucket.allow() for _ in range(11)], [True] * 10 + [False])

    def test_exactly_full_at_its_time(self):
        self.bucket.allow(10)
        self.clock.set(1.999999999)
        self.assertFalse(self.bucket.allow(10))
        self.clock.set(2)
        self.assertTrue(self.bucket.allow(10))

    def test_refund_is_clamped(self):
        self.bucket.allow(3)
        self.bucket.refund(50)
        self.assertEqual(self.bucket.tokens, 10)

    def test_a_smaller_capacity_drops_what_exceeds_it(self):
        self.bucket.capacity = 4
        self.assertEqual((self.bucket.capacity, self.bucket.tokens), (4, 4))

    def test_a_larger_capacity_gives_nothing(self):
        self.bucket.capacity = 20
        self.assertEqual((self.bucket.capacity, self.bucket.tokens), (20, 10))


class EdgeCases(BucketTest):
    def test_smallest_capacity(self):
        bucket = self.new_bucket(1e-6, 1)
        self.assertEqual((bucket.allow(1e-6), bucket.allow(1e-6)), (True, False))

    def test_largest_capacity(self):
        bucket = self.new_bucket(1e15, 1)
        self.assertEqual((bucket.allow(1e15), bucket.allow()), (True, False))

    def test_slowest_rate(self):
        bucket = self.new_bucket(1, 1e-9, initial_tokens=0)
        self.assertEqual(bucket.retry_after(), 1e9)
        self.clock.advance(10**9)
        self.assertTrue(bucket.allow())

    def test_fastest_rate(self):
        bucket = self.new_bucket(1e10, 1e10, initial_tokens=0)
        self.clock.advance(0.5)
        self.assertEqual(bucket.tokens, 5e9)

    def test_capacity_below_one(self):
        bucket = self.new_bucket(0.5, 1)
        self.assertEqual((bucket.allow(), bucket.allow(0.5)), (False, True))

    def test_five_an_hour(self):
        bucket = self.new_bucket(1, 5, period=3600)
        bucket.allow()
        self.clock.advance(719)
        self.assertFalse(bucket.allow())
        self.clock.advance(1)
        self.assertTrue(bucket.allow())

    def test_many_buckets(self):
        buckets = [self.new_bucket(1, 1) for _ in range(1000)]
        self.assertTrue(all(bucket.allow() for bucket in buckets))
        self.assertFalse(any(bucket.allow() for bucket in buckets))

    def test_a_hundred_years(self):
        self.bucket.allow(10)
        self.clock.advance(100 * 365 * 86400)
        self.assertTrue(self.bucket.allow(10))
        self.assertFalse(self.bucket.allow())


class Precision(BucketTest):
    def test_ten_tenths_are_one(self):
        bucket = self.new_bucket(1, 1)
        self.assertEqual([bucket.allow(0.1) for _ in range(11)], [True] * 10 + [False])
        self.assertEqual(bucket.tokens, 0)

    def test_a_third_a_second(self):
        bucket = self.new_bucket(1, 1 / 3, initial_tokens=0)
        self.assertEqual(bucket.rate, Fraction(1, 3))
        self.clock.set(2.999999999)
        self.assertFalse(bucket.allow())
        self.clock.set(3)
        self.assertTrue(bucket.allow())

    def test_a_rate_as_a_fraction(self):
        for rate in (Fraction(1, 3), Fraction(700_000, 3600), Fraction(22, 7)):
            self.assertEqual(self.new_bucket(10, rate).rate, rate)

    def test_a_fraction_too_long_to_be_exact_is_taken_as_a_float(self):
        rate = Fraction(10**30 + 1, 10**30)
        self.assertEqual(self.new_bucket(10, rate).rate, 1)

    def test_per_period(self):
        bucket = self.new_bucket(700_000, 700_000, period=3600, initial_tokens=0)
        self.assertEqual(bucket.rate, Fraction(700_000, 3600))
        self.clock.advance(3600)
        self.assertTrue(bucket.allow(700_000))

    def test_no_drift_in_a_million_seconds(self):
        bucket = self.new_bucket(10**9, 0.1, initial_tokens=0)
        for _ in range(1000):
            self.clock.advance(1000)
            self.assertTrue(bucket.allow(100))
            self.assertFalse(bucket.allow(0.001))

    def test_a_reported_wait_is_exact(self):
        for rate in (3, 7, 0.3, 999.9):
            bucket = self.new_bucket(10, rate, initial_tokens=0)
            wait_ns = bucket.take(1).retry_after_ns
            start = self.clock.now_ns
            self.clock.set(Fraction(start + wait_ns - 1, 10**9))
            self.assertFalse(bucket.allow(), rate)
            self.clock.set(Fraction(start + wait_ns, 10**9))
            self.assertTrue(bucket.allow(), rate)


if __name__ == "__main__":
    unittest.main()

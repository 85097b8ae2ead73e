"""Many threads on one bucket: never more than the limit, never less."""

import threading
import unittest

from support import BucketTest


class Concurrency(BucketTest):
    def granted_to(self, threads, call, calls):
        """How often the call said yes in all, with the threads let go at once."""
        gate = threading.Barrier(threads)

        def work():
            gate.wait()
            return sum(bool(call()) for _ in range(calls))

        return sum(thread.get() for thread in [self.in_thread(work) for _ in range(threads)])

    def test_two_threads(self):
        bucket = self.new_bucket(1000, 1)
        self.assertEqual(self.granted_to(2, bucket.allow, 1000), 1000)

    def test_ten_threads(self):
        bucket = self.new_bucket(500, 1)
        self.assertEqual(self.granted_to(10, bucket.try_consume, 100), 500)

    def test_120_threads(self):
        bucket = self.new_bucket(777, 1)
        self.assertEqual(self.granted_to(120, bucket.allow, 20), 777)

    def test_120_threads_take_with_decisions(self):
        bucket = self.new_bucket(600, 1)
        self.assertEqual(self.granted_to(120, bucket.take, 10), 600)

    def test_fractional_takes(self):
        bucket = self.new_bucket(30, 1)
        self.assertEqual(self.granted_to(8, lambda: bucket.allow(0.1), 100), 300)

    def test_120_threads_wait(self):
        bucket = self.new_bucket(20, 100)
        waits = [self.in_thread(bucket.wait) for _ in range(120)]
        self.until_waiting(100)
        self.clock.advance(0.5)
        self.until_waiting(50)
        self.clock.advance(0.5)
        self.assertEqual([wait.get() for wait in waits], [None] * len(waits))
        self.assertEqual(bucket.tokens, 0)

    def test_takers_and_a_clock_that_moves(self):
        bucket = self.new_bucket(10, 1000)
        bucket.allow(10)
        takers = [self.in_thread(lambda: sum(bucket.allow() for _ in range(2000))) for _ in range(4)]
        for _ in range(100):
            self.clock.advance(0.001)
        self.assertLessEqual(sum(taker.get() for taker in takers), 100)

    def test_changes_meanwhile(self):
        bucket = self.new_bucket(100, 1)

        def change():
            for i in range(200):
                bucket.capacity = 50 + i % 50
                bucket.tokens_per_second = 1 + i % 3

        changers = [self.in_thread(change) for _ in range(2)]
        granted = self.granted_to(4, bucket.allow, 500)
        for changer in changers:
            changer.get()
        self.assertLessEqual(granted, 100)


if __name__ == "__main__":
    unittest.main()

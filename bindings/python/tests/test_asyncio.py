"""wait_async() and what stands on it, in asyncio."""

import asyncio
import gc
import threading
import time
import unittest
import weakref
from datetime import timedelta

from support import BucketTest
from test_original import NO_AMOUNT, NO_NUMBER
from tokenbucket import BucketClosed, RateLimitExceeded, Status, TokenBucket


class AsyncTest(BucketTest, unittest.IsolatedAsyncioTestCase):
    async def waiting(self, *args, **options):
        """A task that waits."""
        before = self.clock.waiters().waiting
        task = asyncio.ensure_future(self.bucket.wait_async(*args, **options))
        await asyncio.sleep(0)
        self.assertEqual(self.clock.waiters().waiting, before + 1)
        return task


class WaitAsync(AsyncTest):
    async def test_at_once_if_the_tokens_are_there(self):
        self.assertIs(await self.bucket.wait_async(10), True)
        self.assertEqual(self.bucket.tokens, 0)

    async def test_until_they_are_there(self):
        self.bucket.allow(10)
        task = await self.waiting(4)
        self.assertEqual(self.clock.waiters().next_due, 0.8)
        self.clock.set(0.799999999)
        await asyncio.sleep(0.001)
        self.assertFalse(task.done())
        self.clock.set(0.8)
        self.assertIs(await task, True)
        self.assertEqual((self.bucket.tokens, self.clock.waiters().waiting), (0, 0))

    async def test_more_than_the_capacity_fails_at_once(self):
        with self.assertRaisesRegex(ValueError, "exceed the capacity"):
            await self.bucket.wait_async(15)

    async def test_no_amount_and_no_number(self):
        for tokens in NO_AMOUNT:
            with self.subTest(tokens), self.assertRaises(ValueError):
                await self.bucket.wait_async(tokens)
        for tokens in NO_NUMBER:
            with self.subTest(tokens), self.assertRaises(TypeError):
                await self.bucket.wait_async(tokens)
        self.assertEqual(self.bucket.tokens, 10)

    async def test_timeout(self):
        self.bucket.allow(10)
        for timeout in (0, 0.9, timedelta(seconds=0.9)):
            with self.assertRaises(RateLimitExceeded) as caught:
                await self.bucket.wait_async(5, timeout)
            self.assertEqual((caught.exception.status, caught.exception.retry_after), (Status.TIMED_OUT, 1))
        task = await self.waiting(5, timeout=1)
        self.clock.set(1)
        self.assertTrue(await task)

    async def test_gather_in_order(self):
        self.bucket.allow(10)
        order = []

        async def use(name):
            await self.bucket.wait_async(5)
            order.append(name)

        tasks = [asyncio.ensure_future(use(name)) for name in "abc"]
        await asyncio.sleep(0)
        for time_ in (1, 2, 3):
            self.clock.set(time_)
            await asyncio.sleep(0.001)
            self.assertEqual(len(order), time_)
        await asyncio.gather(*tasks)
        self.assertEqual(order, ["a", "b", "c"])

    async def test_cancel_gives_the_tokens_back(self):
        self.bucket.allow(10)
        task = await self.waiting(10)
        self.assertEqual(self.bucket.tokens, -10)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual((self.bucket.tokens, self.clock.waiters().waiting), (0, 0))

    async def test_cancel_when_they_are_due_but_not_yet_used_gives_them_back_too(self):
        self.bucket.allow(10)
        task = await self.waiting(5)
        self.clock.set(1.5)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual(self.bucket.tokens, 7.5)

    async def test_a_ring_without_a_reason(self):
        self.bucket.allow(10)
        task = await self.waiting(5)
        for sleeper in list(self.bucket._sleepers):
            sleeper.ring()
        await asyncio.sleep(0.001)
        self.assertFalse(task.done())
        self.clock.set(1)
        self.assertTrue(await task)

    async def test_wait_for(self):
        bucket = TokenBucket(1, 0.001)
        bucket.allow()
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(bucket.wait_async(), 0.01)
        self.assertGreaterEqual(bucket.tokens, 0)

    async def test_before_it_runs_it_takes_nothing(self):
        waiting = self.bucket.wait_async(10)
        self.assertEqual(self.bucket.tokens, 10)
        waiting.close()
        self.assertEqual(self.bucket.tokens, 10)

    async def test_a_loop_that_goes_away_gives_the_tokens_back(self):
        self.bucket.allow(10)
        waiting = self.bucket.wait_async(10)
        waiting.send(None)
        self.assertEqual(self.bucket.tokens, -10)
        waiting.close()
        self.assertEqual(self.bucket.tokens, 0)

    async def test_close(self):
        self.bucket.allow(10)
        task = await self.waiting(5)
        self.bucket.close()
        with self.assertRaises(BucketClosed):
            await task
        with self.assertRaises(BucketClosed):
            await self.bucket.wait_async()
        self.assertEqual(self.bucket.tokens, 0)

    async def test_close_and_clock_from_another_thread(self):
        self.bucket.allow(10)
        task = await self.waiting(5)
        threading.Thread(target=self.clock.advance, args=(1,)).start()
        self.assertTrue(await asyncio.wait_for(task, 10))
        task = await self.waiting(5)
        threading.Thread(target=self.bucket.close).start()
        with self.assertRaises(BucketClosed):
            await asyncio.wait_for(task, 10)

    async def test_max_waiters(self):
        self.bucket = self.new_bucket(max_waiters=1, initial_tokens=0)
        task = await self.waiting()
        with self.assertRaises(RateLimitExceeded) as caught:
            await self.bucket.wait_async()
        self.assertEqual((caught.exception.status, self.bucket.tokens), (Status.QUEUE_FULL, -1))
        with self.assertRaises(ValueError):
            await self.bucket.wait_async(15)
        # The task is due, and has not run yet.
        self.clock.advance(1)
        self.assertTrue(await self.bucket.wait_async())
        self.assertTrue(await task)

    async def test_with_threads_in_one_order(self):
        self.bucket.allow(10)
        thread = self.in_thread(self.bucket.wait, 5)
        self.until_waiting(1)
        task = await self.waiting(5)
        self.assertEqual(self.clock.waiters(), (2, 1))
        self.clock.set(1)
        self.assertTrue(thread.get())
        self.assertFalse(task.done())
        self.clock.set(2)
        self.assertTrue(await task)

    async def test_no_thread(self):
        self.bucket.allow(10)
        before = threading.active_count()
        tasks = [await self.waiting(0.1) for _ in range(1000)]
        self.assertEqual(threading.active_count(), before)
        self.clock.advance(20)
        self.assertEqual(await asyncio.gather(*tasks), [True] * 1000)

    async def test_real_time_never_early_and_the_loop_runs(self):
        bucket = TokenBucket(1, 20)
        bucket.allow()
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticker = asyncio.ensure_future(tick())
        reservation = bucket.reserve()
        await reservation.wait_async()
        late = time.monotonic() - reservation.ready_at
        ticker.cancel()
        self.assertGreaterEqual(late, 0)
        self.assertLess(late, 5)
        self.assertGreater(ticks, 3)

    async def test_context_manager(self):
        async with self.bucket as entered:
            self.assertIs(entered, self.bucket)
        self.assertEqual(self.bucket.tokens, 9)
        with self.assertRaises(KeyError):
            async with self.bucket:
                raise KeyError

    async def test_decorator(self):
        @self.bucket.limit(tokens=6, timeout=0)
        async def double(x):
            """Twice."""
            return 2 * x

        self.assertTrue(asyncio.iscoroutinefunction(double))
        self.assertEqual((await double(2), double.__doc__, self.bucket.tokens), (4, "Twice.", 4))
        with self.assertRaises(RateLimitExceeded):
            await double(2)

    async def test_a_reservation_cancelled_while_it_waits(self):
        self.bucket.allow(10)
        reservation = self.bucket.reserve(10)
        task = asyncio.ensure_future(reservation.wait_async())
        await asyncio.sleep(0)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual((reservation.tokens, self.bucket.tokens), (0, 0))


class OtherLoops(BucketTest):
    def test_a_bucket_serves_one_loop_after_another(self):
        async def use():
            asyncio.get_running_loop().call_later(0.001, self.clock.advance, 2)
            await self.bucket.wait_async(10)

        for _ in range(3):
            asyncio.run(use())
        self.assertEqual(self.clock.waiters().waiting, 0)

    def test_a_loop_that_was_closed_with_a_task_asleep(self):
        self.bucket.allow(10)
        loop = asyncio.new_event_loop()
        task = loop.create_task(self.bucket.wait_async(5))
        task._log_destroy_pending = False
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        self.clock.advance(1)
        self.bucket.close()

    def test_a_bucket_and_its_task_collected_in_one_cycle(self):
        """Whichever is ended first: the task gives its tokens back to a bucket that is gone."""
        for _ in range(20):
            loop = asyncio.new_event_loop()
            bucket = self.new_bucket(initial_tokens=0)
            bucket.task = loop.create_task(bucket.wait_async(5))
            bucket.task._log_destroy_pending = False
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
            self.clock._sleepers.clear()
            gone = weakref.ref(bucket)
            del bucket, loop
            gc.collect()
            self.assertIsNone(gone())

    def test_loops_in_several_threads(self):
        self.bucket.allow(10)
        threads = [self.in_thread(asyncio.run, self.bucket.wait_async(5)) for _ in range(4)]
        self.until_waiting(4)
        self.clock.advance(4)
        self.assertEqual([thread.get() for thread in threads], [True] * 4)


if __name__ == "__main__":
    unittest.main()

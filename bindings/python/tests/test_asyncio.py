"""wait_async() and what stands on it, in asyncio."""

import asyncio
import gc
import math
import random
import threading
import time
import unittest
import warnings
import weakref
from datetime import timedelta
from fractions import Fraction

from support import BucketTest
from test_original import NO_AMOUNT, NO_NUMBER
from tokenbucket import BucketClosed, RateLimitExceeded, Status, TokenBucket, _waiting


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
        self.assertIsNone(await self.bucket.wait_async(10))
        self.assertEqual(self.bucket.tokens, 0)

    async def test_until_they_are_there(self):
        self.bucket.allow(10)
        task = await self.waiting(4)
        self.assertEqual(self.clock.waiters().next_due, 0.8)
        self.clock.set(0.799999999)
        await asyncio.sleep(0.001)
        self.assertFalse(task.done())
        self.clock.set(0.8)
        self.assertIsNone(await task)
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
        self.assertIsNone(await task)

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

    async def test_a_wake_without_a_reason(self):
        self.bucket.allow(10)
        task = await self.waiting(5)
        for tag in [*_waiting._waiters, 0, 2**64 - 1]:
            _waiting.wake(tag)
        await asyncio.sleep(0.001)
        self.assertFalse(task.done())
        self.clock.set(1)
        self.assertIsNone(await task)

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
        self.assertIsNone(await asyncio.wait_for(task, 10))
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
        self.assertIsNone(await self.bucket.wait_async())
        self.assertIsNone(await task)

    async def test_with_threads_in_one_order(self):
        self.bucket.allow(10)
        thread = self.in_thread(self.bucket.wait, 5)
        self.until_waiting(1)
        task = await self.waiting(5)
        self.assertEqual(self.clock.waiters(), (2, 1))
        self.clock.set(1)
        self.assertIsNone(thread.get())
        self.assertFalse(task.done())
        self.clock.set(2)
        self.assertIsNone(await task)

    async def test_no_thread(self):
        self.bucket.allow(10)
        before = threading.active_count()
        tasks = [await self.waiting(0.1) for _ in range(1000)]
        self.assertEqual(threading.active_count(), before)
        self.clock.advance(20)
        self.assertEqual(await asyncio.gather(*tasks), [None] * 1000)

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
        due = time.monotonic() + bucket.retry_after()
        await bucket.wait_async()
        late = time.monotonic() - due
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


class OneQueue(AsyncTest):
    """Tasks stand in one queue with threads, and move with it."""

    def setUp(self):
        super().setUp()
        self.bucket.allow(10)

    async def due(self, task, at):
        """The task is done when the clock comes to that time, and not before."""
        self.clock.set(Fraction(round(at * 10**9) - 1, 10**9))
        await asyncio.sleep(0.001)
        self.assertFalse(task.done())
        self.clock.set(at)
        self.assertIsNone(await asyncio.wait_for(task, 10))

    async def test_one_that_is_cancelled_lets_those_behind_it_move_up(self):
        first, second = await self.waiting(10), await self.waiting(1)
        first.cancel()
        await asyncio.wait([first])
        self.assertEqual(self.clock.waiters(), (1, 0.2))
        self.clock.set(0.2)
        self.assertFalse(self.bucket.allow(), "it is the task's")
        self.assertIsNone(await second)

    async def test_the_same_with_a_thread_behind(self):
        task = await self.waiting(10)
        wait = self.in_thread(self.bucket.wait, 1)
        self.until_waiting(2)
        task.cancel()
        await asyncio.wait([task])
        self.clock.set(0.2)
        self.assertIsNone(wait.get())

    async def test_reset_serves_those_who_wait_first(self):
        tasks = [await self.waiting(1) for _ in range(3)]
        self.clock.set(0.1)
        self.bucket.reset(0)
        tasks.append(await self.waiting(1))
        for task, at in zip(tasks, (0.3, 0.5, 0.7, 0.9)):
            await self.due(task, at)

    async def test_a_new_rate_is_in_force_for_those_who_wait(self):
        task = await self.waiting(10)
        self.bucket.tokens_per_second = 50
        await self.due(task, 0.2)
        tasks = [await self.waiting(1) for _ in range(5)]
        self.bucket.tokens_per_second = 1
        for i, task in enumerate(tasks):
            await self.due(task, 1.2 + i)

    async def test_refund_charge_and_capacity(self):
        task = await self.waiting(10)
        self.bucket.charge(5)
        self.assertEqual(self.clock.waiters().next_due, 3)
        self.bucket.refund(10)
        self.assertEqual(self.clock.waiters().next_due, 1)
        self.bucket.capacity = 9
        with self.assertRaises(ValueError):
            await task
        self.assertEqual(self.clock.waiters().waiting, 0)

    async def test_what_a_server_says_is_left(self):
        """Answer after answer that the bucket is as it was thought to be: nobody goes earlier for that."""
        tasks = [await self.waiting(1) for _ in range(20)]
        for i in range(20):
            self.bucket.set_tokens(0)
            self.clock.advance(0.2)
            await asyncio.sleep(0.001)
            self.assertEqual(sum(task.done() for task in tasks), i + 1)

    async def test_priorities(self):
        low, high = await self.waiting(5, priority=-1), await self.waiting(5, priority=3)
        wait = self.in_thread(self.bucket.wait, 5)
        self.until_waiting(3)
        await self.due(high, 1)
        self.clock.set(2)
        self.assertIsNone(wait.get())
        await self.due(low, 3)
        for priority, error in ((2**31, ValueError), (1.0, TypeError), (True, TypeError)):
            with self.assertRaises(error):
                await self.bucket.wait_async(priority=priority)

    async def test_one_that_a_higher_priority_puts_behind_its_timeout(self):
        low = await self.waiting(5, timeout=1.5)
        high = asyncio.ensure_future(self.bucket.wait_async(5, priority=1))
        with self.assertRaises(TimeoutError) as caught:
            await low
        high.cancel()
        self.assertEqual(caught.exception.status, Status.TIMED_OUT)

    async def test_a_timeout_says_when_it_would_have_been_granted(self):
        await self.waiting(5)
        with self.assertRaises(TimeoutError) as caught:
            await self.bucket.wait_async(1, timeout=0.1, priority=1)
        self.assertEqual(caught.exception.retry_after, 0.2)

    async def test_threads_and_tasks_count_together(self):
        bucket = self.bucket = self.new_bucket(max_waiters=2, initial_tokens=0)
        wait = self.in_thread(bucket.wait, 1)
        self.until_waiting(1)
        task = await self.waiting(1)
        for refused in (lambda: asyncio.run(bucket.wait_async()), bucket.wait):
            with self.assertRaises(RateLimitExceeded) as caught:
                self.in_thread(refused).get()
            self.assertEqual(caught.exception.status, Status.QUEUE_FULL)
        self.clock.advance(0.4)
        self.assertIsNone(wait.get())
        self.assertIsNone(await task)

    async def test_a_negative_timeout_is_refused_and_nothing_is_taken(self):
        self.clock.advance(2)
        for timeout in (-1, -1e-9, timedelta(seconds=-1), math.nan):
            with self.subTest(timeout), self.assertRaises(ValueError):
                await self.bucket.wait_async(1, timeout)
        self.assertEqual(self.bucket.tokens, 10)

    async def test_those_who_come_late_do_not_come_all_at_once(self):
        """As after a loop that was blocked: at 2 s ten tasks are due, and none has come."""
        bucket = self.bucket = self.new_bucket(1, initial_tokens=0, max_lateness=0.01)
        tasks = [await self.waiting() for _ in range(10)]
        self.clock.set(2.05)
        await asyncio.sleep(0.001)
        self.assertLessEqual(sum(task.done() for task in tasks), 1)
        for _ in range(10):
            self.clock.advance(0.2)
            await asyncio.sleep(0.001)
        await asyncio.gather(*tasks)
        self.assertEqual(self.clock.now, 4.05)
        self.assertEqual(bucket.tokens, 1)

    async def test_a_loop_that_was_blocked_in_real_time(self):
        bucket = TokenBucket(1, 50, initial_tokens=0)
        granted = []

        async def use():
            await bucket.wait_async()
            granted.append(time.monotonic())

        tasks = [asyncio.ensure_future(use()) for _ in range(15)]
        await asyncio.sleep(0)
        time.sleep(0.3)
        await asyncio.gather(*tasks)
        for first, second in zip(granted, granted[2:]):
            self.assertGreater(second - first, 0.02 - 0.011)

    async def test_many_cancelled_in_any_order(self):
        for order in (list, reversed, lambda tasks: random.Random(1).sample(tasks, len(tasks))):
            tasks = [asyncio.ensure_future(self.bucket.wait_async(1)) for _ in range(5000)]
            await asyncio.sleep(0)
            self.assertEqual((self.clock.waiters().waiting, self.bucket.tokens), (5000, -5000))
            for task in order(tasks):
                task.cancel()
            await asyncio.wait(tasks)
            self.assertEqual((self.clock.waiters().waiting, self.bucket.tokens), (0, 0))

    async def test_clocks_and_changes_in_other_threads(self):
        """Whoever wakes them, all are served, and none is lost."""
        bucket = self.bucket = self.new_bucket(100, 1000, initial_tokens=0)

        def change():
            for i in range(100):
                bucket.tokens_per_second = 500 + i
                bucket.refund(1)
                bucket.charge(1)
                self.clock.advance(0.01)

        async def use(i):
            if i % 4:
                return await bucket.wait_async(priority=i % 3)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(bucket.wait_async(priority=-1), 0.001)

        tasks = [asyncio.ensure_future(use(i)) for i in range(1000)]
        await asyncio.sleep(0)
        threads = [self.in_thread(change) for _ in range(3)]
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        for thread in threads:
            thread.get()
        self.assertEqual(self.clock.waiters().waiting, 0)


class OtherLoops(BucketTest):
    def test_a_bucket_serves_one_loop_after_another(self):
        async def use():
            asyncio.get_running_loop().call_later(0.001, self.clock.advance, 2)
            await self.bucket.wait_async(10)

        for _ in range(3):
            asyncio.run(use())
        self.assertEqual(self.clock.waiters().waiting, 0)

    def loop_with_tasks(self, bucket, *tokens):
        """A loop that no longer runs, and the tasks that sleep in it."""
        loop = asyncio.new_event_loop()
        tasks = [loop.create_task(bucket.wait_async(n)) for n in tokens]
        for task in tasks:
            task._log_destroy_pending = False
        loop.run_until_complete(asyncio.sleep(0))
        return loop, tasks

    def test_a_loop_that_is_closed_gives_places_and_tokens_back_at_once(self):
        """Also to threads, whether somebody still has the tasks or not, with a timer and without."""
        for clock in (self.clock, None):
            bucket = TokenBucket(10, 0.001, clock=clock, initial_tokens=0, max_waiters=5, statistics=True)
            loop, tasks = self.loop_with_tasks(bucket, 1, 1, 1, 1, 1)
            self.assertEqual(bucket.stats().waiting, 5)
            self.assertRaises(RateLimitExceeded, bucket.wait)
            loop.close()
            self.assertEqual((bucket.stats().waiting, math.floor(bucket.tokens)), (0, 0))
            self.loop_with_tasks(bucket, 1, 1, 1, 1, 1)[0].close()
            self.assertEqual((bucket.stats().waiting, bucket.stats().cancelled, len(tasks)), (0, 10, 5))

    def test_a_loop_that_is_collected_gives_them_back_too(self):
        bucket = self.new_bucket(initial_tokens=0, max_waiters=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # The loop was not closed.
            self.loop_with_tasks(bucket, 1, 2)
            self.assertEqual((self.clock.waiters().waiting, bucket.tokens), (2, -3))
            gc.collect()
        self.assertEqual((self.clock.waiters().waiting, bucket.tokens), (0, 0))

    def test_whoever_waits_behind_a_loop_that_is_closed_moves_up(self):
        self.bucket.allow(10)
        loop, _ = self.loop_with_tasks(self.bucket, 10, 10)
        wait = self.in_thread(self.bucket.wait, 1)
        self.until_waiting(3)
        self.assertEqual(self.clock.waiters().next_due, 2)
        loop.close()
        self.assertEqual(self.clock.waiters(), (1, 0.2))
        self.clock.advance(0.2)
        self.assertIsNone(wait.get())

    def test_a_loop_that_stands_still_is_woken_later(self):
        self.bucket.allow(10)
        loop, (task,) = self.loop_with_tasks(self.bucket, 5)
        self.clock.advance(1)
        self.bucket.close()
        loop.run_until_complete(task)
        loop.close()

    def test_a_wake_for_a_loop_that_is_closed(self):
        self.bucket.allow(10)
        loop, tasks = self.loop_with_tasks(self.bucket, 5)
        tags = list(_waiting._waiters)
        loop.close()
        for tag in tags:
            _waiting.wake(tag)
        self.clock.advance(1)
        self.bucket.close()
        self.assertEqual([task.done() for task in tasks], [False])

    def test_no_task_is_collected_that_only_its_bucket_knows_of(self):
        async def use():
            done = []
            asyncio.ensure_future(self.bucket.wait_async(5)).add_done_callback(done.append)
            await asyncio.sleep(0)
            gc.collect()
            self.clock.advance(1)
            await asyncio.sleep(0.001)
            self.assertEqual(len(done), 1)

        self.bucket.allow(10)
        asyncio.run(use())

    def test_a_bucket_and_its_task_collected_in_one_cycle(self):
        """Whichever is ended first: the task gives its place back to a bucket that is gone."""
        for closes in [True, False] * 10:
            bucket = self.new_bucket(initial_tokens=0)
            loop, tasks = self.loop_with_tasks(bucket, 5, 6)
            bucket.tasks = tasks
            gone = weakref.ref(bucket)
            if closes:
                loop.close()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                del bucket, loop, tasks
                gc.collect()
            self.assertIsNone(gone())
            self.assertEqual(self.clock.waiters().waiting, 0)

    def test_nothing_is_kept_for_waits_that_are_over(self):
        async def use():
            self.bucket.allow(10)
            tasks = [asyncio.ensure_future(self.bucket.wait_async(1)) for _ in range(20)]
            await asyncio.sleep(0)
            self.clock.advance(2)
            for task in tasks[10:]:
                task.cancel()
            await asyncio.wait(tasks)
            loop = asyncio.get_running_loop()
            self.assertEqual([timer for timer in loop._scheduled if not timer.cancelled()], [])

        before = set(_waiting._waiters)
        asyncio.run(use())
        self.assertEqual(set(_waiting._waiters) - before, set())

    def test_where_no_loop_runs_nothing_is_taken(self):
        for tokens in (1, 10, 15):
            for _ in range(3):
                with self.assertRaisesRegex(RuntimeError, "running loop of asyncio or trio"):
                    self.bucket.wait_async(tokens).send(None)
        self.assertEqual((self.bucket.tokens, self.clock.waiters().waiting), (10, 0))

    def test_loops_in_several_threads(self):
        self.bucket.allow(10)
        threads = [self.in_thread(asyncio.run, self.bucket.wait_async(5)) for _ in range(4)]
        self.until_waiting(4)
        self.clock.advance(4)
        self.assertEqual([thread.get() for thread in threads], [None] * 4)


if __name__ == "__main__":
    unittest.main()

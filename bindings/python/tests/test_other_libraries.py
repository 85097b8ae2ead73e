"""wait_async() in trio, anyio and uvloop, where they are installed."""

import asyncio
import gc
import importlib
import threading
import time
import unittest

from support import BucketTest
from tokenbucket import BucketClosed, Limits, RateLimitExceeded, TokenBucket, _waiting


def imported(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


trio, anyio, uvloop = map(imported, ("trio", "anyio", "uvloop"))


def needs(module, name):
    return unittest.skipUnless(module, f"{name} is not installed")


@needs(trio, "trio")
class Trio(BucketTest):
    def setUp(self):
        super().setUp()
        self.bucket.allow(10)

    def run_tasks(self, *waits, then):
        """Starts bucket.wait_async(*wait) one after the other, then runs then(); the tokens of those served, in order."""
        served = []

        async def use(wait):
            await self.bucket.wait_async(*wait)
            served.append(wait[0])

        async def main():
            async with trio.open_nursery() as nursery:
                for i, wait in enumerate(waits, 1):
                    nursery.start_soon(use, wait)
                    while self.clock.waiters().waiting != i:
                        await trio.sleep(0)
                await then(nursery)
            return served

        return trio.run(main)

    def test_in_order_on_a_manual_clock(self):
        async def then(nursery):
            for time_ in (1, 1.2, 1.8):
                self.clock.set(time_)
                await trio.testing.wait_all_tasks_blocked(0.01)

        import trio.testing

        self.assertEqual(self.run_tasks((5,), (1,), (3,), then=then), [5, 1, 3])
        self.assertEqual(self.bucket.tokens, 0)

    def test_woken_from_another_thread(self):
        async def then(nursery):
            threading.Thread(target=self.clock.advance, args=(2,)).start()

        self.assertEqual(sorted(self.run_tasks((5,), (4,), then=then)), [4, 5])

    def test_cancelled_it_gives_the_tokens_back(self):
        async def then(nursery):
            nursery.cancel_scope.cancel()

        self.assertEqual(self.run_tasks((5,), (4,), then=then), [])
        self.assertEqual((self.bucket.tokens, self.clock.waiters().waiting), (0, 0))

    def test_close_and_timeouts(self):
        async def main():
            with self.assertRaises(RateLimitExceeded) as caught:
                await self.bucket.wait_async(5, timeout=0.9)
            self.assertEqual(caught.exception.retry_after, 1)
            with self.assertRaises(BucketClosed):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.bucket.wait_async, 5)
                    while not self.clock.waiters().waiting:
                        await trio.sleep(0)
                    self.bucket.close()

        trio.run(main)

    def test_in_real_time(self):
        bucket = TokenBucket(1, 20)
        bucket.allow()

        async def main():
            due = time.monotonic() + bucket.retry_after()
            async with bucket:
                return time.monotonic() - due

        late = trio.run(main)
        self.assertGreaterEqual(late, 0)
        self.assertLess(late, 5)

    def test_with_a_task_of_asyncio_and_a_thread_in_one_queue(self):
        wait = self.in_thread(self.bucket.wait, 5)
        self.until_waiting(1)
        task = self.in_thread(asyncio.run, self.bucket.wait_async(5))
        self.until_waiting(2)
        other = self.in_thread(trio.run, self.bucket.wait_async, 5)
        self.until_waiting(3)
        for time_, served in ((1, wait), (2, task), (3, other)):
            self.clock.set(time_)
            self.assertIsNone(served.get())

    def test_several_limits(self):
        """One task is cancelled while it holds tokens of one limit, the next gets them."""
        other = self.new_bucket(10, 1, initial_tokens=0)
        limits = Limits([self.bucket, other])

        async def main():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(limits.wait_async, [5, 5])
                while self.clock.waiters().waiting != 2:
                    await trio.sleep(0)
                self.clock.set(1)
                while self.clock.waiters().waiting != 1:
                    await trio.sleep(0)
                self.assertEqual((self.bucket.tokens, other.tokens), (0, -4))
                nursery.cancel_scope.cancel()
            self.assertEqual((self.bucket.tokens, other.tokens), (5, 1))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(limits.wait_async, [5, 5])
                while self.clock.waiters().waiting != 1:
                    await trio.sleep(0)
                self.clock.set(5)

        trio.run(main)
        self.assertEqual((self.bucket.tokens, other.tokens), (10, 0))

    def test_a_wake_for_a_run_that_is_over(self):
        async def main():
            return _waiting.waiter_here(self.bucket)

        waiter = trio.run(main)
        waiter.loop.wake(waiter)


class Guest(BucketTest):
    @needs(trio, "trio")
    def test_trio_as_a_guest_of_asyncio(self):
        async def main():
            done = asyncio.get_running_loop().create_future()
            self.bucket.allow(10)
            trio.lowlevel.start_guest_run(
                self.bucket.wait_async,
                5,
                run_sync_soon_threadsafe=asyncio.get_running_loop().call_soon_threadsafe,
                done_callback=done.set_result,
            )
            while not self.clock.waiters().waiting:
                await asyncio.sleep(0)
            task = asyncio.ensure_future(self.bucket.wait_async(5))
            await asyncio.sleep(0)
            self.clock.set(2)
            await task
            self.assertIsNone((await done).unwrap())

        asyncio.run(asyncio.wait_for(main(), 10))


@needs(anyio, "anyio")
class Anyio(BucketTest):
    def test_on_both_of_its_backends(self):
        async def main(bucket):
            bucket.allow(10)
            with anyio.move_on_after(0.01):
                await bucket.wait_async(10)
            self.assertEqual((bucket.tokens, self.clock.waiters().waiting), (0, 0))
            limits = Limits([bucket, self.new_bucket(initial_tokens=0)])
            with anyio.move_on_after(0.01):
                await limits.wait_async([5, 10])
            self.assertEqual((bucket.tokens, self.clock.waiters().waiting), (0, 0))
            async with anyio.create_task_group() as group:
                group.start_soon(bucket.wait_async, 5)
                while not self.clock.waiters().waiting:
                    await anyio.sleep(0)
                self.clock.advance(1)

        for backend in ("asyncio", *(["trio"] if trio else [])):
            with self.subTest(backend):
                anyio.run(main, self.new_bucket(), backend=backend)


@needs(uvloop, "uvloop")
class Uvloop(BucketTest):
    def test_waits_and_a_loop_that_is_closed(self):
        async def use():
            asyncio.get_running_loop().call_later(0.001, self.clock.advance, 1)
            await self.bucket.wait_async(5)

        self.bucket.allow(10)
        loop = uvloop.new_event_loop()
        loop.run_until_complete(use())
        task = loop.create_task(self.bucket.wait_async(5))
        task._log_destroy_pending = False
        loop.run_until_complete(asyncio.sleep(0))
        self.assertEqual((self.clock.waiters().waiting, self.bucket.tokens), (1, -5))
        loop.close()
        gc.collect()
        self.assertEqual((self.clock.waiters().waiting, self.bucket.tokens), (0, 0))
        self.assertFalse(task.done())


if __name__ == "__main__":
    unittest.main()

"""A limit in Redis, for asyncio, against a server."""

import asyncio
import time
import unittest
from unittest import mock

from redis_server import RedisTest
from tokenbucket import (
    AsyncRedisLimits,
    AsyncRedisTable,
    JointDecision,
    Mismatch,
    RateLimitExceeded,
    RedisTable,
    _redis_async,
)


class AsyncTest(RedisTest, unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.async_client = self.server.async_client()
        self.addAsyncCleanup(self.async_client.close)

    def new_table(self, capacity=10, tokens_per_second=0.001, **options):
        return AsyncRedisTable(self.async_client, capacity, tokens_per_second, **{"prefix": "tb:test:", **options})

    def left(self, key, tokens_per_second=0.001):
        """What another process would see, without what comes in during a test."""
        return round(RedisTable(self.client, 10, tokens_per_second, prefix="tb:test:").tokens(key), 1)


class Takes(AsyncTest):
    async def test_the_calls(self):
        table = self.new_table()
        self.assertEqual([await table.allow("ann", n) for n in (8, 3, 2)], [True, False, True])
        self.assertTrue(await table.try_consume(b"bob"))
        self.assertEqual((await table.take("bob", 2)).reset_after // 1000, 2)
        self.assertEqual([await table.take_up_to("bob", 3), await table.take_up_to("bob", 9)], [3, 4])
        self.assertEqual(await table.allow_many(["ann", "cat", "cat"], 6), [False, True, False])
        await table.refund("ann", 3)
        await table.reset("cat", 5)
        self.assertEqual((self.left("ann"), self.left("cat")), (3, 5))
        self.assertEqual(round(await table.charge("ann", 3.05)), 50)
        self.assertEqual(round(await table.tokens("cat"), 1), 5)
        self.assertEqual(round(await table.retry_after("ann", 0.5), -1), 550)
        limits = AsyncRedisLimits([(table, "{dan}a"), (self.new_table(5, prefix="tb:few:"), "{dan}b")])
        self.assertEqual([await limits.allow(4), await limits.try_consume(2)], [True, False])
        self.assertEqual((await limits.take(2)).member, 1)
        self.assertEqual(await limits.take(1), JointDecision(True, None, 0))

    async def test_a_lost_script(self):
        self.client.script_flush()
        self.assertTrue(await self.new_table().allow("ann"))
        self.assertEqual(self.left("ann"), 9)

    async def test_many_tasks_at_once(self):
        table = self.new_table()
        granted = await asyncio.gather(*(table.allow("ann", 0.5) for _ in range(60)))
        self.assertEqual(sum(granted), 20)

    async def test_errors(self):
        self.client.rpush("tb:test:list", 1)
        with self.assertRaises(Mismatch):
            await self.new_table(on_unavailable="open").allow("list")
        with self.assertRaises(ValueError):
            await self.new_table().wait("ann", 11)
        with self.assertRaises(ValueError):
            await self.new_table().take("ann", 0)
        for client in (None, self.client):
            with self.assertRaisesRegex(TypeError, "redis.asyncio.Redis"):
                AsyncRedisTable(client, 10, 5)


class Waits(AsyncTest):
    async def cancelled(self, task):
        task.cancel()
        await asyncio.wait([task])
        self.assertTrue(task.cancelled())

    async def test_it_sleeps_so_long(self):
        table = self.new_table(10, 500)
        began = time.monotonic()
        await asyncio.gather(*(table.wait("ann", 5) for _ in range(4)))
        self.assertTrue(0.02 - 0.001 <= time.monotonic() - began < 1)

    async def test_a_timeout_that_cannot_be_met_takes_nothing(self):
        table = self.new_table(10, 0.1)
        await table.wait("ann", 10)
        for timeout in (5, 0):
            with self.assertRaises(RateLimitExceeded) as raised:
                await table.wait("ann", 1, timeout=timeout)
            self.assertEqual(round(raised.exception.retry_after), 10)
        self.assertEqual(self.left("ann", 0.1), 0)

    async def test_reservations(self):
        table = self.new_table(10, 0.1)
        await table.wait("ann", 10)
        first, second = await table.reserve("ann", 2), await table.reserve("ann", 1)
        self.assertEqual([round(first.delay), round(second.delay)], [20, 30])
        await first.cancel()
        await first.cancel()
        self.assertEqual(self.left("ann", 0.1), -1)
        with self.assertRaises(OverflowError):
            await second.settle(16)
        await second.settle(0)
        self.assertEqual(self.left("ann", 0.1), 0)
        with self.assertRaises(ValueError):
            await second.settle(0)

    async def test_cancelled_in_its_sleep_it_gives_the_tokens_back(self):
        table = self.new_table(10, 0.1)
        await table.wait("ann", 10)
        for _ in range(5):
            task = asyncio.ensure_future(table.wait("ann", 5))
            await asyncio.sleep(0.01)
            self.assertEqual(self.left("ann", 0.1), -5)
            await self.cancelled(task)
            self.assertEqual(self.left("ann", 0.1), 0)

    async def test_cancelled_before_the_server_has_answered(self):
        table = self.new_table(10, 0.1)
        await table.wait("ann", 10)
        self.addCleanup(self.server.resume)
        for call in (table.wait, table.reserve):
            self.server.pause()
            task = asyncio.ensure_future(call("ann", 5))
            await asyncio.sleep(0.01)
            asyncio.get_running_loop().call_later(0.01, self.server.resume)
            await self.cancelled(task)
            self.assertEqual(self.left("ann", 0.1), 0)

    async def test_a_cancellation_does_not_wait_for_a_server_that_is_silent(self):
        table = self.new_table(10, 0.1)
        await table.wait("ann", 10)
        self.server.pause()
        self.addCleanup(self.server.resume)
        task = asyncio.ensure_future(table.wait("ann", 5))
        await asyncio.sleep(0.01)
        began = time.monotonic()
        with mock.patch.object(_redis_async, "_GIVE_BACK_S", 0.02):
            await self.cancelled(task)
        self.assertLess(time.monotonic() - began, 1)
        self.server.resume()
        while _redis_async._under_way:  # as soon as it answers
            await asyncio.sleep(0.001)
        self.assertEqual(self.left("ann", 0.1), 0)

    async def test_cancelled_twice_it_goes_at_once(self):
        table = self.new_table(10, 0.1)
        await table.wait("ann", 10)
        task = asyncio.ensure_future(table.wait("ann", 5))
        await asyncio.sleep(0.01)
        self.server.pause()
        self.addCleanup(self.server.resume)
        task.cancel()
        await asyncio.sleep(0.01)
        self.assertFalse(task.done())
        await self.cancelled(task)
        self.server.resume()
        while _redis_async._under_way:
            await asyncio.sleep(0.001)
        self.assertEqual(self.left("ann", 0.1), 0)

    def test_the_loop_ends_after_a_wait_that_was_given_up(self):
        async def main():
            client = self.server.async_client()
            table = AsyncRedisTable(client, 10, 0.1, prefix="tb:test:")
            await table.wait("ann", 10)
            try:
                await asyncio.wait_for(table.wait("ann", 5), 0.02)
            finally:
                await client.close()

        with self.assertRaises(asyncio.TimeoutError):
            asyncio.run(main())
        self.assertEqual(self.left("ann", 0.1), 0)

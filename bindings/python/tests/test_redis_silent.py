"""What stands in for a server that does not decide, and a server that comes back; and a cluster."""

import asyncio
import math
import signal
import socket
import time
import unittest

from redis_server import REASON, RedisTest, Server, redis
from tokenbucket import (
    AsyncRedisLimits,
    AsyncRedisTable,
    Decision,
    JointDecision,
    Mismatch,
    RateLimitExceeded,
    RedisLimits,
    RedisTable,
    Unavailable,
)

NEVER_NS = 2**63 - 1
SECOND_NS = 10**9


class Silence(Exception):
    pass


class SilentClient:
    """Its server never answers."""

    def evalsha(self, sha, number, *words):
        raise Silence("no route to host")

    eval = evalsha


class SilentAsyncClient:
    async def evalsha(self, sha, number, *words):
        raise Silence("no route to host")

    eval = evalsha


class Sync:
    """A limit of 10 and 5 a second, by policy, with the methods for threads."""

    table, limits, client = RedisTable, RedisLimits, SilentClient

    def do(self, method, *args, **kwargs):
        return method(*args, **kwargs)


class Async:
    """The same with those for asyncio."""

    table, limits, client = AsyncRedisTable, AsyncRedisLimits, SilentAsyncClient

    def do(self, method, *args, **kwargs):
        return asyncio.run(method(*args, **kwargs))


class Policies:
    def new_table(self, policy="error", share=None, client=None):
        return self.table(client or self.client(), 10, 5, on_unavailable=policy, share=share)

    def refused(self, method, *args, **kwargs):
        with self.assertRaises(RateLimitExceeded) as raised:
            self.do(method, *args, **kwargs)
        return raised.exception.retry_after

    def unavailable(self, method, *args):
        with self.assertRaisesRegex(Unavailable, "did not decide: no route to host") as raised:
            self.do(method, *args)
        self.assertIsInstance(raised.exception.__cause__, Silence)
        self.assertNotIsInstance(raised.exception, (RateLimitExceeded, TimeoutError))

    def test_an_error(self):
        table = self.new_table()
        for call in (table.allow, table.take, table.wait, table.reserve, table.retry_after):
            self.unavailable(call, "ann")
        self.unavailable(table.take_up_to, "ann", 3)
        self.unavailable(table.allow_many, ["ann"])
        self.unavailable(table.take, "ann", 11)
        self.unavailable(self.limits([(table, "ann")]).allow)

    def test_looking_and_changing_raise_under_every_policy(self):
        for policy, share in (("error", None), ("closed", None), ("open", None), ("local", 1)):
            table = self.new_table(policy, share)
            for call in (table.tokens, table.retry_after, table.reserve, table.charge, table.refund, table.reset):
                self.unavailable(call, "ann")

    def test_closed(self):
        table = self.new_table("closed")
        self.assertIs(self.do(table.allow, "ann"), False)
        self.assertEqual(self.do(table.take, "ann", 2), Decision(False, 0, SECOND_NS * 2 // 5, 2 * SECOND_NS))
        self.assertEqual(self.do(table.take, "ann", 11), Decision(False, 0, NEVER_NS, 2 * SECOND_NS))
        self.assertEqual(self.do(table.take_up_to, "ann", 5), 0)
        self.assertEqual(self.do(table.allow_many, ["ann", "bob"]), [False, False])
        self.assertEqual((self.refused(table.wait, "ann", 5), self.refused(table.wait, "ann")), (1, 0.2))

    def test_open(self):
        table = self.new_table("open")
        self.assertIs(self.do(table.allow, "ann", 10), True)
        self.assertEqual(self.do(table.take, "ann", 2), Decision(True, 8, 0, SECOND_NS * 2 // 5))
        self.assertIs(self.do(table.allow, "ann", 11), False)
        self.assertEqual(self.do(table.take_up_to, "ann", 5.5), 5)
        self.assertEqual(self.do(table.allow_many, ["ann", "bob", "cat"], [1, 10, 11]), [True, True, False])
        self.do(table.wait, "ann", 10)

    def test_local(self):
        table = self.new_table("local", 0.5)
        decision = self.do(table.take, "ann", 3)
        self.assertEqual((decision.allowed, round(decision.remaining, 1)), (True, 2))
        self.assertEqual(self.do(table.take, "ann", 8).retry_after, math.inf)
        self.assertEqual(self.do(table.take_up_to, "ann", 5), 2)
        self.assertEqual(self.do(table.allow_many, ["ann", "bob"], 5), [False, True])
        self.assertIs(self.do(table.allow, "cat", 5), True)
        self.assertEqual(self.refused(table.wait, "cat", 5, timeout=1) // 1, 1)
        self.assertEqual(self.refused(table.wait, "cat", 6), math.inf)
        began = time.monotonic()
        self.do(table.wait, "eve", 5)
        self.do(table.wait, "eve", 0.05)
        self.assertGreaterEqual(time.monotonic() - began, 0.02)

    def test_together_each_says_what_it_would_alone(self):
        client = self.client()
        error, closed, opened = (self.new_table(policy, client=client) for policy in ("error", "closed", "open"))
        few, many = (self.new_table("local", share, client) for share in (0.2, 1))

        def take(*tables):
            return self.do(self.limits([(table, f"{{ann}}{i}") for i, table in enumerate(tables)]).take, 2)

        with self.assertRaises(Unavailable):
            take(closed, error)
        self.assertEqual(take(opened, closed, few), JointDecision(False, 1, SECOND_NS * 2 // 5))
        self.assertEqual(take(opened, opened), JointDecision(True, None, 0))
        self.assertEqual(take(opened, few, many), JointDecision(True, None, 0))
        refused = take(opened, few, many)
        self.assertEqual((refused.allowed, refused.member, round(refused.retry_after)), (False, 1, 2))
        self.assertEqual(self.do(many.take_up_to, "{ann}2", 9), 8)


class SyncPolicies(Sync, Policies, unittest.TestCase):
    def test_a_local_wait_that_is_interrupted_gives_the_tokens_back(self):
        def interrupt(*_):
            raise KeyboardInterrupt

        table = self.new_table("local", 1)
        table.wait("ann", 10)
        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, interrupt))
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with self.assertRaises(KeyboardInterrupt):
            table.wait("ann", 10)
        self.assertAlmostEqual(table.take("ann", 5).retry_after, 1, delta=0.2)


class AsyncPolicies(Async, Policies, unittest.TestCase):
    def test_a_local_wait_that_is_cancelled_gives_the_tokens_back(self):
        async def main():
            table = self.new_table("local", 1)
            await table.wait("ann", 10)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(table.wait("ann", 10), 0.02)
            self.assertAlmostEqual((await table.take("ann", 5)).retry_after, 1, delta=0.2)

        asyncio.run(main())


class Replies(unittest.TestCase):
    def test_one_that_is_none_is_no_answer(self):
        """Such as that of another program behind the address."""
        client = SilentClient()
        tables = [RedisTable(client, 10, 5, on_unavailable=policy) for policy in ("error", "closed", "open")]
        for reply in (None, "OK", b"1", True, 1.5, [], [1, None], [1] * 7, 2**70, -(10**15), [10**15, 0], {}):
            client.evalsha = lambda *words, reply=reply: reply
            for table in tables:
                limits = RedisLimits([(table, "ann")])
                for call in (table.take, table.wait, table.tokens, table.charge, limits.take):
                    arguments = () if call == limits.take else ("ann",)
                    with self.subTest(reply=reply, call=call), self.assertRaises(Mismatch):
                        call(*arguments)
                with self.subTest(reply=reply), self.assertRaises(Mismatch):
                    table.allow_many(["ann", "bob"])


class Outages(RedisTest):
    def test_a_server_that_is_gone_and_comes_back(self):
        table = RedisTable(self.client, 10, 0.001)
        slow = RedisTable(self.client, 10, 0.1, prefix="tb:slow:")
        due, pending = slow.reserve("bob", 10), slow.reserve("bob", 1)
        self.assertTrue(table.allow("ann", 10))
        self.server.stop()
        for call in (table.allow, table.wait, table.tokens, lambda key: RedisLimits([(table, key)]).take()):
            with self.assertRaises(Unavailable) as raised:
                call("ann")
            self.assertIsInstance(raised.exception.__cause__, redis.exceptions.ConnectionError)
        for end in (pending.cancel, lambda: due.settle(0)):
            with self.assertRaises(Unavailable):
                end()
        self.server.start()
        self.assertEqual([table.allow("ann", 10), table.allow("ann")], [True, False])

    def test_a_server_that_is_slow(self):
        client = self.server.client(socket_timeout=0.03)
        self.addCleanup(client.close)
        table = RedisTable(client, 10, 5, on_unavailable="closed")
        self.assertTrue(table.allow("ann"))
        self.server.pause()
        self.addCleanup(self.server.resume)
        began = time.monotonic()
        self.assertFalse(table.allow("ann"))
        self.assertLess(time.monotonic() - began, 1)
        self.server.resume()
        self.assertTrue(table.allow("ann"))

    def test_a_server_that_may_not_write(self):
        """It answers, but does not decide."""
        table = RedisTable(self.client, 10, 5)
        self.client.config_set("maxmemory", "1mb")
        self.addCleanup(self.client.config_set, "maxmemory", "0")
        with self.assertRaisesRegex(Unavailable, "OOM"):
            table.allow("ann")


@unittest.skipIf(REASON, REASON)
class Cluster(unittest.TestCase):
    """Of one server, which refuses keys of several slots in a call, as one of many does."""

    @classmethod
    def setUpClass(cls):
        port = free_port()
        cls.server = Server("--cluster-enabled", "yes", "--bind", "127.0.0.1", "--port", str(port))
        cls.addClassCleanup(cls.server.end)
        with cls.server.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
                time.sleep(0.005)
        cls.client = redis.RedisCluster(host="127.0.0.1", port=port)
        cls.addClassCleanup(cls.client.close)
        cls.port = port

    def test_for_threads(self):
        table = RedisTable(self.client, 10, 0.1, prefix="tb:sync:")
        self.assertEqual([table.allow("ann", 10), table.allow("ann")], [True, False])
        self.assertEqual(table.allow_many(["ann", "bob", "cat", "bob"], 6), [False, True, True, False])
        table.reserve("ann", 1).cancel()
        self.assertEqual(round(table.charge("ann", 1)), 10)
        self.assertTrue(RedisLimits([(table, "{dan}a"), (table, "{dan}b")]).allow())

    def test_for_asyncio(self):
        async def main():
            client = redis.asyncio.RedisCluster(host="127.0.0.1", port=self.port)
            table = AsyncRedisTable(client, 10, 0.1, prefix="tb:async:")
            self.assertEqual(await table.allow_many(["ann", "bob", "cat", "bob"], 6), [True, True, True, False])
            await (await table.reserve("ann", 5)).cancel()
            self.assertTrue(await AsyncRedisLimits([(table, "{dan}a"), (table, "{dan}b")]).allow())
            await client.close()

        asyncio.run(main())


def free_port():
    """One that has another 10000 above it, for the cluster's own talk."""
    while True:
        with socket.socket() as talk:
            talk.bind(("127.0.0.1", 0))
            port = talk.getsockname()[1]
            with socket.socket() as both:
                if port < 55536 and both.connect_ex(("127.0.0.1", port + 10000)) != 0:
                    return port

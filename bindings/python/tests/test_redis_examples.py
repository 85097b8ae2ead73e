"""The examples in the documentation of what needs a server of Redis."""

import asyncio

from redis_server import RedisTest, redis
from test_interface import REDIS, REDIS_ERRORS, documented, reports_of_examples


class Examples(RedisTest):
    def test_they_hold(self):
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        async_client = self.server.async_client()
        names = {"client": self.client, "async_client": async_client, "run": loop.run_until_complete, "redis": redis}
        tried, reports = reports_of_examples(documented(REDIS, REDIS_ERRORS), names, before=self.client.flushall)
        loop.run_until_complete(async_client.close())
        self.assertEqual(reports, [])
        self.assertGreater(tried, 100)

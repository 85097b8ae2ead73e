"""The examples in the documentation of what needs a server of Redis, and the program in README.md."""

import asyncio
import re
from unittest import mock

from redis_server import RedisTest, redis
from support import ROOT
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

    def test_the_program_in_the_readme(self):
        page = (ROOT / "bindings" / "python" / "README.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        (block,) = [block for block in blocks if "import redis" in block]
        client, async_client = self.client, self.server.async_client()
        clients = mock.patch.multiple(redis, Redis=lambda *_, **__: client)
        async_clients = mock.patch.multiple(redis.asyncio, Redis=lambda **_: async_client)
        with clients, async_clients:
            names = {}
            exec(compile(block, "README.md", "exec"), names)
            self.assertEqual([names["handle"]("ann") for _ in range(10)], ["200"] * 10)
            self.assertRegex(names["handle"]("ann"), "429, Retry-After: 1|200")
            self.assertEqual([names["upload"]("bob", n) for n in (900, 200, 99)], ["200", "429", "200"])
            self.assertEqual(names["send_all"](["cat", "dan"]), (["cat", "dan"], 0))
            self.assertEqual(asyncio.run(names["ask"]("eve")), "200")
            self.server.stop()
            self.assertEqual(names["handle"]("ann"), "503")
            self.server.start()

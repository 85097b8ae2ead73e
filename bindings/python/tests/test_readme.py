"""The recipe of README.md for two limits at once: cancelled or refused it loses nothing."""

import ast
import asyncio
import re
import unittest

from support import ROOT, BucketTest
from tokenbucket import RateLimitExceeded

README = ROOT / "bindings" / "python" / "README.md"


def recipe(buckets):
    """The function `ask` of the page, with other buckets."""
    for block in re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        if "def ask(" in block:
            program = ast.parse(block)
            program.body = [part for part in program.body if isinstance(part, (ast.Import, ast.AsyncFunctionDef))]
            names = dict(buckets)
            exec(compile(program, str(README), "exec"), names)
            return names["ask"]
    raise LookupError("no recipe")


class TwoLimits(BucketTest, unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        super().setUp()
        self.requests = self.new_bucket(10, 50, period=60)
        self.tokens = self.new_bucket(30_000, 60_000, period=60)
        self.ask = recipe({"requests": self.requests, "tokens": self.tokens})

    def left(self):
        return self.requests.tokens, self.tokens.tokens

    async def test_it_pays_what_it_did_cost(self):
        await self.ask("hello", timeout=30)
        self.assertEqual(self.left(), (9, 30_000 - 1234))

    async def test_cancelled_it_loses_nothing(self):
        """Whether none is due, or one."""
        self.tokens.allow(30_000)
        for requests in (10, 0):
            self.requests.reset(requests)
            for _ in range(5):
                task = asyncio.ensure_future(self.ask("hello", timeout=30))
                await asyncio.sleep(0)
                self.assertEqual(self.left(), (requests - 1, -4000))
                task.cancel()
                await asyncio.wait([task])
                self.assertEqual(self.left(), (requests, 0))

    async def test_one_timeout_for_both(self):
        for requests, tokens in ((0, 30_000), (10, 0), (0, 0)):
            self.requests.reset(requests)
            self.tokens.reset(tokens)
            with self.assertRaises(RateLimitExceeded):
                await self.ask("hello", timeout=1)
            self.assertEqual(self.left(), (requests, tokens))


if __name__ == "__main__":
    unittest.main()

"""What README.md shows: the table for those who come from other limiters, and the recipe for two limits at once."""

import ast
import asyncio
import re
import types
import unittest

import tokenbucket
from support import ROOT, BucketTest
from tokenbucket import Limits, RateLimitExceeded

# Nobody asks it.
SERVER = types.SimpleNamespace(evalsha=callable, eval=callable)
README = ROOT / "bindings" / "python" / "README.md"


def recipe(names):
    """The function `ask` of the page, with other limits."""
    for block in re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        if "def ask(" in block:
            program = ast.parse(block)
            program.body = [part for part in program.body if isinstance(part, ast.AsyncFunctionDef)]
            names = dict(names)
            exec(compile(program, str(README), "exec"), names)
            return names["ask"]
    raise LookupError("no recipe")


def replacements():
    """The code in the last column of the table for those who come from another limiter."""
    section = README.read_text(encoding="utf-8").split("## Coming from another limiter", 1)[1].split("\n## ", 1)[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row[-1])]


class OtherLimiters(BucketTest, unittest.IsolatedAsyncioTestCase):
    async def test_what_replaces_their_calls_works(self):
        names = {**vars(tokenbucket), "bucket": self.bucket, "table": self.new_table(), "client": SERVER}
        found = replacements()
        self.assertGreater(len(found), 10)
        for code in found:
            with self.subTest(code):
                body = f"{code}\n def call(): return 1\n assert call() == 1" if code[0] == "@" else code
                body = f"{code}: pass" if code.startswith("async with") else body
                exec(f"async def replaced():\n {body}", names)
                before = self.bucket.tokens
                await names["replaced"]()
                self.assertEqual(self.bucket.tokens < before, "bucket" in code)
                self.bucket.reset()


class TwoLimits(BucketTest, unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        super().setUp()
        self.requests = self.new_bucket(10, 50, period=60)
        self.tokens = self.new_bucket(30_000, 60_000, period=60)
        limits = Limits([self.requests, self.tokens])
        self.ask = recipe({"limits": limits, "tokens": self.tokens})

    def left(self):
        return self.requests.tokens, self.tokens.tokens

    async def test_it_pays_what_it_did_cost(self):
        await self.ask("hello", timeout=30)
        self.assertEqual(self.left(), (9, 30_000 - 1234))

    async def test_cancelled_five_times_it_loses_nothing(self):
        """Whether it waits for the tokens alone, or for both."""
        for requests in (10, 0):
            self.requests.reset(requests)
            self.tokens.reset(0)
            for _ in range(5):
                task = asyncio.ensure_future(self.ask("hello", timeout=30))
                await asyncio.sleep(0)
                self.assertEqual(self.left(), (requests - 1, -4000))
                task.cancel()
                await asyncio.wait([task])
                self.assertTrue(task.cancelled())
                self.assertEqual(self.left(), (requests, 0))

    async def test_cancelled_when_only_the_tokens_are_missing_still(self):
        self.requests.reset(0)
        self.tokens.reset(0)
        task = asyncio.ensure_future(self.ask("hello", timeout=30))
        await asyncio.sleep(0)
        self.clock.set(3)
        await asyncio.sleep(0.001)
        self.assertEqual(self.left(), (1.5, -1000))
        task.cancel()
        await asyncio.wait([task])
        self.assertEqual(self.left(), (2.5, 3000))

    async def test_one_timeout_for_both(self):
        for requests, tokens in ((0, 30_000), (10, 0), (0, 0)):
            self.requests.reset(requests)
            self.tokens.reset(tokens)
            with self.assertRaises(RateLimitExceeded):
                await asyncio.wait_for(self.ask("hello", timeout=1), 10)
            self.assertEqual(self.left(), (requests, tokens))

    async def test_it_ends_when_the_timeout_has_become_too_short(self):
        self.tokens.reset(0)
        task = asyncio.ensure_future(self.ask("hello", timeout=4))
        await asyncio.sleep(0)
        self.tokens.charge(1)
        with self.assertRaises(RateLimitExceeded):
            await asyncio.wait_for(task, 10)
        self.assertEqual(self.left(), (10, -1))


if __name__ == "__main__":
    unittest.main()

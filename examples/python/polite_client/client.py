#!/usr/bin/env python3
"""A client that uses a provider's quotas to the full and never exceeds them.

Two budgets: requests, and tokens, of which a request costs many and only its answer tells how many. Both are taken in
one decision, the tokens as many as it may cost at most. Each answer says what the server has left, and both budgets
follow it, less what is under way. Retry-After is honoured by all tasks at once.

    client.py PORT SECONDS    asks the server for so long, and prints what it says about that as JSON
"""

import asyncio
import json
import random
import sys
import time

from quota import MINUTE, REQUESTS_PER_MINUTE, TOKENS_PER_MINUTE
from tokenbucket import Limits, TokenBucket

# Requests that left evenly arrive less so; the burst that this adds is kept free.
HEADROOM = 0.1
TASKS = 40


async def get(port, target):
    """Status, headers and body of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    finally:
        writer.close()
    first, *lines = head.split("\r\n")
    return int(first.split()[1]), dict(line.split(": ") for line in lines), json.loads(body)


class Budget(TokenBucket):
    """A bucket that knows what it has granted that may not be counted yet in what the server says is left."""

    def __init__(self, per_minute, **options):
        super().__init__(per_minute * (1 - HEADROOM), per_minute, period=MINUTE, statistics=True, **options)
        self.asked = {}  # Amounts by request, in order, until it is answered.

    def granted(self):
        """All are served in order, so the last of them still wait. Others may wait for the other budget only."""
        amounts = list(self.asked.values())
        return sum(amounts[: len(amounts) - self.stats().waiting])

    def give_back(self, request):
        self.refund(self.asked.pop(request))

    def answered(self, request, left):
        """Follows the server. Whoever waits keeps the place, and waits as long as the server makes it."""
        del self.asked[request]
        if left is not None:
            self.set_tokens(min(max(0, int(left) - self.granted()), self.capacity))


class Client:
    def __init__(self, port, requests, tokens):
        self.port = port
        self.requests = requests
        self.tokens = tokens
        self.both = Limits([requests, tokens])
        self.not_before = 0.0

    async def take(self, cost):
        """Takes a request and its tokens, once both are there. Cancelled meanwhile, it takes neither."""
        request = object()
        self.requests.asked[request] = 1
        self.tokens.asked[request] = cost
        try:
            await self.both.wait_async([1, cost])
        except BaseException:
            del self.requests.asked[request], self.tokens.asked[request]
            raise
        return request

    async def ask(self, prompt, most):
        """The answer, as soon as the quotas and Retry-After allow."""
        cost = prompt + most
        while True:
            await asyncio.sleep(max(0, self.not_before - time.monotonic()))
            request = await self.take(cost)
            if time.monotonic() < self.not_before:
                # Another task was told to pause.
                self.requests.give_back(request)
                self.tokens.give_back(request)
                continue
            headers = {}
            try:
                status, headers, answer = await get(self.port, f"/ask?prompt={prompt}&most={most}")
            finally:
                self.requests.answered(request, headers.get("X-RateLimit-Remaining-Requests"))
                self.tokens.answered(request, headers.get("X-RateLimit-Remaining-Tokens"))
            if status == 200:
                return answer
            self.not_before = max(self.not_before, time.monotonic() + int(headers["Retry-After"]))


async def main(port, seconds):
    client = Client(port, Budget(REQUESTS_PER_MINUTE), Budget(TOKENS_PER_MINUTE))
    chance = random.Random(2)
    started = time.monotonic()
    deadline = started + seconds

    async def work():
        while time.monotonic() < deadline:
            await client.ask(prompt=chance.randint(50, 250), most=chance.randint(200, 800))

    tasks = [asyncio.ensure_future(work()) for _ in range(TASKS)]
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
    _, _, report = await get(port, "/report")
    report["seconds"] = time.monotonic() - started
    print(json.dumps(report))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))

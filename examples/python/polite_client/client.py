#!/usr/bin/env python3
"""A client that uses a provider's quotas to the full and never exceeds them.

Two budgets: requests, and tokens, of which a request costs many and only its answer tells how many. What it may cost at
most is reserved, and settled with what it did cost. Retry-After is honoured by all tasks at once.

    client.py PORT SECONDS    asks the server for so long, and prints what it says about that as JSON
"""

import asyncio
import json
import random
import sys
import time

from quota import MINUTE, REQUESTS_PER_MINUTE, TOKENS_PER_MINUTE
from tokenbucket import TokenBucket

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


class Client:
    def __init__(self, port):
        self.port = port
        self.requests = self.budget(REQUESTS_PER_MINUTE)
        self.tokens = self.budget(TOKENS_PER_MINUTE)
        self.not_before = 0.0

    @staticmethod
    def budget(per_minute):
        return TokenBucket(per_minute * (1 - HEADROOM), per_minute, period=MINUTE)

    async def reserve(self, cost):
        """A request and its tokens, once both may be used. Cancelled meanwhile, they come back."""
        reservations = self.requests.reserve(), self.tokens.reserve(cost)
        try:
            for reservation in reservations:
                await reservation.wait_async()
        except BaseException:
            for reservation in reservations:
                if reservation.tokens:
                    reservation.settle(0)  # due or not, it was not used
            raise
        return reservations

    async def ask(self, prompt, most):
        """The answer, as soon as the quotas and Retry-After allow."""
        while True:
            await asyncio.sleep(max(0, self.not_before - time.monotonic()))
            request, tokens = await self.reserve(prompt + most)
            if time.monotonic() < self.not_before:
                # Another task was told to pause.
                request.settle(0)
                tokens.settle(0)
                continue
            status, headers, answer = await get(self.port, f"/ask?prompt={prompt}&most={most}")
            if status == 200:
                tokens.settle(answer["tokens_used"])
                return answer
            tokens.settle(0)
            self.not_before = max(self.not_before, time.monotonic() + int(headers["Retry-After"]))


async def main(port, seconds):
    client = Client(port)
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

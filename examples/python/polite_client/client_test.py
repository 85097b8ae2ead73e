#!/usr/bin/env python3
"""A client whose wait is cancelled loses nothing, and what the server says is left lets nobody go early."""

import asyncio

from client import Budget, Client
from quota import MINUTE
from tokenbucket import ManualClock


def check(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: {found}, not {wanted}")


async def main():
    clock = ManualClock()
    client = Client(0, Budget(20, clock=clock), Budget(200, initial_tokens=0, clock=clock))
    requests, tokens = client.requests, client.tokens
    for _ in range(5):
        task = asyncio.ensure_future(client.take(cost=50))
        await asyncio.sleep(0)
        check("taken", (requests.tokens, tokens.tokens), (17, -50))
        task.cancel()
        await asyncio.wait([task])
        check("cancelled", task.cancelled(), True)
        check("left after it", (requests.tokens, tokens.tokens), (18, 0))
        check("granted after it", (requests.granted(), tokens.granted()), (0, 0))

    # One is under way; the next four have their requests, and wait for tokens.
    tokens.set_tokens(30)
    first = await client.take(cost=30)
    tasks = [asyncio.ensure_future(client.take(cost=50)) for _ in range(4)]
    await asyncio.sleep(0)
    check("granted", (requests.granted(), tokens.granted()), (5, 30))
    for left in ("80", "80", "80"):
        last, first = first, object()
        requests.asked = {first: 1, **requests.asked}
        tokens.asked = {first: 30, **tokens.asked}
        requests.answered(last, left="17")
        tokens.answered(last, left=left)
        await asyncio.sleep(0.001)
        check("done with what is left", sum(task.done() for task in tasks), 1)
        check("requests left", requests.tokens, 12)
    clock.advance(MINUTE / 4)
    await asyncio.sleep(0.001)
    check("done a quarter later", sum(task.done() for task in tasks), 2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


asyncio.run(asyncio.wait_for(main(), 30))

#!/usr/bin/env python3
"""A client whose wait for tokens is cancelled loses nothing, and what the server says is left lets nobody go early."""

import asyncio

from client import Budget, Client
from quota import MINUTE
from tokenbucket import ManualClock


def check(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: {found}, not {wanted}")


async def main():
    clock = ManualClock()
    client = Client(port=0)
    client.requests = Budget(20, clock=clock)
    client.tokens = Budget(200, initial_tokens=0, clock=clock)
    task = asyncio.ensure_future(client.take(cost=50))
    await asyncio.sleep(0)
    check("taken", (client.requests.tokens, client.tokens.tokens), (17, -50))
    task.cancel()
    await asyncio.wait([task])
    check("cancelled", task.cancelled(), True)
    check("left after it", (client.requests.tokens, client.tokens.tokens), (18, 0))

    tasks = [asyncio.ensure_future(client.take(cost=50)) for _ in range(4)]
    await asyncio.sleep(0)
    client.tokens.under_way = 30
    for _ in range(3):
        client.tokens.answered(0, left="80")
        await asyncio.sleep(0.001)
        check("done with what is left", sum(task.done() for task in tasks), 1)
    clock.advance(MINUTE / 4)
    await asyncio.sleep(0.001)
    check("done a quarter later", sum(task.done() for task in tasks), 2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


asyncio.run(main())

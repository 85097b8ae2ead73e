#!/usr/bin/env python3
"""A client whose wait for tokens is cancelled while its request is due loses neither."""

import asyncio

from client import Client
from tokenbucket import ManualClock, TokenBucket


async def main():
    clock = ManualClock()
    client = Client(port=0)
    client.requests = TokenBucket(10, 1, clock=clock)
    client.tokens = TokenBucket(100, 10, initial_tokens=0, clock=clock)
    task = asyncio.ensure_future(client.reserve(cost=50))
    await asyncio.sleep(0)
    reserved = client.requests.tokens, client.tokens.tokens
    task.cancel()
    await asyncio.wait([task])
    left = client.requests.tokens, client.tokens.tokens
    if not task.cancelled() or reserved != (9, -50) or left != (10, 0):
        raise SystemExit(f"reserved {reserved}, left {left}")


asyncio.run(main())

#!/usr/bin/env python3
"""A provider with two quotas, that counts what a client does wrong. Prints its port, and serves until it is ended.

GET /ask?prompt=N&most=M costs N tokens and an answer of at most M, of which the unused part comes back. The headers of
its answer say what is left of both quotas.
GET /report says what was served. Once, for a while, the server answers 503 with Retry-After.
"""

import asyncio
import json
import math
import random
import time
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from quota import MINUTE, REQUESTS_PER_MINUTE, TOKENS_PER_MINUTE

MAINTENANCE_STARTS, MAINTENANCE_LASTS = 2.0, 1.0
# What was on its way when the first 503 was sent does not count as ignoring it.
ON_ITS_WAY = 0.2


class Quota:
    """Counted on its own, without the library that the client uses."""

    def __init__(self, per_minute):
        self.capacity = self.left = per_minute
        self.rate = per_minute / MINUTE
        self.since = time.monotonic()

    def seconds_until(self, amount):
        now = time.monotonic()
        self.left = min(self.capacity, self.left + (now - self.since) * self.rate)
        self.since = now
        return max(0.0, (amount - self.left) / self.rate)

    def whole_left(self):
        self.seconds_until(0)
        return max(0, math.floor(self.left))


class Server:
    def __init__(self):
        self.requests = Quota(REQUESTS_PER_MINUTE)
        self.tokens = Quota(TOKENS_PER_MINUTE)
        self.first = self.told_to_pause_at = None
        self.report = {"served": 0, "tokens": 0, "over_quota": 0, "told_to_pause": 0, "ignored_pause": 0}
        self.random = random.Random(1)

    async def ask(self, prompt, most):
        now = time.monotonic()
        self.first = self.first or now
        pause = self.pause_left(now)
        if pause > 0:
            return HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": math.ceil(pause)}, {}
        wait = max(self.requests.seconds_until(1), self.tokens.seconds_until(prompt + most))
        if wait > 0:
            self.report["over_quota"] += 1
            return HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": math.ceil(wait), **self.left()}, {}
        self.requests.left -= 1
        self.tokens.left -= prompt + most
        answer = self.random.randint(most // 4, most)
        await asyncio.sleep(self.random.uniform(0.01, 0.05))
        self.tokens.left += most - answer
        self.report["served"] += 1
        self.report["tokens"] += prompt + answer
        return HTTPStatus.OK, self.left(), {"tokens_used": prompt + answer}

    def left(self):
        return {
            "X-RateLimit-Remaining-Requests": self.requests.whole_left(),
            "X-RateLimit-Remaining-Tokens": self.tokens.whole_left(),
        }

    def pause_left(self, now):
        start = self.first + MAINTENANCE_STARTS
        if not start <= now < start + MAINTENANCE_LASTS:
            return 0.0
        self.told_to_pause_at = self.told_to_pause_at or now
        self.report["told_to_pause"] += 1
        self.report["ignored_pause"] += now > self.told_to_pause_at + ON_ITS_WAY
        return start + MAINTENANCE_LASTS - now

    async def handle(self, reader, writer):
        words = (await reader.readline()).decode().split()
        if len(words) < 2:  # the client has left
            writer.close()
            return
        target = words[1]
        while (await reader.readline()).strip():
            pass
        url = urlsplit(target)
        if url.path == "/report":
            status, headers, body = HTTPStatus.OK, {}, self.report
        else:
            query = dict(parse_qsl(url.query))
            status, headers, body = await self.ask(int(query["prompt"]), int(query["most"]))
        lines = [f"HTTP/1.0 {status.value} {status.phrase}", *(f"{k}: {v}" for k, v in headers.items()), "", json.dumps(body)]
        writer.write("\r\n".join(lines).encode())
        await writer.drain()
        writer.close()


async def main():
    server = await asyncio.start_server(Server().handle, "127.0.0.1", 0, backlog=200)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

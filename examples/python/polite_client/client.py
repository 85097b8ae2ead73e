#!/usr/bin/env python3
"""A client that uses a provider's quotas to the full and never exceeds them.

Two budgets: requests, and tokens, of which a request costs many and only its answer tells how many. Both are taken in
one decision, the tokens as many as it may cost at most. Each answer says what the server has left, and both budgets
follow it, less what is under way. Retry-After is honoured by all tasks at once.

    client.py PORT TIME    asks the server for so long, and prints what it says about that as JSON
"""

import asyncio
import json
import os
import random
import signal
import sys
import time

import options
import progress
from quota import MINUTE, REQUESTS_PER_MINUTE, TOKENS_PER_MINUTE
from tokenbucket import Limits, TokenBucket

# Requests that left evenly arrive less so; the burst that this adds is kept free.
HEADROOM = 0.1
TASKS = 40


def not_understood():
    return ConnectionError("its answer is none of server.py")


async def get(port, target):
    """Status, headers and body of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    finally:
        writer.close()
    first, *lines = head.split("\r\n")
    try:
        return int(first.split()[1]), dict(line.split(": ") for line in lines), json.loads(body)
    except (IndexError, ValueError):
        raise not_understood() from None


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
        self.answers = 0

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
                self.answers += 1
                return answer
            if "Retry-After" not in headers:
                raise not_understood()
            self.not_before = max(self.not_before, time.monotonic() + int(headers["Retry-After"]))


async def use(client, seconds):
    """Asks for so long, and returns what the server says about it."""
    chance = random.Random(2)
    started = time.monotonic()
    deadline = started + seconds

    async def work():
        while time.monotonic() < deadline:
            await client.ask(prompt=chance.randint(50, 250), most=chance.randint(200, 800))

    tasks = [asyncio.ensure_future(work()) for _ in range(TASKS)]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        _, _, report = await get(client.port, "/report")
        report["seconds"] = time.monotonic() - started
        return report
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def main(port, seconds, quiet):
    client = Client(port, Budget(REQUESTS_PER_MINUTE), Budget(TOKENS_PER_MINUTE))
    if quiet or not sys.stderr.isatty():
        return await use(client, seconds)
    shown = asyncio.ensure_future(progress.show(lambda: client.answers, time.monotonic() + seconds))
    try:
        return await use(client, seconds)
    finally:
        shown.cancel()
        await asyncio.wait([shown])


def end_by(number):
    """Ends the program as the signal does."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def run(words):
    """The exit status."""
    o = options.parse(words)
    try:
        report = asyncio.run(main(o.port, o.seconds, o.quiet))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        options.complain(f"the server at 127.0.0.1:{o.port}: {reason}")
        return 1
    try:
        print(json.dumps(report), flush=True)
    except OSError as error:
        # What could not be written would be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(error, BrokenPipeError):
            end_by(signal.SIGPIPE)
        options.complain(f"standard output: {error.strerror}")
        return 1
    return 0


if __name__ == "__main__":
    try:
        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        end_by(signal.SIGINT)
    sys.exit(status)

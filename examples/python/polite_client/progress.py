"""How far the client is, in one line on a terminal."""

import asyncio
import sys
import time

INTERVAL = 0.25


async def show(answered, deadline):
    """Until it is cancelled. `answered` says how many requests were."""
    started = shown_at = time.monotonic()
    before = 0
    try:
        while True:
            await asyncio.sleep(INTERVAL)
            now, count = time.monotonic(), answered()
            rates = f"now {(count - before) / (now - shown_at):.1f}/s, average {count / (now - started):.1f}/s"
            left = int(max(0, deadline - now))
            hours, minutes = divmod(left // 60, 60)
            left = f"{hours}:{minutes:02}:{left % 60:02}" if hours else f"{minutes}:{left % 60:02}"
            print(f"\r{count} requests, {rates}, {left} left\033[K", end="", file=sys.stderr, flush=True)
            before, shown_at = count, now
    finally:
        print(file=sys.stderr)

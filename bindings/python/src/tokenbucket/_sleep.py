"""Sleeping on a bucket's clock without a thread: the parts of wait_async() that are not the bucket's."""

from __future__ import annotations

import asyncio
from typing import Callable, Optional

from ._numbers import NS_PER_SECOND, TimeSource, now_ns


class Sleeper:
    """A task that sleeps, and can be rung from any thread to look again whether it still has to."""

    __slots__ = ("due_ns", "_event", "_loop")

    def __init__(self, due_ns: int) -> None:
        self.due_ns = due_ns
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def ring(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            pass  # The loop was closed: nobody sleeps in it.

    async def sleep_until(self, is_over: Callable[[], bool], clock: Optional[TimeSource]) -> None:
        """Returns once is_over() or the time has come; is_over() is asked again at each ring."""
        while True:
            # A ring after this line is not missed.
            self._event.clear()
            left = self.due_ns - now_ns(clock)
            if left <= 0 or is_over():
                return
            timer = None if clock else self._loop.call_later(left / NS_PER_SECOND, self._event.set)
            try:
                await self._event.wait()
            finally:
                if timer:
                    timer.cancel()

"""Waiting: the places that tasks of asyncio and trio have in the queues of buckets and keys, and threads in signals."""

from __future__ import annotations

import itertools
import math
import sys
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Optional, Set, Tuple

from . import _constants as c
from ._numbers import NS_PER_SECOND, Seconds, TimeSource, now_ns, timeout_ns

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

CallSoon = Callable[[Callable[[], None]], object]

# on_wake tells nothing of what other processes do to what they share, so who waits for that asks.
_ASK_AGAIN_S = 0.1

# By tag. Only the coroutine and its loop hold a waiter, so that one that is collected leaves.
_waiters: Dict[int, weakref.ref[Waiter]] = {}
_tags = itertools.count(1)


def wake(tag: int) -> None:
    """The library's on_wake, on whatever thread: the waiter looks again, in its loop. One that is gone is ignored."""
    reference = _waiters.get(tag)
    waiter = None if reference is None else reference()
    if waiter is not None and not waiter.woken:
        waiter.woken = True
        waiter.loop.wake(waiter)


def sleep_until_answered(
    clock: Optional[TimeSource], timeout: Optional[Seconds], sleep: Callable[[int], Tuple[int, Any]]
) -> Tuple[int, Any]:
    """Calls sleep(timeout_ns), which blocks, until it was not a signal that ended it, and returns what that answered.

    The handler of the signal has run by the time that sleep() is called again.
    """
    left = timeout_ns(timeout)
    limited = left != c.TB_FOREVER
    deadline = now_ns(clock) + left if limited else left
    while True:
        status, detail = sleep(left)
        if status != c.TB_INTERRUPTED:
            return status, detail
        if limited:
            left = max(0, deadline - now_ns(clock))


class Loop:
    """What the waiters of one loop share. It is called from any thread, once for all that are woken meanwhile."""

    _all: weakref.WeakValueDictionary[int, Loop] = weakref.WeakValueDictionary()

    @classmethod
    def of(cls, identity: object, call_soon: CallSoon) -> Loop:
        loop = cls._all.get(id(identity))
        if loop is None:
            loop = cls._all[id(identity)] = cls(identity, call_soon)
        return loop

    def __init__(self, identity: object, call_soon: CallSoon) -> None:
        self._identity = identity
        self._call_soon = call_soon
        self._called = False
        self._woken: Deque[Waiter] = deque()
        self.asleep: Set[Waiter] = set()
        self.lease: Optional[weakref.ref[Any]] = None

    def wake(self, waiter: Waiter) -> None:
        self._woken.append(waiter)
        if not self._called:
            self._called = True
            try:
                self._call_soon(self._stir_all)
            except RuntimeError:
                self._woken.clear()  # The loop was closed.
                self._called = False

    def _stir_all(self) -> None:
        self._called = False
        while self._woken:
            waiter = self._woken.popleft()
            waiter.woken = False
            waiter.stir()


def waiter_here(limiter: Any, *key: bytes) -> Waiter:
    """A waiter of the loop that runs in this thread. RuntimeError: none does."""
    library = ""
    sniffio: Any = sys.modules.get("sniffio")
    if sniffio is not None:
        try:
            library = sniffio.current_async_library()
        except sniffio.AsyncLibraryNotFoundError:
            pass
    if library == "trio":
        return TrioWaiter(limiter, key)
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is not None and library in ("", "asyncio"):
        loop = asyncio._get_running_loop()
        if loop is not None:
            return AsyncioWaiter(limiter, key, loop)
    raise RuntimeError("wait_async() needs a running loop of asyncio or trio; in threads use wait()")


class Waiter:
    """A task's place in the queue of a bucket or of a key, or in those of a Limits. Only that of a key has a key."""

    __slots__ = ("__weakref__", "_key", "_limiter", "_place", "loop", "woken")

    def __init__(self, limiter: Any, key: Tuple[bytes, ...], loop: Loop) -> None:
        self._limiter = limiter
        self._key = key
        self._place: Any = None  # What _enqueue returned: a number, or a WaiterAll.
        self.loop = loop
        self.woken = False

    async def take(self, tokens: Any, timeout_ns: int, priority: int) -> Tuple[int, Any]:
        """How the wait ended; and the time that it would have taken where that is known, or the refusal of a Limits."""
        tag = next(_tags)
        _waiters[tag] = weakref.ref(self)
        try:
            status, self._place, detail = self._limiter._enqueue(*self._key, tokens, timeout_ns, priority, tag)
            while status == c.TB_PENDING:
                seconds = math.inf if self._limiter._clock else detail / NS_PER_SECOND
                await self.sleep(min(seconds, _ASK_AGAIN_S) if self._limiter._is_shared else seconds)
                status, detail = self._limiter._check(*self._key, self._place)
            self._place = None
            return status, detail
        finally:
            del _waiters[tag]
            self.leave()

    def leave(self) -> None:
        """Gives back whatever was not collected."""
        place, self._place = self._place, None
        if place:
            self._limiter._leave(*self._key, place)

    async def sleep(self, seconds: float) -> None:
        """Returns after that time, or when stirred."""
        raise NotImplementedError

    def stir(self) -> None:
        raise NotImplementedError


class TrioWaiter(Waiter):
    __slots__ = ("_event",)

    def __init__(self, limiter: Any, key: Tuple[bytes, ...]) -> None:
        token = sys.modules["trio"].lowlevel.current_trio_token()
        super().__init__(limiter, key, Loop.of(token, token.run_sync_soon))
        self._event: Any = None

    async def sleep(self, seconds: float) -> None:
        trio: Any = sys.modules["trio"]
        self._event = trio.Event()
        with trio.move_on_after(seconds):
            await self._event.wait()

    def stir(self) -> None:
        if self._event:
            self._event.set()


class AsyncioWaiter(Waiter):
    __slots__ = ("_future", "_host")

    def __init__(self, limiter: Any, key: Tuple[bytes, ...], host: AbstractEventLoop) -> None:
        super().__init__(limiter, key, Loop.of(host, host.call_soon_threadsafe))
        self._host = host
        self._future: Optional[Future[None]] = None

    async def sleep(self, seconds: float) -> None:
        future = self._future = self._host.create_future()
        timer = None if seconds == math.inf else self._host.call_later(seconds, self.stir)
        if not self.loop.asleep:
            self.loop.lease = weakref.ref(self._host.call_later(_NEVER_S, Lease(self.loop)))
        self.loop.asleep.add(self)
        try:
            await future
        finally:
            self._future = None
            if timer:
                timer.cancel()
            self.loop.asleep.discard(self)
            lease = None if self.loop.asleep or not self.loop.lease else self.loop.lease()
            if lease:
                lease.cancel()

    def stir(self) -> None:
        if self._future and not self._future.done():
            self._future.set_result(None)


_NEVER_S = 1e9


class Lease:
    """How one learns of the end of a loop of asyncio, which tells nobody: it drops its timers, and only one has this.

    Then those who sleep in it leave. Until then it keeps them, as nobody else may.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def __call__(self) -> None:
        """Never."""

    def __del__(self) -> None:
        for waiter in list(self._loop.asleep):
            waiter.leave()

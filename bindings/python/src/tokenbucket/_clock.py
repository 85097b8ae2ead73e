"""A clock for tests and simulations."""

from __future__ import annotations

import threading
from typing import NamedTuple, Optional

from . import _constants as c
from ._backend import Clock
from ._numbers import NS_PER_SECOND, Seconds, nanoseconds, seconds


class Waiters(NamedTuple):
    """The waits on a manual clock.

    >>> clock = ManualClock()
    >>> clock.waiters().next_due is None
    True
    """

    waiting: int
    """Threads and tasks that are not due yet, of all the clock's buckets."""
    next_due: Optional[float]
    """When the first of them is, in seconds on the clock; None if nobody waits."""


class ManualClock(Clock):
    """A clock that stands until it is moved. It may serve many buckets, from any thread.

    >>> clock = ManualClock()
    >>> bucket = TokenBucket(capacity=1, tokens_per_second=10, clock=clock)
    >>> bucket.allow(), bucket.allow()
    (True, False)
    >>> clock.advance(0.1)
    >>> bucket.allow()
    True
    """

    def __init__(self, start: Seconds = 0) -> None:
        self._lock = threading.Lock()
        self._now_ns = nanoseconds(start, "start")
        if self._open(self._now_ns) != c.TB_SUCCESS:
            raise MemoryError

    @property
    def now(self) -> float:
        """The time in seconds.

        >>> ManualClock(2.5).now
        2.5
        """
        return self._now_ns / NS_PER_SECOND

    @property
    def now_ns(self) -> int:
        """The time in nanoseconds.

        >>> ManualClock(2.5).now_ns
        2500000000
        """
        return self._now_ns

    def set(self, now: Seconds) -> None:
        """Moves the clock to a time and ends the waits that are due. A time before the present one changes nothing.

        >>> clock = ManualClock()
        >>> clock.set(3); clock.set(1); clock.now
        3.0
        """
        self._move(nanoseconds(now, "now"), 0)

    def advance(self, duration: Seconds) -> None:
        """Moves the clock on and ends the waits that are due. OverflowError: past 2**63 - 1 ns.

        >>> clock = ManualClock(1)
        >>> clock.advance(0.5); clock.now
        1.5
        """
        self._move(0, nanoseconds(duration, "duration"))

    def _move(self, to_ns: int, by_ns: int) -> None:
        with self._lock:
            ns = max(to_ns, self._now_ns + by_ns)
            if ns > c.TB_FOREVER:
                raise OverflowError("the clock cannot be moved past 2**63 - 1 ns")
            self._now_ns = ns
        # Without the lock, as it wakes threads and tasks.
        self._set(ns)

    def waiters(self) -> Waiters:
        """How many threads and tasks wait, and when the first is due: how a test knows without sleeping.

        >>> ManualClock().waiters()
        Waiters(waiting=0, next_due=None)
        """
        count, next_due_ns = self._waiters()
        return Waiters(count, None if next_due_ns == c.TB_FOREVER else seconds(next_due_ns))

    def __repr__(self) -> str:
        return f"<ManualClock at {self.now} s>"

    def __reduce__(self) -> str:
        raise TypeError("cannot pickle or copy a ManualClock: its buckets live in this process")

"""Tokens promised for a later time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _constants as c
from ._numbers import NS_PER_SECOND, Real, now_ns, number
from ._results import BucketClosed, is_amount

if TYPE_CHECKING:
    from ._bucket import TokenBucket
    from ._ctypes_backend import Promise


class Reservation:
    """Tokens that are taken, and may be used once `delay` has passed; made by TokenBucket.reserve().

    >>> clock = ManualClock()
    >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, initial_tokens=0, clock=clock)
    >>> reservation = bucket.reserve(8)
    >>> reservation
    <Reservation of 8 tokens, due in 1.6 s>
    >>> clock.advance(1.6)
    >>> reservation.delay
    0.0
    """

    __slots__ = ("_bucket", "_ended", "_promise")

    def __init__(self, bucket: TokenBucket, promise: Promise) -> None:
        self._bucket = bucket
        self._promise = promise
        self._ended = False

    @property
    def tokens(self) -> float:
        """The tokens reserved; 0 once cancelled or settled.

        >>> TokenBucket(capacity=10, tokens_per_second=5).reserve(3).tokens
        3.0
        """
        return 0.0 if self._ended else self._promise[0]

    @property
    def ready_at(self) -> float:
        """When the tokens may be used, in seconds of the bucket's clock: time.monotonic(), or its manual clock.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, clock=ManualClock(100))
        >>> bucket.reserve(10).ready_at, bucket.reserve(1).ready_at
        (100.0, 100.2)
        """
        return self._promise[2] / NS_PER_SECOND

    @property
    def delay(self) -> float:
        """Seconds from now until the tokens may be used; 0 if they may be.

        >>> TokenBucket(capacity=10, tokens_per_second=5).reserve().delay
        0.0
        """
        if self._promise[1] == 0:
            return 0.0
        return max(0, self._promise[2] - now_ns(self._bucket._clock)) / NS_PER_SECOND

    def cancel(self) -> None:
        """Gives the tokens back: all of the youngest reservation, of an older one as many as cannot break the limit.

        Nothing once they are due, nor the second time. Of several, cancel the youngest first.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, clock=ManualClock())
        >>> reservation = bucket.reserve(10), bucket.reserve(4)
        >>> reservation[1].cancel()
        >>> bucket.tokens
        0.0
        """
        if not self._ended:
            self._ended = True
            self._bucket._cancel(self._promise)

    def settle(self, actual: Real) -> None:
        """Ends the reservation as work that cost `actual` tokens, 0 or more.

        The rest comes back, or what is missing is taken, into debt if need be. ValueError: a negative or infinite
        amount, or settled or cancelled already. BucketClosed. OverflowError: a debt beyond what can be counted.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, clock=ManualClock())
        >>> bucket.reserve(6).settle(2)
        >>> bucket.tokens
        8.0
        """
        amount = number(actual)
        if self._ended:
            raise ValueError("the reservation was settled or cancelled already")
        self._ended = True
        status = self._bucket._settle(self._promise, amount)
        if status == c.TB_SUCCESS:
            return
        self._ended = False
        if status == c.TB_E_INVALID_ARGUMENT and not is_amount(amount):
            raise ValueError(f"actual tokens must be 0 or more and finite, not {amount:g}")
        self._bucket._fail(status, amount)

    async def wait_async(self) -> None:
        """Sleeps in asyncio until the tokens may be used. Cancelled meanwhile, it gives them back.

        BucketClosed: the bucket was closed meanwhile, and the tokens given back.

        >>> import asyncio
        >>> async def call_api():
        ...     reservation = bucket.reserve(60)
        ...     await reservation.wait_async()
        ...     reservation.settle(42)  # what it cost in the end
        >>> bucket = TokenBucket(capacity=100, tokens_per_second=1, clock=ManualClock())
        >>> asyncio.run(call_api())
        >>> bucket.tokens
        58.0
        """
        if self._promise[1] == 0:
            return
        from ._sleep import Sleeper

        bucket = self._bucket
        sleeper = Sleeper(self._promise[2])
        waiting = [bucket._sleepers] if bucket._clock is None else [bucket._sleepers, bucket._clock._sleepers]
        for sleepers in waiting:
            sleepers.add(sleeper)
        try:
            await sleeper.sleep_until(lambda: bucket.closed, bucket._clock)
            # What is due is granted.
            if self.delay > 0:
                raise BucketClosed("the bucket was closed during the wait")
        except BaseException:
            self._give_back()
            raise
        finally:
            for sleepers in waiting:
                sleepers.discard(sleeper)

    def _give_back(self) -> None:
        """Unlike cancel() also what has come due in this very moment."""
        if not self._ended:
            self._ended = True
            if self._bucket._settle(self._promise, 0.0) == c.TB_CLOSED:
                self._bucket._cancel(self._promise)

    def __repr__(self) -> str:
        if self._ended:
            return "<Reservation that has ended>"
        return f"<Reservation of {self._promise[0]:g} tokens, due in {self.delay:g} s>"

    def __reduce__(self) -> str:
        raise TypeError("cannot pickle or copy a Reservation: it belongs to a bucket of this process")

"""Reservations, of buckets and of keys of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence, Tuple, Union

from . import _constants as c
from ._errors import COST, refused
from ._numbers import NS_PER_SECOND, Real, now_ns, number, numbers
from ._results import fail, failure, is_amount

if TYPE_CHECKING:
    from ._ctypes_backend import Promise


def _delay(limiter: Any, promise: Promise) -> float:
    """Seconds from now until the tokens may be used."""
    if promise[1] == 0:
        return 0.0
    return max(0, promise[2] - now_ns(limiter._clock)) / NS_PER_SECOND


class Reservation:
    """Tokens that are taken, and may be used once `delay` has passed; made by reserve() of a TokenBucket or a Table.

    >>> clock = ManualClock()
    >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, initial_tokens=0, clock=clock)
    >>> reservation = bucket.reserve(8)
    >>> reservation
    <Reservation of 8 tokens, due in 1.6 s>
    >>> clock.advance(1.6)
    >>> reservation.delay
    0.0
    """

    __slots__ = ("_ended", "_key", "_limiter", "_promise")

    def __init__(self, limiter: Any, promise: Promise, *key: bytes) -> None:
        self._limiter = limiter
        self._key = key
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
        return _delay(self._limiter, self._promise)

    def cancel(self) -> None:
        """Gives all tokens back while they are not due; later reservations keep their times.

        Once due they count as used and nothing comes back, nor the second time: settle(0) gives back what is due and
        unused.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, clock=ManualClock())
        >>> due, pending = bucket.reserve(10), bucket.reserve(4)
        >>> pending.cancel()
        >>> bucket.tokens
        0.0
        >>> due.cancel()
        >>> bucket.tokens
        0.0
        """
        if not self._ended:
            self._ended = True
            self._limiter._cancel(*self._key, self._promise)

    def settle(self, actual: Real) -> None:
        """Ends the reservation as work that cost `actual` tokens, 0 or more.

        The rest comes back, or what is missing is taken, into debt if need be. ValueError: a negative or infinite
        amount, or settled or cancelled already. BucketClosed. OverflowError: a debt beyond what can be counted.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, clock=ManualClock())
        >>> bucket.reserve(6).settle(2)
        >>> bucket.tokens
        8.0
        """
        amount = number(actual, "actual")
        if self._ended:
            raise ValueError("the reservation was settled or cancelled already")
        self._ended = True
        status = self._limiter._settle(*self._key, self._promise, amount)
        if status == c.TB_SUCCESS:
            return
        self._ended = False
        if status == c.TB_E_INVALID_ARGUMENT and not is_amount(amount):
            raise refused("actual", COST, amount)
        fail(self._limiter, status, amount, -1, "actual", *self._key)

    def __repr__(self) -> str:
        if self._ended:
            return "<Reservation that has ended>"
        return f"<Reservation of {self._promise[0]:g} tokens, due in {self.delay:g} s>"

    def __reduce__(self) -> str:
        raise TypeError("cannot pickle or copy a Reservation: it belongs to this process")


class JointReservation:
    """Tokens taken from all members of a Limits, which may be used once `delay` has passed; made by its reserve().

    >>> clock = ManualClock()
    >>> requests = TokenBucket(10, 1, clock=clock)
    >>> tokens = TokenBucket(1000, 100, initial_tokens=0, clock=clock)
    >>> reservation = Limits([requests, tokens]).reserve([1, 800])
    >>> reservation
    <JointReservation of 1, 800 tokens, due in 8 s>
    >>> clock.advance(8)
    >>> reservation.delay
    0.0
    """

    __slots__ = ("_ended", "_limits", "_promises")

    def __init__(self, limits: Any, promises: Tuple[Promise, ...]) -> None:
        self._limits = limits
        self._promises = promises
        self._ended = False

    @property
    def tokens(self) -> Tuple[float, ...]:
        """The tokens reserved of each member; 0 once cancelled or settled.

        >>> Limits([TokenBucket(10, 5), TokenBucket(20, 5)]).reserve([3, 4]).tokens
        (3.0, 4.0)
        """
        return tuple(0.0 if self._ended else promise[0] for promise in self._promises)

    @property
    def delay(self) -> float:
        """Seconds from now until all tokens may be used; 0 if they may be.

        >>> Limits([TokenBucket(capacity=10, tokens_per_second=5)]).reserve().delay
        0.0
        """
        return max(_delay(limiter, promise) for (limiter, *_), promise in zip(self._limits._parts, self._promises))

    def cancel(self) -> None:
        """Gives all tokens back while some of them are not due; later reservations keep their times.

        Once all are due they count as used and nothing comes back, nor the second time: settle(0) gives back what is
        due and unused.

        >>> clock = ManualClock()
        >>> requests = TokenBucket(10, 1, clock=clock)
        >>> limits = Limits([requests, TokenBucket(1000, 100, initial_tokens=0, clock=clock)])
        >>> limits.reserve([1, 800]).cancel()
        >>> requests.tokens
        10.0
        """
        if not self._ended:
            self._ended = True
            self._limits._cancel(self._promises)

    def settle(self, actual: Union[Real, Sequence[Real]]) -> None:
        """Ends the reservation as work that cost `actual` tokens of each member, 0 or more; one amount is that of all.

        The rest comes back, or what is missing is taken, into debt if need be. ValueError: a negative or infinite
        amount, not one for each member, or settled or cancelled already. BucketClosed, OverflowError, as from a
        Reservation, once all other members are settled.

        >>> requests, tokens = TokenBucket(10, 1), TokenBucket(1000, 100, clock=ManualClock())
        >>> Limits([requests, tokens]).reserve([1, 800]).settle([1, 200])
        >>> tokens.tokens
        800.0
        """
        amounts = numbers(actual, len(self._promises), "member", "actual")
        if self._ended:
            raise ValueError("the reservation was settled or cancelled already")
        for amount in amounts:
            if not is_amount(amount):
                raise refused("actual", COST, amount)
        self._ended = True
        errors = []
        for i, ((limiter, *key), promise, amount) in enumerate(zip(self._limits._parts, self._promises, amounts)):
            status = limiter._settle(*key, promise, amount)
            if status != c.TB_SUCCESS:
                errors.append(failure(limiter, status, amount, -1, tuple(key), i))
        if errors:
            raise errors[0]

    def __repr__(self) -> str:
        if self._ended:
            return "<JointReservation that has ended>"
        return f"<JointReservation of {', '.join(f'{n:g}' for n in self.tokens)} tokens, due in {self.delay:g} s>"

    def __reduce__(self) -> str:
        raise TypeError("cannot pickle or copy a JointReservation: it belongs to this process")

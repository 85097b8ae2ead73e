"""What limiters share: options, the limit in force, closing."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, NoReturn, Optional, Tuple

from . import _constants as c
from ._clock import ManualClock
from ._numbers import NS_PER_SECOND, Real, Seconds, nanoseconds, number
from ._results import fail


class Rated:
    """What has a limit. Stands behind a class of the backend, which has what it calls."""

    _noun: ClassVar[str]

    if TYPE_CHECKING:

        def _exists(self) -> bool: ...
        def _limit(self) -> Tuple[int, float, float, int]: ...

    @property
    def rate(self) -> Fraction:
        """The exact rate in tokens per second.

        >>> TokenBucket(capacity=10, tokens_per_second=700_000, period=3600).rate
        Fraction(1750, 9)
        """
        _, rate_tokens, period_ns = self._limit_in_force()
        return fraction_of(rate_tokens) * NS_PER_SECOND / period_ns

    def _limit_in_force(self) -> Tuple[float, float, int]:
        status, capacity, rate_tokens, period_ns = self._limit()
        if status != c.TB_SUCCESS:
            self._fail(status, 1)
        return capacity, rate_tokens, period_ns

    def _fail(self, status: int, tokens: float) -> NoReturn:
        fail(self, status, tokens)


class Limiter(Rated):
    """A bucket or a table."""

    _closed = False
    _is_shared = False

    if TYPE_CHECKING:

        def _set_capacity(self, capacity: float) -> int: ...
        def _set_rate(self, tokens_per_second: float) -> int: ...
        def _close(self) -> int: ...

    @property
    def capacity(self) -> float:
        """The largest number of tokens held. A change is in force at once, also for those who wait.

        The fraction of a token that is counted in is fixed at creation, so it cannot grow without end: 200,000 times is
        possible within 1e15.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5)
        >>> bucket.capacity = 3
        >>> bucket.tokens
        3.0
        """
        return self._limit_in_force()[0]

    @capacity.setter
    def capacity(self, capacity: Real) -> None:
        status = self._set_capacity(number(capacity))
        if status in (c.TB_E_INVALID_ARGUMENT, c.TB_E_OUT_OF_RANGE) and self._exists():
            raise ValueError(f"capacity must be 1e-6 to 1e15, and not too far above the first one, not {capacity!r}")
        if status != c.TB_SUCCESS:
            self._fail(status, 0)

    @property
    def tokens_per_second(self) -> float:
        """The rate. A change is in force at once, also for those who wait; reservations keep their times.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5)
        >>> bucket.tokens_per_second = 2
        >>> bucket.tokens_per_second
        2.0
        """
        return float(self.rate)

    @tokens_per_second.setter
    def tokens_per_second(self, tokens_per_second: Real) -> None:
        status = self._set_rate(number(tokens_per_second))
        if status in (c.TB_E_INVALID_ARGUMENT, c.TB_E_OUT_OF_RANGE) and self._exists():
            raise ValueError(
                "tokens_per_second must be 1e-9 to 1e10, and in a table not too far above the first one, "
                f"not {tokens_per_second!r}"
            )
        if status != c.TB_SUCCESS:
            self._fail(status, 0)

    def close(self) -> None:
        """Closes the bucket for good, for all threads and tasks; who waits gets BucketClosed, the tokens given back.

        Later calls that take tokens or change the bucket raise BucketClosed; looking at it works. Not needed to free
        anything. Closing twice is fine.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5)
        >>> bucket.close()
        >>> bucket.closed
        True
        """
        status = self._close()
        if status != c.TB_SUCCESS:
            self._fail(status, 1)
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether close() was called, on this object.

        >>> TokenBucket(capacity=10, tokens_per_second=5).closed
        False
        """
        return self._closed

    def __reduce__(self) -> str:
        raise TypeError(
            f"cannot pickle or copy a {type(self).__name__}: it limits one process, and a copy would allow its rate "
            "once more"
        )


def count_option(name: str, value: Optional[int], least: int = 1) -> int:
    """The number; 0, by which the library means none, for None."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int or None, not {type(value).__name__}")
    if not least <= value <= c.TB_FOREVER:
        raise ValueError(f"{name} must be None or at least {least}, not {value!r}")
    return value


def lateness_option(max_lateness: Optional[Seconds]) -> int:
    """Nanoseconds; 0, by which the library means its default, for None."""
    lateness_ns = 0 if max_lateness is None else nanoseconds(max_lateness)
    if max_lateness is not None and lateness_ns == 0:
        raise ValueError(f"max_lateness must be None or above 0, not {max_lateness!r}")
    return lateness_ns


def clock_option(clock: Optional[ManualClock]) -> Optional[ManualClock]:
    if clock is not None and not isinstance(clock, ManualClock):
        raise TypeError(f"clock must be a ManualClock or None, not {type(clock).__name__}")
    return clock


def rate_option(tokens: Real, period_ns: int) -> Tuple[float, int]:
    """A fraction as whole tokens per whole nanoseconds, where those can be expressed."""
    if isinstance(tokens, Fraction):
        stretched_ns = tokens.denominator * period_ns
        if abs(tokens.numerator) <= 2**53 and stretched_ns < c.TB_FOREVER:
            return float(tokens.numerator), stretched_ns
    return number(tokens), period_ns


def fraction_of(value: float) -> Fraction:
    """What the library reads in a float: a decimal of up to 15 digits, else the simplest fraction that is that float."""
    decimal = f"{value:.15g}"
    if float(decimal) == value:
        return Fraction(decimal)
    exact = Fraction(value)
    simple = (exact.limit_denominator(10**digits) for digits in range(1, 16))
    return next((fraction for fraction in simple if float(fraction) == value), exact)

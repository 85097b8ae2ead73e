"""What limiters share: options, the limit in force, closing."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Dict, NoReturn, Optional, Tuple

from . import _constants as c
from ._backend import limit_refusal
from ._clock import ManualClock
from ._errors import refused, shown, wrong_type
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
        return per_second(rate_tokens, period_ns)

    def __repr__(self) -> str:
        if not self._exists():
            return f"<{type(self).__name__} not initialised>"
        capacity, rate = self._limit_in_force()[0], float(self.rate)
        return f"<{type(self).__name__} capacity={capacity:g}, tokens_per_second={rate:g}{self._state()}>"

    def _state(self) -> str:
        """What a representation says besides."""
        return ""

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
    _most_units: ClassVar[str]
    _fastest: ClassVar[str] = "so low that at most 2^58 units come in until the last reservation is due"

    if TYPE_CHECKING:

        def _set_capacity(self, capacity: float) -> int: ...
        def _set_rate(self, tokens_per_second: float) -> int: ...
        def _close(self) -> int: ...

    @property
    def capacity(self) -> float:
        """The largest number of tokens held. A change takes effect at once, also for waits in progress.

        ValueError: not within 1e-6 .. 1e15, or more than can be counted in the fraction of a token that was chosen at
        creation. 200,000 times the first capacity is possible.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5)
        >>> bucket.capacity = 3
        >>> bucket.tokens
        3.0
        """
        return self._limit_in_force()[0]

    @capacity.setter
    def capacity(self, capacity: Real) -> None:
        size = number(capacity, "capacity")
        status = self._set_capacity(size)
        if status in (c.TB_E_INVALID_ARGUMENT, c.TB_E_OUT_OF_RANGE) and self._exists():
            allowed = limit_refusal(size, 1)[1] or f"from 1 to {self._most_units} units of this {self._noun}"
            raise refused("capacity", allowed, capacity)
        if status != c.TB_SUCCESS:
            self._fail(status, 0)

    @property
    def tokens_per_second(self) -> float:
        """The rate. A change takes effect at once, also for waits in progress; reservations keep their times.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5)
        >>> bucket.tokens_per_second = 2
        >>> bucket.tokens_per_second
        2.0
        """
        return float(self.rate)

    @tokens_per_second.setter
    def tokens_per_second(self, tokens_per_second: Real) -> None:
        rate = number(tokens_per_second, "tokens_per_second")
        status = self._set_rate(rate)
        if status in (c.TB_E_INVALID_ARGUMENT, c.TB_E_OUT_OF_RANGE) and self._exists():
            raise refused("tokens_per_second", limit_refusal(1, rate)[1] or self._fastest, tokens_per_second)
        if status != c.TB_SUCCESS:
            self._fail(status, 0)

    def close(self) -> None:
        """Closes the bucket for good: waits in progress, of all threads and tasks, raise BucketClosed.

        Later calls that take tokens or change the bucket raise it, too; those that only look at it work. Nothing need be
        closed to be freed. Closing twice is fine.

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

    def _state(self) -> str:
        return ", closed" if self._closed else ""

    def __reduce__(self) -> str:
        if self._is_shared:
            raise TypeError(f"cannot pickle or copy a shared {type(self).__name__}: open its name in each process")
        raise TypeError(
            f"cannot pickle or copy a {type(self).__name__}: it limits one process, and a copy would allow its rate "
            "once more"
        )


UP_TO_CAPACITY = "from 0 to the capacity"

# What the library calls otherwise, or allows besides.
_NAMES = {"rate_tokens": "tokens_per_second", "max_wait_ns": "max_wait"}
_ALLOWED = {"initial_tokens": UP_TO_CAPACITY}


def require_created(status: int, field: Optional[str], allowed: Optional[str], given: Dict[str, Any]) -> None:
    """Raises what a status of a create function means: which argument is refused, of those that the library checks."""
    if status == c.TB_SUCCESS:
        return
    if field is not None:
        argument = _NAMES.get(field, field)
        text = _ALLOWED.get(field, str(allowed))
        if argument == "tokens_per_second":
            text += in_period(" when divided by ", given["period"])
        raise refused(argument, text, given[argument])
    if status == c.TB_E_OUT_OF_MEMORY:
        raise MemoryError
    raise OSError("the system gives no random numbers")


def count_option(name: str, value: Optional[int], least: int = 1) -> int:
    """The number; 0, by which the library means none, for None."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(name, "an int or None", value)
    if value < least:
        raise refused(name, f"{least} or more", value)
    return min(value, c.TB_FOREVER)


def lateness_option(max_lateness: Optional[Seconds]) -> int:
    """Nanoseconds; 0, by which the library means its default, for None."""
    return 0 if max_lateness is None else nanoseconds(max_lateness, "max_lateness", least=1)


def clock_option(clock: Optional[ManualClock]) -> Optional[ManualClock]:
    if clock is not None and not isinstance(clock, ManualClock):
        raise wrong_type("clock", "a ManualClock or None", clock)
    return clock


def rate_option(tokens: Real, period: Seconds) -> Tuple[float, int]:
    """Tokens and nanoseconds: of a fraction whole ones, where those can be expressed."""
    period_ns = nanoseconds(period, "period", least=1)
    if isinstance(tokens, Fraction):
        stretched_ns = tokens.denominator * period_ns
        if abs(tokens.numerator) <= 2**53 and stretched_ns < c.TB_FOREVER:
            return float(tokens.numerator), stretched_ns
    return number(tokens, "tokens_per_second"), period_ns


def in_period(word: str, period: Seconds) -> str:
    """What an error says of a rate besides: nothing where it is one per second."""
    return "" if nanoseconds(period, "period") == NS_PER_SECOND else f"{word}period={shown(period)}"


def per_second(rate_tokens: float, period_ns: int) -> Fraction:
    return fraction_of(rate_tokens) * NS_PER_SECOND / period_ns


def fraction_of(value: float) -> Fraction:
    """What the library reads in a float: a decimal of up to 15 digits, else the simplest fraction that is that float."""
    decimal = f"{value:.15g}"
    if float(decimal) == value:
        return Fraction(decimal)
    exact = Fraction(value)
    simple = (exact.limit_denominator(10**digits) for digits in range(1, 16))
    return next((fraction for fraction in simple if float(fraction) == value), exact)

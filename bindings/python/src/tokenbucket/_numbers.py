"""Numbers and times as the library wants them: doubles and nanoseconds."""

from __future__ import annotations

import math
import time as _time
from datetime import timedelta
from numbers import Rational
from typing import Any, List, Optional, Protocol, Sequence, SupportsFloat, Union

from ._constants import TB_FOREVER
from ._errors import refused, wrong_type

Real = SupportsFloat
"""An amount of tokens: int, float, Fraction, Decimal, or another real number; no bool."""

Seconds = Union[SupportsFloat, timedelta]
"""A length of time: a real number of seconds, or a timedelta."""

NS_PER_SECOND = 10**9


class TimeSource(Protocol):
    """A clock whose time can be read, as a ManualClock."""

    @property
    def now_ns(self) -> int: ...


def number(value: Real, name: str = "tokens", wanted: str = "a real number") -> float:
    """The value as a float; infinite if it is too large for one. TypeError for what is no real number.

    name: of the argument, here and below.
    """
    kind = value.__class__
    if kind is bool or not (kind is int or hasattr(kind, "__float__") or hasattr(kind, "__index__")):
        raise wrong_type(name, wanted, value)
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]


def numbers(values: Union[Real, Sequence[Real]], count: int, each: str, name: str) -> List[float]:
    """So many numbers, from a sequence with one for each, or from one that all are."""
    given: Any = values
    several = hasattr(given, "__len__") and not isinstance(given, (str, bytes))
    found = [number(value, name) for value in given] if several else [number(given, name)] * count
    if len(found) != count:
        raise refused(name, f"{count} numbers, one for each {each}", len(found))
    return found


def nanoseconds(time: Seconds, name: str, least: int = 0) -> int:
    """The nearest number of nanoseconds, exact for int, Fraction and timedelta; TB_FOREVER for what is longer than that.

    ValueError: NaN, or fewer than `least`, which is 0 or 1.
    """
    if isinstance(time, timedelta):
        ns = time // timedelta(microseconds=1) * 1000
    elif isinstance(time, Rational) and not isinstance(time, bool):
        ns = round(time * NS_PER_SECOND)
    else:
        exact = number(time, name, "a number of seconds or a timedelta") * NS_PER_SECOND
        if math.isinf(exact):
            exact = math.copysign(2.0**63, exact)
        ns = -1 if math.isnan(exact) else round(exact)
    if ns < least:
        raise refused(name, f"{'more than 0' if least else '0 or more'} seconds", time)
    return min(ns, TB_FOREVER)


def timeout_ns(timeout: Seconds | None, name: str = "timeout") -> int:
    """As nanoseconds(); None is for ever."""
    return TB_FOREVER if timeout is None else nanoseconds(timeout, name)


def priority_number(value: int) -> int:
    """The priority, as the library can take it."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type("priority", "an int", value)
    if not -(2**31) <= value < 2**31:
        raise refused("priority", "from -2**31 to 2**31 - 1", value)
    return value


def seconds(ns: int) -> float:
    """The time in seconds; infinite for TB_FOREVER."""
    return math.inf if ns == TB_FOREVER else ns / NS_PER_SECOND


def now_ns(clock: Optional[TimeSource]) -> int:
    """The present time of a bucket's clock: without a manual one the system's monotonic clock."""
    return _time.monotonic_ns() if clock is None else clock.now_ns

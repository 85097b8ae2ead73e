"""The token bucket."""

from __future__ import annotations

import functools
from typing import Any, Callable, Optional, Tuple, Type, TypeVar, overload

from . import _constants as c
from ._backend import Bucket
from ._clock import ManualClock
from ._context import Context
from ._decorator import F, limited
from ._errors import refused, wrong_type
from ._limiter import (
    UP_TO_CAPACITY,
    Limiter,
    clock_option,
    count_option,
    lateness_option,
    rate_option,
    require_created,
)
from ._numbers import Real, Seconds, number, priority_number, seconds, timeout_ns
from ._reservation import Reservation
from ._results import OnEvent, Stats, fail
from ._shared import check_opened, name_option
from ._waiting import waiter_here

Self = TypeVar("Self", bound="TokenBucket")


class TokenBucket(Bucket, Limiter, Context):
    """Holds up to `capacity` tokens and gains `tokens_per_second`, evenly. Any number of threads and tasks may use it.

    allow() takes tokens if they are there, and never waits; take() also says how long it would take. wait() sleeps
    until they are there, wait_async() lets the task sleep; `with bucket`, `async with bucket` and @bucket.limit wait,
    too.

    capacity: the largest burst. A new bucket is full, or holds `initial_tokens`.
    tokens_per_second: the rate. With `period` it is the tokens gained in that time: TokenBucket(10, 700_000,
        period=3600) gains exactly 700000 an hour. A Fraction is taken exactly, a float as the decimal it prints as.
    clock: a ManualClock, for tests.
    max_waiters: how many threads and tasks may wait at a time; the next gets RateLimitExceeded. None: no limit.
    max_lateness: how long tokens are kept for a wait that is late to collect them, because its process was stopped or
        its event loop was busy. After that it waits anew, so that late waits do not all end at once. None: 10 ms, or
        no limit on a ManualClock. math.inf: no limit.
    on_event: called with an Event for each take that is denied and each wait that slept or was refused, in the thread
        that made the call. What it raises goes to sys.unraisablehook.
    statistics: count what is decided, for stats().
    precise: wait() spins for its last 60 microseconds, to be exact to about one, at the price of processor time.

    Amounts are real numbers: int, float, Fraction, Decimal. Times are such numbers of seconds, or timedeltas.

    ValueError: an argument out of range; the text names it, its value and the range. TypeError: of another type.

    >>> bucket = TokenBucket(capacity=10, tokens_per_second=5)
    >>> if bucket.allow():
    ...     print("served")
    served
    >>> from datetime import timedelta
    >>> hourly = TokenBucket(capacity=100, tokens_per_second=700_000, period=timedelta(hours=1))
    >>> hourly.capacity = 0
    Traceback (most recent call last):
        ...
    ValueError: capacity must be from 1e-6 to 1e15 tokens, got 0
    """

    _noun = "bucket"
    _most_units = "2^58"
    _clock: Optional[ManualClock]

    def __init__(
        self,
        capacity: Real,
        tokens_per_second: Real,
        *,
        period: Seconds = 1,
        initial_tokens: Optional[Real] = None,
        clock: Optional[ManualClock] = None,
        max_waiters: Optional[int] = None,
        max_lateness: Optional[Seconds] = None,
        on_event: Optional[OnEvent] = None,
        statistics: bool = False,
        precise: bool = False,
    ) -> None:
        self._create(
            None,
            capacity,
            tokens_per_second,
            period=period,
            initial_tokens=initial_tokens,
            clock=clock,
            max_waiters=max_waiters,
            max_lateness=max_lateness,
            on_event=on_event,
            statistics=statistics,
            precise=precise,
        )

    @classmethod
    def shared(
        cls: Type[Self],
        name: Optional[str],
        capacity: Real,
        tokens_per_second: Real,
        *,
        adopt: bool = False,
        period: Seconds = 1,
        initial_tokens: Optional[Real] = None,
        max_waiters: Optional[int] = None,
        max_lateness: Optional[Seconds] = None,
        on_event: Optional[OnEvent] = None,
        statistics: bool = False,
        precise: bool = False,
    ) -> Self:
        """Opens, or creates, the bucket of that name in memory that this user's processes share.

        name: of a file in /dev/shm, or an absolute path; None: nameless, for the children that are forked from now on.
        adopt: take the limit in force there. Without it Mismatch is raised if that is another. initial_tokens are those
            of a new bucket. What one process changes, a rate or by close(), holds for all. wait_async() asks every 100
            ms what others have changed; a task or thread cannot wait for it as a member of a Limits. At most 1000 may
            wait or have reserved: MemoryError. Statistics are of this process.

        OSError: the system's. RuntimeError: the system has no such memory; now only Linux has. __init__ is not called.

        >>> bucket = TokenBucket.shared(None, capacity=10, tokens_per_second=5)
        >>> bucket.allow(10)
        True
        """
        bucket = cls.__new__(cls)
        bucket._create(
            (name_option(name), c.TB_SHARED_ADOPT if adopt else 0),
            capacity,
            tokens_per_second,
            period=period,
            initial_tokens=initial_tokens,
            clock=None,
            max_waiters=max_waiters,
            max_lateness=max_lateness,
            on_event=on_event,
            statistics=statistics,
            precise=precise,
        )
        bucket._is_shared = True
        return bucket

    def _create(
        self,
        shared: Optional[Tuple[Optional[str], int]],
        capacity: Real,
        tokens_per_second: Real,
        *,
        period: Seconds,
        initial_tokens: Optional[Real],
        clock: Optional[ManualClock],
        max_waiters: Optional[int],
        max_lateness: Optional[Seconds],
        on_event: Optional[OnEvent],
        statistics: bool,
        precise: bool,
    ) -> None:
        size = number(capacity, "capacity")
        rate, period_ns = rate_option(tokens_per_second, period)
        initial = c.TB_INITIALLY_FULL if initial_tokens is None else number(initial_tokens, "initial_tokens")
        # The library has numbers for "none" that would pass here as something else.
        if initial_tokens is not None and initial < 0:
            raise refused("initial_tokens", UP_TO_CAPACITY, initial_tokens)
        waiters = count_option("max_waiters", max_waiters)
        lateness_ns = lateness_option(max_lateness)
        clock = clock_option(clock)
        if on_event is not None and not callable(on_event):
            raise wrong_type("on_event", "callable", on_event)
        flags = (c.TB_PRECISE_WAIT if precise else 0) | (c.TB_STATISTICS if statistics else 0)
        status, field, allowed, fault = self._open(
            size, rate, period_ns, initial, waiters, lateness_ns, flags, clock, on_event, shared
        )
        given = {"capacity": capacity, "tokens_per_second": tokens_per_second, "period": period}
        if shared is not None and field is None:
            name = shared[0]
            adopted = functools.partial(TokenBucket.shared, name, initial_tokens=initial_tokens, adopt=True, **given)
            check_opened(status, fault, name, "bucket", given, adopted)
        require_created(status, field, allowed, {**given, "initial_tokens": initial_tokens})

    @property
    def tokens(self) -> float:
        """The tokens available now, fractions included. Negative if more is promised or charged than is there.

        >>> TokenBucket(capacity=10, tokens_per_second=5).tokens
        10.0
        """
        status, tokens = self._available()
        if status != c.TB_SUCCESS:
            self._fail(status, 1)
        return tokens

    def retry_after(self, tokens: Real = 1) -> float:
        """Seconds until so many tokens would be there if nobody took any; 0 if they are, infinite if never.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, initial_tokens=0, clock=ManualClock())
        >>> bucket.retry_after(), bucket.retry_after(10), bucket.retry_after(11)
        (0.2, 2.0, inf)
        """
        n = number(tokens)
        status, ns = self._time_until(n)
        if status == c.TB_EXCEEDS_CAPACITY:
            return seconds(c.TB_FOREVER)
        if status != c.TB_SUCCESS:
            self._fail(status, n)
        return seconds(ns)

    async def wait_async(self, tokens: Real = 1, timeout: Optional[Seconds] = None, *, priority: int = 0) -> None:
        """As wait(), for asyncio, trio and anyio: the task sleeps, no thread does. Threads and tasks wait in one queue.

        Cancelled, it gives the tokens back, and those behind it move up. Of a shared bucket it learns within 100 ms what
        other processes change, such as by close(). RuntimeError: no loop runs here.

        >>> import asyncio
        >>> async def call_api():
        ...     await bucket.wait_async(3)
        ...     return "called"
        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5)
        >>> asyncio.run(call_api())
        'called'
        """
        n = number(tokens)
        status, wait_ns = await waiter_here(self).take(n, timeout_ns(timeout), priority_number(priority))
        if status != c.TB_SUCCESS:
            fail(self, status, n, wait_ns)

    def reserve(self, tokens: Real = 1, max_wait: Optional[Seconds] = None) -> Reservation:
        """Takes tokens now, into debt if need be; the reservation says when they may be used. Never blocks.

        RateLimitExceeded, nothing taken: not within max_wait (seconds or a timedelta). Otherwise as wait().

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, clock=ManualClock())
        >>> bucket.reserve(10).delay, bucket.reserve(10).delay
        (0.0, 2.0)
        """
        n = number(tokens)
        status, promise = self._reserve(n, timeout_ns(max_wait, "max_wait"))
        if status != c.TB_SUCCESS:
            self._fail(status, n)
        return Reservation(self, promise)

    def charge(self, tokens: Real = 1) -> float:
        """Takes tokens unconditionally, into debt if need be, for work whose cost is known afterwards.

        It may be more than the capacity. Returns the seconds until the debt is repaid. ValueError: not above 0.
        BucketClosed. OverflowError: a debt beyond what can be counted.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, clock=ManualClock())
        >>> bucket.charge(15)
        1.0
        """
        n = number(tokens)
        status, ns = self._charge(n)
        if status != c.TB_SUCCESS:
            self._fail(status, n)
        return seconds(ns)

    def refund(self, tokens: Real = 1) -> None:
        """Puts tokens in, at most up to the capacity; the rest is dropped. ValueError: not above 0. BucketClosed.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, initial_tokens=7, clock=ManualClock())
        >>> bucket.refund(2)
        >>> bucket.tokens
        9.0
        """
        n = number(tokens)
        status = self._refund(n)
        if status != c.TB_SUCCESS:
            self._fail(status, n)

    def reset(self, tokens: Optional[Real] = None) -> None:
        """Sets the tokens (None: full) and forgives all debt. ValueError: not 0 .. capacity. BucketClosed.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, clock=ManualClock())
        >>> bucket.reset(4)
        >>> bucket.tokens
        4.0
        """
        n = c.TB_INITIALLY_FULL if tokens is None else number(tokens)
        # The library's number for "full" is none here.
        status = c.TB_E_INVALID_ARGUMENT if n < 0 and tokens is not None else self._reset(n)
        self._require_set(status, n)

    def set_tokens(self, tokens: Real) -> None:
        """Sets the tokens to what a server said is left: what was taken or owed so far is forgotten.

        Waits keep their places and get new times, reservations keep theirs; what both hold is subtracted. ValueError:
        not 0 .. capacity. BucketClosed.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, initial_tokens=0, clock=ManualClock())
        >>> reservation = bucket.reserve(3)
        >>> bucket.set_tokens(4)
        >>> bucket.tokens
        1.0
        """
        n = number(tokens)
        self._require_set(self._set_tokens(n), n)

    def _require_set(self, status: int, tokens: float) -> None:
        if status in (c.TB_E_INVALID_ARGUMENT, c.TB_EXCEEDS_CAPACITY) and self._exists():
            raise refused("tokens", f"{UP_TO_CAPACITY} of {self.capacity:.15g}", tokens)
        if status != c.TB_SUCCESS:
            self._fail(status, tokens)

    def stats(self) -> Stats:
        """What the bucket has decided so far. RuntimeError: it was created without statistics=True.

        >>> bucket = TokenBucket(10, 5, statistics=True)
        >>> bucket.stats().granted
        0
        """
        status, figures = self._stats()
        if status == c.TB_E_UNSUPPORTED:
            raise RuntimeError("the bucket does not count: create it with statistics=True")
        if status != c.TB_SUCCESS:
            self._fail(status, 1)
        stats = Stats(*figures)
        return stats._replace(total_wait=seconds(figures[5]), longest_wait=seconds(figures[6]))

    @overload
    def limit(self, function: F) -> F: ...

    @overload
    def limit(
        self, *, tokens: Real = 1, timeout: Optional[Seconds] = None, priority: int = 0
    ) -> Callable[[F], F]: ...

    def limit(
        self, function: Any = None, *, tokens: Real = 1, timeout: Optional[Seconds] = None, priority: int = 0
    ) -> Any:
        """Decorates a function, plain or async, so that each call first waits for its tokens.

        With a timeout a call raises RateLimitExceeded, the function not called, if they cannot be there in time; with
        0 it never waits. TypeError: a generator, which would run later than its tokens are taken.

        >>> bucket = TokenBucket(capacity=2, tokens_per_second=5)
        >>> @bucket.limit(timeout=0)
        ... def lookup(key):
        ...     return key.upper()
        >>> lookup("a") + lookup("b")
        'AB'
        """
        if function is None:
            return functools.partial(self.limit, tokens=tokens, timeout=timeout, priority=priority)
        return limited(self, function, tokens, timeout, priority)

    def _state(self) -> str:
        return super()._state() or f", tokens={self.tokens:g}"

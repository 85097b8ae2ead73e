"""Several limits in one decision."""

from __future__ import annotations

import functools
from typing import Any, Callable, Iterable, NoReturn, Optional, Sequence, Tuple, Union, overload

from . import _backend
from . import _constants as c
from ._bucket import TokenBucket
from ._context import Context
from ._decorator import F, limited
from ._errors import refused
from ._keys import Key, encode
from ._numbers import Real, Seconds, numbers, priority_number, timeout_ns
from ._reservation import JointReservation
from ._results import JointDecision, failure
from ._table import Table
from ._waiting import sleep_until_answered, waiter_here

Member = Union[TokenBucket, Tuple[Table, Key]]
"""A bucket, or a table and a key."""

Costs = Union[Real, Sequence[Real]]
"""What each member pays, in order; or one amount, which all pay."""

_REFUSED = (c.TB_DENIED, c.TB_EXCEEDS_CAPACITY)
_TWICE = "a bucket or key occurs twice among the members: add its costs up"


class Limits(_backend.Limits, Context):
    """Several limits in one decision: all grant, or nothing is taken. Safe to use from any number of threads and tasks.

    members: up to 16 buckets, or tuples of a table and a key. "10 a second and 1000 an hour" are two buckets; requests
    and tokens are two with costs of their own. Every call takes the costs in the order of the members, or one amount
    for all. The members may be used elsewhere, too, alone or in other Limits; no take overtakes a wait for them.

    ValueError: no member, too many, or one that occurs twice.

    >>> second, hour = TokenBucket(10, 10), TokenBucket(1000, 1000, period=3600)
    >>> users = Table(capacity=10, tokens_per_second=5, max_keys=100_000)
    >>> limits = Limits([second, hour, (users, "ann")])
    >>> if limits.allow():
    ...     print("served")
    served
    """

    _parts: Tuple[Any, ...] = ()
    _is_shared = False

    def __init__(self, members: Iterable[Member]) -> None:
        members = tuple(members)
        parts = tuple(map(_part, members))
        if not 1 <= len(parts) <= c.TB_MAX_MEMBERS:
            raise refused("members", f"from 1 to {c.TB_MAX_MEMBERS} buckets and keys", len(parts))
        if len({(id(limiter), *key) for limiter, *key in parts}) != len(parts):
            raise ValueError(_TWICE)
        for limiter, *_ in parts:
            if not limiter._exists():
                raise failure(limiter, c.TB_E_INVALID_ARGUMENT, 1, -1, ())
        self._open(parts)
        self._parts = parts
        self._given = members
        self._ones = (1.0,) * len(parts)
        clocks = [limiter._clock for limiter, *_ in parts]
        # What timeouts are measured by after a signal; without one tasks use timers.
        self._clock = clocks[0] if all(clocks) else None

    @property
    def members(self) -> Tuple[Member, ...]:
        """The members, in order.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5)
        >>> Limits([bucket]).members[0] is bucket
        True
        """
        return self._given

    def allow(self, costs: Costs = 1) -> bool:
        """Takes from all members if all have enough now, else from none, and says whether it did; never waits.

        More than a capacity is always False. ValueError: a cost not above 0 or not finite, not one for each member.
        TableFull. BucketClosed: one of them is.

        >>> requests, tokens = TokenBucket(10, 1), TokenBucket(1000, 100)
        >>> limits = Limits([requests, tokens])
        >>> limits.allow([1, 800]), limits.allow([1, 800]), limits.allow()
        (True, False, True)
        """
        return self.take(costs).allowed

    def try_consume(self, costs: Costs = 1) -> bool:
        """The same as allow(), under its other usual name.

        >>> Limits([TokenBucket(capacity=10, tokens_per_second=5)]).try_consume()
        True
        """
        return self.take(costs).allowed

    def take(self, costs: Costs = 1) -> JointDecision:
        """As allow(), and says which member refused and when to come back.

        >>> limits = Limits([TokenBucket(10, 1), TokenBucket(1000, 100, initial_tokens=0, clock=ManualClock())])
        >>> limits.take([1, 800])
        JointDecision(allowed=False, member=1, retry_after_ns=8000000000)
        """
        amounts = self._amounts(costs)
        status, (member, retry_after_ns) = self._allow(amounts)
        if status == c.TB_SUCCESS:
            return JointDecision(True, None, 0)
        if status in _REFUSED:
            return JointDecision(False, member, retry_after_ns)
        self._fail(status, amounts, member, retry_after_ns)

    def wait(self, costs: Costs = 1, *, timeout: Optional[Seconds] = None, priority: int = 0) -> None:
        """Takes from all members, sleeping until all have granted: it stands in the queue of each, as in wait() there.

        With a timeout it raises RateLimitExceeded at once, nothing taken, if not all can grant in that time. However
        else it ends before, by Ctrl-C, close() or a change of a limit, all comes back that some have granted already.
        After a signal handler that returns it goes on, behind the waits that came meanwhile.
        ValueError: more than a capacity, a cost not above 0, a negative timeout. BucketClosed. TableFull.

        >>> limits = Limits([TokenBucket(10, 1000), TokenBucket(1000, 100_000)])
        >>> limits.wait([10, 800])
        >>> limits.wait([2, 400], timeout=0.5)
        """
        amounts = self._amounts(costs)
        first = priority_number(priority)
        status, refusal = sleep_until_answered(self._clock, timeout, lambda left: self._wait(amounts, left, first))
        if status != c.TB_SUCCESS:
            self._fail(status, amounts, *refusal)

    async def wait_async(self, costs: Costs = 1, *, timeout: Optional[Seconds] = None, priority: int = 0) -> None:
        """As wait(), for asyncio, trio and anyio: the task sleeps, no thread does. Threads and tasks wait in one queue.

        Cancelled, it gives all back, also what some members have granted already. RuntimeError: no loop runs here.

        >>> import asyncio
        >>> async def call_api():
        ...     await limits.wait_async([1, 800], timeout=30)
        ...     return "called"
        >>> limits = Limits([TokenBucket(10, 1), TokenBucket(1000, 100)])
        >>> asyncio.run(call_api())
        'called'
        """
        amounts = self._amounts(costs)
        place = waiter_here(self)
        status, refusal = await place.take(amounts, timeout_ns(timeout), priority_number(priority))
        if status != c.TB_SUCCESS:
            self._fail(status, amounts, *refusal)

    def reserve(self, costs: Costs = 1, max_wait: Optional[Seconds] = None) -> JointReservation:
        """Takes from all members now, into debt if need be; the reservation says when all may be used. Never blocks.

        RateLimitExceeded, nothing taken: not all within max_wait (seconds or a timedelta). Otherwise as wait().

        >>> clock = ManualClock()
        >>> limits = Limits([TokenBucket(10, 1, clock=clock), TokenBucket(1000, 100, clock=clock)])
        >>> limits.reserve([1, 800]).delay, limits.reserve([1, 800]).delay
        (0.0, 6.0)
        """
        amounts = self._amounts(costs)
        status, promises, (member, retry_after_ns) = self._reserve(amounts, timeout_ns(max_wait, "max_wait"))
        if status != c.TB_SUCCESS:
            self._fail(status, amounts, member, retry_after_ns)
        return JointReservation(self, promises)

    @overload
    def limit(self, function: F) -> F: ...

    @overload
    def limit(
        self, *, costs: Costs = 1, timeout: Optional[Seconds] = None, priority: int = 0
    ) -> Callable[[F], F]: ...

    def limit(
        self, function: Any = None, *, costs: Costs = 1, timeout: Optional[Seconds] = None, priority: int = 0
    ) -> Any:
        """Decorates a function, plain or async, so that each call first waits for its costs, as limit() of a bucket.

        >>> limits = Limits([TokenBucket(2, 5), TokenBucket(1000, 100)])
        >>> @limits.limit(costs=[1, 500], timeout=0)
        ... def lookup(key):
        ...     return key.upper()
        >>> lookup("a") + lookup("b")
        'AB'
        """
        if function is None:
            return functools.partial(self.limit, costs=costs, timeout=timeout, priority=priority)
        return limited(self, function, costs, timeout, priority)

    def _amounts(self, costs: Costs) -> Tuple[float, ...]:
        if not self._parts:
            raise RuntimeError("the limits do not exist: their __init__ has not run")
        if costs.__class__ is int and costs == 1:
            return self._ones
        return tuple(numbers(costs, len(self._parts), "member", "costs"))

    def _fail(self, status: int, amounts: Tuple[float, ...], member: int, retry_after_ns: int) -> NoReturn:
        """Raises what the refusal of a member means, or an error, of which the library does not say whose it is."""
        if status == c.TB_E_OUT_OF_RANGE:
            raise OverflowError("more tokens than one of the members can count")
        if status == c.TB_E_INVALID_ARGUMENT:
            member = next((i for i, n in enumerate(amounts) if not 0 < n < float("inf")), -1)
            if member < 0:  # Opened twice, which only the library sees.
                raise ValueError(_TWICE)
        limiter, *key = self._parts[max(0, member)]
        raise failure(limiter, status, amounts[member], retry_after_ns, tuple(key), member, "costs")

    def __repr__(self) -> str:
        if not self._parts:
            return f"<{type(self).__name__} not initialised>"
        return f"<{type(self).__name__} {list(self._given)}>"

    def __reduce__(self) -> str:
        raise TypeError("cannot pickle or copy a Limits: its members live in this process")


def _part(member: Any) -> Tuple[Any, ...]:
    if isinstance(member, TokenBucket):
        return (member,)
    if isinstance(member, tuple) and len(member) == 2 and isinstance(member[0], Table):
        return member[0], encode(member[1])
    raise TypeError(f"a member must be a TokenBucket or a tuple of a Table and a key, not {type(member).__name__}")

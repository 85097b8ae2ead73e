"""What a bucket answers: statuses, decisions, events, figures, errors."""

from __future__ import annotations

import enum
import math
from typing import Any, Callable, NamedTuple, NoReturn, Optional, Tuple

from . import _constants as c
from ._errors import AMOUNT, refused
from ._numbers import seconds


class Status(enum.IntEnum):
    """How a call ended; numbers and names are those of tokenbucket.h.

    >>> Status.DENIED
    <Status.DENIED: 1>
    """

    SUCCESS = c.TB_SUCCESS
    DENIED = c.TB_DENIED
    TIMED_OUT = c.TB_TIMED_OUT
    EXCEEDS_CAPACITY = c.TB_EXCEEDS_CAPACITY
    CLOSED = c.TB_CLOSED
    INTERRUPTED = c.TB_INTERRUPTED
    QUEUE_FULL = c.TB_QUEUE_FULL
    TABLE_FULL = c.TB_TABLE_FULL
    PENDING = c.TB_PENDING


class RateLimitExceeded(TimeoutError):
    """The tokens cannot be had within the time allowed, or too many wait already; nothing was taken.

    >>> bucket = TokenBucket(10, 1, initial_tokens=0, clock=ManualClock())
    >>> try:
    ...     bucket.wait(5, timeout=2)
    ... except RateLimitExceeded as error:
    ...     print(error.status.name, error.retry_after)
    TIMED_OUT 5.0
    """

    def __init__(self, status: Status, tokens: float, retry_after: float, member: Optional[int] = None) -> None:
        self.status = status
        """Status.TIMED_OUT or Status.QUEUE_FULL; TABLE_FULL in TableFull."""
        self.tokens = tokens
        """The tokens asked for."""
        self.retry_after = retry_after
        """Seconds after which they would be there if nobody took any; infinite if that cannot be expressed."""
        self.member = member
        """Which member of a Limits refused, from 0; None if it was none."""
        super().__init__()

    def __reduce__(self) -> Any:
        return type(self), (self.status, self.tokens, self.retry_after, self.member)

    def __str__(self) -> str:
        why = "too many wait already" if self.status == Status.QUEUE_FULL else "not within the time allowed"
        when = "" if math.isinf(self.retry_after) else f"; retry after {self.retry_after:g} s"
        return f"{_of(self.member)}{self.tokens:g} tokens: {why}{when}"

    def __repr__(self) -> str:
        member = "" if self.member is None else f", member={self.member}"
        numbers = f"tokens={self.tokens:.15g}, retry_after={self.retry_after:.15g}{member}"
        return f"{type(self).__name__}(Status.{Status(self.status).name}, {numbers})"


class TableFull(RateLimitExceeded):
    """A table has no room for another key, as its when_full says; nothing was taken.

    >>> table = Table(10, 1, max_bytes=64, when_full="deny")
    >>> try:
    ...     granted = [table.allow(user) for user in range(1000)]
    ... except TableFull as error:
    ...     print(error)
    1 tokens: the table has no room for another key
    """

    def __str__(self) -> str:
        return f"{_of(self.member)}{self.tokens:g} tokens: the table has no room for another key"


class BucketClosed(RuntimeError):
    """The bucket or table was closed, before the call or during it.

    >>> bucket = TokenBucket(10, 1)
    >>> bucket.close()
    >>> bucket.allow()
    Traceback (most recent call last):
        ...
    tokenbucket.BucketClosed: the bucket is closed
    """

    member: Optional[int] = None
    """Which member of a Limits is closed, from 0; None if it was no Limits."""


class Unavailable(ConnectionError):
    """The server of a RedisTable or RedisLimits did not decide: neither a grant nor a denial.

    Its __cause__ is the client's error. Whether the server still did what it was asked is not known.

    >>> users = RedisTable(redis.Redis(unix_socket_path="/nowhere"), 10, 5, prefix="tb:users:")
    >>> try:
    ...     users.allow("ann")
    ... except Unavailable as error:
    ...     print(type(error.__cause__).__name__)
    ConnectionError
    """


class Mismatch(RuntimeError):
    """What is shared is another limit or of another kind: in shared memory, where the text names what differs.

    Of a server: its reply is none, or the key holds something that is no bucket. Another limit there is not noticed.

    >>> _ = client.rpush("tb:users:list", 1)
    >>> RedisTable(client, 10, 5, prefix="tb:users:").allow("list")
    Traceback (most recent call last):
        ...
    tokenbucket.Mismatch: no bucket of this limit: tb:users:list
    """


class Decision(NamedTuple):
    """What take() decided; true if the tokens were taken.

    >>> bucket = TokenBucket(10, 4, clock=ManualClock())
    >>> bucket.take(8)
    Decision(allowed=True, remaining=2.0, retry_after_ns=0, reset_after_ns=2000000000)
    >>> decision = bucket.take(3)
    >>> bool(decision), decision.retry_after, decision.reset_after
    (False, 0.25, 2.0)
    """

    allowed: bool
    remaining: float
    """Tokens left now; 0 while in debt."""
    retry_after_ns: int
    """Nanoseconds until this request would be granted; 0 if it was, 2**63 - 1 if it never can be."""
    reset_after_ns: int
    """Nanoseconds until the bucket is full again."""

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def retry_after(self) -> float:
        """retry_after_ns in seconds; infinite if it never can be granted."""
        return seconds(self.retry_after_ns)

    @property
    def reset_after(self) -> float:
        """reset_after_ns in seconds."""
        return seconds(self.reset_after_ns)


class JointDecision(NamedTuple):
    """What take() of a Limits decided; true if all granted.

    >>> second, hour = (TokenBucket(n, n, period=time, clock=ManualClock()) for n, time in ((10, 1), (12, 3600)))
    >>> limits = Limits([second, hour])
    >>> limits.take(8)
    JointDecision(allowed=True, member=None, retry_after_ns=0)
    >>> decision = limits.take(5)
    >>> bool(decision), decision.member, decision.retry_after
    (False, 1, 300.0)
    """

    allowed: bool
    member: Optional[int]
    """Which member refused, from 0: of several the one that takes longest; None if none did."""
    retry_after_ns: int
    """Nanoseconds until that member would grant; 0 if all did, 2**63 - 1 if it never will."""

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def retry_after(self) -> float:
        """retry_after_ns in seconds; infinite if it never can be granted."""
        return seconds(self.retry_after_ns)


class Event(NamedTuple):
    """What on_event is told.

    >>> bucket = TokenBucket(10, 1, on_event=print)
    >>> bucket.allow(10), bucket.allow(10)
    Event(status=<Status.DENIED: 1>, tokens=10.0, waited=0.0)
    (True, False)
    """

    status: Status
    tokens: float
    """The tokens asked for."""
    waited: float
    """Seconds waited, by the bucket's clock; 0 if it did not wait."""


class Stats(NamedTuple):
    """What a bucket created with statistics=True has decided so far.

    >>> bucket = TokenBucket(10, 1, statistics=True)
    >>> bucket.allow(7), bucket.allow(7)
    (True, False)
    >>> bucket.stats().granted, bucket.stats().denied, bucket.stats().tokens_taken
    (1, 1, 7.0)
    """

    granted: int
    """Takes, waits and reservations that got their tokens."""
    denied: int
    timed_out: int
    cancelled: int
    """Reservations cancelled, and waits that were cancelled or that a signal, a close or a new capacity ended."""
    waits: int
    """Waits that slept and are over."""
    total_wait: float
    """Seconds of all those, by the bucket's clock."""
    longest_wait: float
    waiting: int
    """Threads and tasks that wait now and are not due."""
    tokens_taken: float
    tokens_given_back: float


class TableStats(NamedTuple):
    """What a table holds.

    >>> table = Table(10, 1, max_bytes=6400, clock=ManualClock())
    >>> table.allow("ann"), table.allow("bob"), table.allow("ann")
    (True, True, True)
    >>> table.stats().occupied
    2
    """

    places: int
    """For keys, free ones included."""
    occupied: int
    """By keys that are not full now."""
    evicted: int
    """Keys so far."""
    tokens_forgiven: float
    """What evicted keys had spent, and what when_full="admit" let through."""


OnEvent = Callable[[Event], object]


def tell(on_event: OnEvent, status: int, tokens: float, waited_ns: int) -> None:
    """Calls on_event; the backends hand what it raises to sys.unraisablehook, as no caller could handle it."""
    on_event(Event(Status(status), tokens, seconds(waited_ns)))


def _of(member: Optional[int]) -> str:
    return "" if member is None else f"member {member}: "


def failure(
    limiter: Any,
    status: int,
    tokens: float,
    wait_ns: int,
    key: Tuple[bytes, ...],
    member: Optional[int] = None,
    argument: str = "tokens",
) -> Exception:
    """What a status other than success, denied and interrupted means to the caller of a TokenBucket or a Table.

    wait_ns: after which the tokens would be had, if that is known. key: that of a table's bucket. member: which it is
    of a Limits. argument: the name of the tokens in the call.
    """
    if status == c.TB_TABLE_FULL:
        return TableFull(Status(status), tokens, math.inf, member)
    if status in (c.TB_TIMED_OUT, c.TB_QUEUE_FULL):
        if status == c.TB_QUEUE_FULL or wait_ns < 0:
            found, ns = limiter._time_until(*key, tokens)
            wait_ns = ns if found == c.TB_SUCCESS else c.TB_FOREVER
        return RateLimitExceeded(Status(status), tokens, seconds(wait_ns), member)
    if status == c.TB_CLOSED:
        closed = BucketClosed(f"{_of(member)}the {limiter._noun} is closed")
        closed.member = member
        return closed
    if status == c.TB_EXCEEDS_CAPACITY:
        return ValueError(
            f"{_of(member)}{tokens:g} tokens exceed the capacity of {limiter.capacity:g}: they can never be granted"
        )
    if status == c.TB_E_INVALID_ARGUMENT:
        if not limiter._exists():
            return RuntimeError(f"the {limiter._noun} does not exist: its __init__ has not run")
        return refused(_of(member) + argument, AMOUNT, tokens)
    if status == c.TB_E_OUT_OF_RANGE:
        return OverflowError(f"{tokens:g} tokens more than the {limiter._noun} can count")
    if status == c.TB_E_OUT_OF_MEMORY:
        return MemoryError()
    if status == c.TB_E_UNSUPPORTED:
        why = "a shared bucket or a key of a shared table cannot be waited for in a Limits"
        return RuntimeError(f"{why}: sleep for the retry_after of take(), and try again")
    return OSError(f"tokenbucket: unexpected status {status}")


def fail(
    limiter: Any, status: int, tokens: float, wait_ns: int = -1, argument: str = "tokens", *key: bytes
) -> NoReturn:
    """Raises failure()."""
    raise failure(limiter, status, tokens, wait_ns, key, argument=argument)


def is_amount(value: float) -> bool:
    return 0 <= value < math.inf

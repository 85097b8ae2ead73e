"""A bucket for each key, in fixed memory."""

from __future__ import annotations

import functools
from typing import Any, Dict, Iterable, List, Literal, Optional, Sequence, Tuple, Type, TypeVar, Union

from . import _backend
from . import _constants as c
from ._clock import ManualClock
from ._keys import Key, encode, listed
from ._errors import AMOUNT, refused, wrong_type
from ._limiter import Limiter, clock_option, count_option, lateness_option, rate_option, require_created
from ._numbers import Real, Seconds, number, numbers, priority_number, seconds, timeout_ns
from ._reservation import Reservation
from ._results import TableStats, fail
from ._shared import check_opened, name_option
from ._waiting import waiter_here

Self = TypeVar("Self", bound="Table")

_WHEN_FULL = {"evict": c.TB_TABLE_EVICT_FULLEST, "deny": c.TB_TABLE_DENY, "admit": c.TB_TABLE_ADMIT}
_ANSWERS = {c.TB_SUCCESS: True, c.TB_DENIED: False, c.TB_EXCEEDS_CAPACITY: False, c.TB_TABLE_FULL: None}


class Table(_backend.Table, Limiter):
    """A bucket for each key, such as a user or an address, all under one limit, in memory fixed at creation.

    A new key's bucket is full, so keys need no creating. A key whose bucket is full again makes room for others, so the
    table holds those that took something recently.

    A key is a str, bytes, an int, or a tuple of these, 65536 bytes at most. A str and its UTF-8 are the same key, as
    they are for a program in another language; any other two keys that differ are different: 1, "1" and ("1",).

    max_keys: how many keys may be short of tokens at one time, in 24.6 bytes each.
    max_bytes: the memory, instead of max_keys.
    when_full: what becomes of a new key for which there is no room. "evict" forgets the key with the most tokens, which
        then is full; TableFull if there is none without debt. "deny": TableFull. "admit" grants without counting.
    period, clock, max_lateness, precise: as in a TokenBucket. max_waiters: as there, for each key.

    ValueError: a limit or size out of range. TypeError: not one of max_keys and max_bytes.

    >>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000)
    >>> if table.allow("ann"):
    ...     print("served")
    served
    """

    _noun = "table"
    _most_units = "2^57"
    _fastest = f"less than 8191 units of this table per nanosecond, and {Limiter._fastest}"
    _clock: Optional[ManualClock]

    def __init__(
        self,
        capacity: Real,
        tokens_per_second: Real,
        *,
        max_keys: Optional[int] = None,
        max_bytes: Optional[int] = None,
        when_full: Literal["evict", "deny", "admit"] = "evict",
        period: Seconds = 1,
        clock: Optional[ManualClock] = None,
        max_waiters: Optional[int] = None,
        max_lateness: Optional[Seconds] = None,
        precise: bool = False,
    ) -> None:
        self._create(
            None,
            capacity,
            tokens_per_second,
            max_keys=max_keys,
            max_bytes=max_bytes,
            when_full=when_full,
            period=period,
            clock=clock,
            max_waiters=max_waiters,
            max_lateness=max_lateness,
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
        max_keys: Optional[int] = None,
        max_bytes: Optional[int] = None,
        when_full: Literal["evict", "deny", "admit"] = "evict",
        period: Seconds = 1,
        max_waiters: Optional[int] = None,
        max_lateness: Optional[Seconds] = None,
        precise: bool = False,
    ) -> Self:
        """Opens, or creates, the table of that name in memory that this user's processes share, as in TokenBucket.

        adopt: take the limit, size and when_full in force there; without it Mismatch is raised if one is another. What
            one process changes, by remove() or close(), holds for all.

        Waits are as there, but one key in eight places, at least 16 and at most 512, can have waits and reservations at
        one time, each at most 128: MemoryError. It takes all its memory when it is created, 24 KB for each such key
        included. Errors as there.

        >>> users = Table.shared(None, capacity=10, tokens_per_second=5, max_keys=100_000)
        >>> users.allow("ann", 10), users.take("ann").allowed
        (True, False)
        """
        table = cls.__new__(cls)
        table._create(
            (name_option(name), c.TB_SHARED_ADOPT if adopt else 0),
            capacity,
            tokens_per_second,
            max_keys=max_keys,
            max_bytes=max_bytes,
            when_full=when_full,
            period=period,
            clock=None,
            max_waiters=max_waiters,
            max_lateness=max_lateness,
            precise=precise,
        )
        table._is_shared = True
        return table

    def _create(
        self,
        shared: Optional[Tuple[Optional[str], int]],
        capacity: Real,
        tokens_per_second: Real,
        *,
        max_keys: Optional[int],
        max_bytes: Optional[int],
        when_full: str,
        period: Seconds,
        clock: Optional[ManualClock],
        max_waiters: Optional[int],
        max_lateness: Optional[Seconds],
        precise: bool,
    ) -> None:
        size = number(capacity, "capacity")
        rate, period_ns = rate_option(tokens_per_second, period)
        if (max_keys is None) == (max_bytes is None):
            raise TypeError("a table needs max_keys or max_bytes, and not both")
        if when_full not in _WHEN_FULL:
            raise refused("when_full", '"evict", "deny" or "admit"', when_full)
        status, field, allowed, fault = self._open(
            size,
            rate,
            period_ns,
            count_option("max_keys", max_keys),
            count_option("max_bytes", max_bytes, 64),
            _WHEN_FULL[when_full],
            count_option("max_waiters", max_waiters),
            lateness_option(max_lateness),
            c.TB_PRECISE_WAIT if precise else 0,
            clock_option(clock),
            shared,
        )
        given: Dict[str, Any] = {"capacity": capacity, "tokens_per_second": tokens_per_second, "period": period}
        given.update(max_keys=max_keys, max_bytes=max_bytes, when_full=when_full)
        if shared is not None and field is None:
            name = shared[0]
            check_opened(status, fault, name, "table", given, functools.partial(Table.shared, name, adopt=True, **given))
        require_created(status, field, allowed, given)

    def allow_many(self, keys: Iterable[Key], tokens: Union[Real, Sequence[Real]] = 1) -> List[Optional[bool]]:
        """As allow() for many keys, in order, in one call of the library; None where TableFull would have been raised.

        tokens: the amount of each, or a sequence of as many amounts. The same key may occur again.

        >>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000)
        >>> table.allow_many(["ann", "bob", "ann"], tokens=6)
        [True, True, False]
        >>> table.allow_many(["ann", "bob"], tokens=[1, 5])
        [True, False]
        """
        keys = listed(keys)
        # As in the library: without amounts each is one token.
        amounts = None if tokens.__class__ is int and tokens == 1 else self._amounts(tokens, len(keys))
        status, answers = self._allow_many(keys, amounts)
        for failure in {status, *answers} - _ANSWERS.keys():
            fail(self, failure, 1)
        return [_ANSWERS[answer] for answer in answers]

    def _amounts(self, tokens: Any, count: int) -> Sequence[float]:
        amounts = numbers(tokens, count, "key", "tokens")
        for n in amounts:
            # Before anything is taken.
            if not 0 < n < float("inf"):
                raise refused("tokens", AMOUNT, n)
        return amounts

    async def wait_async(
        self, key: Key, tokens: Real = 1, timeout: Optional[Seconds] = None, *, priority: int = 0
    ) -> None:
        """As wait(), for asyncio, trio and anyio: the task sleeps, no thread does. Those of a higher priority go first.

        Cancelled, it gives the tokens back, and those behind it move up. Of a shared table it learns within 100 ms what
        other processes change, such as by close(). RuntimeError: no loop runs here.

        >>> import asyncio
        >>> async def call_api(user):
        ...     await table.wait_async(user, 3)
        ...     return "called"
        >>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000)
        >>> asyncio.run(call_api("ann"))
        'called'
        """
        data = encode(key)
        n = number(tokens)
        status, wait_ns = await waiter_here(self, data).take(n, timeout_ns(timeout), priority_number(priority))
        if status != c.TB_SUCCESS:
            fail(self, status, n, wait_ns, "tokens", data)

    def tokens(self, key: Key) -> float:
        """The tokens of a key available now, fractions included. Negative if more is promised or charged than is there.

        >>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000)
        >>> table.tokens("ann")
        10.0
        """
        status, tokens = self._available(encode(key))
        if status != c.TB_SUCCESS:
            self._fail(status, 1)
        return tokens

    def retry_after(self, key: Key, tokens: Real = 1) -> float:
        """Seconds until so many tokens of a key would be there if nobody took any; 0 if they are, infinite if never.

        >>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000, clock=ManualClock())
        >>> table.allow("ann", 10)
        True
        >>> table.retry_after("ann"), table.retry_after("bob"), table.retry_after("bob", 11)
        (0.2, 0.0, inf)
        """
        n = number(tokens)
        status, ns = self._time_until(encode(key), n)
        if status == c.TB_EXCEEDS_CAPACITY:
            return seconds(c.TB_FOREVER)
        if status != c.TB_SUCCESS:
            self._fail(status, n)
        return seconds(ns)

    def reserve(self, key: Key, tokens: Real = 1, max_wait: Optional[Seconds] = None) -> Reservation:
        """Takes tokens of a key now, into debt if need be; the reservation says when they may be used. Never blocks.

        RateLimitExceeded, nothing taken: not within max_wait (seconds or a timedelta). Otherwise as wait().

        >>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000, clock=ManualClock())
        >>> table.reserve("ann", 10).delay, table.reserve("ann", 10).delay
        (0.0, 2.0)
        """
        data = encode(key)
        n = number(tokens)
        status, promise = self._reserve(data, n, timeout_ns(max_wait, "max_wait"))
        if status != c.TB_SUCCESS:
            fail(self, status, n, -1, "tokens", data)
        return Reservation(self, promise, data)

    def charge(self, key: Key, tokens: Real = 1) -> float:
        """Takes tokens of a key unconditionally, into debt if need be, for work whose cost is known afterwards.

        It may be more than the capacity. Returns the seconds until the debt is repaid. ValueError: not above 0.
        TableFull. BucketClosed. OverflowError: a debt beyond what can be counted.

        >>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000, clock=ManualClock())
        >>> table.charge("ann", 15)
        1.0
        """
        n = number(tokens)
        status, ns = self._charge(encode(key), n)
        if status != c.TB_SUCCESS:
            self._fail(status, n)
        return seconds(ns)

    def refund(self, key: Key, tokens: Real = 1) -> None:
        """Puts tokens of a key in, at most up to the capacity; the rest is dropped. ValueError: not above 0.

        BucketClosed.

        >>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000, clock=ManualClock())
        >>> table.allow("ann", 3)
        True
        >>> table.refund("ann", 2)
        >>> table.tokens("ann")
        9.0
        """
        n = number(tokens)
        status = self._refund(encode(key), n)
        if status != c.TB_SUCCESS:
            self._fail(status, n)

    def remove(self, key: Key) -> None:
        """Forgets a key: its bucket is full again. Waits for it are served from that, in order.

        >>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000)
        >>> table.allow("ann", 10)
        True
        >>> table.remove("ann")
        >>> table.tokens("ann")
        10.0
        """
        status = self._remove(encode(key))
        if status != c.TB_SUCCESS:
            self._fail(status, 1)

    def stats(self) -> TableStats:
        """What the table holds. It reads the whole table: some 50 ms for 10 million places.

        >>> Table(10, 5, max_keys=100_000).stats().evicted
        0
        """
        status, figures = self._stats()
        if status != c.TB_SUCCESS:
            self._fail(status, 1)
        return TableStats(*figures)


def address_key(address: str, ipv6_prefix: int = 64) -> bytes:
    """The key of a network address: the same for all ways to write it, and for all addresses of an IPv6 network.

    ipv6_prefix: the bits of that network, 0 .. 128; 64 is what one customer usually has. It reads 192.0.2.1,
    192.0.2.1:80, 2001:db8::1, [2001:db8::1]:80, fe80::1%eth0, whose zone is dropped, and ::ffff:192.0.2.1, which is
    192.0.2.1. ValueError: no address, or no prefix.

    >>> address_key("192.0.2.1:80") == address_key("::ffff:192.0.2.1")
    True
    >>> address_key("2001:db8::1") == address_key("[2001:db8:0:0:ffff::]:443")
    True
    """
    if not isinstance(address, str):
        raise wrong_type("address", "a str", address)
    if isinstance(ipv6_prefix, bool) or not isinstance(ipv6_prefix, int):
        raise wrong_type("ipv6_prefix", "an int", ipv6_prefix)
    if not 0 <= ipv6_prefix <= 128:
        raise refused("ipv6_prefix", "from 0 to 128", ipv6_prefix)
    key = _backend.key_of_address(address.encode("utf-8", "replace"), ipv6_prefix)
    if key is None:
        raise refused("address", "an IPv4 or IPv6 address", address)
    return key

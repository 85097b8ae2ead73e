"""The table of the backend that needs no compiler."""

from __future__ import annotations

from ctypes import POINTER, byref, c_double, c_int32, c_int64, c_size_t, c_uint64, create_string_buffer, sizeof
from typing import Any, Collection, List, Optional, Sequence, Tuple

from . import _constants as c
from . import _declarations as d
from ._ctypes_backend import (
    REFUSED,
    ClockInUse,
    JointWait,
    Promise,
    limit_config,
    quick,
    refusal,
    require_wakes,
    slow,
    wait_until_served,
)
from ._keys import Key, encode
from ._numbers import Real, Seconds, number, priority_number
from ._results import Decision, fail

_tb_table_allow = quick.tb_table_allow

_NO_TABLE = POINTER(d.tb_table)()


def key_of_address(text: bytes, ipv6_prefix: int) -> Optional[bytes]:
    """None: no address, or no prefix."""
    out, size = create_string_buffer(c.TB_ADDRESS_KEY_SIZE), c_size_t(0)
    status = quick.tb_address_key(text, len(text), ipv6_prefix, out, byref(size))
    return out.raw[: size.value] if status == c.TB_SUCCESS else None


class Table:
    """Methods with an underscore take keys as bytes, as encode() makes them."""

    _handle = _NO_TABLE
    _clock: Optional[ClockInUse] = None
    _joint_waits: Collection[JointWait] = ()

    def _open(
        self,
        capacity: float,
        rate_tokens: float,
        rate_period_ns: int,
        max_keys: int,
        max_bytes: int,
        when_full: int,
        max_waiters: int,
        max_lateness_ns: int,
        flags: int,
        clock: Optional[ClockInUse],
        shared: Optional[Tuple[Optional[str], int]],
    ) -> Tuple[int, Optional[str], Optional[str], int]:
        """As that of a bucket."""
        if self._handle:
            raise RuntimeError("the table exists already")
        limit = limit_config(capacity, rate_tokens, rate_period_ns, max_waiters, max_lateness_ns, flags, clock)
        config = d.tb_table_config()
        quick.tb_table_config_init(byref(config), sizeof(config))
        config.max_keys = max_keys
        config.max_bytes = max_bytes
        config.when_full = when_full
        handle, fault = POINTER(d.tb_table)(), c_int32(0)
        if shared is None:
            status = quick.tb_table_create_with(byref(limit), byref(config), byref(handle))
        else:
            name, adopt = shared
            data = None if name is None else name.encode()
            status = quick.tb_shared_table_open(byref(limit), byref(config), data, adopt, byref(handle), byref(fault))
        if status == c.TB_SUCCESS:
            self._handle, self._clock, self._joint_waits = handle, clock, set()
        return (status, *refusal(status, quick.tb_table_config_check, byref(limit), byref(config)), fault.value)

    def __del__(self, destroy: Any = slow.tb_table_destroy, none: Any = _NO_TABLE) -> None:
        # As in a bucket.
        for wait in [*self._joint_waits]:
            wait.leave()
        handle, self._handle = self._handle, none
        if handle:
            destroy(handle)

    def _exists(self) -> bool:
        return bool(self._handle)

    def allow(self, key: Key, tokens: Real = 1) -> bool:
        """Takes tokens of a key if they are there now, all or nothing, and says whether it did; never waits.

        More than the capacity is always False. ValueError: not above 0, or not finite. TableFull. BucketClosed.

        >>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000)
        >>> table.allow("ann", 8), table.allow("ann", 8), table.allow("bob", 8)
        (True, False, True)
        """
        data = encode(key)
        n = number(tokens)
        status = _tb_table_allow(self._handle, data, len(data), n)
        if status == c.TB_SUCCESS:
            return True
        if status in REFUSED:
            return False
        fail(self, status, n)

    def try_consume(self, key: Key, tokens: Real = 1) -> bool:
        """The same as allow(), under its other usual name.

        >>> Table(capacity=10, tokens_per_second=5, max_keys=100_000).try_consume("ann")
        True
        """
        return self.allow(key, tokens)

    def take(self, key: Key, tokens: Real = 1) -> Decision:
        """As allow(), and says what is left and when to come back.

        >>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000, clock=ManualClock())
        >>> table.take("ann", 8).remaining, table.take("ann", 8).retry_after
        (2.0, 1.2)
        """
        data, out = encode(key), d.tb_decision()
        n = number(tokens)
        status = quick.tb_table_take(self._handle, data, len(data), n, byref(out))
        if status == c.TB_SUCCESS or status in REFUSED:
            return Decision(status == c.TB_SUCCESS, out.remaining, out.retry_after_ns, out.reset_after_ns)
        fail(self, status, n)

    def take_up_to(self, key: Key, most: Real) -> int:
        """Takes as many whole tokens of a key as are there now, at most that many, and says how many: possibly 0.

        >>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000)
        >>> table.take_up_to("ann", 7), table.take_up_to("ann", 7)
        (7, 3)
        """
        data, out = encode(key), c_double()
        n = number(most, "most")
        status = quick.tb_table_take_up_to(self._handle, data, len(data), n, byref(out))
        if status == c.TB_SUCCESS:
            return int(out.value)
        fail(self, status, n, argument="most")

    def wait(self, key: Key, tokens: Real = 1, timeout: Optional[Seconds] = None, *, priority: int = 0) -> None:
        """Takes tokens of a key, sleeping until they are there, as wait() of a TokenBucket. Each key has its own queue,
        in which those of a higher priority go first.

        RateLimitExceeded, ValueError and BucketClosed as there; TableFull.

        >>> table = Table(capacity=10, tokens_per_second=1000, max_keys=100_000)
        >>> table.wait("ann", 10)
        >>> table.wait("ann", 2, timeout=0.5)
        """
        data = encode(key)
        n = number(tokens)
        first = priority_number(priority)
        wait_with = slow.tb_table_wait_with
        wait_until_served(self, n, timeout, lambda left: wait_with(self._handle, data, len(data), n, left, first), data)

    def _allow_many(self, keys: Sequence[Key], amounts: Optional[Sequence[float]]) -> Tuple[int, List[int]]:
        encoded = [encode(key) for key in keys]
        count = len(encoded)
        sizes, answers = (c_size_t * count)(*map(len, encoded)), (d.tb_status * count)()
        costs = None if amounts is None else (c_double * count)(*amounts)
        status = quick.tb_table_allow_many(self._handle, b"".join(encoded), sizes, costs, count, answers)
        return status, list(answers)

    def _enqueue(self, key: bytes, tokens: float, max_wait_ns: int, priority: int, tag: int) -> Tuple[int, int, int]:
        require_wakes()
        waiter, wait_ns = c_uint64(0), c_int64(0)
        status = quick.tb_table_enqueue(
            self._handle, key, len(key), tokens, max_wait_ns, priority, tag, byref(waiter), byref(wait_ns)
        )
        return status, waiter.value, wait_ns.value

    def _check(self, key: bytes, waiter: int) -> Tuple[int, int]:
        wait_ns = c_int64(-1)
        return quick.tb_table_waiter_check(self._handle, key, len(key), waiter, byref(wait_ns)), wait_ns.value

    def _leave(self, key: bytes, waiter: int) -> int:
        return quick.tb_table_waiter_leave(self._handle, key, len(key), waiter)

    def _reserve(self, key: bytes, tokens: float, max_wait_ns: int) -> Tuple[int, Promise]:
        out = d.tb_reservation()
        status = quick.tb_table_reserve(self._handle, key, len(key), tokens, max_wait_ns, byref(out))
        return status, (out.tokens, out.wait_ns, out.ready_at_ns, out.ticket)

    def _cancel(self, key: bytes, promise: Promise) -> int:
        return quick.tb_table_cancel(self._handle, key, len(key), byref(d.tb_reservation(*promise)))

    def _settle(self, key: bytes, promise: Promise, actual: float) -> int:
        return quick.tb_table_settle(self._handle, key, len(key), byref(d.tb_reservation(*promise)), actual)

    def _charge(self, key: bytes, tokens: float) -> Tuple[int, int]:
        out = c_int64(0)
        return quick.tb_table_charge(self._handle, key, len(key), tokens, byref(out)), out.value

    def _refund(self, key: bytes, tokens: float) -> int:
        return quick.tb_table_refund(self._handle, key, len(key), tokens)

    def _remove(self, key: bytes) -> int:
        return quick.tb_table_remove(self._handle, key, len(key))

    def _set_rate(self, tokens_per_second: float) -> int:
        return quick.tb_table_set_rate(self._handle, tokens_per_second)

    def _set_capacity(self, capacity: float) -> int:
        return quick.tb_table_set_capacity(self._handle, capacity)

    def _close(self) -> int:
        return quick.tb_table_close(self._handle)

    def _available(self, key: bytes) -> Tuple[int, float]:
        out = c_double()
        return quick.tb_table_available(self._handle, key, len(key), byref(out)), out.value

    def _time_until(self, key: bytes, tokens: float) -> Tuple[int, int]:
        out = c_int64(0)
        return quick.tb_table_time_until(self._handle, key, len(key), tokens, byref(out)), out.value

    def _limit(self) -> Tuple[int, float, float, int]:
        out = d.tb_config(struct_size=sizeof(d.tb_config))
        status = quick.tb_table_get_limit(self._handle, byref(out))
        return status, out.capacity, out.rate_tokens, out.rate_period_ns

    def _stats(self) -> Tuple[int, Tuple[Any, ...]]:
        out = d.tb_table_stats(struct_size=sizeof(d.tb_table_stats))
        status = slow.tb_table_get_stats(self._handle, byref(out))
        return status, tuple(getattr(out, name) for name, _ in d.tb_table_stats._fields_[1:])

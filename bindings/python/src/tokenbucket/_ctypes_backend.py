"""The backend that needs no compiler: the library's functions through ctypes.

Its classes, and those of _ctypes_table.py and _ctypes_limits.py, have the members of those of the extension, in
src/native. Methods with an underscore pass a status on; the others raise.
"""

from __future__ import annotations

from ctypes import POINTER, byref, c_double, c_int32, c_int64, c_uint64, c_void_p, pythonapi, sizeof
from threading import get_ident
from typing import Any, Callable, Collection, Dict, List, Optional, Protocol, Tuple

from . import _constants as c
from . import _declarations as d
from ._library import Functions, load
from ._numbers import NS_PER_SECOND, Real, Seconds, TimeSource, number, priority_number
from ._results import Decision, OnEvent, fail, tell
from ._waiting import sleep_until_answered, wake

Promise = Tuple[float, int, int, int]
"""The fields of a tb_reservation."""

_name = load()
# Calls that cannot block keep the interpreter's lock, which makes them faster. Waiting releases it, so does what reads
# a whole table, and so does the end of a bucket or table, which waits until it is called by no clock.
quick = Functions(_name, keep_lock=True)
slow = Functions(_name, keep_lock=False)
_tb_wait_with = slow.tb_wait_with
_tb_allow = quick.tb_allow
_tb_take = quick.tb_take

_NO_BUCKET = POINTER(d.tb_bucket)()
_NO_CLOCK = POINTER(d.tb_clock)()
_NO_EVENT = d.tb_event_fn()

# These are ordinary answers, not failures.
REFUSED = (c.TB_DENIED, c.TB_EXCEEDS_CAPACITY)


def library_version() -> str:
    """The version of the C library in use.

    >>> library_version().split(".")[0]
    '1'
    """
    text: Any = quick.tb_library_version_string()
    return str(text, "ascii")


def remove_shared(name: str) -> Tuple[int, int]:
    fault = c_int32(0)
    return quick.tb_shared_remove(name.encode(), byref(fault)), fault.value


def shared_fault(fault: int) -> str:
    text: Any = quick.tb_shared_fault_message(fault)
    return str(text, "ascii")


def _is_main_interpreter() -> bool:
    current, number_of = pythonapi.PyInterpreterState_Get, pythonapi.PyInterpreterState_GetID
    current.restype = c_void_p
    number_of.argtypes, number_of.restype = [c_void_p], c_int64
    return bool(number_of(current()) == 0)


# A callback of ctypes enters the main interpreter, and would wait for ever for a lock that this thread has.
_CAN_BE_CALLED = _is_main_interpreter()


def _event_function(on_event: Optional[OnEvent]) -> Any:
    if on_event is None:
        return _NO_EVENT
    function = on_event
    if not _CAN_BE_CALLED:
        raise RuntimeError("in a subinterpreter on_event needs the C extension, which is not in use")

    def told(_user: Any, event: Any) -> None:
        tell(function, event.contents.status, event.contents.n, event.contents.waited_ns)

    return d.tb_event_fn(told)


# By thread that moves a clock: whom to wake then. In the call a bucket could be collected, whose end waits for the call.
_to_wake: Dict[int, List[int]] = {}


def _on_wake(_user: Any, tag: int) -> None:
    tags = _to_wake.get(get_ident())
    if tags is None:
        wake(tag)
    else:
        tags.append(tag)


_WAKE_FUNCTION = d.tb_wake_fn(_on_wake) if _CAN_BE_CALLED else d.tb_wake_fn()


def require_wakes() -> None:
    if not _CAN_BE_CALLED:
        raise RuntimeError("in a subinterpreter wait_async() needs the C extension, which is not in use")


def limit_config(
    capacity: float,
    rate_tokens: float,
    rate_period_ns: int,
    max_waiters: int,
    max_lateness_ns: int,
    flags: int,
    clock: Optional[ClockInUse],
) -> Any:
    config = d.tb_config()
    quick.tb_config_init(byref(config), sizeof(config))
    config.capacity = capacity
    config.rate_tokens = rate_tokens
    config.rate_period_ns = rate_period_ns
    config.max_waiters = max_waiters
    config.max_lateness_ns = max_lateness_ns
    config.flags = flags
    config.clock = _NO_CLOCK if clock is None else clock._handle
    config.on_wake = _WAKE_FUNCTION
    return config


def refusal(status: int, check: Callable[..., int], *configs: Any) -> Tuple[Optional[str], Optional[str]]:
    """Which field of what could not be created is refused, and what it must be; None if none is."""
    fault = d.tb_config_fault()
    if status == c.TB_SUCCESS or check(*configs, byref(fault)) == c.TB_SUCCESS:
        return None, None
    return str(fault.field, "ascii"), str(fault.allowed, "ascii")


def limit_refusal(capacity: float, tokens_per_second: float) -> Tuple[Optional[str], Optional[str]]:
    """As refusal(), of a bucket with this limit."""
    config = limit_config(capacity, tokens_per_second, NS_PER_SECOND, 0, 0, 0, None)
    return refusal(c.TB_E_OUT_OF_RANGE, quick.tb_config_check, byref(config))


def wait_until_served(
    limiter: Any, tokens: float, timeout: Optional[Seconds], sleep: Callable[[int], int], *key: bytes
) -> None:
    status, _ = sleep_until_answered(limiter._clock, timeout, lambda left: (sleep(left), None))
    if status != c.TB_SUCCESS:
        fail(limiter, status, tokens, -1, "tokens", *key)


class Clock:
    _handle = _NO_CLOCK

    def _open(self, start_ns: int) -> int:
        if self._handle:
            raise RuntimeError("the clock exists already")
        handle = POINTER(d.tb_clock)()
        status = quick.tb_manual_clock_create(start_ns, byref(handle))
        if status == c.TB_SUCCESS:
            self._handle = handle
        return status

    def _set(self, ns: int) -> int:
        tags = _to_wake[get_ident()] = []
        try:
            status = quick.tb_manual_clock_set(self._handle, ns)
        finally:
            del _to_wake[get_ident()]
        for tag in tags:
            wake(tag)
        return status

    def _waiters(self) -> Tuple[int, int]:
        count, due = c_int64(0), c_int64(c.TB_FOREVER)
        quick.tb_manual_clock_waiters(self._handle, byref(count), byref(due))
        return count.value, due.value

    def __del__(self, destroy: Any = quick.tb_clock_destroy, none: Any = _NO_CLOCK) -> None:
        handle, self._handle = self._handle, none
        if handle:
            destroy(handle)


class ClockInUse(TimeSource, Protocol):
    """The part of a ManualClock that a bucket or table uses."""

    _handle: Any


class JointWait(Protocol):
    """One that stands in the queues of several buckets and keys, and leaves before any of them is destroyed."""

    def leave(self) -> None: ...


class Bucket:
    _handle = _NO_BUCKET
    _clock: Optional[ClockInUse] = None
    _joint_waits: Collection[JointWait] = ()

    def _open(
        self,
        capacity: float,
        rate_tokens: float,
        rate_period_ns: int,
        initial_tokens: float,
        max_waiters: int,
        max_lateness_ns: int,
        flags: int,
        clock: Optional[ClockInUse],
        on_event: Optional[OnEvent],
        shared: Optional[Tuple[Optional[str], int]],
    ) -> Tuple[int, Optional[str], Optional[str], int]:
        """The status, which field is refused and what it must be, and what tb_shared_open says besides.

        shared: the name, None if there is none, and the flags of a shared bucket.
        """
        if self._handle:
            raise RuntimeError("the bucket exists already")
        config = limit_config(capacity, rate_tokens, rate_period_ns, max_waiters, max_lateness_ns, flags, clock)
        config.initial_tokens = initial_tokens
        config.on_event = _event_function(on_event)
        handle, fault = POINTER(d.tb_bucket)(), c_int32(0)
        if shared is None:
            status = quick.tb_create_with(byref(config), byref(handle))
        else:
            name, adopt = shared
            data = None if name is None else name.encode()
            status = quick.tb_shared_open(byref(config), data, adopt, byref(handle), byref(fault))
        if status == c.TB_SUCCESS:
            # The library calls the function as long as the bucket lives.
            self._handle, self._clock, self._joint_waits = handle, clock, set()
            self._functions = config.on_event, _WAKE_FUNCTION
        return (status, *refusal(status, quick.tb_config_check, byref(config)), fault.value)

    def __del__(self, destroy: Any = slow.tb_destroy, none: Any = _NO_BUCKET) -> None:
        # Where both are collected in one cycle, a task that waits may be ended, and leave, after this.
        for wait in [*self._joint_waits]:
            wait.leave()
        handle, self._handle = self._handle, none
        if handle:
            destroy(handle)

    def _exists(self) -> bool:
        return bool(self._handle)

    def allow(self, tokens: Real = 1) -> bool:
        """Takes tokens if they are there now, all or nothing, and says whether it did; never waits.

        More than the capacity is always False. ValueError: not above 0, or not finite. BucketClosed.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5)
        >>> bucket.allow(8), bucket.allow(8), bucket.allow(15)
        (True, False, False)
        """
        status = _tb_allow(self._handle, tokens if tokens.__class__ is float else number(tokens))
        if status == c.TB_SUCCESS:
            return True
        if status in REFUSED:
            return False
        fail(self, status, number(tokens))

    def try_consume(self, tokens: Real = 1) -> bool:
        """The same as allow(), under its other usual name.

        >>> TokenBucket(capacity=10, tokens_per_second=5).try_consume()
        True
        """
        status = _tb_allow(self._handle, tokens if tokens.__class__ is float else number(tokens))
        if status == c.TB_SUCCESS:
            return True
        if status in REFUSED:
            return False
        fail(self, status, number(tokens))

    def take(self, tokens: Real = 1) -> Decision:
        """As allow(), and says what is left and when to come back.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, clock=ManualClock())
        >>> if not bucket.take(8):
        ...     print("unexpected")
        >>> bucket.take(8).retry_after
        1.2
        """
        out = d.tb_decision()
        status = _tb_take(self._handle, tokens if tokens.__class__ is float else number(tokens), out)
        if status == c.TB_SUCCESS or status in REFUSED:
            return Decision(status == c.TB_SUCCESS, out.remaining, out.retry_after_ns, out.reset_after_ns)
        fail(self, status, number(tokens))

    def take_up_to(self, most: Real) -> int:
        """Takes as many whole tokens as are there now, at most that many, and says how many: possibly 0.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5)
        >>> bucket.take_up_to(7), bucket.take_up_to(7)
        (7, 3)
        """
        out = c_double()
        status = quick.tb_take_up_to(self._handle, number(most, "most"), byref(out))
        if status == c.TB_SUCCESS:
            return int(out.value)
        fail(self, status, number(most), argument="most")

    def wait(self, tokens: Real = 1, timeout: Optional[Seconds] = None, *, priority: int = 0) -> None:
        """Takes tokens, sleeping until they are there. Waits of a higher priority go first, others in order of arrival.

        With a timeout (seconds or a timedelta) it raises RateLimitExceeded at once, nothing taken, if they cannot be
        there in that time. Ctrl-C ends it at once and gives the tokens back; after a signal handler that returns
        it goes on, behind the waits that came meanwhile. Other threads run while it sleeps; tasks use wait_async().
        ValueError: more than the capacity, not above 0, a negative timeout. BucketClosed, also during the wait.

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=1000)
        >>> bucket.wait(10)
        >>> bucket.wait(2, timeout=0.5)
        """
        n = number(tokens)
        first = priority_number(priority)
        wait_until_served(self, n, timeout, lambda left: _tb_wait_with(self._handle, n, left, first))

    def _enqueue(self, tokens: float, max_wait_ns: int, priority: int, tag: int) -> Tuple[int, int, int]:
        require_wakes()
        waiter, wait_ns = c_uint64(0), c_int64(0)
        status = quick.tb_enqueue(self._handle, tokens, max_wait_ns, priority, tag, byref(waiter), byref(wait_ns))
        return status, waiter.value, wait_ns.value

    def _check(self, waiter: int) -> Tuple[int, int]:
        wait_ns = c_int64(-1)
        return quick.tb_waiter_check(self._handle, waiter, byref(wait_ns)), wait_ns.value

    def _leave(self, waiter: int) -> int:
        return quick.tb_waiter_leave(self._handle, waiter)

    def _reserve(self, tokens: float, max_wait_ns: int) -> Tuple[int, Promise]:
        out = d.tb_reservation()
        status = quick.tb_reserve(self._handle, tokens, max_wait_ns, byref(out))
        return status, (out.tokens, out.wait_ns, out.ready_at_ns, out.ticket)

    def _cancel(self, promise: Promise) -> int:
        return quick.tb_cancel(self._handle, byref(d.tb_reservation(*promise)))

    def _settle(self, promise: Promise, actual: float) -> int:
        return quick.tb_settle(self._handle, byref(d.tb_reservation(*promise)), actual)

    def _charge(self, tokens: float) -> Tuple[int, int]:
        out = c_int64(0)
        return quick.tb_charge(self._handle, tokens, byref(out)), out.value

    def _refund(self, tokens: float) -> int:
        return quick.tb_refund(self._handle, tokens)

    def _reset(self, tokens: float) -> int:
        return quick.tb_reset(self._handle, tokens)

    def _set_tokens(self, tokens: float) -> int:
        return quick.tb_set_tokens(self._handle, tokens)

    def _set_rate(self, tokens_per_second: float) -> int:
        return quick.tb_set_rate(self._handle, tokens_per_second)

    def _set_capacity(self, capacity: float) -> int:
        return quick.tb_set_capacity(self._handle, capacity)

    def _close(self) -> int:
        return quick.tb_close(self._handle)

    def _available(self) -> Tuple[int, float]:
        out = c_double()
        return quick.tb_available(self._handle, byref(out)), out.value

    def _time_until(self, tokens: float) -> Tuple[int, int]:
        out = c_int64(0)
        return quick.tb_time_until(self._handle, tokens, byref(out)), out.value

    def _limit(self) -> Tuple[int, float, float, int]:
        out = d.tb_config(struct_size=sizeof(d.tb_config))
        status = quick.tb_get_limit(self._handle, byref(out))
        return status, out.capacity, out.rate_tokens, out.rate_period_ns

    def _stats(self) -> Tuple[int, Tuple[Any, ...]]:
        out = d.tb_stats(struct_size=sizeof(d.tb_stats))
        status = quick.tb_get_stats(self._handle, byref(out))
        return status, tuple(getattr(out, name) for name, _ in d.tb_stats._fields_[1:])

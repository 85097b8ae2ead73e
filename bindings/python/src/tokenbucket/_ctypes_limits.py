"""Several limits in one decision, for the backend that needs no compiler."""

from __future__ import annotations

from ctypes import POINTER, byref, c_char_p, c_int64, c_void_p, cast
from typing import Any, Optional, Sequence, Tuple

from . import _constants as c
from . import _declarations as d
from ._ctypes_backend import Promise, quick, require_wakes, slow

Refusal = Tuple[int, int]
"""The member that refused, and the nanoseconds until it would grant; both -1 where no member has refused."""

Parts = Tuple[Any, ...]
"""Of tuples: a bucket; or a table and a key, as encode() makes it."""


class Answer:
    """A tb_refusal, and the status that goes with it."""

    def __init__(self) -> None:
        self.refusal = d.tb_refusal(member=-1, retry_after_ns=-1)

    def of(self, status: int) -> Tuple[int, Refusal]:
        return status, (self.refusal.member, self.refusal.retry_after_ns)


class WaiterAll:
    """A tb_waiter_all until it has left.

    The buckets and tables in whose queues it stands know it, to have it leave before they are destroyed. It knows none
    of them, so that none keeps the others.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def check(self) -> Tuple[int, Any]:
        wait_ns, answer = c_int64(0), Answer()
        status, refusal = answer.of(quick.tb_waiter_all_check(self._handle, byref(wait_ns), byref(answer.refusal)))
        return status, wait_ns.value if status == c.TB_PENDING else refusal

    def leave(self, leave: Any = quick.tb_waiter_all_leave) -> None:
        handle, self._handle = self._handle, None
        leave(handle)


class Limits:
    _parts: Parts = ()

    def _open(self, parts: Parts) -> None:
        if self._parts:
            raise RuntimeError("the limits exist already")
        self._parts = parts

    def _members(self, costs: Sequence[float]) -> Any:
        """With the handles that the members have now: one that is collected in a cycle with this has none."""
        members = (d.tb_member * len(self._parts))()
        for member, (limiter, *key), cost in zip(members, self._parts, costs):
            if key:
                member.table = limiter._handle
                member.key, member.key_size = cast(c_char_p(key[0]), c_void_p), len(key[0])
            else:
                member.bucket = limiter._handle
            member.n = cost
        return members

    def _allow(self, costs: Sequence[float]) -> Tuple[int, Refusal]:
        answer = Answer()
        return answer.of(quick.tb_allow_all(self._members(costs), len(self._parts), byref(answer.refusal)))

    def _reserve(self, costs: Sequence[float], max_wait_ns: int) -> Tuple[int, Tuple[Promise, ...], Refusal]:
        count = len(self._parts)
        reserved, wait_ns, answer = (d.tb_reservation * count)(), c_int64(0), Answer()
        status, refusal = answer.of(
            quick.tb_reserve_all(
                self._members(costs), count, max_wait_ns, reserved, byref(wait_ns), byref(answer.refusal)
            )
        )
        promises = tuple((one.tokens, one.wait_ns, one.ready_at_ns, one.ticket) for one in reserved)
        return status, promises if status == c.TB_SUCCESS else (), refusal

    def _cancel(self, promises: Sequence[Promise]) -> int:
        count = len(self._parts)
        reserved = (d.tb_reservation * count)(*(d.tb_reservation(*promise) for promise in promises))
        return quick.tb_cancel_all(self._members([0] * count), count, reserved)

    def _wait(self, costs: Sequence[float], timeout_ns: int, priority: int) -> Tuple[int, Refusal]:
        answer = Answer()
        members, count = self._members(costs), len(self._parts)
        return answer.of(slow.tb_wait_all(members, count, timeout_ns, priority, byref(answer.refusal)))

    def _enqueue(
        self, costs: Sequence[float], timeout_ns: int, priority: int, tag: int
    ) -> Tuple[int, Optional[WaiterAll], Any]:
        require_wakes()
        handle, wait_ns, answer = POINTER(d.tb_waiter_all)(), c_int64(0), Answer()
        status, refusal = answer.of(
            quick.tb_enqueue_all(
                self._members(costs),
                len(self._parts),
                timeout_ns,
                priority,
                tag,
                byref(handle),
                byref(wait_ns),
                byref(answer.refusal),
            )
        )
        if status != c.TB_PENDING:
            return status, None, refusal
        waiter = WaiterAll(handle)
        for limiter, *_ in self._parts:
            limiter._joint_waits.add(waiter)
        return status, waiter, wait_ns.value

    def _check(self, waiter: WaiterAll) -> Tuple[int, Any]:
        status, detail = waiter.check()
        if status != c.TB_PENDING:
            self._leave(waiter)
        return status, detail

    def _leave(self, waiter: WaiterAll) -> None:
        for limiter, *_ in self._parts:
            limiter._joint_waits.discard(waiter)
        waiter.leave()

"""Limits in Redis or Valkey of the backend that needs no compiler: the arguments of a call, and what its reply says."""

from __future__ import annotations

from ctypes import POINTER, byref, c_char_p, c_int64, c_size_t, c_void_p, cast, create_string_buffer, sizeof
from typing import Any, Callable, List, Optional, Sequence, Tuple

from . import _constants as c
from . import _declarations as d
from ._ctypes_backend import Promise, quick, refusal

Arguments = Tuple[int, ...]

Answer = Tuple[float, float, int, int]
"""The fields of a tb_remote_answer."""

Member = Tuple["Remote", bytes, float]

_NO_REMOTE = POINTER(d.tb_remote)()


def remote_script() -> Tuple[str, str]:
    """The text, and its SHA-1."""
    texts: Any = quick.tb_remote_script(), quick.tb_remote_script_sha1()
    return str(texts[0], "ascii"), str(texts[1], "ascii")


def queue_key(key: bytes) -> Optional[bytes]:
    """The second key of a bucket; None: this key can have none."""
    out, size = create_string_buffer(len(key) + c.TB_REMOTE_QUEUE_KEY_ADDS), c_size_t(0)
    status = quick.tb_remote_queue_key(key, len(key), out, byref(size))
    return out.raw[: size.value] if status == c.TB_SUCCESS else None


def ask_many(members: Sequence[Member], all_or_none: bool) -> Tuple[int, Arguments]:
    count = len(members)
    ask = quick.tb_remote_take_all if all_or_none else quick.tb_remote_take_each
    return _asked(5 * count + 1, lambda out, size: ask(_array_of(members), count, out, size))


def read_many(
    members: Sequence[Member], arguments: Arguments, reply: Sequence[int]
) -> Tuple[int, List[Tuple[int, Answer]]]:
    """For each member its status and its answer."""
    count = len(members)
    statuses, answers = (d.tb_status * count)(), (d.tb_remote_answer * count)()
    status = quick.tb_remote_read_many(_array_of(members), count, *_exchange(arguments, reply), statuses, answers)
    return status, list(zip(statuses, map(_answer, answers))) if status >= 0 else []


def _array_of(members: Sequence[Member]) -> Any:
    """The bytes of the keys live as long as `members`."""
    array = (d.tb_remote_member * len(members))()
    for member, (remote, key, n) in zip(array, members):
        member.remote, member.n = remote._handle, n
        member.key, member.key_size = cast(c_char_p(key), c_void_p), len(key)
    return array


def _asked(room: int, ask: Callable[[Any, Any], int]) -> Tuple[int, Arguments]:
    out, count = (c_int64 * room)(), c_size_t(0)
    status = ask(out, byref(count))
    return status, tuple(out[: count.value]) if status == c.TB_SUCCESS else ()


def _exchange(arguments: Arguments, reply: Sequence[int]) -> Tuple[Any, int, Any, int]:
    asked, said = len(arguments), len(reply)
    return (c_int64 * asked)(*arguments), asked, (c_int64 * said)(*reply), said


def _answer(answer: Any) -> Answer:
    return answer.tokens, answer.remaining, answer.retry_after_ns, answer.reset_after_ns


class Remote:
    _handle = _NO_REMOTE

    def _open(
        self, capacity: float, rate_tokens: float, rate_period_ns: int, max_wait_ns: int
    ) -> Tuple[int, Optional[str], Optional[str]]:
        if self._handle:
            raise RuntimeError("the limit exists already")
        config = d.tb_config()
        quick.tb_config_init(byref(config), sizeof(config))
        config.capacity = capacity
        config.rate_tokens = rate_tokens
        config.rate_period_ns = rate_period_ns
        handle = POINTER(d.tb_remote)()
        status = quick.tb_remote_create(byref(config), max_wait_ns, byref(handle))
        if status == c.TB_SUCCESS:
            self._handle = handle
        return (status, *refusal(status, quick.tb_remote_config_check, byref(config), max_wait_ns))

    def __del__(self, destroy: Any = quick.tb_remote_destroy, none: Any = _NO_REMOTE) -> None:
        handle, self._handle = self._handle, none
        if handle:
            destroy(handle)

    def _exists(self) -> bool:
        return bool(self._handle)

    def _limit(self) -> Tuple[int, float, float, int]:
        out = d.tb_config(struct_size=sizeof(d.tb_config))
        status = quick.tb_remote_get_limit(self._handle, byref(out))
        return status, out.capacity, out.rate_tokens, out.rate_period_ns

    def _ask_take(self, n: float) -> Tuple[int, Arguments]:
        return self._ask(quick.tb_remote_take, n)

    def _ask_take_up_to(self, most: float) -> Tuple[int, Arguments]:
        return self._ask(quick.tb_remote_take_up_to, most)

    def _ask_charge(self, n: float) -> Tuple[int, Arguments]:
        return self._ask(quick.tb_remote_charge, n)

    def _ask_refund(self, n: float) -> Tuple[int, Arguments]:
        return self._ask(quick.tb_remote_refund, n)

    def _ask_reset(self, tokens: float) -> Tuple[int, Arguments]:
        return self._ask(quick.tb_remote_reset, tokens)

    def _ask_peek(self, n: float) -> Tuple[int, Arguments]:
        return self._ask(quick.tb_remote_peek, n)

    def _ask_reserve(self, n: float, max_wait_ns: int) -> Tuple[int, Arguments]:
        return self._ask(quick.tb_remote_reserve, n, max_wait_ns)

    def _ask_cancel(self, promise: Promise) -> Tuple[int, Arguments]:
        return self._ask(quick.tb_remote_cancel, byref(d.tb_reservation(*promise)))

    def _ask_settle(self, promise: Promise, actual: float) -> Tuple[int, Arguments]:
        return self._ask(quick.tb_remote_settle, byref(d.tb_reservation(*promise)), actual)

    def _ask(self, function: Callable[..., int], *values: Any) -> Tuple[int, Arguments]:
        return _asked(c.TB_REMOTE_MAX_ARGUMENTS, lambda out, count: function(self._handle, *values, out, count))

    def _read(self, arguments: Arguments, reply: Sequence[int]) -> Tuple[int, Answer]:
        out = d.tb_remote_answer()
        return quick.tb_remote_read(self._handle, *_exchange(arguments, reply), byref(out)), _answer(out)

    def _read_reservation(self, arguments: Arguments, reply: Sequence[int]) -> Tuple[int, Promise]:
        out = d.tb_reservation()
        status = quick.tb_remote_read_reservation(self._handle, *_exchange(arguments, reply), byref(out))
        return status, (out.tokens, out.wait_ns, out.ready_at_ns, out.ticket)

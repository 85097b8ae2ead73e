"""Reservations of a limit in Redis or Valkey, and of what stands in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from ._errors import COST, refused
from ._numbers import NS_PER_SECOND, Real, now_ns, number
from ._question import Question
from ._reservation import Reservation
from ._results import is_amount

if TYPE_CHECKING:
    from ._ctypes_backend import Promise


class RemoteReservation:
    """Made of a promise of the server; that of a wait also of a local reservation, or, where nobody counts, of neither."""

    __slots__ = ("_ended", "_key", "_limiter", "_local", "_promise", "_ready_at_ns", "_tokens")

    def __init__(
        self,
        limiter: Any,
        key: bytes,
        tokens: float = 0,
        promise: Optional[Promise] = None,
        local: Optional[Reservation] = None,
    ) -> None:
        self._limiter = limiter
        self._key = key
        self._promise = promise
        self._local = local
        self._ended = False
        self._tokens = promise[0] if promise else local.tokens if local else tokens
        self._ready_at_ns = now_ns(None) + promise[1] if promise else 0

    @property
    def tokens(self) -> float:
        """The tokens reserved; 0 once cancelled or settled.

        >>> RedisTable(client, 10, 5, prefix="tb:users:").reserve("ann", 3).tokens
        3.0
        """
        return 0.0 if self._ended else self._tokens

    @property
    def delay(self) -> float:
        """Seconds from now until the tokens may be used; 0 if they may be.

        >>> RedisTable(client, 10, 5, prefix="tb:users:").reserve("bob").delay
        0.0
        """
        if self._local:
            return self._local.delay
        return max(0, self._ready_at_ns - now_ns(None)) / NS_PER_SECOND

    def _cancelling(self) -> Question[None]:
        was_ended, self._ended = self._ended, True
        if was_ended or not self._promise:
            return Question.known(None)
        question: Question[None] = self._limiter._cancel(self._key, self._promise)
        return question

    def _settling(self, actual: Real) -> Question[None]:
        amount = number(actual, "actual")
        if self._ended:
            raise ValueError("the reservation was settled or cancelled already")
        if not is_amount(amount):
            raise refused("actual", COST, amount)
        if self._local:
            self._local.settle(amount)
        question: Question[None] = Question.known(None)
        if self._promise:
            question = self._limiter._settle(self._key, self._promise, amount)
        self._ended = True
        return question

    def __repr__(self) -> str:
        if self._ended:
            return f"<{type(self).__name__} that has ended>"
        return f"<{type(self).__name__} of {self._tokens:g} tokens, due in {self.delay:g} s>"

    def __reduce__(self) -> str:
        raise TypeError(f"cannot pickle or copy a {type(self).__name__}: it can be ended once")

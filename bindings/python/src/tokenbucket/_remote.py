"""A limit whose buckets lie in Redis or Valkey: what is asked, what a reply says, and what stands in for one.

No I/O: a Question goes to the client in _redis.py and in _redis_async.py.
"""

from __future__ import annotations

import inspect
import math
from fractions import Fraction
from typing import Any, Callable, ClassVar, Iterable, List, Literal, Optional, Protocol, Sequence, Tuple, TypeVar, Union

from . import _backend
from . import _constants as c
from ._errors import refused, wrong_type
from ._keys import listed
from ._limiter import UP_TO_CAPACITY, Rated, fraction_of, rate_option, require_created
from ._numbers import NS_PER_SECOND, Real, Seconds, nanoseconds, number, numbers, seconds, timeout_ns
from ._question import Question, unavailable
from ._remote_reservation import RemoteReservation
from ._results import Decision, Mismatch, RateLimitExceeded, Status, failure
from ._table import Table

T = TypeVar("T")

RedisKey = Union[str, bytes]
"""A str and its UTF-8 are the same key."""

Member = Tuple["RemoteTable", bytes, float]

_LOCAL_KEYS = 1 << 16


class Client(Protocol):
    """The part of redis.Redis, or of redis.asyncio.Redis, that is called."""

    def evalsha(self, __sha: str, __numkeys: int, *keys_and_args: Any) -> Any: ...
    def eval(self, __script: str, __numkeys: int, *keys_and_args: Any) -> Any: ...


class RemoteTable(_backend.Remote, Rated):
    """What a RedisTable and an AsyncRedisTable share: all but the call of the client."""

    _noun = "limit"
    _asynchronous: ClassVar[bool]
    _reservation: ClassVar[Any]

    def __init__(
        self,
        client: Client,
        capacity: Real,
        tokens_per_second: Real,
        *,
        period: Seconds = 1,
        prefix: RedisKey = "tb:",
        max_wait: Seconds = 60,
        on_unavailable: Literal["error", "closed", "open", "local"] = "error",
        share: Optional[Real] = None,
    ) -> None:
        size = number(capacity, "capacity")
        rate, period_ns = rate_option(tokens_per_second, period)
        self._client = self._checked(client)
        self._prefix = _bytes_of(prefix, "prefix")
        self._max_wait_ns = nanoseconds(max_wait, "max_wait")
        status, field, allowed = self._open(size, rate, period_ns, self._max_wait_ns)
        given = {"capacity": capacity, "tokens_per_second": tokens_per_second, "period": period, "max_wait": max_wait}
        require_created(status, field, allowed, given)
        self._policy = on_unavailable
        self._local = self._stand_in(on_unavailable, share)

    def _checked(self, client: Any) -> Any:
        is_client = callable(getattr(client, "evalsha", None)) and callable(getattr(client, "eval", None))
        # Of redis-py's methods this one tells the two kinds of client apart; what else has no such method is trusted.
        execute = getattr(client, "execute_command", None)
        if not is_client or (execute is not None and inspect.iscoroutinefunction(execute) != self._asynchronous):
            wanted = "redis.asyncio.Redis" if self._asynchronous else "redis.Redis"
            raise wrong_type("client", f"one like {wanted}", client)
        return client

    def _stand_in(self, policy: str, share: Optional[Real]) -> Optional[Table]:
        if policy not in ("error", "closed", "open", "local"):
            raise refused("on_unavailable", '"error", "closed", "open" or "local"', policy)
        if (share is None) == (policy == "local"):
            raise TypeError('on_unavailable="local" needs a share, and nothing else has one')
        if share is None:
            return None
        value = number(share, "share")
        if not 0 < value <= 1:
            raise refused("share", "more than 0 and at most 1", share)
        part = share if isinstance(share, Fraction) else fraction_of(value)
        return Table(fraction_of(self.capacity) * part, self.rate * part, max_keys=_LOCAL_KEYS)

    @property
    def capacity(self) -> float:
        """The largest number of tokens held for a key.

        >>> RedisTable(client, capacity=10, tokens_per_second=5).capacity
        10.0
        """
        return self._limit_in_force()[0]

    @property
    def tokens_per_second(self) -> float:
        """The rate.

        >>> RedisTable(client, capacity=10, tokens_per_second=300, period=60).tokens_per_second
        5.0
        """
        return float(self.rate)

    # ---- Keys and answers ----

    def _key(self, key: RedisKey) -> bytes:
        data = self._prefix + _bytes_of(key, "key")
        if len(data) > c.TB_MAX_KEY_SIZE:
            raise refused("key", f"at most {c.TB_MAX_KEY_SIZE} bytes with its prefix", len(data))
        return data

    def _two_keys(self, key: bytes) -> Tuple[bytes, bytes]:
        second = _backend.queue_key(key)
        if second is None:
            raise refused("key", "one without a closing brace, or with a tag in braces, as in {ann}", key)
        return key, second

    def _answer(self, arguments: Tuple[int, ...], reply: List[int]) -> Tuple[int, Tuple[float, float, int, int]]:
        status, answer = self._read(arguments, reply)
        if status == c.TB_E_INVALID_ARGUMENT:
            raise Mismatch("the server's reply is none for this limit")
        return status, answer

    def _check(self, status: int, n: float, argument: str = "tokens") -> None:
        if status == c.TB_E_OUT_OF_RANGE:
            raise OverflowError(f"{n:g} tokens more than may be owed: what a full bucket has and accrues in max_wait")
        if status != c.TB_SUCCESS:
            raise failure(self, status, n, c.TB_FOREVER, (), argument=argument)

    def _gain_ns(self, n: float) -> int:
        """The time in which so many tokens come in."""
        return min(math.ceil(Fraction(n) * NS_PER_SECOND / self.rate), c.TB_FOREVER)

    def _by_policy(
        self, *, closed: Callable[[], T], open: Callable[[], T], local: Callable[[Table], T]
    ) -> Callable[[Exception], T]:
        def instead(error: Exception) -> T:
            if self._policy == "closed":
                return closed()
            if self._policy == "open":
                return open()
            if self._local is not None:
                return local(self._local)
            unavailable(error)

        return instead

    # ---- Questions ----

    def _take(self, key: RedisKey, tokens: Real) -> Question[Decision]:
        data, n = self._key(key), number(tokens)
        status, arguments = self._ask_take(n)
        if status == c.TB_EXCEEDS_CAPACITY:
            return self._take_too_much(data)
        self._check(status, n)

        def read(reply: List[int]) -> Decision:
            found, (_, remaining, retry_after_ns, reset_after_ns) = self._answer(arguments, reply)
            return Decision(found == c.TB_SUCCESS, max(0.0, remaining), retry_after_ns, reset_after_ns)

        instead = self._by_policy(
            closed=lambda: Decision(False, 0.0, self._gain_ns(n), self._gain_ns(self.capacity)),
            open=lambda: Decision(True, max(0.0, self.capacity - n), 0, self._gain_ns(n)),
            local=lambda table: table.take(data, n),
        )
        return Question([data], arguments, read, instead)

    def _take_too_much(self, data: bytes) -> Question[Decision]:
        """The denial is certain; what is left is not."""
        arguments = self._ask_peek(self.capacity)[1]

        def read(reply: List[int]) -> Decision:
            _, (_, remaining, _, reset_after_ns) = self._answer(arguments, reply)
            return Decision(False, max(0.0, remaining), c.TB_FOREVER, reset_after_ns)

        def denied(_: Any = None) -> Decision:
            return Decision(False, 0.0, c.TB_FOREVER, self._gain_ns(self.capacity))

        return Question([data], arguments, read, self._by_policy(closed=denied, open=denied, local=denied))

    def _take_up_to(self, key: RedisKey, most: Real) -> Question[int]:
        data, n = self._key(key), number(most, "most")
        status, arguments = self._ask_take_up_to(n)
        self._check(status, n, "most")
        instead = self._by_policy(
            closed=lambda: 0,
            open=lambda: int(min(n, self.capacity)),
            local=lambda table: table.take_up_to(data, n),
        )
        return Question([data], arguments, lambda reply: int(self._answer(arguments, reply)[1][0]), instead)

    def _allow_each(
        self, keys: Iterable[RedisKey], tokens: Union[Real, Sequence[Real]]
    ) -> Tuple[List[bool], List[Tuple[List[int], Question[List[bool]]]]]:
        """The answers, False so far, and the questions about those of which that is not certain, with their places."""
        datas = [self._key(key) for key in listed(keys)]
        amounts = numbers(tokens, len(datas), "key", "tokens")
        certain = {n: self._ask_take(n)[0] for n in set(amounts)}
        for n, status in certain.items():
            if status != c.TB_EXCEEDS_CAPACITY:
                self._check(status, n)
        # A cluster's client knows the slots, of which a call may have one.
        slot_of = getattr(self._client, "keyslot", lambda key: 0)
        groups: List[Tuple[List[int], Question[List[bool]]]] = []
        by_slot: Any = {}
        for place, (data, n) in enumerate(zip(datas, amounts)):
            if certain[n] == c.TB_SUCCESS:
                by_slot.setdefault(slot_of(data), []).append(place)
        for places in by_slot.values():
            for i in range(0, len(places), c.TB_REMOTE_MAX_KEYS):
                group = places[i : i + c.TB_REMOTE_MAX_KEYS]
                groups.append((group, self._allow_group([(self, datas[place], amounts[place]) for place in group])))
        return [False] * len(datas), groups

    def _allow_group(self, members: List[Member]) -> Question[List[bool]]:
        keys, amounts = [key for _, key, _ in members], [n for _, _, n in members]
        status, arguments = _backend.ask_many(members, False)
        self._check(status, 1)
        instead = self._by_policy(
            closed=lambda: [False] * len(keys),
            open=lambda: [True] * len(keys),
            local=lambda table: [answer is True for answer in table.allow_many(keys, amounts)],
        )

        def read(reply: List[int]) -> List[bool]:
            return [found == c.TB_SUCCESS for found, _ in read_answers(members, arguments, reply)]

        return Question(keys, arguments, read, instead)

    def _reserve(self, key: RedisKey, tokens: Real, max_wait: Optional[Seconds], *, waiting: bool) -> Question[Any]:
        """The policy answers a wait; a reservation is the server's alone."""
        data, n = self._key(key), number(tokens)
        most_ns = min(timeout_ns(max_wait, "timeout" if waiting else "max_wait"), self._max_wait_ns)
        status, arguments = self._ask_reserve(n, most_ns)
        self._check(status, n)

        def read(reply: List[int]) -> RemoteReservation:
            found, answer = self._answer(arguments, reply)
            if found == c.TB_TIMED_OUT:
                raise failure(self, found, n, answer[2], ())
            promise = self._read_reservation(arguments, reply)[1]
            return self._made(data, promise=promise)

        def closed(wait_ns: int) -> Any:
            raise RateLimitExceeded(Status.TIMED_OUT, n, seconds(wait_ns))

        def local(table: Table) -> Any:
            if n > table.capacity:
                closed(c.TB_FOREVER)
            return self._made(data, local=table.reserve(data, n, Fraction(most_ns, NS_PER_SECOND)))

        by_policy = self._by_policy(
            closed=lambda: closed(self._gain_ns(n)), open=lambda: self._made(data, tokens=n), local=local
        )
        return Question(self._two_keys(data), arguments, read, by_policy if waiting else unavailable)

    def _made(self, key: bytes, **made: Any) -> RemoteReservation:
        reservation: RemoteReservation = self._reservation(self, key, **made)
        return reservation

    def _cancel(self, key: bytes, promise: Any) -> Question[None]:
        arguments = self._ask_cancel(promise)[1]
        return Question(self._two_keys(key), arguments, lambda reply: self._done(arguments, reply, 0), unavailable)

    def _settle(self, key: bytes, promise: Any, actual: float) -> Question[None]:
        status, arguments = self._ask_settle(promise, actual)
        self._check(status, actual)
        return Question(self._two_keys(key), arguments, lambda reply: self._done(arguments, reply, actual), unavailable)

    def _done(self, arguments: Tuple[int, ...], reply: List[int], n: float) -> None:
        self._check(self._answer(arguments, reply)[0], n)

    def _charge(self, key: RedisKey, tokens: Real) -> Question[float]:
        data, n = self._key(key), number(tokens)
        status, arguments = self._ask_charge(n)
        self._check(status, n)

        def read(reply: List[int]) -> float:
            found, answer = self._answer(arguments, reply)
            self._check(found, n)
            return seconds(answer[2])

        return Question(self._two_keys(data), arguments, read, unavailable)

    def _refund(self, key: RedisKey, tokens: Real) -> Question[None]:
        data, n = self._key(key), number(tokens)
        status, arguments = self._ask_refund(n)
        self._check(status, n)
        return Question(self._two_keys(data), arguments, lambda reply: self._done(arguments, reply, n), unavailable)

    def _reset(self, key: RedisKey, tokens: Optional[Real]) -> Question[None]:
        data, n = self._key(key), c.TB_INITIALLY_FULL if tokens is None else number(tokens)
        status, arguments = self._ask_reset(n)
        # The library's number for "full" is none here.
        if status != c.TB_SUCCESS or (tokens is not None and n < 0):
            raise refused("tokens", f"{UP_TO_CAPACITY} of {self.capacity:.15g}", n)
        return Question(self._two_keys(data), arguments, lambda reply: self._done(arguments, reply, n), unavailable)

    def _tokens(self, key: RedisKey) -> Question[float]:
        data, arguments = self._key(key), self._ask_peek(self.capacity)[1]
        return Question([data], arguments, lambda reply: self._answer(arguments, reply)[1][1], unavailable)

    def _retry_after(self, key: RedisKey, tokens: Real) -> Question[float]:
        data, n = self._key(key), number(tokens)
        status, arguments = self._ask_peek(n)
        if status == c.TB_EXCEEDS_CAPACITY:
            return Question.known(math.inf)
        self._check(status, n)
        return Question([data], arguments, lambda reply: seconds(self._answer(arguments, reply)[1][2]), unavailable)

    def _state(self) -> str:
        return f", prefix={self._prefix!r}"

    def __reduce__(self) -> str:
        raise TypeError(f"cannot pickle or copy a {type(self).__name__}: create one with a client in each process")


def read_answers(
    members: List[Member], arguments: Tuple[int, ...], reply: List[int]
) -> List[Tuple[int, Tuple[float, float, int, int]]]:
    """For each member its status and its answer."""
    status, answers = _backend.read_many(members, arguments, reply)
    if status < 0:
        raise Mismatch("the server's reply is none for these limits")
    return answers


def _bytes_of(text: RedisKey, what: str) -> bytes:
    if isinstance(text, str):
        return str.encode(text)
    if isinstance(text, bytes):
        return bytes(text)
    raise wrong_type(what, "a str or bytes", text)

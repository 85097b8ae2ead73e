"""One limit for a fleet, in Redis or Valkey: for asyncio, over a client like redis.asyncio.Redis."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Coroutine, Iterable, List, Optional, Sequence, Set, Tuple, TypeVar, Union

from ._numbers import Real, Seconds
from ._question import SCRIPT, SCRIPT_SHA1, Question, is_no_script
from ._remote import Client, RedisKey, RemoteTable
from ._remote_limits import Costs, RemoteLimits
from ._remote_reservation import RemoteReservation
from ._results import Decision, JointDecision

if TYPE_CHECKING:
    from asyncio import Task

T = TypeVar("T")

_GIVE_BACK_S = 1
_under_way: Set[Any] = set()


async def ask(client: Client, question: Question[T]) -> T:
    if not question.words:
        return question.answer()
    try:
        try:
            reply = await client.evalsha(SCRIPT_SHA1, *question.words)
        except Exception as error:
            if not is_no_script(error):
                raise
            reply = await client.eval(SCRIPT, *question.words)
    except Exception as error:
        return question.answer_without(error)
    return question.answer(reply)


def _start(coroutine: Coroutine[Any, Any, T]) -> Task[T]:
    """A task that goes on if the one that waits for it is cancelled."""
    import asyncio

    task = asyncio.ensure_future(coroutine)
    _under_way.add(task)
    task.add_done_callback(_forget)
    return task


def _forget(task: Task[Any]) -> None:
    _under_way.discard(task)
    if not task.cancelled():
        task.exception()  # Nobody may be left to look at it.


async def _result(task: Task[T]) -> T:
    import asyncio

    await asyncio.wait({task})
    return task.result()


async def _reserved(client: Client, question: Question[Any], *, sleeping: bool) -> AsyncRedisReservation:
    """Cancelled while it asks or sleeps, it gives the tokens back; so the question is asked in a task of its own."""
    import asyncio

    asking: Task[AsyncRedisReservation] = _start(ask(client, question))
    try:
        reservation = await _result(asking)
        if sleeping:
            await asyncio.sleep(reservation.delay)
        return reservation
    except asyncio.CancelledError:
        await asyncio.wait({_start(_give_back(asking))}, timeout=_GIVE_BACK_S)
        raise


async def _give_back(asking: Task[AsyncRedisReservation]) -> None:
    with contextlib.suppress(Exception):
        # Settled, not cancelled, so that what became due on the way comes back too.
        await (await _result(asking)).settle(0)


class AsyncRedisReservation(RemoteReservation):
    """Tokens that are taken, and may be used once `delay` has passed; made by reserve() of an AsyncRedisTable.

    >>> async def main():
    ...     print(await users.reserve("ann", 8))
    >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
    >>> run(main())
    <AsyncRedisReservation of 8 tokens, due in 0 s>
    """

    __slots__ = ()

    async def cancel(self) -> None:
        """As cancel() of a RedisReservation.

        >>> async def main():
        ...     await (await users.reserve("ann")).cancel()
        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(main())
        """
        await ask(self._limiter._client, self._cancelling())

    async def settle(self, actual: Real) -> None:
        """As settle() of a RedisReservation.

        >>> async def main():
        ...     await (await users.reserve("bob", 6)).settle(2)
        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(main())
        """
        question = self._settling(actual)
        try:
            await ask(self._limiter._client, question)
        except OverflowError:
            self._ended = False
            raise


class AsyncRedisTable(RemoteTable):
    """A RedisTable for asyncio: the same arguments and methods over a redis.asyncio.Redis, to be awaited.

    A call that is cancelled may have been made, and have taken. wait() and reserve() give back what they took before the
    cancellation goes on, for which they wait a second at most; a server that answers later gets it back, too, if the
    loop still runs.

    >>> async def main():
    ...     if await users.allow("cat"):
    ...         print("served")
    >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
    >>> run(main())
    served
    """

    _asynchronous = True
    _reservation = AsyncRedisReservation

    async def allow(self, key: RedisKey, tokens: Real = 1) -> bool:
        """As allow() of a RedisTable.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(users.allow("dan"))
        True
        """
        return (await self.take(key, tokens)).allowed

    async def try_consume(self, key: RedisKey, tokens: Real = 1) -> bool:
        """The same as allow(), under its other usual name.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(users.try_consume("dan"))
        True
        """
        return await self.allow(key, tokens)

    async def take(self, key: RedisKey, tokens: Real = 1) -> Decision:
        """As take() of a RedisTable.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(users.take("eve", 8)).remaining
        2.0
        """
        return await ask(self._client, self._take(key, tokens))

    async def take_up_to(self, key: RedisKey, most: Real) -> int:
        """As take_up_to() of a RedisTable.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(users.take_up_to("fay", 7))
        7
        """
        return await ask(self._client, self._take_up_to(key, most))

    async def allow_many(self, keys: Iterable[RedisKey], tokens: Union[Real, Sequence[Real]] = 1) -> List[bool]:
        """As allow_many() of a RedisTable.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=0.001, prefix="tb:slow:")
        >>> run(users.allow_many(["gus", "hal", "gus"], tokens=6))
        [True, True, False]
        """
        answers, groups = self._allow_each(keys, tokens)
        for places, question in groups:
            granted = await ask(self._client, question)
            for place, answer in zip(places, granted):
                answers[place] = answer
        return answers

    async def wait(self, key: RedisKey, tokens: Real = 1, timeout: Optional[Seconds] = None) -> None:
        """As wait() of a RedisTable; the task sleeps. Cancelled, it gives the tokens back.

        >>> async def call_api(user):
        ...     await users.wait(user, 3)
        ...     return "called"
        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(call_api("ivy"))
        'called'
        """
        await _reserved(self._client, self._reserve(key, tokens, timeout, waiting=True), sleeping=True)

    async def reserve(
        self, key: RedisKey, tokens: Real = 1, max_wait: Optional[Seconds] = None
    ) -> AsyncRedisReservation:
        """As reserve() of a RedisTable.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(users.reserve("kit")).delay
        0.0
        """
        return await _reserved(self._client, self._reserve(key, tokens, max_wait, waiting=False), sleeping=False)

    async def charge(self, key: RedisKey, tokens: Real = 1) -> float:
        """As charge() of a RedisTable.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=0.5, prefix="tb:half:")
        >>> round(run(users.charge("bob", 15)))
        10
        """
        return await ask(self._client, self._charge(key, tokens))

    async def refund(self, key: RedisKey, tokens: Real = 1) -> None:
        """As refund() of a RedisTable.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(users.refund("fay", 2))
        """
        await ask(self._client, self._refund(key, tokens))

    async def reset(self, key: RedisKey, tokens: Optional[Real] = None) -> None:
        """As reset() of a RedisTable.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(users.reset("fay"))
        """
        await ask(self._client, self._reset(key, tokens))

    async def tokens(self, key: RedisKey) -> float:
        """As tokens() of a RedisTable.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(users.tokens("lou"))
        10.0
        """
        return await ask(self._client, self._tokens(key))

    async def retry_after(self, key: RedisKey, tokens: Real = 1) -> float:
        """As retry_after() of a RedisTable.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(users.retry_after("lou"))
        0.0
        """
        return await ask(self._client, self._retry_after(key, tokens))


class AsyncRedisLimits(RemoteLimits):
    """A RedisLimits for asyncio: of AsyncRedisTables, the same methods, to be awaited.

    >>> second = AsyncRedisTable(async_client, 10, 10, prefix="tb:second:")
    >>> hour = AsyncRedisTable(async_client, 1000, 1000, period=3600, prefix="tb:hour:")
    >>> run(AsyncRedisLimits([(second, "{ann}"), (hour, "{ann}")]).allow())
    True
    """

    _table = AsyncRedisTable

    def __init__(self, members: Iterable[Tuple[AsyncRedisTable, RedisKey]]) -> None:
        super().__init__(members)

    async def allow(self, costs: Costs = 1) -> bool:
        """As allow() of a RedisLimits.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(AsyncRedisLimits([(users, "max")]).allow())
        True
        """
        return (await self.take(costs)).allowed

    async def try_consume(self, costs: Costs = 1) -> bool:
        """The same as allow(), under its other usual name.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(AsyncRedisLimits([(users, "max")]).try_consume())
        True
        """
        return await self.allow(costs)

    async def take(self, costs: Costs = 1) -> JointDecision:
        """As take() of a RedisLimits.

        >>> users = AsyncRedisTable(async_client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> run(AsyncRedisLimits([(users, "ned")]).take())
        JointDecision(allowed=True, member=None, retry_after_ns=0)
        """
        return await ask(self._client, self._take(costs))

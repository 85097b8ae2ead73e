"""One limit for a fleet, in Redis or Valkey: for threads, over a client like redis.Redis."""

from __future__ import annotations

import contextlib
import time
from typing import Iterable, List, Optional, Sequence, Tuple, TypeVar, Union

from ._numbers import Real, Seconds
from ._question import SCRIPT, SCRIPT_SHA1, Question, is_no_script
from ._remote import Client, RedisKey, RemoteTable
from ._remote_limits import Costs, RemoteLimits
from ._remote_reservation import RemoteReservation
from ._results import Decision, JointDecision

T = TypeVar("T")


def ask(client: Client, question: Question[T]) -> T:
    if not question.words:
        return question.answer()
    try:
        try:
            reply = client.evalsha(SCRIPT_SHA1, *question.words)
        except Exception as error:
            if not is_no_script(error):
                raise
            reply = client.eval(SCRIPT, *question.words)
    except Exception as error:
        return question.answer_without(error)
    return question.answer(reply)


class RedisReservation(RemoteReservation):
    """Tokens that are taken, and may be used once `delay` has passed; made by reserve() of a RedisTable.

    >>> users = RedisTable(client, capacity=10, tokens_per_second=5, prefix="tb:users:")
    >>> users.reserve("cat", 8)
    <RedisReservation of 8 tokens, due in 0 s>
    """

    __slots__ = ()

    def cancel(self) -> None:
        """Gives all tokens back while they are not due; later reservations keep their times.

        Once due they count as used and nothing comes back, nor the second time: settle(0) gives back what is due and
        unused. Of one key the last 64 that are pending can be cancelled. Unavailable: it may have been cancelled.

        >>> users = RedisTable(client, capacity=10, tokens_per_second=0.001, prefix="tb:slow:")
        >>> due, pending = users.reserve("ann", 10), users.reserve("ann", 0.04)
        >>> pending.cancel()
        >>> round(users.tokens("ann"), 1)
        0.0
        """
        ask(self._limiter._client, self._cancelling())

    def settle(self, actual: Real) -> None:
        """Ends the reservation as work that cost `actual` tokens, 0 or more.

        The rest comes back, or what is missing is taken, into debt if need be. ValueError: a negative or infinite
        amount, or settled or cancelled already. OverflowError: more debt than max_wait allows. Unavailable: it may
        have been settled.

        >>> users = RedisTable(client, capacity=10, tokens_per_second=0.001, prefix="tb:slow:")
        >>> users.reserve("bob", 6).settle(2)
        >>> round(users.tokens("bob"), 1)
        8.0
        """
        question = self._settling(actual)
        try:
            ask(self._limiter._client, question)
        except OverflowError:
            self._ended = False
            raise


class RedisTable(RemoteTable):
    """A bucket for each key, all under one limit, on a server for all processes of a fleet; for any number of threads.

    A key that is not there is full. The server decides, by its clock, exactly, in one call of a script. Processes in
    other languages that use this library share the limit: with the same prefix, capacity, rate and max_wait.

    client: a redis.Redis, or what has its evalsha() and eval(), such as a cluster's. Give it a socket_timeout: a call
        lasts as long as the client waits for the server.
    period: as in a TokenBucket. prefix: what stands before the keys, str or bytes; each limit needs one of its own.
    max_wait: no wait or reservation takes longer, nor any debt.
    on_unavailable: what takes and waits do when the server does not decide; all else raises Unavailable then. "error"
        raises it, too. "closed" denies, as an empty bucket. "open" grants, as a full one. "local" asks a Table of this
        process with `share` of the capacity and the rate, such as 1 / processes, in which 65536 keys can be short of
        tokens.

    ValueError: a limit out of range, or that a server cannot count exactly. TypeError: no such client; a share missing.

    >>> users = RedisTable(client, capacity=10, tokens_per_second=5, prefix="tb:users:")
    >>> if users.allow("dan"):
    ...     print("served")
    served
    """

    _asynchronous = False
    _reservation = RedisReservation

    def allow(self, key: RedisKey, tokens: Real = 1) -> bool:
        """Takes tokens of a key if they are there now, all or nothing, and says whether it did.

        A key is a str or bytes, 65536 bytes at most with the prefix. More than the capacity is always False.
        ValueError: not above 0, or not finite. Unavailable. Mismatch.

        >>> users = RedisTable(client, capacity=10, tokens_per_second=0.001, prefix="tb:slow:")
        >>> users.allow("cat", 8), users.allow("cat", 8), users.allow("dan", 8)
        (True, False, True)
        """
        return ask(self._client, self._take(key, tokens)).allowed

    def try_consume(self, key: RedisKey, tokens: Real = 1) -> bool:
        """The same as allow(), under its other usual name.

        >>> RedisTable(client, capacity=10, tokens_per_second=5, prefix="tb:users:").try_consume("eve")
        True
        """
        return self.allow(key, tokens)

    def take(self, key: RedisKey, tokens: Real = 1) -> Decision:
        """As allow(), and says what is left and when to come back, as the server counted when it decided.

        >>> users = RedisTable(client, capacity=10, tokens_per_second=0.001, prefix="tb:slow:")
        >>> users.take("eve", 8).remaining, round(users.take("eve", 8).retry_after)
        (2.0, 6000)
        """
        return ask(self._client, self._take(key, tokens))

    def take_up_to(self, key: RedisKey, most: Real) -> int:
        """Takes as many whole tokens of a key as are there now, at most that many, and says how many: possibly 0.

        >>> users = RedisTable(client, capacity=10, tokens_per_second=0.001, prefix="tb:slow:")
        >>> users.take_up_to("fay", 7), users.take_up_to("fay", 7)
        (7, 3)
        """
        return ask(self._client, self._take_up_to(key, most))

    def allow_many(self, keys: Iterable[RedisKey], tokens: Union[Real, Sequence[Real]] = 1) -> List[bool]:
        """As allow() for many keys, in order, in one call of the server for up to 1024 keys, and slot of a cluster.

        tokens: the amount of each, or a sequence of as many amounts. The same key may occur again. Unavailable: some
        may have taken.

        >>> users = RedisTable(client, capacity=10, tokens_per_second=0.001, prefix="tb:slow:")
        >>> users.allow_many(["gus", "hal", "gus"], tokens=6)
        [True, True, False]
        """
        answers, groups = self._allow_each(keys, tokens)
        for places, question in groups:
            granted = ask(self._client, question)
            for place, answer in zip(places, granted):
                answers[place] = answer
        return answers

    def wait(self, key: RedisKey, tokens: Real = 1, timeout: Optional[Seconds] = None) -> None:
        """Takes tokens of a key, sleeping until they are there: in the order in which the server was asked.

        RateLimitExceeded at once, nothing taken, if they cannot be there within the timeout (seconds or a timedelta)
        and max_wait. Ctrl-C during the sleep gives them back, if the server answers. ValueError: more than the
        capacity, not above 0, a negative timeout, a key with a closing brace and no tag in braces. Unavailable.

        >>> users = RedisTable(client, capacity=10, tokens_per_second=1000, prefix="tb:fast:")
        >>> users.wait("ann", 10)
        >>> users.wait("ann", 2, timeout=0.5)
        """
        reservation: RedisReservation = ask(self._client, self._reserve(key, tokens, timeout, waiting=True))
        try:
            time.sleep(reservation.delay)
        except BaseException:
            # Settled, not cancelled, so that what became due on the way comes back too.
            with contextlib.suppress(Exception):
                reservation.settle(0)
            raise

    def reserve(self, key: RedisKey, tokens: Real = 1, max_wait: Optional[Seconds] = None) -> RedisReservation:
        """Takes tokens of a key now, into debt if need be; the reservation says when they may be used.

        RateLimitExceeded, nothing taken: not within max_wait (seconds or a timedelta). Unavailable, whatever
        on_unavailable says. Otherwise as wait().

        >>> users = RedisTable(client, capacity=10, tokens_per_second=0.5, prefix="tb:half:")
        >>> users.reserve("ann", 10).delay, round(users.reserve("ann", 10).delay)
        (0.0, 20)
        """
        reservation: RedisReservation = ask(self._client, self._reserve(key, tokens, max_wait, waiting=False))
        return reservation

    def charge(self, key: RedisKey, tokens: Real = 1) -> float:
        """Takes tokens of a key unconditionally, into debt if need be, for work whose cost is known afterwards.

        Returns the seconds until the debt is repaid. ValueError: as wait(). OverflowError: more debt than max_wait
        allows. Unavailable, whatever on_unavailable says: it may have been charged.

        >>> users = RedisTable(client, capacity=10, tokens_per_second=0.5, prefix="tb:half:")
        >>> round(users.charge("bob", 15))
        10
        """
        return ask(self._client, self._charge(key, tokens))

    def refund(self, key: RedisKey, tokens: Real = 1) -> None:
        """Puts tokens of a key in, at most up to the capacity; the rest is dropped. Errors as charge().

        >>> users = RedisTable(client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> users.refund("fay", 2)
        """
        ask(self._client, self._refund(key, tokens))

    def reset(self, key: RedisKey, tokens: Optional[Real] = None) -> None:
        """Sets the tokens of a key, None fills its bucket, and forgives all debt. Errors as charge().

        >>> users = RedisTable(client, capacity=10, tokens_per_second=0.001, prefix="tb:slow:")
        >>> users.reset("ivy", 4)
        >>> round(users.tokens("ivy"), 1)
        4.0
        """
        ask(self._client, self._reset(key, tokens))

    def tokens(self, key: RedisKey) -> float:
        """The tokens of a key there now, fractions included; negative while in debt. Unavailable. Mismatch.

        >>> RedisTable(client, capacity=10, tokens_per_second=5, prefix="tb:users:").tokens("gus")
        10.0
        """
        return ask(self._client, self._tokens(key))

    def retry_after(self, key: RedisKey, tokens: Real = 1) -> float:
        """Seconds until so many tokens of a key would be there if nobody took any; 0 if they are, infinite if never.

        >>> users = RedisTable(client, capacity=10, tokens_per_second=5, prefix="tb:users:")
        >>> users.retry_after("gus"), users.retry_after("gus", 11)
        (0.0, inf)
        """
        return ask(self._client, self._retry_after(key, tokens))


class RedisLimits(RemoteLimits):
    """Several limits on a server in one decision: all grant, or nothing is taken. For any number of threads.

    members: up to 16 tuples of a RedisTable and a key, all with one client. Their whole keys have one tag in braces,
    and differ. Every call takes the costs in the order of the members, or one amount for all.

    When the server does not decide, each member says what its on_unavailable says; one that raises comes first.

    ValueError: no member, too many, keys without a common tag, one that occurs twice.

    >>> second = RedisTable(client, 10, 10, prefix="tb:second:")
    >>> hour = RedisTable(client, 1000, 1000, period=3600, prefix="tb:hour:")
    >>> limits = RedisLimits([(second, "{ann}"), (hour, "{ann}")])
    >>> if limits.allow():
    ...     print("served")
    served
    """

    _table = RedisTable

    def __init__(self, members: Iterable[Tuple[RedisTable, RedisKey]]) -> None:
        super().__init__(members)

    def allow(self, costs: Costs = 1) -> bool:
        """Takes from all members if all have enough now, else from none, and says whether it did.

        More than a capacity is always False. ValueError: a cost not above 0 or not finite, not one for each member.
        Unavailable. Mismatch.

        >>> calls, tokens = (RedisTable(client, n, 0.01, prefix=f"tb:{n}:") for n in (10, 1000))
        >>> limits = RedisLimits([(calls, "{ann}"), (tokens, "{ann}")])
        >>> limits.allow([1, 800]), limits.allow([1, 800]), limits.allow()
        (True, False, True)
        """
        return ask(self._client, self._take(costs)).allowed

    def try_consume(self, costs: Costs = 1) -> bool:
        """The same as allow(), under its other usual name.

        >>> RedisLimits([(RedisTable(client, 10, 5, prefix="tb:users:"), "hal")]).try_consume()
        True
        """
        return self.allow(costs)

    def take(self, costs: Costs = 1) -> JointDecision:
        """As allow(), and says which member refused and when to come back.

        >>> calls, tokens = (RedisTable(client, n, 1, prefix=f"tb:{n}:") for n in (10, 1000))
        >>> limits = RedisLimits([(calls, "{bob}"), (tokens, "{bob}")])
        >>> limits.take([1, 800]).allowed, limits.take([1, 800]).member
        (True, 1)
        """
        return ask(self._client, self._take(costs))

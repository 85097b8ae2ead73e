"""Several limits in Redis or Valkey in one decision: what is asked, and what stands in for an answer."""

from __future__ import annotations

from typing import Any, ClassVar, Iterable, List, Sequence, Tuple, Union

from . import _backend
from . import _constants as c
from ._errors import refused
from ._limits import Limits
from ._numbers import Real, numbers
from ._question import Question, unavailable
from ._remote import Member, RemoteTable, read_answers
from ._results import JointDecision

Costs = Union[Real, Sequence[Real]]
"""What each member pays, in order; or one amount, which all pay."""


class RemoteLimits:
    """What a RedisLimits and an AsyncRedisLimits share: all but the call of the client."""

    _table: ClassVar[Any]

    def __init__(self, members: Iterable[Any]) -> None:
        self._parts = tuple(map(self._part, members))
        if not 1 <= len(self._parts) <= c.TB_MAX_MEMBERS:
            raise refused("members", f"from 1 to {c.TB_MAX_MEMBERS} tables and keys", len(self._parts))
        self._client = self._parts[0][0]._client
        if any(table._client is not self._client for table, _ in self._parts):
            raise ValueError("all members must have the same client")
        if self._ask([table.capacity for table, _ in self._parts])[1] != c.TB_SUCCESS:
            raise ValueError(
                "the keys of the members must differ and have one tag in braces, which puts them on one server: "
                f"{[key for _, key in self._parts]}"
            )

    def _part(self, member: Any) -> Tuple[RemoteTable, bytes]:
        if not isinstance(member, tuple) or len(member) != 2 or not isinstance(member[0], self._table):
            raise TypeError(f"a member must be a {self._table.__name__} and a key, not {member!r}")
        table, key = member
        if not table._exists():
            table._check(c.TB_E_INVALID_ARGUMENT, 1)
        return table, table._key(key)

    def _ask(self, amounts: Sequence[float]) -> Tuple[List[Member], int, Tuple[int, ...]]:
        members = [(table, key, n) for (table, key), n in zip(self._parts, amounts)]
        return (members, *_backend.ask_many(members, True))

    def _take(self, costs: Costs) -> Question[JointDecision]:
        amounts = numbers(costs, len(self._parts), "member", "costs")
        for i, ((table, _), n) in enumerate(zip(self._parts, amounts)):
            status = table._ask_take(n)[0]
            if status == c.TB_EXCEEDS_CAPACITY:
                return Question.known(JointDecision(False, i, c.TB_FOREVER))
            table._check(status, n, "costs")
        members, _, arguments = self._ask(amounts)

        def read(reply: List[int]) -> JointDecision:
            waits = [answer[2] for _, answer in read_answers(members, arguments, reply)]
            return _decision(waits)

        def instead(error: Exception) -> JointDecision:
            return self._without_server(error, amounts)

        return Question([key for _, key in self._parts], arguments, read, instead)

    def _without_server(self, error: Exception, amounts: List[float]) -> JointDecision:
        """Each member says what it would alone; those that are local decide together, if no other refuses."""
        policies = [table._policy for table, _ in self._parts]
        if "error" in policies:
            unavailable(error)
        if "closed" in policies:
            parts = zip(self._parts, policies, amounts)
            return _decision([table._gain_ns(n) if policy == "closed" else 0 for (table, _), policy, n in parts])
        places = [i for i, policy in enumerate(policies) if policy == "local"]
        if not places:
            return JointDecision(True, None, 0)
        tables: Any = [table._local for table, _ in self._parts]
        local = Limits([(tables[i], self._parts[i][1]) for i in places])
        decision = local.take([amounts[i] for i in places])
        return decision if decision.member is None else decision._replace(member=places[decision.member])

    def __repr__(self) -> str:
        keys = ", ".join(key.decode(errors="backslashreplace") for _, key in self._parts)
        return f"<{type(self).__name__} of {keys}>"


def _decision(waits: List[int]) -> JointDecision:
    """Of the times until each would grant: 0 says that it would now."""
    longest = max(waits)
    return JointDecision(longest == 0, waits.index(longest) if longest else None, longest)

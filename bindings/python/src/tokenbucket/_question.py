"""What is asked of a server, and what its reply or its silence means."""

from __future__ import annotations

import re
from typing import Any, Callable, Generic, List, NoReturn, Sequence, Tuple, TypeVar

from . import _backend
from ._results import Mismatch, Unavailable

T = TypeVar("T")

SCRIPT, SCRIPT_SHA1 = _backend.remote_script()


class Question(Generic[T]):
    """One call of the script. `read` makes the answer of its reply, `instead` of the client's error."""

    __slots__ = ("_instead", "_keys", "_known", "_read", "words")
    _known: T

    def __init__(
        self,
        keys: Sequence[bytes],
        arguments: Tuple[int, ...],
        read: Callable[[List[int]], T],
        instead: Callable[[Exception], T],
    ) -> None:
        self.words: Tuple[Any, ...] = (len(keys), *keys, *arguments)
        """What stands behind the script; nothing if the answer is known without asking."""
        self._keys = keys
        self._read = read
        self._instead = instead

    @classmethod
    def known(cls, answer: T) -> Question[T]:
        question = cls.__new__(cls)
        question.words = ()
        question._known = answer
        return question

    def answer(self, reply: Any = None) -> T:
        if not self.words:
            return self._known
        numbers = reply if isinstance(reply, list) else [reply]
        if not all(type(n) is int and -(2**63) <= n < 2**63 for n in numbers):
            raise self._mismatch()
        return self._read(numbers)

    def answer_without(self, error: Exception) -> T:
        """After an error of the client."""
        if _is_mismatch(error):
            raise self._mismatch() from error
        return self._instead(error)

    def _mismatch(self) -> Mismatch:
        names = [key.decode(errors="backslashreplace") for key in self._keys[:3]]
        return Mismatch(f"no bucket of this limit: {', '.join(names)}{', ...' if len(self._keys) > 3 else ''}")


def is_no_script(error: Exception) -> bool:
    """The server has lost the script. No client is imported, so its error is known by its name."""
    return any(cls.__name__ == "NoScriptError" for cls in type(error).__mro__)


def _is_mismatch(error: Exception) -> bool:
    """The script met another type, or failed in a line of its own, which it does over a value that it cannot read.

    An error of a command that it called has a dash behind the line, or none.
    """
    text = str(error)
    return "WRONGTYPE" in text or re.search(r"user_script:\d+: (?!-)", text) is not None


def unavailable(error: Exception) -> NoReturn:
    raise Unavailable(f"the server of the limit did not decide: {error or type(error).__name__}") from error

"""The names of buckets and tables that processes share."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any, Callable, Dict, Optional

from . import _constants as c
from ._backend import remove_shared as _remove
from ._backend import shared_fault
from ._errors import refused, wrong_type
from ._limiter import Limiter, in_period
from ._numbers import NS_PER_SECOND, nanoseconds
from ._results import BucketClosed, Mismatch

NAME = "the name of a file, without a slash or a leading dot, or an absolute path"


def name_option(name: Optional[str]) -> Optional[str]:
    if name is None:
        return None
    if not isinstance(name, str):
        raise wrong_type("name", "a str or None", name)
    if "\0" in name:
        raise refused("name", NAME, name)
    return name


# What differs, by its argument, and that adopt=True takes as it is.
_DIFFERING = {
    c.TB_SHARED_CAPACITY: "capacity",
    c.TB_SHARED_RATE: "tokens_per_second",
    c.TB_SHARED_PLACES: "max_keys",
    c.TB_SHARED_FULL: "when_full",
}


def check_opened(
    status: int, fault: int, name: Optional[str], noun: str, given: Dict[str, Any], adopted: Callable[[], Limiter]
) -> None:
    """As check_shared(), where arguments were given, by their names. adopted: opens what is there, as it is;
    if the name is free by now, what was asked for."""
    argument = _DIFFERING.get(fault) if status == c.TB_E_MISMATCH else None
    if argument is None:
        check_shared(status, fault, name, noun)
        return
    if argument == "max_keys" and given[argument] is None:
        argument = "max_bytes"
    there = ""
    if argument == "capacity":
        there = f"{adopted().capacity:.15g}, "
    elif argument == "tokens_per_second":
        period = given["period"]
        in_force = adopted().rate * Fraction(nanoseconds(period, "period"), NS_PER_SECOND)
        there = f"{float(in_force):.15g}{in_period(' with ', period)}, "
    allowed = f"{there}as in the shared {noun} {name!r}, which adopt=True takes"
    raise Mismatch(str(refused(argument, allowed, given[argument])))


def check_shared(status: int, fault: int, name: Optional[str], noun: str = "bucket") -> None:
    """Raises what a status means that only shared memory has."""
    if status == c.TB_E_MISMATCH:
        raise Mismatch(f"{shared_fault(fault)}: {name}")
    if status == c.TB_E_SYSTEM:
        raise OSError(fault, os.strerror(fault), name)
    if status == c.TB_E_INVALID_ARGUMENT:
        raise refused("name", NAME, name)
    if status == c.TB_CLOSED:
        raise BucketClosed(f"the shared {noun} {name!r} is closed, which holds until its name is removed")
    if status == c.TB_E_UNSUPPORTED:
        raise RuntimeError("this system has no memory that processes share")


def remove_shared(name: str) -> None:
    """Removes the name of a shared bucket or table. Processes that have it keep it; who opens it anew creates another.

    No error if there is none. OSError, RuntimeError: as TokenBucket.shared(). ValueError: no such name.

    >>> bucket = TokenBucket.shared("tokenbucket-doc", capacity=10, tokens_per_second=5)
    >>> remove_shared("tokenbucket-doc")
    """
    if name is None:
        raise wrong_type("name", "a str", name)
    name_option(name)
    check_shared(*_remove(name), name)

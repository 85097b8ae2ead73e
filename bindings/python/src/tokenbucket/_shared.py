"""The names of buckets that processes share."""

from __future__ import annotations

import os
from typing import Optional

from . import _constants as c
from ._backend import remove_shared as _remove
from ._backend import shared_fault
from ._errors import refused, wrong_type
from ._numbers import Real
from ._results import BucketClosed, Mismatch

NAME = "the name of a file or an absolute path"


def name_option(name: Optional[str]) -> Optional[str]:
    if name is None:
        return None
    if not isinstance(name, str):
        raise wrong_type("name", "a str or None", name)
    if "\0" in name:
        raise refused("name", NAME, name)
    return name


def check_shared(status: int, fault: int, name: Optional[str]) -> None:
    """Raises what a status means that only shared memory has."""
    if status == c.TB_E_MISMATCH:
        raise Mismatch(f"{shared_fault(fault)}: {name}")
    if status == c.TB_E_SYSTEM:
        raise OSError(fault, os.strerror(fault), name)
    if status == c.TB_E_INVALID_ARGUMENT:
        raise refused("name", NAME, name)
    if status == c.TB_CLOSED:
        raise BucketClosed(f"the shared bucket {name!r} is closed, which holds until its name is removed")
    if status == c.TB_E_UNSUPPORTED:
        raise RuntimeError("this system has no memory that processes share")


def another_limit(argument: str, there: Real, asked: Real, name: Optional[str]) -> Mismatch:
    allowed = f"{float(there):.15g}, as in the shared bucket {name!r}, which adopt=True takes"
    return Mismatch(str(refused(argument, allowed, asked)))


def remove_shared(name: str) -> None:
    """Removes the name of a shared bucket. Processes that have it keep it; who opens the name anew creates another.

    No error if there is none. OSError, RuntimeError: as TokenBucket.shared(). ValueError: no such name.

    >>> bucket = TokenBucket.shared("tokenbucket-doc", capacity=10, tokens_per_second=5)
    >>> remove_shared("tokenbucket-doc")
    """
    if name is None:
        raise wrong_type("name", "a str", name)
    name_option(name)
    check_shared(*_remove(name), name)

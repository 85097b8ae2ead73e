"""The names of buckets that processes share."""

from __future__ import annotations

import os
from typing import Optional

from . import _constants as c
from ._backend import remove_shared as _remove
from ._backend import shared_fault
from ._results import Mismatch


def name_option(name: Optional[str]) -> Optional[str]:
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f"name must be a str or None, not {type(name).__name__}")
    if not name or "\0" in name:
        raise ValueError(f"no name of shared memory: {name!r}")
    return name


def check_shared(status: int, fault: int, name: Optional[str]) -> None:
    """Raises what a status means that only shared memory has."""
    if status == c.TB_E_MISMATCH:
        raise Mismatch(f"{shared_fault(fault)}: {name}")
    if status == c.TB_E_SYSTEM:
        raise OSError(fault, os.strerror(fault), name)
    if status == c.TB_E_UNSUPPORTED:
        raise RuntimeError("this system has no memory that processes share")


def remove_shared(name: str) -> None:
    """Removes the name of a shared bucket. Processes that have it keep it; who opens the name anew creates another.

    No error if there is none. OSError, RuntimeError: as TokenBucket.shared(). ValueError: no such name.

    >>> bucket = TokenBucket.shared("tokenbucket-doc", capacity=10, tokens_per_second=5)
    >>> remove_shared("tokenbucket-doc")
    """
    if name_option(name) is None:
        raise TypeError("name must be a str")
    status, fault = _remove(name)
    check_shared(status, fault, name)
    if status != c.TB_SUCCESS:
        raise ValueError(f"no name of shared memory: {name!r}")

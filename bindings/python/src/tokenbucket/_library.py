"""Finds libtokenbucket for ctypes."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, Dict

from . import _constants as c
from ._declarations import FUNCTIONS

SONAME = "libtokenbucket.so.1"
NEEDED_ABI = 1
NEEDED_VERSION = 10000 * c.TB_VERSION_MAJOR + 100 * c.TB_VERSION_MINOR + c.TB_VERSION_PATCH


def text(version: int) -> str:
    return f"{version // 10000}.{version // 100 % 100}.{version % 100}"


HOW_TO_FIX = (
    f"Install libtokenbucket {text(NEEDED_VERSION)} or newer with ABI {NEEDED_ABI} and run ldconfig, "
    "or name its folder in LD_LIBRARY_PATH; or install this package where a C++ compiler is "
    "(Debian, Ubuntu: sudo apt install g++ python3-dev), which builds the library into it"
)


def load(name: str = SONAME) -> str:
    """Loads the library and checks its version; the name, for functions(). ImportError says what to do."""
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise ImportError(f"the C library tokenbucket was not found: {error}. {HOW_TO_FIX}") from None
    try:
        abi, version = library.tb_abi_version(), library.tb_library_version()
    except AttributeError:
        raise ImportError(f"{name} is no tokenbucket library. {HOW_TO_FIX}") from None
    if abi != NEEDED_ABI or version < NEEDED_VERSION:
        raise ImportError(f"{name} is version {text(version)} with ABI {abi}. {HOW_TO_FIX}")
    return name


class Functions:
    """The functions of the header, typed; the interpreter's lock is kept during a call, or released."""

    def __init__(self, name: str, *, keep_lock: bool) -> None:
        library = ctypes.PyDLL(name) if keep_lock else ctypes.CDLL(name)
        signatures: Dict[str, Any] = dict(FUNCTIONS)
        for function, (result, *parameters) in signatures.items():
            bound = getattr(library, function)
            bound.restype = result
            bound.argtypes = parameters
            setattr(self, function, bound)

    def __getattr__(self, name: str) -> Callable[..., int]:
        raise AttributeError(f"{name} is not declared")

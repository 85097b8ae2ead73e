"""What an error says of an argument that is refused, in one pattern: what it must be, and what was given."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

AMOUNT = "finite and more than 0"
COST = "finite and 0 or more"


def refused(argument: str, allowed: str, given: Any) -> ValueError:
    return ValueError(f"{argument} must be {allowed}, got {shown(given)}")


def wrong_type(argument: str, wanted: str, given: Any) -> TypeError:
    return TypeError(f"{argument} must be {wanted}, not {type(given).__name__}")


def shown(given: Any) -> str:
    """A number as the library has it, a length of time in seconds, a text in quotes."""
    if isinstance(given, timedelta):
        given = given.total_seconds()
    if not hasattr(given, "__float__"):
        return repr(given)
    try:
        return f"{float(given):.15g}"
    except OverflowError:
        return "inf" if given > 0 else "-inf"

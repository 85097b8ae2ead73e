"""What limit() of a TokenBucket and of a Limits makes of a function."""

from __future__ import annotations

import functools
from typing import Any, Callable, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def limited(limiter: Any, function: Any, amount: Any, timeout: Any, priority: int) -> Any:
    """The function, of which each call first waits for the amount."""
    import inspect

    if not callable(function):
        raise TypeError(f"limit() decorates functions, not {type(function).__name__}: name its arguments")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError("limit() cannot decorate a generator: wait for tokens inside it")
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            await limiter.wait_async(amount, timeout=timeout, priority=priority)
            return await function(*args, **kwargs)

    else:

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            limiter.wait(amount, timeout=timeout, priority=priority)
            return function(*args, **kwargs)

    return call

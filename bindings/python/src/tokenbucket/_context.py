"""What `with` and `async with` do with a TokenBucket and a Limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

Self = TypeVar("Self", bound="Context")


class Context:
    """Waits on entry. Stands behind a class with wait() and wait_async()."""

    if TYPE_CHECKING:
        wait: Any
        wait_async: Any

    def __enter__(self: Self) -> Self:
        """Waits for one token, of each member if there are several, as wait().

        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, clock=ManualClock())
        >>> with bucket:
        ...     bucket.tokens
        9.0
        >>> with Limits([bucket]):
        ...     bucket.tokens
        8.0
        """
        self.wait()
        return self

    def __exit__(self, *error: object) -> None:
        """Does nothing: the token is used.

        >>> with TokenBucket(capacity=10, tokens_per_second=5):
        ...     pass
        """

    async def __aenter__(self: Self) -> Self:
        """Waits for one token, of each member if there are several, as wait_async().

        >>> import asyncio
        >>> async def call_api():
        ...     async with bucket, Limits([bucket]):
        ...         return bucket.tokens
        >>> bucket = TokenBucket(capacity=10, tokens_per_second=5, clock=ManualClock())
        >>> asyncio.run(call_api())
        8.0
        """
        await self.wait_async()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Does nothing: the token is used.

        >>> import asyncio
        >>> async def call_api():
        ...     async with TokenBucket(capacity=10, tokens_per_second=5):
        ...         return "called"
        >>> asyncio.run(call_api())
        'called'
        """

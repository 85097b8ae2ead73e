"""A token-bucket rate limiter: exact, fair, and at home in threads and in asyncio.

One bucket, one for each key, or several limits in one decision; buckets and tables for all processes of a host; and
limits for a fleet, in Redis or Valkey.

>>> bucket = TokenBucket(capacity=10, tokens_per_second=5)
>>> bucket.allow()  # takes a token if there is one; never blocks
True
>>> bucket.wait(3)  # sleeps until three tokens are there
"""

from ._backend import backend, library_version
from ._bucket import TokenBucket
from ._clock import ManualClock, Waiters
from ._limits import Limits
from ._redis import RedisLimits, RedisReservation, RedisTable
from ._redis_async import AsyncRedisLimits, AsyncRedisReservation, AsyncRedisTable
from ._reservation import JointReservation, Reservation
from ._results import (
    BucketClosed,
    Decision,
    Event,
    JointDecision,
    Mismatch,
    RateLimitExceeded,
    Stats,
    Status,
    TableFull,
    TableStats,
    Unavailable,
)
from ._shared import remove_shared
from ._table import Table, address_key

__version__ = "1.0.0"

__all__ = [
    "AsyncRedisLimits",
    "AsyncRedisReservation",
    "AsyncRedisTable",
    "BucketClosed",
    "Decision",
    "Event",
    "JointDecision",
    "JointReservation",
    "Limits",
    "ManualClock",
    "Mismatch",
    "RateLimitExceeded",
    "RedisLimits",
    "RedisReservation",
    "RedisTable",
    "Reservation",
    "Stats",
    "Status",
    "Table",
    "TableFull",
    "TableStats",
    "TokenBucket",
    "Unavailable",
    "Waiters",
    "__version__",
    "address_key",
    "backend",
    "library_version",
    "remove_shared",
]

# Errors and representations name the module that users import.
for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
del _name

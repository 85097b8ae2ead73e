"""A token-bucket rate limiter: exact, fair, and at home in threads and in asyncio.

One bucket, one for each key, or several limits in one decision.

>>> bucket = TokenBucket(capacity=10, tokens_per_second=5)
>>> bucket.allow()  # takes a token if there is one; never blocks
True
>>> bucket.wait(3)  # sleeps until three tokens are there
"""

from ._backend import backend, library_version
from ._bucket import TokenBucket
from ._clock import ManualClock, Waiters
from ._limits import Limits
from ._reservation import JointReservation, Reservation
from ._results import (
    BucketClosed,
    Decision,
    Event,
    JointDecision,
    RateLimitExceeded,
    Stats,
    Status,
    TableFull,
    TableStats,
)
from ._table import Table, address_key

__version__ = "1.0.0"

__all__ = [
    "BucketClosed",
    "Decision",
    "Event",
    "JointDecision",
    "JointReservation",
    "Limits",
    "ManualClock",
    "RateLimitExceeded",
    "Reservation",
    "Stats",
    "Status",
    "Table",
    "TableFull",
    "TableStats",
    "TokenBucket",
    "Waiters",
    "__version__",
    "address_key",
    "backend",
    "library_version",
]

# Errors and representations name the module that users import.
for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
del _name

"""A token-bucket rate limiter: exact, fair, and at home in threads and in asyncio; one bucket, or one for each key.

>>> bucket = TokenBucket(capacity=10, tokens_per_second=5)
>>> bucket.allow()  # takes a token if there is one; never blocks
True
>>> bucket.wait(3)  # sleeps until three tokens are there
"""

from ._backend import backend, library_version
from ._bucket import TokenBucket
from ._clock import ManualClock, Waiters
from ._reservation import Reservation
from ._results import BucketClosed, Decision, Event, RateLimitExceeded, Stats, Status, TableFull, TableStats
from ._table import Table, address_key

__version__ = "1.0.0"

__all__ = [
    "BucketClosed",
    "Decision",
    "Event",
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

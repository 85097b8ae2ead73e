"""The provider's limits, known to both sides: of requests, and of tokens as language models count them.

A provider states them per minute; here a minute lasts MINUTE seconds, so that a demonstration takes only a few.
"""

MINUTE = 2.0
REQUESTS_PER_MINUTE = 120
TOKENS_PER_MINUTE = 60_000

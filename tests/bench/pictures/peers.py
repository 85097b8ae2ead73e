"""What other limiters compute, written down as formulas; times are whole nanoseconds. Each says whose it is.

They are asked as ours is: ask(now_ns, n) takes n tokens if it may, else it says how long they will take.
"""

from fractions import Fraction

SECOND = 1_000_000_000


class Exact:
    """The token bucket of the textbooks, in rational numbers."""

    def __init__(self, capacity, tokens, period_ns):
        self.capacity = self.tokens = Fraction(capacity)
        self.rate = Fraction(tokens, period_ns)
        self.last = 0

    def first_ns(self, n):
        """The first whole nanosecond at which n tokens are there."""
        return max(self.last, self.last - (self.tokens - n) // self.rate)

    def ask(self, now_ns, n):
        tokens = min(self.capacity, self.tokens + (now_ns - self.last) * self.rate)
        if tokens < n:
            return False, self.first_ns(n) - now_ns
        self.tokens, self.last = tokens - n, now_ns
        return True, 0


class FloatSeconds:
    """golang.org/x/time/rate 0.3: tokensFromDuration, durationFromTokens, reserveN. Seconds are doubles, and a wait is
    cut down to whole nanoseconds, so that less than one is none."""

    def __init__(self, capacity, tokens, period_ns):
        self.burst, self.limit = capacity, tokens / (period_ns / SECOND)
        self.tokens, self.last = float(capacity), 0

    @staticmethod
    def seconds(duration_ns):
        whole, rest = divmod(duration_ns, SECOND)
        return float(whole) + float(rest) / 1e9

    def advance(self, now_ns):
        return min(float(self.burst), self.tokens + self.seconds(now_ns - self.last) * self.limit)

    def wait(self, tokens):
        return int(1e9 * (-tokens / self.limit)) if tokens < 0 else 0

    def ask(self, now_ns, n):
        tokens = self.advance(now_ns) - n
        wait = self.wait(tokens)
        if wait == 0:
            self.tokens, self.last = tokens, now_ns
        return wait == 0, wait


class NanosecondsPerToken:
    """governor: Quota::per_second, Gcra::test_n_all_and_update. The time of a token is cut down to whole
    nanoseconds, and is at least one; so are those of uber-go/ratelimit."""

    def __init__(self, capacity, tokens, period_ns):
        self.token_ns = max(period_ns // tokens, 1)
        self.tolerance = self.token_ns * (capacity - 1)
        self.arrival = 0

    def ask(self, now_ns, n):
        more = self.token_ns * (n - 1)
        earliest = max(self.arrival + more - self.tolerance, 0)
        if now_ns < earliest:
            return False, earliest - now_ns
        self.arrival = max(self.arrival, now_ns) + self.token_ns + more
        return True, 0


class WholeTokens:
    """Bucket4j: BucketState64BitsInteger with a greedy refill. Whole tokens and the exact rest of one; but the wait is
    cut down to whole nanoseconds, so that who waits as long as told is refused."""

    def __init__(self, capacity, tokens, period_ns):
        self.capacity, self.refill, self.period_ns = capacity, tokens, period_ns
        self.tokens, self.rest, self.last = capacity, 0, 0

    def ask(self, now_ns, n):
        gained, rest = divmod((now_ns - self.last) * self.refill + self.rest, self.period_ns)
        self.tokens, self.rest, self.last = self.tokens + gained, rest, now_ns
        if self.tokens >= self.capacity:
            self.tokens, self.rest = self.capacity, 0
        if n <= self.tokens:
            self.tokens -= n
            return True, 0
        return False, ((n - self.tokens) * self.period_ns - self.rest) // self.refill


class Reservations(FloatSeconds):
    """golang.org/x/time/rate 0.3: Reserve and CancelAt. A promised time never moves; what comes back is what nobody
    has reserved since."""

    def __init__(self, capacity, tokens, period_ns, initial_tokens):
        super().__init__(capacity, tokens, period_ns)
        self.tokens, self.last_event = float(initial_tokens), 0

    def reserve(self, now_ns, n):
        """When the n tokens are promised."""
        self.tokens, self.last = self.advance(now_ns) - n, now_ns
        self.last_event = now_ns + self.wait(self.tokens)
        return self.last_event

    def cancel(self, now_ns, n, promised_ns):
        returned = n - self.seconds(self.last_event - promised_ns) * self.limit
        if promised_ns < now_ns or returned <= 0:
            return
        self.tokens, self.last = min(float(self.burst), self.advance(now_ns) + returned), now_ns
        if promised_ns == self.last_event:
            before = promised_ns - int(1e9 * (n / self.limit))
            if before >= now_ns:
                self.last_event = before

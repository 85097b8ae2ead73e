"""What the tests share: buckets on a manual clock, the class that this package takes its names from, helpers."""

import os
import pathlib
import subprocess
import sys
import threading
import time
import unittest

from tokenbucket import ManualClock, Table, TokenBucket

ROOT = pathlib.Path(__file__).resolve().parents[3]


class OriginalBucket:
    """The usual Python bucket: a lock, a float, the time of the last call. What this package is measured against."""

    def __init__(self, capacity, tokens_per_second):
        if capacity <= 0 or tokens_per_second <= 0:
            raise ValueError("capacity and tokens_per_second must be positive")
        self.capacity = float(capacity)
        self.tokens_per_second = float(tokens_per_second)
        self._tokens = self.capacity
        self._last = time.monotonic()
        self._lock = threading.Lock()

    def _refill(self):
        now = time.monotonic()
        self._tokens = min(self.capacity, self._tokens + (now - self._last) * self.tokens_per_second)
        self._last = now

    def allow(self, tokens=1):
        if tokens <= 0:
            raise ValueError("tokens must be positive")
        with self._lock:
            self._refill()
            if self._tokens >= tokens:
                self._tokens -= tokens
                return True
            return False

    try_consume = allow

    def wait(self, tokens=1):
        while not self.allow(tokens):
            time.sleep(0.001)


class BucketTest(unittest.TestCase):
    """With a full bucket of 10 that gains 5 a second, on a clock that stands at 0."""

    def setUp(self):
        self.clock = ManualClock()
        self.bucket = self.new_bucket()

    def new_bucket(self, capacity=10, tokens_per_second=5, **options):
        return TokenBucket(capacity, tokens_per_second, clock=self.clock, **options)

    def new_table(self, capacity=10, tokens_per_second=5, **options):
        size = {} if "max_bytes" in options else {"max_keys": 1000}
        return Table(capacity, tokens_per_second, clock=self.clock, **{**size, **options})

    def in_thread(self, function, *args, **kwargs):
        thread = Outcome(function, args, kwargs)
        self.addCleanup(thread.join, 10)
        return thread

    def until_waiting(self, count):
        """Returns once so many wait on the clock; the time is only a way out for a broken library."""
        deadline = time.monotonic() + 10
        while self.clock.waiters().waiting != count:
            self.assertLess(time.monotonic(), deadline, f"{self.clock.waiters().waiting} wait, not {count}")
            time.sleep(0.0005)


class Outcome(threading.Thread):
    """A thread that runs a function; get() returns or raises what it did."""

    def __init__(self, function, args=(), kwargs=None):
        super().__init__(daemon=True)
        self._call = lambda: function(*args, **(kwargs or {}))
        self._result = self._error = None
        self.start()

    def run(self):
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error

    def get(self):
        self.join(10)
        if self.is_alive():
            raise AssertionError("the call did not return")
        if self._error:
            raise self._error
        return self._result


def run_python(program, *, timeout=30, **environment):
    """A fresh interpreter that runs the program with the package as it is here."""
    path = os.pathsep.join([str(pathlib.Path(__file__).parent), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )

"""Four forked processes take from one bucket as fast as they can, and together get what one limit allows.

The bucket lies in memory without a name, which the children inherit. Nothing else is shared, and nobody coordinates: each
child counts what it was granted and says so through a pipe. The bound is that of any window of time: a full bucket, and
what comes in from the first question to the last grant.
"""

import os
import sys
import time

from tokenbucket import TokenBucket

CAPACITY = 5000
RATE = 20_000
WORKERS = 4
SECONDS = 1
ENOUGH = 95  # percent of what the limit allows


def main():
    try:
        bucket = TokenBucket.shared(None, CAPACITY, RATE)
    except RuntimeError as error:
        print(f"skipped: {error}")
        return 77
    end = time.monotonic() + SECONDS
    pipes = [fork(bucket, end) for _ in range(WORKERS)]
    reports = [pipe.read().split() for pipe in pipes]
    passed = max(float(last) for *_, last in reports) - min(float(first) for _, _, first, _ in reports)

    most = CAPACITY + RATE * passed
    asked, granted = (sum(int(report[column]) for report in reports) for column in (0, 1))
    print(f"A limit of {CAPACITY} and {RATE} a second, {WORKERS} forked processes, {passed:.3f} s:")
    print(f"{'worker':<10}{'asked':>10}{'granted':>10}")
    for number, (its_asked, its_granted, *_) in enumerate(reports):
        print(f"{number:<10}{its_asked:>10}{its_granted:>10}")
    print(f"{'together':<10}{asked:>10}{granted:>10}, {100 * granted / most:.1f} % of what the limit allows, {most:.0f}")
    return 0 if most * ENOUGH / 100 <= granted <= most else 1


def fork(bucket, end):
    """A worker; the pipe through which it reports."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, " ".join(map(str, work(bucket, end))).encode())
        os._exit(0)
    os.close(writing)
    return open(reading)


def work(bucket, end):
    """How often it asked, how much it was granted, when it began, and when it was granted last.

    A grant that is seen after the end is not counted: a worker that the system held up would stretch the window.
    """
    asked = granted = 0
    now = first = last = time.monotonic()
    while now < end:
        is_granted = bucket.allow()
        now = time.monotonic()
        asked += 1
        if is_granted and now < end:
            granted += 1
            last = now
    return asked, granted, first, last


if __name__ == "__main__":
    sys.exit(main())

"""Measures calls against the usual Python bucket, a lock and a float, in one process; run by bench.sh.

The four benchmarks: what a granted and a denied take cost, what a decision costs, and a take where threads compete.
Ours and the peer take turns, so that what the machine does meanwhile hits both; the medians are compared.
"""

import argparse
import pathlib
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "tests"))

import tokenbucket  # noqa: E402
from support import OriginalBucket  # noqa: E402

PLENTY = 1e10
PEER = "threading.Lock + float"


def new_bucket(kind, tokens_per_second):
    bucket = kind(PLENTY if tokens_per_second > 1 else 1, tokens_per_second)
    if tokens_per_second < 1:
        bucket.allow()
    return bucket


# name, method of ours, method of the peer, and a rate at which all is granted or denied.
ONE_THREAD = [
    ("allow granted", "allow", "allow", PLENTY),
    ("allow denied", "allow", "allow", 1e-6),
    ("try_consume granted", "try_consume", "try_consume", PLENTY),
    ("take granted", "take", "allow", PLENTY),
]
TWO_THREADS = [("allow granted, 2 threads", "allow", "allow", PLENTY)]


def loop(call, count):
    started = time.perf_counter_ns()
    for _ in range(count):
        call()
    return (time.perf_counter_ns() - started) / count


def loop_of_nothing(count):
    started = time.perf_counter_ns()
    for _ in range(count):
        pass
    return (time.perf_counter_ns() - started) / count


def in_threads(threads, call, count):
    """Wall-clock time per call of all threads together."""
    if threads == 1:
        return loop(call, count)
    gate = threading.Barrier(threads + 1)

    def work():
        gate.wait()
        loop(call, count // threads)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    gate.wait()
    started = time.perf_counter_ns()
    for worker in workers:
        worker.join()
    return (time.perf_counter_ns() - started) / (count // threads * threads)


def measure(ours, peer, threads, rounds, count):
    """The medians of both, without the cost of the loop."""
    times = ([], [])
    for _ in range(rounds):
        nothing = loop_of_nothing(count)
        for call, taken in zip((ours, peer), times):
            taken.append(in_threads(threads, call, count) - nothing)
    return [statistics.median(taken) for taken in times]


def lines(rounds, count):
    for threads, rows in ((1, ONE_THREAD), (2, TWO_THREADS)):
        for name, ours, peer, rate in rows:
            calls = getattr(new_bucket(tokenbucket.TokenBucket, rate), ours), getattr(new_bucket(OriginalBucket, rate), peer)
            mine, theirs = measure(*calls, threads, rounds, count)
            yield f"Python ({tokenbucket.backend}) | {name} | {mine:.1f} | {PEER} | {theirs:.1f} | {mine / theirs:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--count", type=int, default=20000)
    options = parser.parse_args()
    for line in lines(options.rounds, options.count):
        print(line, flush=True)


if __name__ == "__main__":
    main()

"""Three processes share one limit in Redis: fleet.py SOCKET.

It fails if they were granted more than the limit allows, or much less.

Each has a client and a table of its own and asks as fast as the server answers. That they share a limit is all in the
prefix and the numbers. The bound is that of any window of time: a full bucket, and what comes in from the first question
to the last grant.
"""

import subprocess
import sys
import time

import redis

from tokenbucket import RedisTable

CAPACITY = 200
RATE = 1000
PROCESSES = 3
SECONDS = 1.5
ENOUGH = 95  # percent of what the limit allows


def main(socket):
    workers = [worker(number, socket) for number in range(PROCESSES)]
    for process in workers:
        process.stdout.readline()  # it is ready
    for process in workers:
        process.stdin.write("go\n")
        process.stdin.flush()
    reports = [process.communicate()[0].split() for process in workers]
    passed = max(float(last) for *_, last in reports) - min(float(first) for _, _, first, _ in reports)

    most = CAPACITY + RATE * passed
    asked, granted = (sum(int(report[column]) for report in reports) for column in (0, 1))
    print(f"A limit of {CAPACITY} and {RATE} a second, {PROCESSES} processes, {passed:.3f} s:")
    print(f"{'process':<10}{'asked':>10}{'granted':>10}")
    for number, (its_asked, its_granted, *_) in enumerate(reports):
        print(f"{number:<10}{its_asked:>10}{its_granted:>10}")
    print(f"{'together':<10}{asked:>10}{granted:>10}, {100 * granted / most:.1f} % of what the limit allows, {most:.0f}")
    return 0 if most * ENOUGH / 100 <= granted <= most else 1


def worker(number, socket):
    words = [sys.executable, __file__, socket, str(number)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def work(socket):
    """One process: says that it is ready, waits for the word, and reports what it asked and got, and from when to when.

    A grant that is seen after the end is not counted: a process that the system held up would stretch the window.
    """
    client = redis.Redis(unix_socket_path=socket)
    table = RedisTable(client, CAPACITY, RATE, prefix="tb:fleet:")
    table.tokens("api")  # is connected, and the server has the script
    print("ready", flush=True)
    sys.stdin.readline()
    asked = granted = 0
    now = first = last = time.monotonic()
    end = first + SECONDS
    while now < end:
        is_granted = table.allow("api")
        now = time.monotonic()
        asked += 1
        if is_granted and now < end:
            granted += 1
            last = now
    print(asked, granted, first, last)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.exit(main(sys.argv[1]))
    work(sys.argv[1])

"""Three processes share one limit in Redis: fleet.py SOCKET.

It fails if they were granted more than the limit allows, or much less.

Each has a client and a table of its own and asks as fast as the server answers. That they share a limit is all in the
prefix and the numbers. The bound is that of any window of time: a full bucket, and what comes in.
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
    client = redis.Redis(unix_socket_path=socket)
    workers = [worker(number, socket) for number in range(PROCESSES)]
    for process in workers:
        process.stdout.readline()  # it is ready
    began = server_time(client)
    for process in workers:
        process.stdin.write("go\n")
        process.stdin.flush()
    reports = [process.communicate()[0].split() for process in workers]
    passed = max(float(end) for _, _, end in reports) - began

    most = CAPACITY + RATE * passed
    asked, granted = (sum(int(report[column]) for report in reports) for column in (0, 1))
    print(f"A limit of {CAPACITY} and {RATE} a second, {PROCESSES} processes, {passed:.3f} s by the server's clock:")
    print(f"{'process':<10}{'asked':>10}{'granted':>10}")
    for number, (its_asked, its_granted, _) in enumerate(reports):
        print(f"{number:<10}{its_asked:>10}{its_granted:>10}")
    print(f"{'together':<10}{asked:>10}{granted:>10}, {100 * granted / most:.1f} % of what the limit allows, {most:.0f}")
    return 0 if most * ENOUGH / 100 <= granted <= most else 1


def worker(number, socket):
    words = [sys.executable, __file__, socket, str(number)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def work(socket):
    """One process: says that it is ready, waits for the word, reports what it asked and got, and when it ended."""
    client = redis.Redis(unix_socket_path=socket)
    table = RedisTable(client, CAPACITY, RATE, prefix="tb:fleet:")
    table.tokens("api")  # is connected, and the server has the script
    print("ready", flush=True)
    sys.stdin.readline()
    asked = granted = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        asked += 1
        granted += table.allow("api")
    print(asked, granted, server_time(client))


def server_time(client):
    seconds, microseconds = client.time()
    return seconds + microseconds / 1e6


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.exit(main(sys.argv[1]))
    work(sys.argv[1])

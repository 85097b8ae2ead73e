"""Turns the server's report, JSON on standard input, into a table. Fails if the client did anything wrong."""

import json
import sys

from quota import MINUTE, REQUESTS_PER_MINUTE, TOKENS_PER_MINUTE

ENOUGH = 90  # percent of the scarcer budget

report = json.load(sys.stdin)
use = []
print(f"{'budget':<12}{'per minute':>12}{'could use':>12}{'used':>12}{'percent':>10}")
for name, per_minute, used in (
    ("requests", REQUESTS_PER_MINUTE, report["served"]),
    ("tokens", TOKENS_PER_MINUTE, report["tokens"]),
):
    could = per_minute * (1 + report["seconds"] / MINUTE)
    use.append(100 * used / could)
    print(f"{name:<12}{per_minute:>12}{could:>12.0f}{used:>12}{use[-1]:>10.1f}")
print(f"told to pause {report['told_to_pause']} x, requests in spite of it: {report['ignored_pause']}")
print(f"requests over a quota: {report['over_quota']}")
polite = report["told_to_pause"] > 0 == report["over_quota"] == report["ignored_pause"]
sys.exit(0 if polite and max(use) >= ENOUGH else 1)

"""The benchmarks run and print what bench.sh promises; how fast they are is no matter of tests."""

import pathlib
import subprocess
import sys
import unittest

import tokenbucket

BENCH = pathlib.Path(__file__).resolve().parents[1] / "bench.py"


class Bench(unittest.TestCase):
    def test_lines(self):
        command = [sys.executable, str(BENCH), "--rounds=1", "--count=100"]
        result = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        rows = [line.split(" | ") for line in result.stdout.splitlines()]
        self.assertEqual({row[0] for row in rows}, {f"Python ({tokenbucket.backend})"})
        calls = [row[1] for row in rows]
        self.assertEqual(calls[:4], ["allow granted", "allow denied", "try_consume granted", "take granted"])
        for row in rows:
            self.assertEqual(len(row), 6)
            self.assertTrue(all(map(float, (row[2], row[4], row[5]))))


if __name__ == "__main__":
    unittest.main()

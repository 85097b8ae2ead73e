"""One limit for the processes of a host."""

import asyncio
import errno
import os
import pickle
import threading
import time
import unittest

from support import run_python
from tokenbucket import BucketClosed, Limits, ManualClock, Mismatch, TokenBucket, remove_shared

SLOW = 1e-6  # a rate at which next to nothing comes in during a test


def setUpModule():
    try:
        TokenBucket.shared(None, 1, 1)
    except RuntimeError as error:
        raise unittest.SkipTest(str(error)) from None


class SharedTest(unittest.TestCase):
    def setUp(self):
        self.name = f"tokenbucket-python-{os.getpid()}"
        self.addCleanup(remove_shared, self.name)

    def open(self, capacity=10, tokens_per_second=SLOW, **options):
        return TokenBucket.shared(self.name, capacity, tokens_per_second, **options)

    def test_the_tokens_are_those_of_all(self):
        one, other = self.open(), self.open()
        self.assertTrue(one.allow(4))
        program = f"from tokenbucket import *; print(TokenBucket.shared({self.name!r}, 10, {SLOW}).take_up_to(3))"
        self.assertEqual(run_python(program).stdout, "3\n")
        self.assertEqual((other.allow(4), other.allow(3), one.allow()), (False, True, False))

    def test_a_new_one_has_its_options(self):
        events = []
        bucket = self.open(period=2, initial_tokens=4, statistics=True, on_event=events.append)
        self.assertEqual((int(bucket.tokens), bucket.tokens_per_second), (4, SLOW / 2))
        self.assertFalse(bucket.allow(5))
        self.assertEqual((bucket.stats().denied, len(events)), (1, 1))

    def test_another_limit_is_a_mismatch(self):
        self.open()
        with self.assertRaisesRegex(Mismatch, f"^the shared limit has another capacity: {self.name}$"):
            self.open(capacity=11)
        with self.assertRaisesRegex(Mismatch, "another rate"):
            self.open(tokens_per_second=2)
        adopted = self.open(capacity=11, tokens_per_second=2, adopt=True)
        self.assertEqual((adopted.capacity, adopted.tokens_per_second), (10, SLOW))

    def test_what_is_no_bucket_is_a_mismatch(self):
        with open(os.open(f"/dev/shm/{self.name}", os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(b"x" * 100)
        with self.assertRaises(Mismatch):
            self.open()

    def test_a_removed_name_is_free(self):
        one = self.open()
        remove_shared(self.name)
        remove_shared(self.name)
        other = self.open(capacity=20)
        self.assertTrue(one.allow(10))
        self.assertEqual((one.tokens < 1, other.tokens), (True, 20))

    def test_bad_names_and_limits(self):
        for name in ("", "a\0b", "a/b"):
            with self.subTest(name=name), self.assertRaisesRegex(ValueError, "no such name|no name"):
                TokenBucket.shared(name, 10, 5)
            with self.subTest(removed=name), self.assertRaises(ValueError):
                remove_shared(name)
        for name in (1, b"name"):
            with self.subTest(name=name), self.assertRaises(TypeError):
                TokenBucket.shared(name, 10, 5)
        with self.assertRaises(TypeError):
            remove_shared(None)
        with self.assertRaises(ValueError):
            self.open(capacity=0)
        with self.assertRaises(OSError) as raised:
            TokenBucket.shared("/no/such/folder/bucket", 10, 5)
        self.assertEqual((raised.exception.errno, raised.exception.filename), (errno.ENOENT, "/no/such/folder/bucket"))

    def test_it_is_opened_not_copied(self):
        with self.assertRaisesRegex(TypeError, "open its name"):
            pickle.dumps(self.open())

    @unittest.skipUnless(hasattr(os, "fork"), "no fork")
    def test_a_nameless_one_is_that_of_the_children(self):
        bucket = TokenBucket.shared(None, 10, SLOW)
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                os._exit(bucket.take_up_to(3))
            children.append(child)
        taken = sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
        self.assertEqual((taken, bucket.allow()), (10, False))

    def test_a_thread_that_waits_learns_of_a_close(self):
        one, other = self.open(initial_tokens=0), self.open()
        closing = threading.Timer(0.05, other.close)
        closing.start()
        with self.assertRaises(BucketClosed):
            one.wait()
        closing.join()

    def test_a_task_that_waits_learns_of_a_close_and_of_a_refund(self):
        async def main():
            one, other = self.open(initial_tokens=0), self.open()
            loop = asyncio.get_running_loop()
            for change, ended in ((other.refund, None), (other.close, BucketClosed)):
                task = loop.create_task(one.wait_async())
                await asyncio.sleep(0.01)
                began = time.monotonic()
                change()
                await asyncio.wait({task}, timeout=5)
                self.assertLess(time.monotonic() - began, 1)
                self.assertEqual(type(task.exception()), type(None) if ended is None else ended)

        asyncio.run(main())

    def test_as_a_member_it_grants_but_nobody_waits(self):
        limits = Limits([self.open(), TokenBucket(1, 1)])
        self.assertTrue(limits.allow())
        with self.assertRaisesRegex(RuntimeError, "shared bucket"):
            limits.wait()
        with self.assertRaisesRegex(RuntimeError, "shared bucket"):
            asyncio.run(limits.wait_async())

    def test_it_has_no_clock(self):
        with self.assertRaises(TypeError):
            self.open(clock=ManualClock())

"""One limit for the processes of a host."""

import asyncio
import errno
import functools
import os
import pickle
import time
import unittest
from unittest import mock

from support import Outcome, run_python
from tokenbucket import (
    BucketClosed,
    Limits,
    ManualClock,
    Mismatch,
    RateLimitExceeded,
    Status,
    Table,
    TokenBucket,
    remove_shared,
)

SLOW = 1e-6  # a rate at which next to nothing comes in during a test


def setUpModule():
    try:
        TokenBucket.shared(None, 1, 1)
    except RuntimeError as error:
        raise unittest.SkipTest(str(error)) from None


class Named(unittest.TestCase):
    def setUp(self):
        self.name = f"tokenbucket-python-{os.getpid()}"
        self.addCleanup(remove_shared, self.name)

    def taken_by_children(self, take_up_to):
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                os._exit(take_up_to(3))
            children.append(child)
        return sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


    def refuses_one_that_goes_away(self, module, open_one):
        """What is opened for the text of a mismatch is what was asked for, if it is new."""
        check = getattr(__import__(f"tokenbucket.{module}", fromlist=[""]), "check_opened")

        def late(status, *others):
            if status != 0:
                remove_shared(self.name)
            check(status, *others)

        kept = open_one(10)
        with mock.patch(f"tokenbucket.{module}.check_opened", late):
            self.assertRaises(Mismatch, open_one, 11)
        self.assertEqual((open_one(11).capacity, kept.capacity), (11, 10))


class Waiting:
    """Waits for a bucket, or for a key of a table, that is empty and that two have opened."""

    def setUp(self):
        super().setUp()
        self.one, self.other = self.limit(), self.limit()
        self.one.take_up_to(10)

    def left(self, tokens):
        for limit in (self.one, self.other):
            self.assertAlmostEqual(limit.tokens, tokens, delta=0.1)

    def ended(self, change, call, *args):
        """What a call returns that waits for 2 tokens in a thread, once change() is done meanwhile."""
        before = self.one.tokens
        outcome = Outcome(call, args)
        self.addCleanup(outcome.join, 10)
        until(lambda: self.one.tokens < before - 1.5)
        change()
        return outcome.get()

    def in_a_process(self, body):
        opened = self.OPEN.format(name=self.name, slow=SLOW)
        done = run_python(f"import asyncio\nfrom tokenbucket import *\nopened = {opened}\n{body}")
        self.assertEqual(done.stderr, "")
        return done.stdout

    def test_a_thread_learns_of_the_other_s_refund_and_close(self):
        self.ended(lambda: self.other.refund(2), self.one.wait, 2)
        with self.assertRaises(BucketClosed):
            self.ended(self.other.close, self.one.wait, 2)

    def test_a_thread_learns_of_another_process(self):
        refund, close = (f"opened.{call}" for call in self.CALLS)
        self.ended(lambda: self.in_a_process(refund), self.one.wait, 2)
        with self.assertRaises(BucketClosed):
            self.ended(lambda: self.in_a_process(close), self.one.wait, 2)

    def test_another_process_learns_of_this_one(self):
        for call in ("opened.wait({})", "asyncio.run(opened.wait_async({}))"):
            with self.subTest(call):
                body = call.format(self.ARGUMENTS) + "\nprint('granted')"
                self.assertEqual(self.ended(lambda: self.one.refund(2), self.in_a_process, body), "granted\n")

    def test_a_task_learns_of_the_other_s_refund_and_close(self):
        async def main():
            loop = asyncio.get_running_loop()
            for change, ended in ((lambda: self.other.refund(2), None), (self.other.close, BucketClosed)):
                task = loop.create_task(self.one.wait_async(2))
                await asyncio.sleep(0)
                self.assertLess(self.other.tokens, -1)
                change()
                await asyncio.wait({task}, timeout=5)
                self.assertEqual(type(task.exception()), type(None) if ended is None else ended)

        asyncio.run(main())

    def test_a_task_that_is_cancelled_gives_its_place_back(self):
        async def main():
            task = asyncio.ensure_future(self.one.wait_async(2))
            await asyncio.sleep(0)
            self.assertLess(self.other.tokens, -1)
            self.assertFalse(self.other.allow(1))
            task.cancel()
            await asyncio.wait({task})
            self.assertTrue(task.cancelled())

        asyncio.run(main())
        self.left(0)

    def test_a_wait_that_would_be_too_long_or_finds_too_many(self):
        for wait in (self.one.wait, lambda n, timeout: asyncio.run(self.one.wait_async(n, timeout))):
            with self.assertRaises(RateLimitExceeded) as caught:
                wait(2, timeout=60)
            self.assertGreater(caught.exception.retry_after, 3600)
            self.left(0)
        strict = self.limit(max_waiters=1)

        def another():
            with self.assertRaises(RateLimitExceeded) as caught:
                strict.wait(1, timeout=60)
            self.assertEqual(caught.exception.status, Status.QUEUE_FULL)
            self.other.refund(2)

        self.ended(another, self.one.wait, 2)

    def test_reservations_are_taken_from_all(self):
        first, second = self.one.reserve(3), self.other.reserve(4)
        self.left(-7)
        first.cancel()
        self.left(-4)
        second.settle(1)
        self.left(-1)
        with self.assertRaises(RateLimitExceeded):
            self.other.reserve(3, max_wait=60)
        self.left(-1)

    def test_no_more_than_there_is_room_for(self):
        held = [self.one.reserve() for _ in range(self.MOST)]
        with self.assertRaises(MemoryError):
            self.other.reserve()
        self.left(-self.MOST)
        held.pop().cancel()
        self.other.reserve()

    def test_as_a_member_it_grants_and_reserves_but_nobody_waits(self):
        bucket = TokenBucket(10, SLOW)
        limits = Limits([bucket, self.member_of(self.one)])
        self.one.refund(10)
        text = (
            "a shared bucket or a key of a shared table cannot be waited for in a Limits: "
            "sleep for the retry_after of take(), and try again"
        )
        for wait in (limits.wait, lambda: asyncio.run(limits.wait_async())):
            with self.assertRaises(RuntimeError) as caught:
                wait()
            self.assertEqual(str(caught.exception), text)
        self.assertEqual((self.other.tokens, bucket.tokens), (10, 10))
        self.assertTrue(limits.allow([4, 5]))
        self.left(5)
        self.one.allow(5)
        reservation = limits.reserve([4, 5])
        self.assertGreater(reservation.delay, 3600)
        self.left(-5)
        reservation.cancel()
        self.left(0)
        self.assertAlmostEqual(bucket.tokens, 6, delta=0.1)

    def test_it_is_one_member_however_often_it_was_opened(self):
        limits = Limits([self.member_of(self.one), self.member_of(self.other)])
        for call in (limits.allow, limits.reserve):
            with self.assertRaisesRegex(ValueError, "^a bucket or key occurs twice among the members"):
                call()


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it does not come about")
        time.sleep(0.0005)


class WaitingForABucket(Waiting, Named):
    OPEN = "TokenBucket.shared({name!r}, 10, {slow})"
    CALLS = "refund(2)", "close()"
    ARGUMENTS = "2"
    MOST = 1000

    def limit(self, **options):
        return TokenBucket.shared(self.name, 10, SLOW, **options)

    def member_of(self, limit):
        return limit


class Ann:
    """A key of a table, as a bucket."""

    def __init__(self, table):
        self.table = table
        self.close = table.close

    def __getattr__(self, name):
        return functools.partial(getattr(self.table, name), "ann")

    @property
    def tokens(self):
        return self.table.tokens("ann")


class WaitingForAKey(Waiting, Named):
    OPEN = "Table.shared({name!r}, 10, {slow}, max_keys=100)"
    CALLS = 'refund("ann", 2)', "close()"
    ARGUMENTS = '"ann", 2'
    MOST = 128

    def limit(self, **options):
        try:
            return Ann(Table.shared(self.name, 10, SLOW, max_keys=100, **options))
        except RuntimeError as error:
            self.skipTest(str(error))

    def member_of(self, limit):
        return limit.table, "ann"


class SharedTest(Named):
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

    def test_one_that_goes_away_leaves_what_was_asked_for(self):
        self.refuses_one_that_goes_away("_bucket", self.open)

    def test_another_limit_is_a_mismatch(self):
        self.open()
        there = f"as in the shared bucket '{self.name}', which adopt=True takes"
        with self.assertRaisesRegex(Mismatch, f"^capacity must be 10, {there}, got 11$"):
            self.open(capacity=11)
        with self.assertRaisesRegex(Mismatch, f"^tokens_per_second must be 1e-06, {there}, got 2$"):
            self.open(tokens_per_second=2)
        with self.assertRaisesRegex(Mismatch, f"^tokens_per_second must be 6e-05 with period=60, {there}, got 120$"):
            self.open(tokens_per_second=120, period=60)
        adopted = self.open(capacity=11, tokens_per_second=2, adopt=True)
        self.assertEqual((adopted.capacity, adopted.tokens_per_second), (10, SLOW))

    def test_a_closed_one_stays_closed(self):
        self.open().close()
        with self.assertRaisesRegex(BucketClosed, f"^the shared bucket '{self.name}' is closed, which holds until"):
            self.open()
        remove_shared(self.name)
        self.assertTrue(self.open().allow())

    def test_what_is_no_bucket_is_a_mismatch_and_stays(self):
        with open(os.open(f"/dev/shm/{self.name}", os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(b"x" * 100)
        with self.assertRaises(Mismatch):
            self.open()
        with self.assertRaises(Mismatch):
            remove_shared(self.name)
        os.unlink(f"/dev/shm/{self.name}")

    def test_a_removed_name_is_free(self):
        one = self.open()
        remove_shared(self.name)
        remove_shared(self.name)
        other = self.open(capacity=20)
        self.assertTrue(one.allow(10))
        self.assertEqual((one.tokens < 1, other.tokens), (True, 20))

    def test_bad_names_and_limits(self):
        text = "^name must be the name of a file, without a slash or a leading dot, or an absolute path, got"
        for name in ("", "a\0b", "a/b"):
            with self.subTest(name=name), self.assertRaisesRegex(ValueError, text):
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
        self.assertEqual((self.taken_by_children(bucket.take_up_to), bucket.allow()), (10, False))

    def test_it_has_no_clock(self):
        with self.assertRaises(TypeError):
            self.open(clock=ManualClock())


class SharedTableTest(Named):
    def setUp(self):
        super().setUp()
        try:
            self.table = self.open()
        except RuntimeError as error:
            self.skipTest(str(error))

    def open(self, capacity=10, tokens_per_second=SLOW, **options):
        size = {} if "max_bytes" in options else {"max_keys": 100}
        return Table.shared(self.name, capacity, tokens_per_second, **{**size, **options})

    def refuses(self, error, text, call, *args, **options):
        with self.assertRaises(error) as caught:
            call(*args, **options)
        self.assertEqual(str(caught.exception), text)

    def test_the_tokens_of_a_key_are_those_of_all(self):
        other = self.open()
        self.assertTrue(self.table.allow("ann", 4))
        program = f"""
from tokenbucket import Table
table = Table.shared({self.name!r}, 10, {SLOW}, max_keys=100)
print(table.take_up_to("ann", 3), table.allow("bob", 10))
"""
        self.assertEqual(run_python(program).stdout, "3 True\n")
        answers = other.allow("ann", 4), other.allow("ann", 3), self.table.allow("ann"), other.allow("bob")
        self.assertEqual(answers, (False, True, False, False))

    @unittest.skipUnless(hasattr(os, "fork"), "no fork")
    def test_the_children_share_it_named_or_not(self):
        for table in (self.table, Table.shared(None, 10, SLOW, max_keys=100)):
            taken = self.taken_by_children(lambda most, table=table: table.take_up_to("ann", most))
            self.assertEqual((taken, table.allow("ann"), table.allow("bob")), (10, False, True))

    def test_changes_hold_for_all(self):
        other = self.open()
        other.capacity, other.tokens_per_second = 20, 2 * SLOW
        self.assertEqual((self.table.capacity, self.table.tokens_per_second), (20, 2 * SLOW))
        self.assertTrue(self.table.allow("ann", 20))
        other.remove("ann")
        self.assertEqual(self.table.tokens("ann"), 20)

    def test_one_that_goes_away_leaves_what_was_asked_for(self):
        self.refuses_one_that_goes_away("_table", self.open)

    def test_another_limit_or_size_is_a_mismatch(self):
        there = f"as in the shared table '{self.name}', which adopt=True takes"
        for text, options in {
            f"capacity must be 10, {there}, got 11": {"capacity": 11},
            f"tokens_per_second must be 6e-05 with period=60, {there}, got 2": {"tokens_per_second": 2, "period": 60},
            f"max_keys must be {there}, got 9999": {"max_keys": 9999},
            f"max_bytes must be {there}, got 64": {"max_bytes": 64},
            f"when_full must be {there}, got 'deny'": {"when_full": "deny"},
        }.items():
            self.refuses(Mismatch, text, self.open, **options)
        adopted = self.open(11, 2, max_keys=9999, when_full="deny", adopt=True)
        self.assertEqual((adopted.capacity, adopted.tokens_per_second), (10, SLOW))
        self.assertEqual(adopted.stats().places, self.table.stats().places)

    def test_a_bucket_is_no_table(self):
        text = f"the shared memory is a bucket and no table, or the reverse: {self.name}"
        self.refuses(Mismatch, text, TokenBucket.shared, self.name, 10, SLOW, adopt=True)
        remove_shared(self.name)
        TokenBucket.shared(self.name, 10, SLOW)
        self.refuses(Mismatch, text, self.open, adopt=True)

    def test_a_closed_one_is_closed_for_all_until_its_name_is_removed(self):
        other = self.open()
        other.close()
        self.refuses(BucketClosed, "the table is closed", self.table.allow, "ann")
        text = f"the shared table '{self.name}' is closed, which holds until its name is removed"
        self.refuses(BucketClosed, text, self.open)
        remove_shared(self.name)
        self.assertTrue(self.open(capacity=20).allow("ann", 20))

    def test_arguments(self):
        self.refuses(ValueError, "capacity must be from 1e-6 to 1e15 tokens, got 0", self.open, 0)
        allowed = "name must be the name of a file, without a slash or a leading dot, or an absolute path"
        self.refuses(ValueError, f"{allowed}, got 'a/b'", Table.shared, "a/b", 10, 5, max_keys=1)
        self.refuses(TypeError, "a table needs max_keys or max_bytes, and not both", Table.shared, None, 10, 5)
        self.refuses(ValueError, "max_waiters must be 1 or more, got 0", self.open, max_waiters=0)
        self.refuses(ValueError, "max_lateness must be more than 0 seconds, got 0", self.open, max_lateness=0)
        with self.assertRaises(TypeError):
            self.open(clock=ManualClock())
        with self.assertRaisesRegex(TypeError, "open its name"):
            pickle.dumps(self.table)
        with self.assertRaises(FileNotFoundError):
            Table.shared("/no/such/folder/table", 10, 5, max_keys=1)

    def test_it_is_of_the_class_that_opened_it(self):
        users = type("Users", (Table,), {}).shared(self.name, 10, SLOW, max_keys=100)
        self.assertEqual(repr(users), "<Users capacity=10, tokens_per_second=1e-06>")

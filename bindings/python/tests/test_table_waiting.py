"""Waiting for the tokens of a key, in threads and tasks."""

import asyncio
import gc
import unittest
import warnings
import weakref

from support import BucketTest
from test_process import ProcessTest
from tokenbucket import BucketClosed, RateLimitExceeded, Status, Table, TableFull, _waiting


class WaitTest(BucketTest):
    """With a table in which the key "a" is empty."""

    def setUp(self):
        super().setUp()
        self.table = self.new_table()
        self.table.allow("a", 10)


class Wait(WaitTest):
    def test_at_once(self):
        self.assertIsNone(self.table.wait("b"))
        self.assertIsNone(self.table.wait(key="b", tokens=9, timeout=0))
        self.assertEqual(self.table.tokens("b"), 0)

    def test_until_they_are_there_in_order(self):
        order, waits = [], []
        for count, tokens in enumerate((5, 1, 3), 1):
            waits.append(self.in_thread(lambda n: (self.table.wait("a", n), order.append(n)), tokens))
            self.until_waiting(count)
        self.assertEqual((self.clock.waiters().next_due, self.table.tokens("a")), (1, -9))
        for time_, wait in zip((1, 1.2, 1.8), waits):
            self.clock.set(time_)
            wait.get()
        self.assertEqual(order, [5, 1, 3])

    def test_each_key_has_its_own_queue(self):
        self.table.allow(7, 10)
        first, second = self.in_thread(self.table.wait, "a", 10), self.in_thread(self.table.wait, 7, 1)
        self.until_waiting(2)
        self.clock.set(0.2)
        self.assertIsNone(second.get())
        self.assertEqual(self.clock.waiters(), (1, 2))
        self.clock.set(2)
        self.assertIsNone(first.get())

    def test_priorities(self):
        waits = []
        for count, priority in enumerate((0, -1, 3, 2**31 - 1), 1):
            waits.append(self.in_thread(self.table.wait, "a", 5, priority=priority))
            self.until_waiting(count)
        for time_, first in ((1, 3), (2, 2), (3, 0), (4, 1)):
            self.clock.set(time_)
            self.assertIsNone(waits[first].get())
            self.assertEqual(self.clock.waiters().waiting, 4 - time_)
        for priority, error in ((2**31, ValueError), (-(2**31) - 1, ValueError), (1.0, TypeError), (True, TypeError)):
            with self.assertRaises(error):
                self.table.wait("b", priority=priority)
        self.assertRaises(TypeError, self.table.wait, "b", 1, None, 1)
        self.assertEqual(self.table.tokens("b"), 10)

    def test_timeout(self):
        with self.assertRaises(RateLimitExceeded) as caught:
            self.table.wait("a", 5, timeout=0.999999999)
        error = caught.exception
        self.assertEqual((error.status, error.tokens, error.retry_after), (Status.TIMED_OUT, 5, 1))
        self.assertEqual(self.table.tokens("a"), 0)
        for timeout, wrong in ((-1, ValueError), ("1", TypeError), (True, TypeError)):
            with self.assertRaises(wrong):
                self.table.wait("b", 1, timeout)
        wait = self.in_thread(self.table.wait, "a", 5, 1)
        self.until_waiting(1)
        self.clock.set(1)
        self.assertIsNone(wait.get())

    def test_more_than_the_capacity(self):
        with self.assertRaisesRegex(ValueError, "11 tokens exceed the capacity of 10"):
            self.table.wait("a", 11)

    def test_max_waiters_are_of_each_key(self):
        table = self.new_table(max_waiters=1)
        waits = []
        for count, key in enumerate("ab", 1):
            table.allow(key, 10)
            waits.append(self.in_thread(table.wait, key))
            self.until_waiting(count)
            with self.assertRaises(RateLimitExceeded) as caught:
                table.wait(key)
            self.assertEqual((caught.exception.status, caught.exception.retry_after), (Status.QUEUE_FULL, 0.4))
        self.clock.advance(1)
        self.assertEqual([wait.get() for wait in waits], [None, None])

    def test_changes_meanwhile(self):
        wait = self.in_thread(self.table.wait, "a", 10)
        self.until_waiting(1)
        for change, due in (
            (lambda: setattr(self.table, "tokens_per_second", 10), 1),
            (lambda: self.table.charge("a", 5), 1.5),
            (lambda: self.table.refund("a", 8), 0.7),
            (lambda: self.table.refund("b", 8), 0.7),
        ):
            change()
            self.assertEqual(self.clock.waiters(), (1, due))
        self.table.remove("a")
        self.assertIsNone(wait.get())
        self.assertEqual(self.table.tokens("a"), 0)

    def test_a_capacity_too_small(self):
        wait = self.in_thread(self.table.wait, "a", 10)
        self.until_waiting(1)
        self.table.capacity = 9
        with self.assertRaises(ValueError):
            wait.get()

    def test_close(self):
        waits = [self.in_thread(self.table.wait, "a", 5) for _ in range(3)]
        self.until_waiting(3)
        self.table.close()
        for wait in waits:
            with self.assertRaisesRegex(BucketClosed, "the table is closed"):
                wait.get()
        self.assertEqual(self.table.tokens("a"), 0)

    def test_a_table_whose_last_name_goes_while_it_waits(self):
        wait = self.in_thread(self.table.wait, ("a", 1), 10)
        wait.get()
        wait = self.in_thread(self.table.wait, ("a", 1), 5)
        self.until_waiting(1)
        del self.table
        self.clock.advance(1)
        self.assertIsNone(wait.get())

    def test_real_time(self):
        table = Table(1, 20, max_keys=10)
        table.wait("a")
        due = table.retry_after("a")
        self.assertGreater(due, 0)
        table.wait("a", timeout=30)
        self.assertEqual(table.take_up_to("a", 1), 0)

    def test_16_threads(self):
        """All wait at once for ten keys, and each key's waiters share what comes in."""
        table = self.new_table(1, 10)
        keys = [f"user {i}" for i in range(10)]
        table.allow_many(keys)
        waits = [self.in_thread(lambda: [table.wait(key) for key in keys]) for _ in range(16)]
        while any(wait.is_alive() for wait in waits):
            next_due = self.clock.waiters().next_due
            if next_due is not None:
                self.clock.set(next_due)
        self.assertEqual([wait.get() for wait in waits], [[None] * 10] * 16)
        self.assertGreaterEqual(self.clock.now, 1.6)
        self.clock.advance(1)
        self.assertEqual({table.tokens(key) for key in keys}, {1})


class WaitAsync(WaitTest, unittest.IsolatedAsyncioTestCase):
    async def waiting(self, *args, **options):
        """A task that waits."""
        before = self.clock.waiters().waiting
        task = asyncio.ensure_future(self.table.wait_async(*args, **options))
        await asyncio.sleep(0)
        self.assertEqual(self.clock.waiters().waiting, before + 1)
        return task

    async def test_at_once_and_later(self):
        self.assertIsNone(await self.table.wait_async("b", 10))
        task = await self.waiting("a", 4)
        self.clock.set(0.799999999)
        await asyncio.sleep(0.001)
        self.assertFalse(task.done())
        self.clock.set(0.8)
        self.assertIsNone(await task)
        self.assertEqual((self.table.tokens("a"), self.clock.waiters().waiting), (0, 0))

    async def test_cancelled_it_gives_all_back_and_those_behind_move_up(self):
        first, second = await self.waiting("a", 10), await self.waiting("a", 1)
        other = await self.waiting("a", 1, priority=-1)
        self.assertEqual(self.table.tokens("a"), -12)
        first.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await first
        self.assertEqual((self.clock.waiters(), self.table.tokens("a")), ((2, 0.2), -2))
        self.clock.set(0.2)
        self.assertIsNone(await second)
        other.cancel()
        await asyncio.wait([other])
        self.assertEqual((self.clock.waiters().waiting, self.table.tokens("a")), (0, 0))

    async def test_cancelled_when_due_but_not_yet_used_it_gives_all_back(self):
        task = await self.waiting("a", 5)
        self.clock.set(1.5)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual(self.table.tokens("a"), 7.5)

    async def test_priorities_with_threads_in_one_queue(self):
        low, high = await self.waiting("a", 5, priority=-1), await self.waiting("a", 5, priority=3)
        thread = self.in_thread(self.table.wait, "a", 5)
        self.until_waiting(3)
        for time_, wait in ((1, high), (2, None), (3, low)):
            self.clock.set(time_)
            self.assertIsNone(await wait if wait else thread.get())
        for priority, error in ((2**31, ValueError), (1.0, TypeError), (True, TypeError)):
            with self.assertRaises(error):
                await self.table.wait_async("a", priority=priority)

    async def test_timeout(self):
        with self.assertRaises(RateLimitExceeded) as caught:
            await self.table.wait_async("a", 5, 0.9)
        self.assertEqual((caught.exception.status, caught.exception.retry_after), (Status.TIMED_OUT, 1))
        low = await self.waiting("a", 5, timeout=1.5)
        high = await self.waiting("a", 2, priority=1)
        self.table.charge("a", 1)
        with self.assertRaises(RateLimitExceeded) as caught:
            await low
        self.assertEqual(caught.exception.retry_after, 1.6)
        high.cancel()

    async def test_no_key_no_amount(self):
        for call, error in (
            (lambda: self.table.wait_async(None), TypeError),
            (lambda: self.table.wait_async("x" * 65537), ValueError),
            (lambda: self.table.wait_async("a", 0), ValueError),
            (lambda: self.table.wait_async("a", 11), ValueError),
            (lambda: self.table.wait_async("a", 1, -1), ValueError),
        ):
            with self.assertRaises(error):
                await call()
        self.assertEqual((self.table.tokens("a"), self.clock.waiters().waiting), (0, 0))

    async def test_no_room(self):
        table = self.new_table(max_bytes=64, when_full="deny")
        table.allow_many(range(4))
        with self.assertRaises(TableFull):
            await table.wait_async("new")

    async def test_a_key_somebody_waits_for_keeps_its_place(self):
        self.table = self.new_table(max_bytes=64)
        self.table.allow("a", 10)
        task = await self.waiting("a", 1)
        for key in range(20):
            self.table.allow(key, 10)
        self.assertEqual(self.table.tokens("a"), -1)
        self.clock.set(0.2)
        self.assertIsNone(await task)

    async def test_a_new_rate(self):
        task = await self.waiting("a", 10)
        self.table.tokens_per_second = 50
        self.assertEqual(self.clock.waiters().next_due, 0.2)
        self.clock.set(0.2)
        self.assertIsNone(await task)

    async def test_what_ends_a_wait_is_told_to_one_that_is_alone(self):
        """The table keeps how the wait of the last one for a key ended until it comes."""
        task = await self.waiting("a", 5, timeout=1)
        self.table.charge("a", 1)
        with self.assertRaises(RateLimitExceeded):
            await task
        task = await self.waiting("a", 10)
        self.table.capacity = 9
        with self.assertRaisesRegex(ValueError, "10 tokens exceed the capacity of 9"):
            await task
        task = await self.waiting("a", 5)
        self.table.close()
        with self.assertRaisesRegex(BucketClosed, "the table is closed"):
            await task
        self.assertEqual((self.clock.waiters().waiting, self.table.tokens("a")), (0, -1))

    async def test_remove_serves_those_who_wait(self):
        tasks = [await self.waiting("a", 4) for _ in range(3)]
        self.table.remove("a")
        await asyncio.wait(tasks[:2])
        self.assertEqual([task.done() for task in tasks], [True, True, False])
        self.clock.advance(0.4)
        self.assertIsNone(await tasks[2])
        self.assertEqual(self.table.tokens("a"), 0)

    async def test_many_keys_and_tasks(self):
        """Whatever order they are cancelled in, all else are served, and what is left is exact."""
        keys = [(i, "user") for i in range(100)]
        self.table.allow_many(keys, 10)
        tasks = [asyncio.ensure_future(self.table.wait_async(key)) for key in keys * 16]
        await asyncio.sleep(0)
        self.assertEqual((self.clock.waiters(), self.table.tokens(keys[0])), ((1600, 0.2), -16))
        for task in tasks[::2]:
            task.cancel()
        await asyncio.wait(tasks[::2])
        self.assertEqual((self.clock.waiters().waiting, self.table.tokens(keys[0])), (800, 0))
        self.assertEqual(self.table.tokens(keys[1]), -16)
        self.clock.advance(3.2)
        self.assertEqual(await asyncio.gather(*tasks[1::2]), [None] * 800)
        self.assertEqual([self.table.tokens(key) for key in keys[:2]], [10, 0])

    async def test_clocks_and_changes_in_other_threads(self):
        table = self.new_table(100, 1000)
        keys = [f"user {i}" for i in range(16)]
        table.allow_many(keys, 100)

        def change():
            for i in range(50):
                table.tokens_per_second = 500 + i
                for key in keys:
                    table.refund(key, 1)
                    table.charge(key, 1)
                self.clock.advance(0.01)

        async def use(i):
            if i % 4:
                return await table.wait_async(keys[i % 16], priority=i % 3)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(table.wait_async(keys[i % 16], 100, priority=-1), 0.001)

        tasks = [asyncio.ensure_future(use(i)) for i in range(800)]
        await asyncio.sleep(0)
        threads = [self.in_thread(change) for _ in range(3)]
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        for thread in threads:
            thread.get()
        self.assertEqual(self.clock.waiters().waiting, 0)

    async def test_nothing_is_kept_for_waits_that_are_over(self):
        before = set(_waiting._waiters)
        tasks = [await self.waiting("a") for _ in range(20)]
        self.clock.advance(2)
        for task in tasks[10:]:
            task.cancel()
        await asyncio.wait(tasks)
        self.assertEqual(set(_waiting._waiters) - before, set())


class End(WaitTest):
    def loop_with_tasks(self, table, *tokens):
        """A loop that no longer runs, and the tasks that sleep in it."""
        loop = asyncio.new_event_loop()
        tasks = [loop.create_task(table.wait_async("a", n)) for n in tokens]
        for task in tasks:
            task._log_destroy_pending = False
        loop.run_until_complete(asyncio.sleep(0))
        return loop, tasks

    def test_a_loop_that_is_closed_gives_places_and_tokens_back(self):
        loop, tasks = self.loop_with_tasks(self.table, 1, 2)
        self.assertEqual(self.table.tokens("a"), -3)
        loop.close()
        self.assertEqual((self.clock.waiters().waiting, self.table.tokens("a"), len(tasks)), (0, 0, 2))

    def test_the_end_of_a_table_is_that_of_its_waiters(self):
        self.table._enqueue(b"a", 5.0, 2**63 - 1, 0, 0)
        self.assertEqual(self.clock.waiters().waiting, 1)
        del self.table
        self.assertEqual(self.clock.waiters().waiting, 0)

    def test_a_table_and_its_tasks_collected_in_one_cycle(self):
        """Whichever is ended first: the task gives its place back to a table that is gone."""
        for closes in [True, False] * 10:
            table = self.new_table()
            table.allow("a", 10)
            loop, tasks = self.loop_with_tasks(table, 5, 6)
            table.tasks = tasks
            gone = weakref.ref(table)
            if closes:
                loop.close()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                del table, loop, tasks
                gc.collect()
            self.assertIsNone(gone())
            self.assertEqual(self.clock.waiters().waiting, 0)


class Processes(ProcessTest):
    def test_ctrl_c_ends_a_wait(self):
        self.expect(
            """
            from tokenbucket import Table
            table = Table(10, 5, max_keys=10, clock=clock)
            table.wait("a", 10)
            soon(os.kill, os.getpid(), signal.SIGINT)
            try:
                table.wait("a", 5)
            except KeyboardInterrupt:
                print("interrupted", table.tokens("a"), clock.waiters().waiting)
            """,
            "interrupted 0.0 0",
        )

    def test_a_handler_that_returns_does_not_lengthen_the_timeout(self):
        self.expect(
            """
            from tokenbucket import RateLimitExceeded, Table
            table = Table(10, 5, max_keys=10, clock=clock)
            table.wait("a", 10)
            def slow_down(*_):
                clock.set(0.5)
                table.charge("a", 5)
            signal.signal(signal.SIGUSR1, slow_down)
            soon(os.kill, os.getpid(), signal.SIGUSR1)
            try:
                table.wait("a", 5, timeout=1.9)
            except RateLimitExceeded as error:
                print(error.status.name, error.retry_after, table.tokens("a"))
            """,
            "TIMED_OUT 1.5 -2.5",
        )

    def test_the_end_with_threads_that_wait(self):
        self.expect(
            """
            from tokenbucket import Table
            table = Table(1, 0.001, max_keys=10)
            for _ in range(3):
                threading.Thread(target=table.wait, args=("a",), daemon=True).start()
            time.sleep(0.05)
            print("end")
            """,
            "end",
        )

    def test_other_threads_run_while_it_waits(self):
        """With a switch interval of a minute the interpreter's lock is only had when a wait gives it away."""
        self.expect(
            """
            from tokenbucket import Table
            table = Table(10, 5, max_keys=10, clock=clock)
            table.wait("a", 10)
            thread = threading.Thread(target=table.wait, args=("a", 5))
            sys.setswitchinterval(60)
            thread.start()
            while clock.waiters().waiting == 0:
                time.sleep(0.001)
            clock.set(1)
            thread.join()
            print(table.tokens("a"))
            """,
            "0.0",
        )


if __name__ == "__main__":
    unittest.main()

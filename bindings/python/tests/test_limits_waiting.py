"""Waiting for several limits: threads, tasks, loops that end, processes."""

import asyncio
import gc
import math
import time
import unittest
import warnings
import weakref
from datetime import timedelta

from test_limits import LimitsTest
from test_process import ProcessTest
from tokenbucket import BucketClosed, Limits, ManualClock, RateLimitExceeded, Status, TokenBucket, _waiting


class Wait(LimitsTest):
    def setUp(self):
        super().setUp()
        self.empty()

    def waiting(self, costs, waits, **options):
        thread = self.in_thread(self.limits.wait, costs, **options)
        self.until_waiting(waits)
        return thread

    def test_at_once(self):
        self.clock.set(6)
        self.assertIsNone(self.limits.wait([2, 50, 1]))
        self.assertIsNone(self.limits.wait(costs=[2, 10, 1], timeout=0, priority=1))
        self.assertEqual(self.left(), (2, 0, 3))

    def test_what_is_due_is_held_until_all_have_granted(self):
        wait = self.waiting([2, 50, 1], waits=2)
        self.assertEqual((self.left(), self.clock.waiters().next_due), ((-2, -50, 4), 2))
        self.clock.set(2)
        self.until_waiting(1)
        self.assertEqual((self.left(), self.clock.waiters().next_due), ((0, -30, 5), 5))
        self.assertFalse(self.requests.allow())
        self.clock.set(5)
        self.assertIsNone(wait.get())
        self.assertEqual(self.left(), (3, 0, 5))

    def test_timeout_names_the_member_that_takes_longest(self):
        for timeout in (0, 4.999999999, timedelta(seconds=4)):
            with self.assertRaises(RateLimitExceeded) as caught:
                self.limits.wait([2, 50, 1], timeout=timeout)
            error = caught.exception
            self.assertEqual((error.status, error.member, error.tokens), (Status.TIMED_OUT, 1, 50))
            self.assertEqual(error.retry_after, 5)
        self.assertEqual(str(error), "member 1: 50 tokens: not within the time allowed; retry after 5 s")
        with self.assertRaises(RateLimitExceeded) as caught:
            self.limits.wait([9, 50, 1], timeout=5)
        self.assertEqual((caught.exception.member, caught.exception.retry_after), (0, 9))
        self.assertEqual((self.left(), self.clock.waiters().waiting), ((0, 0, 5), 0))
        wait = self.waiting([2, 50, 1], timeout=5, waits=2)
        self.clock.set(5)
        self.assertIsNone(wait.get())
        for timeout, wrong in ((-1, ValueError), ("1", TypeError), (True, TypeError), (math.nan, ValueError)):
            self.assertRaises(wrong, self.limits.wait, 1, timeout=timeout)

    def test_more_than_a_capacity(self):
        with self.assertRaisesRegex(ValueError, "member 2: 6 tokens exceed the capacity of 5"):
            self.limits.wait([1, 1, 6])
        self.assertEqual(self.left(), (0, 0, 5))

    def test_a_lower_limit_ends_it_and_all_comes_back(self):
        wait = self.waiting([2, 50, 1], waits=2)
        self.clock.set(2)
        self.until_waiting(1)
        self.tokens.capacity = 40
        with self.assertRaisesRegex(ValueError, "member 1: 50 tokens exceed the capacity of 40"):
            wait.get()
        self.assertEqual(self.left(), (2, 20, 5))
        wait = self.waiting([4, 30, 1], timeout=2, waits=2)
        self.requests.tokens_per_second = 0.5
        with self.assertRaises(RateLimitExceeded) as caught:
            wait.get()
        self.assertEqual((caught.exception.member, caught.exception.retry_after), (0, 4))
        self.assertEqual(self.left(), (2, 20, 5))

    def test_a_member_that_is_closed_ends_it(self):
        wait = self.waiting([2, 50, 1], waits=2)
        self.clock.set(2)
        self.until_waiting(1)
        self.requests.close()  # It has granted.
        with self.assertRaises(BucketClosed) as caught:
            wait.get()
        self.assertEqual((caught.exception.member, self.left()[1:]), (0, (20, 5)))

    def test_in_one_queue_with_all_who_wait_for_a_member(self):
        first = self.in_thread(self.tokens.wait, 10)
        self.until_waiting(1)
        wait = self.waiting([1, 30, 1], waits=3)
        last = self.in_thread(self.tokens.wait, 10)
        self.until_waiting(4)
        for time_, thread in ((1, first), (4, wait), (5, last)):
            self.clock.set(time_)
            self.assertIsNone(thread.get())
        self.assertEqual(self.left(), (4, 0, 5))

    def test_priorities(self):
        low = self.in_thread(self.tokens.wait, 10)
        self.until_waiting(1)
        high = self.waiting([1, 50, 1], priority=1, waits=3)
        for time_, thread in ((5, high), (6, low)):
            self.clock.set(time_)
            self.assertIsNone(thread.get())
        for priority, error in ((2**31, ValueError), (-(2**31) - 1, ValueError), (1.0, TypeError), (True, TypeError)):
            self.assertRaises(error, self.limits.wait, priority=priority)
        self.assertRaises(TypeError, self.limits.wait, 1, None, 1)

    def test_max_waiters(self):
        narrow = self.new_bucket(10, 1, max_waiters=1, initial_tokens=0)
        self.limits = Limits([self.tokens, narrow])
        wait = self.waiting([50, 1], waits=2)
        with self.assertRaises(RateLimitExceeded) as caught:
            self.limits.wait([50, 1])
        error = caught.exception
        self.assertEqual((error.status, error.member, error.retry_after), (Status.QUEUE_FULL, 1, 2))
        self.assertEqual(self.left(), (0, -50, 5))
        self.clock.set(5)
        self.assertIsNone(wait.get())

    def test_clocks_of_their_own(self):
        other = ManualClock()
        slow = TokenBucket(1, 1, clock=other, initial_tokens=0)
        wait = self.in_thread(Limits([slow, self.requests]).wait, 1)
        self.until_waiting(1)
        self.clock.set(1)
        self.until_waiting(0)
        self.assertTrue(wait.is_alive())
        other.set(1)
        self.assertIsNone(wait.get())

    def test_real_time(self):
        limits = Limits([TokenBucket(1, 50), TokenBucket(2, 100)])
        limits.wait()
        due = time.monotonic() + limits.take().retry_after
        limits.wait([1, 2], timeout=30)
        self.assertGreaterEqual(time.monotonic(), due)

    def test_many_threads(self):
        """In two orders of the members: none waits for another for ever, and what is granted is exact."""
        a, b = (self.new_bucket(10, 10, initial_tokens=0) for _ in range(2))
        waits = [self.in_thread(Limits(pair).wait, [1, 1]) for pair in [(a, b), (b, a)] * 30]
        while any(wait.is_alive() for wait in waits):
            next_due = self.clock.waiters().next_due
            if next_due is not None:
                self.clock.set(next_due)
        self.assertEqual([wait.get() for wait in waits], [None] * 60)
        self.assertEqual((self.clock.now, a.tokens, b.tokens), (6, 0, 0))


class WaitAsync(LimitsTest, unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        super().setUp()
        self.empty()

    async def waiting(self, costs, waits, **options):
        """A task that waits."""
        task = asyncio.ensure_future(self.limits.wait_async(costs, **options))
        await asyncio.sleep(0)
        self.assertEqual(self.clock.waiters().waiting, waits)
        return task

    async def test_at_once_and_later(self):
        self.assertIsNone(await Limits([(self.users, "u"), (self.users, "v")]).wait_async([1, 5]))
        task = await self.waiting([2, 50, 1], waits=2)
        self.clock.set(2)
        await asyncio.sleep(0.001)
        self.assertEqual((self.left(), self.clock.waiters()), ((0, -30, 5), (1, 5)))
        self.clock.set(4.999999999)
        await asyncio.sleep(0.001)
        self.assertFalse(task.done())
        self.clock.set(5)
        self.assertIsNone(await task)
        self.assertEqual((self.left(), self.clock.waiters().waiting), ((3, 0, 5), 0))

    async def test_cancelled_it_gives_all_back(self):
        """Whether none has granted, one, or all, and it has not run since."""
        for time_, left in ((0, (0, 0, 5)), (2, (2, 20, 5)), (7, (7, 70, 5))):
            self.assertEqual(self.left()[0], 0)
            task = await self.waiting([2, 50, 1], waits=2)
            start = self.clock.now
            self.clock.advance(time_)
            if time_ == 2:
                await asyncio.sleep(0.001)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertEqual((self.left(), self.clock.waiters().waiting), (left, 0))
            self.clock.set(start + time_)
            self.limits.allow([left[0] or 1, left[1] or 1, 1])
            self.users.remove("u")

    async def test_those_behind_move_up(self):
        first = await self.waiting([10, 100, 1], waits=2)
        second = await self.waiting([1, 1, 1], waits=4)
        thread = self.in_thread(self.requests.wait, 1)
        self.until_waiting(5)
        first.cancel()
        await asyncio.wait([first])
        self.assertEqual(self.clock.waiters(), (3, 0.1))
        self.clock.set(1)
        self.assertIsNone(await second)
        self.clock.set(2)
        self.assertIsNone(thread.get())

    async def test_timeout(self):
        for timeout in (0, 4.999999999, timedelta(seconds=4)):
            with self.assertRaises(RateLimitExceeded) as caught:
                await self.limits.wait_async([2, 50, 1], timeout=timeout)
            error = caught.exception
            self.assertEqual((error.status, error.member, error.tokens), (Status.TIMED_OUT, 1, 50))
            self.assertEqual(error.retry_after, 5)
        self.assertEqual((self.left(), self.clock.waiters().waiting), ((0, 0, 5), 0))
        task = await self.waiting([2, 50, 1], timeout=5, waits=2)
        self.clock.set(2)
        await asyncio.sleep(0.001)
        self.tokens.charge(1)
        with self.assertRaises(RateLimitExceeded) as caught:
            await task
        self.assertEqual((caught.exception.member, caught.exception.retry_after), (1, 3.1))
        self.assertEqual((self.left(), self.clock.waiters().waiting), ((2, 19, 5), 0))

    async def test_errors(self):
        for costs, timeout, error in (
            ([1, 1, 6], None, ValueError),
            ([1, 0, 1], None, ValueError),
            ([1, 1], None, ValueError),
            ("111", None, TypeError),
            (1, -1, ValueError),
        ):
            with self.subTest(costs), self.assertRaises(error):
                await self.limits.wait_async(costs, timeout=timeout)
        for priority, error in ((2**31, ValueError), (1.0, TypeError), (True, TypeError)):
            with self.assertRaises(error):
                await self.limits.wait_async(priority=priority)
        self.assertEqual((self.left(), self.clock.waiters().waiting), ((0, 0, 5), 0))

    async def test_close(self):
        for member in (1, 0):
            task = await self.waiting([2, 50, 1], waits=2)
            self.limits.members[member].close()
            with self.assertRaisesRegex(BucketClosed, f"member {member}: the bucket is closed") as caught:
                await task
            self.assertEqual((caught.exception.member, self.clock.waiters().waiting), (member, 0))
            self.tokens = self.new_bucket(100, 10, initial_tokens=0)
            self.limits = Limits([self.requests, self.tokens, (self.users, "u")])
        self.assertEqual(self.left(), (0, 0, 5))

    async def test_priorities_and_threads_in_one_queue(self):
        low = await self.waiting([1, 20, 1], priority=-1, waits=2)
        high = await self.waiting([1, 20, 1], priority=3, waits=4)
        thread = self.in_thread(self.limits.wait, [1, 20, 1])
        self.until_waiting(6)
        for time_, wait in ((2, high), (4, None), (6, low)):
            self.clock.set(time_)
            self.assertIsNone(await wait if wait else thread.get())

    async def test_a_member_that_is_full_of_waiters(self):
        narrow = self.new_bucket(10, 1, max_waiters=1, initial_tokens=0)
        self.limits = Limits([narrow, self.tokens])
        task = await self.waiting([1, 1], waits=2)
        with self.assertRaises(RateLimitExceeded) as caught:
            await self.limits.wait_async()
        self.assertEqual((caught.exception.status, caught.exception.member), (Status.QUEUE_FULL, 0))
        self.clock.set(1)
        self.assertIsNone(await task)

    async def test_without_a_manual_clock(self):
        limits = Limits([TokenBucket(1, 20), TokenBucket(1, 50)])
        due = time.monotonic() + 0.05
        await limits.wait_async()
        await limits.wait_async()
        self.assertGreaterEqual(time.monotonic(), due)
        slow = Limits([TokenBucket(1, 1000), TokenBucket(1, 0.001, initial_tokens=0)])
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(slow.wait_async(), 0.01)

    async def test_many_cancelled_in_any_order(self):
        tasks = [asyncio.ensure_future(self.limits.wait_async([1, 1, 1])) for _ in range(500)]
        await asyncio.sleep(0)
        for task in tasks[::3] + tasks[1::3]:
            task.cancel()
        await asyncio.wait(tasks[::3] + tasks[1::3])
        self.assertEqual(self.left(), (-166, -166, 5 - 166))
        self.clock.advance(200)
        self.assertEqual(await asyncio.gather(*tasks[2::3]), [None] * 166)
        self.assertEqual((self.left(), self.clock.waiters().waiting), ((10, 100, 5), 0))

    async def test_changes_in_other_threads(self):
        """Whoever wakes them, all are served, and none is lost."""

        def change():
            for i in range(100):
                self.tokens.tokens_per_second = 50 + i
                self.requests.refund(1)
                self.requests.charge(1)
                self.clock.advance(0.01)

        async def use(i):
            if i % 4:
                return await self.limits.wait_async([0.01, 0.1, 0.001], priority=i % 3)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(self.limits.wait_async([5, 5, 1], priority=-1), 0.001)

        tasks = [asyncio.ensure_future(use(i)) for i in range(400)]
        await asyncio.sleep(0)
        threads = [self.in_thread(change) for _ in range(3)]
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        for thread in threads:
            thread.get()
        self.assertEqual(self.clock.waiters().waiting, 0)

    async def test_nothing_is_kept_for_waits_that_are_over(self):
        before = set(_waiting._waiters)
        tasks = [asyncio.ensure_future(self.limits.wait_async([1, 1, 0.1])) for _ in range(20)]
        await asyncio.sleep(0)
        self.clock.advance(10)
        for task in tasks[10:]:
            task.cancel()
        await asyncio.wait(tasks)
        self.assertEqual(set(_waiting._waiters) - before, set())
        for member in (self.requests, self.tokens, self.users):
            self.assertEqual(len(getattr(member, "_joint_waits", ())), 0)


class LoopsThatEnd(LimitsTest):
    def setUp(self):
        super().setUp()
        self.empty()

    def loop_with_tasks(self, limits, *costs):
        """A loop that no longer runs, and the tasks that sleep in it."""
        loop = asyncio.new_event_loop()
        tasks = [loop.create_task(limits.wait_async(cost)) for cost in costs]
        for task in tasks:
            task._log_destroy_pending = False
        loop.run_until_complete(asyncio.sleep(0))
        return loop, tasks

    def test_one_that_is_closed_gives_all_back(self):
        """Also what one member has granted, whether somebody still has the tasks or not."""
        loop, tasks = self.loop_with_tasks(self.limits, [2, 50, 1], [1, 1, 1])
        self.clock.set(2)
        loop.run_until_complete(asyncio.sleep(0))
        self.assertEqual(self.left(), (-1, -31, 5))
        loop.close()
        self.assertEqual((self.left(), self.clock.waiters().waiting, len(tasks)), ((2, 20, 5), 0, 2))
        self.loop_with_tasks(self.limits, [10, 1, 1])[0].close()
        self.assertEqual((self.left(), self.clock.waiters().waiting), ((2, 20, 5), 0))

    def test_a_coroutine_that_is_closed(self):
        async def start():
            waiting = self.limits.wait_async([2, 50, 1])
            waiting.send(None)
            return waiting

        waiting = asyncio.run(start())
        waiting.close()
        self.assertEqual((self.left(), self.clock.waiters().waiting), ((0, 0, 5), 0))

    def test_where_no_loop_runs_nothing_is_taken(self):
        for costs in (1, [1, 1, 1], [10, 100, 6]):
            with self.assertRaisesRegex(RuntimeError, "running loop of asyncio or trio"):
                self.limits.wait_async(costs).send(None)
        self.assertEqual((self.left(), self.clock.waiters().waiting), ((0, 0, 5), 0))

    def test_members_and_tasks_collected_in_one_cycle(self):
        """Whichever is ended first."""
        for i in range(40):
            members = bucket, table = self.new_bucket(initial_tokens=0), self.new_table()
            limits = Limits([bucket, (table, "a"), self.requests])
            loop, tasks = self.loop_with_tasks(limits, [5, 6, 1], 2)
            members[i % 2].tasks = tasks
            gone = [weakref.ref(thing) for thing in (bucket, table, limits)]
            if i % 4 < 2:
                loop.close()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                del bucket, table, members, limits, loop, tasks
                gc.collect()
            self.assertEqual([reference() for reference in gone], [None] * 3)
            self.assertEqual((self.clock.waiters().waiting, self.requests.tokens), (0, 0))

    def test_a_place_that_is_left_or_goes_with_a_member(self):
        for of_table in (False, True):
            member = (self.new_table(), "a") if of_table else self.new_bucket()
            limits = Limits([member, self.requests])
            for leaves in (True, False):
                status, place, wait_ns = limits._enqueue((5.0, 2.0), 2**63 - 1, 0, 0)
                self.assertEqual((status, wait_ns, self.requests.tokens), (Status.PENDING, 2 * 10**9, -2))
                if leaves:
                    limits._leave(place)
                    self.assertEqual(self.requests.tokens, 0)
            del member, limits, place
            self.assertEqual((self.clock.waiters().waiting, self.requests.tokens), (0, 0))

    def test_members_whose_last_name_goes_meanwhile(self):
        limits = Limits([self.new_bucket(initial_tokens=0), (self.new_table(), "a")])
        wait = self.in_thread(limits.wait, [5, 6])
        self.until_waiting(1)
        del limits
        gc.collect()
        self.clock.advance(1)
        self.assertIsNone(wait.get())


class Statements(LimitsTest, unittest.IsolatedAsyncioTestCase):
    async def test_context_managers(self):
        with self.limits as entered:
            self.assertIs(entered, self.limits)
        async with self.limits as entered:
            self.assertIs(entered, self.limits)
        self.assertEqual(self.left(), (8, 98, 3))

    async def test_decorator(self):
        @self.limits.limit
        def plain(x):
            """Half."""
            return x / 2

        @self.limits.limit(costs=[1, 40, 1], timeout=0, priority=1)
        async def double(x):
            return 2 * x

        self.assertEqual((plain(4), plain.__doc__, self.left()), (2, "Half.", (9, 99, 4)))
        self.assertTrue(asyncio.iscoroutinefunction(double))
        self.assertEqual((await double(2), await double(3), self.left()), (4, 6, (7, 19, 2)))
        with self.assertRaises(RateLimitExceeded) as caught:
            await double(2)
        self.assertEqual((caught.exception.member, caught.exception.retry_after), (1, 2.1))
        with self.assertRaisesRegex(TypeError, "name its arguments"):
            self.limits.limit([1, 1, 1])


class Processes(ProcessTest):
    START = """
            from tokenbucket import Limits, RateLimitExceeded, Table
            table = Table(10, 1, max_keys=10, clock=clock)
            table.wait("a", 10)
            limits = Limits([bucket, (table, "a")])
            """

    def expect(self, program, output):
        super().expect(self.START + program, output)

    def test_ctrl_c_gives_all_back(self):
        """Also what one member has granted."""
        self.expect(
            """
            def one_is_due():
                clock.set(1)
                soon(os.kill, os.getpid(), signal.SIGINT)
            soon(one_is_due)
            try:
                limits.wait([5, 5])
            except KeyboardInterrupt:
                print("interrupted", bucket.tokens, table.tokens("a"), clock.waiters().waiting)
            """,
            "interrupted 5.0 1.0 0",
        )

    def test_a_handler_that_returns_lets_it_go_on(self):
        self.expect(
            """
            handled = []
            signal.signal(signal.SIGUSR1, lambda *_: handled.append(clock.now))
            def interrupt_then_serve():
                clock.set(0.5)
                os.kill(os.getpid(), signal.SIGUSR1)
                while not handled or clock.waiters().waiting < 2:
                    time.sleep(0.001)
                print(clock.waiters().next_due)
                clock.set(5)
            soon(interrupt_then_serve)
            print(limits.wait([5, 5], timeout=5), handled, bucket.tokens, table.tokens("a"))
            """,
            "1.0 None [0.5] 10.0 0.0",
        )

    def test_a_handler_that_returns_does_not_lengthen_the_timeout(self):
        self.expect(
            """
            def slow_down(*_):
                clock.set(0.5)
                table.charge("a", 5)
            signal.signal(signal.SIGUSR1, slow_down)
            soon(os.kill, os.getpid(), signal.SIGUSR1)
            try:
                limits.wait([5, 5], timeout=9.9)
            except RateLimitExceeded as error:
                print(error.status.name, error.member, error.retry_after, bucket.tokens, table.tokens("a"))
            """,
            "TIMED_OUT 1 9.5 2.5 -4.5",
        )

    def test_ctrl_c_in_asyncio(self):
        self.expect(
            """
            import asyncio
            soon(os.kill, os.getpid(), signal.SIGINT)
            try:
                asyncio.run(limits.wait_async([5, 5]))
            except KeyboardInterrupt:
                print("interrupted", bucket.tokens, table.tokens("a"), clock.waiters().waiting)
            """,
            "interrupted 0.0 0.0 0",
        )

    def test_other_threads_run_while_it_waits(self):
        """With a switch interval of a minute the interpreter's lock is only had when a wait gives it away."""
        self.expect(
            """
            thread = threading.Thread(target=limits.wait, args=([5, 5],))
            sys.setswitchinterval(60)
            thread.start()
            while clock.waiters().waiting < 2:
                time.sleep(0.001)
            clock.set(5)
            thread.join()
            print(table.tokens("a"))
            """,
            "0.0",
        )

    def test_the_end_with_threads_and_tasks_that_wait(self):
        self.expect(
            """
            import asyncio
            slow = Limits([TokenBucket(1, 0.001), TokenBucket(1, 1)])
            slow.wait()
            for _ in range(3):
                threading.Thread(target=slow.wait, daemon=True).start()
            loop = asyncio.new_event_loop()
            task = loop.create_task(slow.wait_async())
            task._log_destroy_pending = False
            loop.run_until_complete(asyncio.sleep(0.05))
            print("end", flush=True)
            """,
            "end",
        )

    def test_nobody_waits_in_a_child(self):
        self.expect(
            """
            import asyncio
            loop = asyncio.new_event_loop()
            task = loop.create_task(limits.wait_async([5, 5]))
            loop.run_until_complete(asyncio.sleep(0))
            if os.fork() == 0:
                print(clock.waiters().waiting, bucket.tokens, table.tokens("a"), flush=True)
                task.get_coro().close()
                print(bucket.tokens, table.tokens("a"), limits.take([1, 1]).member, flush=True)
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.wait()[1]), clock.waiters().waiting)
            clock.set(5)
            print(loop.run_until_complete(task), table.tokens("a"))
            loop.close()
            """,
            "0 -5.0 -5.0 -5.0 -5.0 1 0 2 None 0.0",
        )


if __name__ == "__main__":
    unittest.main()

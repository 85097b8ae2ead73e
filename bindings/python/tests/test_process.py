"""Signals, fork, and the end of the interpreter, each in a process of its own."""

import textwrap
import unittest

from support import run_python

START = """
import os, signal, sys, threading, time
from tokenbucket import ManualClock, TokenBucket

def main_sleeps():
    with open(f"/proc/self/task/{os.getpid()}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "S"

def soon(action, *args):
    # Once the main thread waits, and sleeps: a signal in the instant before any sleep in Python is handled after it.
    def act():
        while clock.waiters().waiting == 0:
            time.sleep(0.001)
        asleep = 0
        while asleep < 5:
            time.sleep(0.002)
            asleep = asleep + 1 if main_sleeps() else 0
        action(*args)
    threading.Thread(target=act, daemon=True).start()

clock = ManualClock()
bucket = TokenBucket(10, 5, clock=clock, initial_tokens=0)
"""


class ProcessTest(unittest.TestCase):
    def run_program(self, program):
        # Newer Pythons warn of a fork with threads, which is what is tested here.
        return run_python(START + textwrap.dedent(program), PYTHONWARNINGS="ignore::DeprecationWarning")

    def expect(self, program, output):
        result = self.run_program(program)
        self.assertEqual((result.stdout.split(), result.stderr, result.returncode), (output.split(), "", 0))


class Signals(ProcessTest):
    def test_ctrl_c_ends_a_wait(self):
        self.expect(
            """
            soon(os.kill, os.getpid(), signal.SIGINT)
            try:
                bucket.wait(5)
            except KeyboardInterrupt:
                print("interrupted", bucket.tokens, clock.waiters().waiting)
            """,
            "interrupted 0.0 0",
        )

    def test_ctrl_c_ends_a_wait_in_real_time_at_once(self):
        self.expect(
            """
            bucket = TokenBucket(1, 0.001)
            bucket.wait()
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            start = time.monotonic()
            try:
                bucket.wait()
            except KeyboardInterrupt:
                print("interrupted", time.monotonic() - start < 20, bucket.tokens >= 0)
            """,
            "interrupted True True",
        )

    def test_a_handler_that_returns_lets_the_wait_go_on(self):
        self.expect(
            """
            handled = []
            signal.signal(signal.SIGUSR1, lambda *_: handled.append(clock.now))
            def interrupt_then_serve():
                clock.set(0.5)
                os.kill(os.getpid(), signal.SIGUSR1)
                while not handled or clock.waiters().waiting == 0:
                    time.sleep(0.001)
                print(clock.waiters().next_due)
                clock.set(1)
            soon(interrupt_then_serve)
            print(bucket.wait(5, timeout=1), handled, bucket.tokens)
            """,
            "1.0 None [0.5] 0.0",
        )

    def test_a_handler_that_returns_does_not_lengthen_the_timeout(self):
        self.expect(
            """
            from tokenbucket import RateLimitExceeded
            def slow_down(*_):
                clock.set(0.5)
                bucket.charge(5)
            signal.signal(signal.SIGUSR1, slow_down)
            soon(os.kill, os.getpid(), signal.SIGUSR1)
            try:
                bucket.wait(5, timeout=1.9)
            except RateLimitExceeded as error:
                print(error.status.name, error.retry_after, bucket.tokens)
            """,
            "TIMED_OUT 1.5 -2.5",
        )

    def test_a_handler_may_raise_what_it_likes(self):
        self.expect(
            """
            def handler(*_):
                raise LookupError
            signal.signal(signal.SIGUSR1, handler)
            soon(os.kill, os.getpid(), signal.SIGUSR1)
            try:
                bucket.wait(5)
            except LookupError:
                print("raised", bucket.tokens)
            """,
            "raised 0.0",
        )

    def test_ctrl_c_in_the_main_thread_leaves_other_waits_alone(self):
        self.expect(
            """
            results = []
            thread = threading.Thread(target=lambda: results.append(bucket.wait(5)))
            thread.start()
            while clock.waiters().waiting == 0:
                time.sleep(0.001)
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(10)
            except KeyboardInterrupt:
                clock.set(1)
                thread.join()
                print("interrupted", results)
            """,
            "interrupted [None]",
        )

    def test_ctrl_c_in_asyncio(self):
        self.expect(
            """
            import asyncio
            soon(os.kill, os.getpid(), signal.SIGINT)
            try:
                asyncio.run(bucket.wait_async(5))
            except KeyboardInterrupt:
                print("interrupted", bucket.tokens, clock.waiters().waiting)
            """,
            "interrupted 0.0 0",
        )


class Fork(ProcessTest):
    def test_the_child_has_a_copy(self):
        self.expect(
            """
            bucket.reset()
            if os.fork() == 0:
                bucket.allow(7)
                print(bucket.tokens, flush=True)
                os._exit(0)
            os.wait()
            print(bucket.tokens)
            """,
            "3.0 10.0",
        )

    def test_nobody_waits_in_the_child(self):
        self.expect(
            """
            thread = threading.Thread(target=bucket.wait, args=(5,))
            thread.start()
            while clock.waiters().waiting == 0:
                time.sleep(0.001)
            if os.fork() == 0:
                print(clock.waiters().waiting, bucket.tokens, flush=True)
                bucket.close()
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.wait()[1]), clock.waiters().waiting)
            clock.set(1)
            thread.join()
            """,
            "0 -5.0 0 1",
        )

    def test_multiprocessing_inherits_by_fork_and_refuses_to_send(self):
        self.expect(
            """
            import multiprocessing
            bucket.reset()
            fork = multiprocessing.get_context("fork")
            with fork.Pool(2) as pool:
                try:
                    pool.apply(id, (bucket,))
                except TypeError as error:
                    print(str(error).split(":")[0].replace(" ", "-"))
            """,
            "cannot-pickle-or-copy-a-TokenBucket",
        )


class End(ProcessTest):
    def test_with_a_thread_that_waits(self):
        self.expect(
            """
            bucket = TokenBucket(1, 0.001)
            bucket.wait()
            threading.Thread(target=bucket.wait, daemon=True).start()
            threading.Thread(target=bucket.wait, daemon=True).start()
            time.sleep(0.05)
            print("end")
            """,
            "end",
        )

    def test_with_threads_whose_waits_end_meanwhile(self):
        self.expect(
            """
            def work():
                fast = TokenBucket(1, 2000, on_event=lambda event: None)
                while True:
                    fast.wait()
            for _ in range(8):
                threading.Thread(target=work, daemon=True).start()
            time.sleep(0.1)
            print("end")
            """,
            "end",
        )

    def test_with_a_bucket_used_by_the_last_destructors(self):
        self.expect(
            """
            class Last:
                def __init__(self, bucket):
                    self.bucket = bucket
                def __del__(self):
                    os.write(1, b"%d" % self.bucket.allow())
            keep = Last(TokenBucket(1, 1))
            """,
            "1",
        )

    def test_close_while_threads_wait_and_the_bucket_goes(self):
        self.expect(
            """
            from tokenbucket import BucketClosed
            ended = []
            def work(bucket):
                try:
                    bucket.wait(5)
                except BucketClosed:
                    ended.append(1)
            threads = [threading.Thread(target=work, args=(bucket,)) for _ in range(20)]
            for thread in threads:
                thread.start()
            while clock.waiters().waiting < 20:
                time.sleep(0.001)
            bucket.close()
            del bucket
            for thread in threads:
                thread.join()
            print(len(ended))
            """,
            "20",
        )


class Interpreters(ProcessTest):
    def in_others(self, program):
        self.expect(
            f"""
            try:
                import _xxsubinterpreters as interpreters
            except ImportError:
                import _interpreters as interpreters
            # One that shares the lock of the interpreters, as all did before 3.12.
            if sys.version_info >= (3, 13):
                create = lambda: interpreters.create("legacy")
            elif sys.version_info >= (3, 12):
                create = lambda: interpreters.create(isolated=False)
            else:
                create = interpreters.create
            for _ in range(3):
                other = create()
                interpreters.run_string(other, {textwrap.dedent(program)!r})
                interpreters.destroy(other)
            print(bucket.allow())
            """,
            "False",
        )

    def test_a_bucket_in_another_interpreter(self):
        self.in_others(
            """
            from tokenbucket import RateLimitExceeded, TokenBucket
            bucket = TokenBucket(1, 0.001)
            assert bucket.allow() and not bucket.take()
            try:
                bucket.wait(1, 0.1)
            except RateLimitExceeded:
                pass
            else:
                raise AssertionError
            """
        )

    def test_events_in_another_interpreter(self):
        self.in_others(
            """
            import tokenbucket
            events = []
            try:
                bucket = tokenbucket.TokenBucket(1, 0.001, on_event=events.append)
            except RuntimeError:
                assert tokenbucket.backend == "ctypes"
            else:
                assert tokenbucket.backend == "native"
                assert bucket.allow() and not bucket.allow() and len(events) == 1
            """
        )


if __name__ == "__main__":
    unittest.main()

"""A server of Redis for the tests of one module, in a temporary folder without a port."""

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

try:
    import redis
    import redis.asyncio
except ImportError:
    redis = None

PR_SET_PDEATHSIG = 1
REASON = ""
if shutil.which("redis-server") is None:
    REASON = "redis-server is not installed"
elif redis is None:
    REASON = "python3-redis 4 is not installed"


def end_with_the_test():
    """Also if that is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """Runs from start() to end(); options are words for redis-server."""

    def __init__(self, *options):
        self._folder = tempfile.TemporaryDirectory(prefix="tokenbucket-redis-")
        self.path = os.path.join(self._folder.name, "s")
        self._options = options
        self.start()

    def start(self):
        folder = self._folder.name
        words = ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "", "--appendonly", "no"]
        words += ["--dir", folder, "--logfile", folder + "/log", *self._options]
        self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, preexec_fn=end_with_the_test)
        deadline = time.monotonic() + 30
        while not self._accepts():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("redis-server does not answer: " + pathlib.Path(folder, "log").read_text())
            time.sleep(0.005)

    def _accepts(self):
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(self.path) == 0

    def stop(self):
        self._process.terminate()
        self._process.wait()

    def pause(self):
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def end(self):
        self.stop()
        self._folder.cleanup()

    def client(self, **options):
        return redis.Redis(unix_socket_path=self.path, **options)

    def async_client(self, **options):
        return redis.asyncio.Redis(unix_socket_path=self.path, **options)


@unittest.skipIf(REASON, REASON)
class RedisTest(unittest.TestCase):
    """Each class has a server, and each test an empty one."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.end)

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(self.client.close)
        self.client.flushall()

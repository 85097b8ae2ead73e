"""What a user sees: names, documentation, types, the backend in use, what a missing library says."""

import ast
import doctest
import importlib
import inspect
import os
import math
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import types
import unittest
from fractions import Fraction

import tokenbucket
from support import ROOT, run_python

HAS_EXTENSION = sys.version_info >= (3, 10)
BACKEND = os.environ["TOKENBUCKET_BACKEND"]
FAST = ("allow", "try_consume", "take", "take_up_to", "wait")
PUBLIC = [
    tokenbucket.TokenBucket,
    tokenbucket.Table,
    tokenbucket.Limits,
    tokenbucket.ManualClock,
    tokenbucket.Reservation,
    tokenbucket.JointReservation,
]
VALUES = [
    tokenbucket.Decision,
    tokenbucket.Event,
    tokenbucket.JointDecision,
    tokenbucket.Stats,
    tokenbucket.TableStats,
    tokenbucket.Waiters,
    tokenbucket.Status,
]
ERRORS = [tokenbucket.RateLimitExceeded, tokenbucket.TableFull, tokenbucket.BucketClosed]
FUNCTIONS = [tokenbucket.address_key, tokenbucket.library_version, tokenbucket.remove_shared]
# Their examples need a server: test_redis_examples.py.
REDIS = [
    tokenbucket.RedisTable,
    tokenbucket.RedisLimits,
    tokenbucket.RedisReservation,
    tokenbucket.AsyncRedisTable,
    tokenbucket.AsyncRedisLimits,
    tokenbucket.AsyncRedisReservation,
]
REDIS_ERRORS = [tokenbucket.Unavailable, tokenbucket.Mismatch]

PUBLIC_MODULES = (
    "_bucket.py",
    "_clock.py",
    "_context.py",
    "_ctypes_backend.py",
    "_ctypes_limits.py",
    "_ctypes_remote.py",
    "_ctypes_table.py",
    "_decorator.py",
    "_errors.py",
    "_limiter.py",
    "_limits.py",
    "_numbers.py",
    "_question.py",
    "_redis.py",
    "_redis_async.py",
    "_remote.py",
    "_remote_limits.py",
    "_remote_reservation.py",
    "_reservation.py",
    "_results.py",
    "_shared.py",
    "_table.py",
)


def members(cls):
    """Public members and what a statement calls, as name and object."""
    special = {"__enter__", "__exit__", "__aenter__", "__aexit__"}
    for name, member in inspect.getmembers(cls):
        own = any(name in base.__dict__ for base in cls.__mro__[:-1])
        if own and (not name.startswith("_") or name in special):
            yield name, member


def documented(classes, others):
    """What a user can ask for help on, of classes with their members and of others without."""
    for thing in [*classes, *others]:
        yield thing.__name__, thing
    for cls in classes:
        for name, member in members(cls):
            yield f"{cls.__name__}.{name}", member


def reports_of_examples(things, names, before=lambda: None):
    """How many examples there are, and what those say that do not hold. Calls before() for each thing."""
    parser, names = doctest.DocTestParser(), {**vars(tokenbucket), **names}
    tried, reports = 0, []
    for name, thing in things:
        before()
        test = parser.get_doctest(inspect.getdoc(thing), dict(names), name, None, None)
        tried += doctest.DocTestRunner(verbose=False).run(test, out=reports.append).attempted
    return tried, reports


class Names(unittest.TestCase):
    def test_all(self):
        for name in tokenbucket.__all__:
            self.assertTrue(hasattr(tokenbucket, name), name)
        self.assertLessEqual({"TokenBucket", "RateLimitExceeded", "__version__"}, set(tokenbucket.__all__))
        self.assertEqual(sorted(tokenbucket.__all__, key=str.lower), sorted(set(tokenbucket.__all__), key=str.lower))
        public = {name for name, thing in vars(tokenbucket).items() if name[0] != "_" and not inspect.ismodule(thing)}
        self.assertEqual(public - set(tokenbucket.__all__), set())

    def test_representations_show_the_limit(self):
        clock = tokenbucket.ManualClock()
        bucket = tokenbucket.TokenBucket(10, Fraction(1, 3), initial_tokens=2.5, clock=clock)
        self.assertEqual(repr(bucket), "<TokenBucket capacity=10, tokens_per_second=0.333333, tokens=2.5>")
        client = types.SimpleNamespace(evalsha=print, eval=print)
        table = tokenbucket.RedisTable(client, 10, 300, period=60, prefix="tb:users:")
        self.assertEqual(repr(table), "<RedisTable capacity=10, tokens_per_second=5, prefix=b'tb:users:'>")
        users = tokenbucket.Table(10, 300, period=60, max_keys=100, clock=clock)
        self.assertEqual(repr(users), "<Table capacity=10, tokens_per_second=5>")
        limits = tokenbucket.Limits([bucket, (users, "ann")])
        self.assertEqual(repr(limits), f"<Limits [{bucket!r}, ({users!r}, 'ann')]>")
        bucket.close()
        self.assertEqual(repr(bucket), "<TokenBucket capacity=10, tokens_per_second=0.333333, closed>")
        self.assertEqual(repr(tokenbucket.Limits.__new__(tokenbucket.Limits)), "<Limits not initialised>")

    def test_errors_show_what_they_hold(self):
        bucket = tokenbucket.TokenBucket(10, 1, initial_tokens=0, clock=tokenbucket.ManualClock())
        for waiter, member in ((bucket, ""), (tokenbucket.Limits([bucket]), ", member=0")):
            with self.assertRaises(tokenbucket.RateLimitExceeded) as caught:
                waiter.wait(5, timeout=2)
            shown = f"RateLimitExceeded(Status.TIMED_OUT, tokens=5, retry_after=5{member})"
            self.assertEqual(repr(caught.exception), shown)
            self.assertRegex(str(caught.exception), "; retry after 5 s$")
        error = tokenbucket.TableFull(tokenbucket.Status.TABLE_FULL, 2.5, math.inf)
        self.assertEqual(repr(error), "TableFull(Status.TABLE_FULL, tokens=2.5, retry_after=inf)")
        error = tokenbucket.RateLimitExceeded(tokenbucket.Status.TIMED_OUT, 1, math.inf)
        self.assertEqual(str(error), "1 tokens: not within the time allowed")

    def test_version(self):
        version = (ROOT / "capi" / "VERSION").read_text().strip()
        self.assertEqual((tokenbucket.__version__, tokenbucket.library_version()), (version, version))

    def test_backend(self):
        self.assertEqual(tokenbucket.backend, BACKEND)
        module = {"native": "tokenbucket._native", "ctypes": "tokenbucket._ctypes_backend"}[BACKEND]
        self.assertEqual(tokenbucket.TokenBucket.__mro__[1].__module__, module)
        self.assertEqual(tokenbucket.Table.__mro__[1].__module__, module.replace("backend", "table"))
        self.assertEqual(tokenbucket.Limits.__mro__[1].__module__, module.replace("backend", "limits"))

    def test_errors_name_the_module(self):
        for cls in PUBLIC + VALUES + ERRORS + REDIS + REDIS_ERRORS:
            self.assertEqual(cls.__module__, "tokenbucket")

    @unittest.skipUnless(HAS_EXTENSION, "no extension for this Python")
    def test_the_same_on_both_backends(self):
        native = importlib.import_module("tokenbucket._native")
        others = {
            "Table": ("_ctypes_table", {"_handle", "_joint_waits"}),
            "Bucket": ("_ctypes_backend", {"_handle", "_joint_waits"}),
            "Clock": ("_ctypes_backend", {"_handle"}),
            "Limits": ("_ctypes_limits", {"_members", "_parts"}),
            "Remote": ("_ctypes_remote", {"_handle", "_ask"}),
        }
        for name, (module, without) in others.items():
            ours, theirs = getattr(native, name), getattr(importlib.import_module("tokenbucket." + module), name)
            own = [{m for m in vars(cls) if not m.startswith("__")} for cls in (ours, theirs)]
            self.assertEqual(own[0] - own[1], set(), "only native")
            self.assertEqual(own[1] - own[0], without, "only ctypes")
            for fast in FAST if name in ("Table", "Bucket") else ():
                pair = [getattr(cls, fast) for cls in (ours, theirs)]
                self.assertEqual(*map(inspect.getdoc, pair))
                self.assertEqual(*[list(map(str_of, inspect.signature(f).parameters.values())) for f in pair])


def str_of(parameter):
    return parameter.name, parameter.default, parameter.name == "self" or parameter.kind.name


class Documentation(unittest.TestCase):
    def test_everything_has_an_example(self):
        named = dict(documented(PUBLIC + REDIS, [tokenbucket, *FUNCTIONS, *VALUES, *ERRORS, *REDIS_ERRORS]))
        self.assertGreater(len(named), 90)
        for name, thing in named.items():
            with self.subTest(name):
                self.assertIn(">>>", inspect.getdoc(thing) or "")

    def test_the_examples_hold(self):
        things = documented(PUBLIC, [tokenbucket, *FUNCTIONS, *VALUES, *ERRORS])
        tried, reports = reports_of_examples(things, {})
        self.assertEqual(reports, [])
        self.assertGreater(tried, 100)

    def test_everything_public_is_annotated(self):
        package = pathlib.Path(tokenbucket.__file__).parent
        self.assertTrue((package / "py.typed").is_file())
        for path in PUBLIC_MODULES:
            for node in ast.walk(ast.parse((package / path).read_text())):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
                    if node.name in ("call", "told"):
                        continue
                    self.assertIsNotNone(node.returns, f"{path}: {node.name}")
                    unannotated = [a.arg for a in node.args.args if a.arg not in ("self", "cls") and not a.annotation]
                    self.assertEqual(unannotated, [], f"{path}: {node.name}")

    @unittest.skipUnless(shutil.which("mypy"), "mypy is not installed")
    def test_types(self):
        """The package by itself, and a strict program that uses it."""
        package = pathlib.Path(tokenbucket.__file__).parent
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "program.py"
            program.write_text(TYPED_PROGRAM)
            for what in ([str(package)], ["--strict", str(program)]):
                command = ["mypy", f"--cache-dir={folder}/cache", *what]
                environment = {**os.environ, "MYPYPATH": str(package.parent)}
                result = subprocess.run(command, capture_output=True, text=True, env=environment)
                self.assertEqual(result.returncode, 0, result.stdout)


TYPED_PROGRAM = """
from datetime import timedelta
from fractions import Fraction
from typing import List, Optional
from tokenbucket import (
    AsyncRedisLimits,
    AsyncRedisReservation,
    AsyncRedisTable,
    Decision,
    Event,
    JointDecision,
    JointReservation,
    Limits,
    ManualClock,
    RateLimitExceeded,
    RedisLimits,
    RedisReservation,
    RedisTable,
    Reservation,
    Table,
    TableStats,
    TokenBucket,
    Unavailable,
    address_key,
)

def told(event: Event) -> None: ...

bucket = TokenBucket(10, Fraction(1, 3), period=timedelta(hours=1), clock=ManualClock(), on_event=told)

@bucket.limit
def double(x: int) -> int:
    return 2 * x

@bucket.limit(tokens=2.5, timeout=1)
async def name(x: int) -> str:
    await bucket.wait_async(timeout=3, priority=1)
    async with bucket as same:
        same.charge(2)
    return str(x)

with bucket as same:
    granted: bool = same.allow()
    same.wait(2, timeout=timedelta(seconds=1), priority=-1)
    same.set_tokens(3)
decision: Decision = bucket.take(1)
reservation: Reservation = bucket.reserve(1, max_wait=2)
number: int = double(2) + bucket.take_up_to(3) + decision.retry_after_ns
time: float = bucket.retry_after() + reservation.delay + decision.reset_after
bucket.capacity = 5

table = Table(10, 5, max_keys=1000, when_full="deny", clock=ManualClock())
taken: bool = table.allow("ann") and table.allow(b"ann", 2.5) and table.try_consume(("ann", 1, b"x"))
several: List[Optional[bool]] = table.allow_many(["ann", 1], [1, Fraction(1, 2)])
table.wait(address_key("192.0.2.1"), 2, timeout=timedelta(seconds=1), priority=1)
reserved: Reservation = table.reserve(7, max_wait=1)
left: float = table.tokens("ann") + table.retry_after(7) + table.charge(7, 2) + table.take("ann").remaining
held: TableStats = table.stats()
class Users(Table): ...
ours: Users = Users.shared("users", 10, 5, max_keys=1000, when_full="deny", period=60, adopt=True, max_waiters=5, max_lateness=1, precise=True)
table.tokens_per_second = 7

async def wait(user: str) -> None:
    await table.wait_async(user, timeout=1, priority=2)

limits = Limits([bucket, (table, "ann"), (table, ("ann", 1))])
both: bool = limits.allow() and limits.try_consume([1, Fraction(1, 2), 3.5]) and limits.allow(costs=2)
joint: JointDecision = limits.take([1, 1, 1])
refused: Optional[int] = joint.member
together: JointReservation = limits.reserve((1, 2, 3), max_wait=timedelta(seconds=1))
together.settle(0)
later: float = together.delay + joint.retry_after + sum(together.tokens)

@limits.limit(costs=[1, 2, 3], timeout=1, priority=1)
def half(x: int) -> float:
    return x / 2

with limits as same_limits:
    same_limits.wait([1, 2, 3], timeout=3, priority=1)

async def wait_for_all() -> Optional[int]:
    try:
        async with limits:
            await limits.wait_async([1, 2, 3], timeout=3, priority=1)
    except RateLimitExceeded as error:
        return error.member
    return None

class Client:
    def evalsha(self, sha: str, numkeys: int, *keys_and_args: str) -> object: ...
    def eval(self, script: str, numkeys: int, *keys_and_args: str) -> object: ...

fleet = RedisTable(Client(), 10, Fraction(1, 3), prefix=b"tb:a:", max_wait=60, on_unavailable="local", share=0.5)
some: List[bool] = fleet.allow_many(["ann", b"bob"], [1, 2]) + [fleet.allow("ann"), fleet.take(b"ann").allowed]
held_there: RedisReservation = fleet.reserve("ann", 2, max_wait=timedelta(seconds=1))
held_there.settle(1)
far: float = fleet.tokens("ann") + fleet.charge("ann") + held_there.delay + fleet.take_up_to("ann", 3)
joint_there: JointDecision = RedisLimits([(fleet, "{ann}")]).take([1])

async def elsewhere() -> Optional[AsyncRedisReservation]:
    users = AsyncRedisTable(Client(), 10, 5, period=60)
    try:
        await users.wait("ann", timeout=1)
        if await AsyncRedisLimits([(users, "ann")]).allow():
            return await users.reserve("ann")
    except Unavailable:
        pass
    return None
"""


class Header(unittest.TestCase):
    def test_status(self):
        reader = [sys.executable, "-B", ROOT / "capi/abi/generate/header.py"]
        table = subprocess.run(reader, capture_output=True, text=True, check=True).stdout
        listed = re.findall(r"^status TB_(\w+) tb_status (\d+)", table, re.MULTILINE)
        self.assertEqual([(s.name, s.value) for s in tokenbucket.Status], [(n, int(v)) for n, v in listed])


class Loading(unittest.TestCase):
    def fails(self, program="import tokenbucket", **environment):
        result = run_python(program, **environment)
        self.assertEqual(result.returncode, 1)
        return result.stderr.splitlines()[-1]

    def test_without_the_library(self):
        message = self.fails(LD_LIBRARY_PATH="/nonexistent", TOKENBUCKET_BACKEND="")
        for part in ("ImportError", "libtokenbucket.so.1", "LD_LIBRARY_PATH", "ldconfig", "1.0.0 or newer", "apt install g++"):
            self.assertIn(part, message)

    def test_an_unknown_backend(self):
        self.assertIn('"fortran"', self.fails(TOKENBUCKET_BACKEND="fortran"))

    def test_ctypes_stands_in_for_an_extension_that_is_not_there(self):
        with tempfile.TemporaryDirectory() as folder:
            package = pathlib.Path(tokenbucket.__file__).parent
            shutil.copytree(package, folder + "/tokenbucket", ignore=shutil.ignore_patterns("_native*", "__pycache__"))
            program = f"import sys; sys.path.insert(0, {folder!r}); import tokenbucket; print(tokenbucket.backend)"
            self.assertEqual(run_python(program, TOKENBUCKET_BACKEND="").stdout, "ctypes\n")

    @unittest.skipUnless(HAS_EXTENSION, "no extension for this Python")
    def test_the_extension_comes_first(self):
        result = run_python("import tokenbucket; print(tokenbucket.backend)", TOKENBUCKET_BACKEND="")
        self.assertEqual(result.stdout, "native\n")

    @unittest.skipUnless(shutil.which("cc"), "there is no C compiler")
    def test_another_library_of_that_name(self):
        stubs = {
            "int tb_abi_version(void){return 2;} int tb_library_version(void){return 20304;}": "2.3.4 with ABI 2",
            "int tb_abi_version(void){return 1;} int tb_library_version(void){return 901;}": "0.9.1 with ABI 1",
            "int nothing;": "is no tokenbucket library",
        }
        for source, wanted in stubs.items():
            with self.subTest(wanted), tempfile.TemporaryDirectory() as folder:
                library = folder + "/libtokenbucket.so.1"
                subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"], input=source.encode(), check=True)
                message = self.fails(LD_LIBRARY_PATH=folder, TOKENBUCKET_BACKEND="")
                self.assertIn(wanted, message)
                self.assertIn("1.0.0 or newer", message)

    def test_asyncio_is_not_loaded_for_those_who_do_not_use_it(self):
        program = "import sys, tokenbucket; tokenbucket.TokenBucket(1, 1).wait(); print('asyncio' in sys.modules)"
        self.assertEqual(run_python(program).stdout, "False\n")


if __name__ == "__main__":
    unittest.main()

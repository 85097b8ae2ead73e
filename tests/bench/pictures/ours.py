"""The library in TB_BUILD on a manual clock, by ctypes and the declarations that are made from its header."""

import ctypes
import importlib.util
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
FOREVER = 2**63 - 1


def _declarations():
    path = ROOT / "bindings/python/src/tokenbucket/_declarations.py"
    spec = importlib.util.spec_from_file_location("declarations", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


c = _declarations()
library = ctypes.CDLL(os.environ.get("TB_SHARED") or os.path.join(os.environ["TB_BUILD"], "libtokenbucket.so.1"))
for _name, (_result, *_parameters) in c.FUNCTIONS.items():
    getattr(library, _name).restype = _result
    getattr(library, _name).argtypes = _parameters


class Bucket:
    """A bucket with a clock of its own, which stands until now_ns is set."""

    def __init__(self, capacity, tokens, period_ns, initial_tokens=-1.0):
        self.clock, self.bucket = ctypes.POINTER(c.tb_clock)(), ctypes.POINTER(c.tb_bucket)()
        self.check(library.tb_manual_clock_create(0, ctypes.byref(self.clock)))
        config = c.tb_config()
        self.check(library.tb_config_init(ctypes.byref(config), ctypes.sizeof(config)))
        config.capacity, config.rate_tokens, config.rate_period_ns = capacity, tokens, period_ns
        config.initial_tokens, config.clock = initial_tokens, self.clock
        self.check(library.tb_create_with(ctypes.byref(config), ctypes.byref(self.bucket)))

    def __del__(self):
        library.tb_destroy(self.bucket)
        library.tb_clock_destroy(self.clock)

    @staticmethod
    def check(status, *allowed):
        if status not in (0, *allowed):
            raise RuntimeError(library.tb_status_name(status).decode())
        return status == 0

    def at(self, now_ns):
        self.check(library.tb_manual_clock_set(self.clock, now_ns))
        return self

    def ask(self, now_ns, n):
        """Whether n tokens are taken now, and else how long they will take."""
        decision = c.tb_decision()
        granted = self.check(library.tb_take(self.at(now_ns).bucket, n, ctypes.byref(decision)), 1)
        return granted, decision.retry_after_ns

    def enqueue(self, n):
        """The waiter's number, 0 if it need not wait."""
        waiter, wait_ns = ctypes.c_uint64(), ctypes.c_int64()
        self.check(
            library.tb_enqueue(self.bucket, n, FOREVER, 0, 0, ctypes.byref(waiter), ctypes.byref(wait_ns)), 8
        )  # fmt: skip
        return waiter.value

    def wait_of(self, waiter):
        """How long the waiter still has to wait; 0: it has its tokens and is gone."""
        wait_ns = ctypes.c_int64()
        self.check(library.tb_waiter_check(self.bucket, waiter, ctypes.byref(wait_ns)), 8)
        return wait_ns.value

    def leave(self, waiter):
        self.check(library.tb_waiter_leave(self.bucket, waiter))

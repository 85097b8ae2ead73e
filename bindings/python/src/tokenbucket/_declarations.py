"""tokenbucket.h for ctypes, as far as it is used; a test of the project compares the two."""

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any


def callback(result: Any, *parameters: Any) -> Any:
    """The type of a C function that C calls; parameters are (name, type)."""
    return CFUNCTYPE(result, *(type_ for _, type_ in parameters))


tb_status = c_int32


class tb_bucket(Structure):
    pass


class tb_clock(Structure):
    pass


class tb_event(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("status", tb_status),
        ("reserved", c_int32),
        ("n", c_double),
        ("waited_ns", c_int64),
    ]


tb_event_fn = callback(None, ("user", c_void_p), ("event", POINTER(tb_event)))


class tb_config(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("capacity", c_double),
        ("rate_tokens", c_double),
        ("rate_period_ns", c_int64),
        ("initial_tokens", c_double),
        ("clock", POINTER(tb_clock)),
        ("unit", c_double),
        ("max_waiters", c_int64),
        ("flags", c_uint32),
        ("reserved", c_uint32),
        ("on_event", tb_event_fn),
        ("event_user", c_void_p),
    ]


class tb_decision(Structure):
    _fields_ = [
        ("status", tb_status),
        ("reserved", c_int32),
        ("remaining", c_double),
        ("retry_after_ns", c_int64),
        ("reset_after_ns", c_int64),
    ]


class tb_reservation(Structure):
    _fields_ = [
        ("tokens", c_double),
        ("wait_ns", c_int64),
        ("ready_at_ns", c_int64),
        ("ticket", c_uint64),
    ]


class tb_stats(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("granted", c_int64),
        ("denied", c_int64),
        ("timed_out", c_int64),
        ("cancelled", c_int64),
        ("waits", c_int64),
        ("total_wait_ns", c_int64),
        ("longest_wait_ns", c_int64),
        ("waiting", c_int64),
        ("tokens_taken", c_double),
        ("tokens_given_back", c_double),
    ]


# name: result, then the parameters as (name, type).
FUNCTIONS = {
    "tb_library_version": (c_int32,),
    "tb_library_version_string": (c_char_p,),
    "tb_abi_version": (c_int32,),
    "tb_config_init": (tb_status, ("config", POINTER(tb_config)), ("struct_size", c_size_t)),
    "tb_create_with": (tb_status, ("config", POINTER(tb_config)), ("out_bucket", POINTER(POINTER(tb_bucket)))),
    "tb_close": (tb_status, ("bucket", POINTER(tb_bucket))),
    "tb_destroy": (None, ("bucket", POINTER(tb_bucket))),
    "tb_allow": (tb_status, ("bucket", POINTER(tb_bucket)), ("n", c_double)),
    "tb_take": (
        tb_status,
        ("bucket", POINTER(tb_bucket)),
        ("n", c_double),
        ("out_decision", POINTER(tb_decision)),
    ),
    "tb_take_up_to": (
        tb_status,
        ("bucket", POINTER(tb_bucket)),
        ("most", c_double),
        ("out_taken", POINTER(c_double)),
    ),
    "tb_wait_for": (tb_status, ("bucket", POINTER(tb_bucket)), ("n", c_double), ("timeout_ns", c_int64)),
    "tb_reserve": (
        tb_status,
        ("bucket", POINTER(tb_bucket)),
        ("n", c_double),
        ("max_wait_ns", c_int64),
        ("out_reservation", POINTER(tb_reservation)),
    ),
    "tb_cancel": (tb_status, ("bucket", POINTER(tb_bucket)), ("reservation", POINTER(tb_reservation))),
    "tb_settle": (
        tb_status,
        ("bucket", POINTER(tb_bucket)),
        ("reservation", POINTER(tb_reservation)),
        ("actual", c_double),
    ),
    "tb_charge": (
        tb_status,
        ("bucket", POINTER(tb_bucket)),
        ("n", c_double),
        ("out_repaid_after_ns", POINTER(c_int64)),
    ),
    "tb_refund": (tb_status, ("bucket", POINTER(tb_bucket)), ("n", c_double)),
    "tb_reset": (tb_status, ("bucket", POINTER(tb_bucket)), ("tokens", c_double)),
    "tb_set_rate": (tb_status, ("bucket", POINTER(tb_bucket)), ("tokens_per_second", c_double)),
    "tb_set_capacity": (tb_status, ("bucket", POINTER(tb_bucket)), ("capacity", c_double)),
    "tb_available": (tb_status, ("bucket", POINTER(tb_bucket)), ("out_tokens", POINTER(c_double))),
    "tb_time_until": (
        tb_status,
        ("bucket", POINTER(tb_bucket)),
        ("n", c_double),
        ("out_ns", POINTER(c_int64)),
    ),
    "tb_get_limit": (tb_status, ("bucket", POINTER(tb_bucket)), ("out_config", POINTER(tb_config))),
    "tb_get_stats": (tb_status, ("bucket", POINTER(tb_bucket)), ("out_stats", POINTER(tb_stats))),
    "tb_manual_clock_create": (tb_status, ("start_ns", c_int64), ("out_clock", POINTER(POINTER(tb_clock)))),
    "tb_manual_clock_set": (tb_status, ("clock", POINTER(tb_clock)), ("now_ns", c_int64)),
    "tb_manual_clock_waiters": (
        tb_status,
        ("clock", POINTER(tb_clock)),
        ("out_count", POINTER(c_int64)),
        ("out_next_due_ns", POINTER(c_int64)),
    ),
    "tb_clock_destroy": (None, ("clock", POINTER(tb_clock))),
}

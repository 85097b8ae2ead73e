"""tokenbucket.h for ctypes. Made by capi/abi/generate."""

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

tb_status = c_int32


class tb_bucket(Structure):
    pass


class tb_decision(Structure):
    _fields_ = [
        ("status", tb_status),
        ("reserved", c_int32),
        ("remaining", c_double),
        ("retry_after_ns", c_int64),
        ("reset_after_ns", c_int64),
    ]


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


tb_event_fn: Any = CFUNCTYPE(None, c_void_p, POINTER(tb_event))


tb_wake_fn: Any = CFUNCTYPE(None, c_void_p, c_uint64)


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
        ("on_wake", tb_wake_fn),
        ("wake_user", c_void_p),
        ("max_lateness_ns", c_int64),
    ]


class tb_config_fault(Structure):
    _fields_ = [
        ("field", c_char_p),
        ("allowed", c_char_p),
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


class tb_table(Structure):
    pass


class tb_table_config(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("max_keys", c_int64),
        ("max_bytes", c_int64),
        ("when_full", c_int32),
        ("reserved", c_uint32),
    ]


class tb_table_stats(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("places", c_int64),
        ("occupied", c_int64),
        ("evicted", c_int64),
        ("tokens_forgiven", c_double),
    ]


class tb_member(Structure):
    _fields_ = [
        ("bucket", POINTER(tb_bucket)),
        ("table", POINTER(tb_table)),
        ("key", c_void_p),
        ("key_size", c_size_t),
        ("n", c_double),
    ]


class tb_refusal(Structure):
    _fields_ = [
        ("member", c_int32),
        ("reserved", c_int32),
        ("retry_after_ns", c_int64),
    ]


class tb_waiter_all(Structure):
    pass


class tb_remote(Structure):
    pass


class tb_remote_answer(Structure):
    _fields_ = [
        ("tokens", c_double),
        ("remaining", c_double),
        ("retry_after_ns", c_int64),
        ("reset_after_ns", c_int64),
    ]


class tb_remote_member(Structure):
    _fields_ = [
        ("remote", POINTER(tb_remote)),
        ("key", c_void_p),
        ("key_size", c_size_t),
        ("n", c_double),
    ]


tb_clock_fn: Any = CFUNCTYPE(c_int64, c_void_p)


# name: result, then the parameters.
FUNCTIONS = {
    "tb_create": [tb_status, c_double, c_double, POINTER(POINTER(tb_bucket))],
    "tb_allow": [tb_status, POINTER(tb_bucket), c_double],
    "tb_try_consume": [tb_status, POINTER(tb_bucket), c_double],
    "tb_take": [tb_status, POINTER(tb_bucket), c_double, POINTER(tb_decision)],
    "tb_take_up_to": [tb_status, POINTER(tb_bucket), c_double, POINTER(c_double)],
    "tb_wait": [tb_status, POINTER(tb_bucket), c_double],
    "tb_wait_for": [tb_status, POINTER(tb_bucket), c_double, c_int64],
    "tb_wait_with": [tb_status, POINTER(tb_bucket), c_double, c_int64, c_int32],
    "tb_enqueue": [tb_status, POINTER(tb_bucket), c_double, c_int64, c_int32, c_uint64, POINTER(c_uint64), POINTER(c_int64)],
    "tb_waiter_check": [tb_status, POINTER(tb_bucket), c_uint64, POINTER(c_int64)],
    "tb_waiter_leave": [tb_status, POINTER(tb_bucket), c_uint64],
    "tb_close": [tb_status, POINTER(tb_bucket)],
    "tb_destroy": [None, POINTER(tb_bucket)],
    "tb_config_init": [tb_status, POINTER(tb_config), c_size_t],
    "tb_create_with": [tb_status, POINTER(tb_config), POINTER(POINTER(tb_bucket))],
    "tb_config_check": [tb_status, POINTER(tb_config), POINTER(tb_config_fault)],
    "tb_reserve": [tb_status, POINTER(tb_bucket), c_double, c_int64, POINTER(tb_reservation)],
    "tb_cancel": [tb_status, POINTER(tb_bucket), POINTER(tb_reservation)],
    "tb_settle": [tb_status, POINTER(tb_bucket), POINTER(tb_reservation), c_double],
    "tb_charge": [tb_status, POINTER(tb_bucket), c_double, POINTER(c_int64)],
    "tb_refund": [tb_status, POINTER(tb_bucket), c_double],
    "tb_reset": [tb_status, POINTER(tb_bucket), c_double],
    "tb_set_tokens": [tb_status, POINTER(tb_bucket), c_double],
    "tb_set_rate": [tb_status, POINTER(tb_bucket), c_double],
    "tb_set_capacity": [tb_status, POINTER(tb_bucket), c_double],
    "tb_available": [tb_status, POINTER(tb_bucket), POINTER(c_double)],
    "tb_time_until": [tb_status, POINTER(tb_bucket), c_double, POINTER(c_int64)],
    "tb_get_limit": [tb_status, POINTER(tb_bucket), POINTER(tb_config)],
    "tb_get_stats": [tb_status, POINTER(tb_bucket), POINTER(tb_stats)],
    "tb_table_config_init": [tb_status, POINTER(tb_table_config), c_size_t],
    "tb_table_create": [tb_status, c_double, c_double, c_int64, POINTER(POINTER(tb_table))],
    "tb_table_create_with": [tb_status, POINTER(tb_config), POINTER(tb_table_config), POINTER(POINTER(tb_table))],
    "tb_table_config_check": [tb_status, POINTER(tb_config), POINTER(tb_table_config), POINTER(tb_config_fault)],
    "tb_table_allow": [tb_status, POINTER(tb_table), c_void_p, c_size_t, c_double],
    "tb_table_take": [tb_status, POINTER(tb_table), c_void_p, c_size_t, c_double, POINTER(tb_decision)],
    "tb_table_take_up_to": [tb_status, POINTER(tb_table), c_void_p, c_size_t, c_double, POINTER(c_double)],
    "tb_table_allow_many": [tb_status, POINTER(tb_table), c_void_p, POINTER(c_size_t), POINTER(c_double), c_size_t, POINTER(tb_status)],
    "tb_table_wait_for": [tb_status, POINTER(tb_table), c_void_p, c_size_t, c_double, c_int64],
    "tb_table_wait_with": [tb_status, POINTER(tb_table), c_void_p, c_size_t, c_double, c_int64, c_int32],
    "tb_table_enqueue": [tb_status, POINTER(tb_table), c_void_p, c_size_t, c_double, c_int64, c_int32, c_uint64, POINTER(c_uint64), POINTER(c_int64)],
    "tb_table_waiter_check": [tb_status, POINTER(tb_table), c_void_p, c_size_t, c_uint64, POINTER(c_int64)],
    "tb_table_waiter_leave": [tb_status, POINTER(tb_table), c_void_p, c_size_t, c_uint64],
    "tb_table_reserve": [tb_status, POINTER(tb_table), c_void_p, c_size_t, c_double, c_int64, POINTER(tb_reservation)],
    "tb_table_cancel": [tb_status, POINTER(tb_table), c_void_p, c_size_t, POINTER(tb_reservation)],
    "tb_table_settle": [tb_status, POINTER(tb_table), c_void_p, c_size_t, POINTER(tb_reservation), c_double],
    "tb_table_charge": [tb_status, POINTER(tb_table), c_void_p, c_size_t, c_double, POINTER(c_int64)],
    "tb_table_refund": [tb_status, POINTER(tb_table), c_void_p, c_size_t, c_double],
    "tb_table_available": [tb_status, POINTER(tb_table), c_void_p, c_size_t, POINTER(c_double)],
    "tb_table_time_until": [tb_status, POINTER(tb_table), c_void_p, c_size_t, c_double, POINTER(c_int64)],
    "tb_table_remove": [tb_status, POINTER(tb_table), c_void_p, c_size_t],
    "tb_table_set_rate": [tb_status, POINTER(tb_table), c_double],
    "tb_table_set_capacity": [tb_status, POINTER(tb_table), c_double],
    "tb_table_get_limit": [tb_status, POINTER(tb_table), POINTER(tb_config)],
    "tb_table_get_stats": [tb_status, POINTER(tb_table), POINTER(tb_table_stats)],
    "tb_table_close": [tb_status, POINTER(tb_table)],
    "tb_table_destroy": [None, POINTER(tb_table)],
    "tb_address_key": [tb_status, c_char_p, c_size_t, c_int32, c_void_p, POINTER(c_size_t)],
    "tb_allow_all": [tb_status, POINTER(tb_member), c_size_t, POINTER(tb_refusal)],
    "tb_reserve_all": [tb_status, POINTER(tb_member), c_size_t, c_int64, POINTER(tb_reservation), POINTER(c_int64), POINTER(tb_refusal)],
    "tb_cancel_all": [tb_status, POINTER(tb_member), c_size_t, POINTER(tb_reservation)],
    "tb_wait_all": [tb_status, POINTER(tb_member), c_size_t, c_int64, c_int32, POINTER(tb_refusal)],
    "tb_enqueue_all": [tb_status, POINTER(tb_member), c_size_t, c_int64, c_int32, c_uint64, POINTER(POINTER(tb_waiter_all)), POINTER(c_int64), POINTER(tb_refusal)],
    "tb_waiter_all_check": [tb_status, POINTER(tb_waiter_all), POINTER(c_int64), POINTER(tb_refusal)],
    "tb_waiter_all_leave": [None, POINTER(tb_waiter_all)],
    "tb_shared_open": [tb_status, POINTER(tb_config), c_char_p, c_uint32, POINTER(POINTER(tb_bucket)), POINTER(c_int32)],
    "tb_shared_table_open": [tb_status, POINTER(tb_config), POINTER(tb_table_config), c_char_p, c_uint32, POINTER(POINTER(tb_table)), POINTER(c_int32)],
    "tb_shared_remove": [tb_status, c_char_p, POINTER(c_int32)],
    "tb_shared_fault_message": [c_char_p, c_int32],
    "tb_remote_create": [tb_status, POINTER(tb_config), c_int64, POINTER(POINTER(tb_remote))],
    "tb_remote_config_check": [tb_status, POINTER(tb_config), c_int64, POINTER(tb_config_fault)],
    "tb_remote_destroy": [None, POINTER(tb_remote)],
    "tb_remote_get_limit": [tb_status, POINTER(tb_remote), POINTER(tb_config)],
    "tb_remote_script": [c_char_p],
    "tb_remote_script_sha1": [c_char_p],
    "tb_remote_queue_key": [tb_status, c_void_p, c_size_t, c_void_p, POINTER(c_size_t)],
    "tb_remote_take": [tb_status, POINTER(tb_remote), c_double, POINTER(c_int64), POINTER(c_size_t)],
    "tb_remote_take_up_to": [tb_status, POINTER(tb_remote), c_double, POINTER(c_int64), POINTER(c_size_t)],
    "tb_remote_charge": [tb_status, POINTER(tb_remote), c_double, POINTER(c_int64), POINTER(c_size_t)],
    "tb_remote_refund": [tb_status, POINTER(tb_remote), c_double, POINTER(c_int64), POINTER(c_size_t)],
    "tb_remote_reset": [tb_status, POINTER(tb_remote), c_double, POINTER(c_int64), POINTER(c_size_t)],
    "tb_remote_peek": [tb_status, POINTER(tb_remote), c_double, POINTER(c_int64), POINTER(c_size_t)],
    "tb_remote_reserve": [tb_status, POINTER(tb_remote), c_double, c_int64, POINTER(c_int64), POINTER(c_size_t)],
    "tb_remote_cancel": [tb_status, POINTER(tb_remote), POINTER(tb_reservation), POINTER(c_int64), POINTER(c_size_t)],
    "tb_remote_settle": [tb_status, POINTER(tb_remote), POINTER(tb_reservation), c_double, POINTER(c_int64), POINTER(c_size_t)],
    "tb_remote_read": [tb_status, POINTER(tb_remote), POINTER(c_int64), c_size_t, POINTER(c_int64), c_size_t, POINTER(tb_remote_answer)],
    "tb_remote_read_reservation": [tb_status, POINTER(tb_remote), POINTER(c_int64), c_size_t, POINTER(c_int64), c_size_t, POINTER(tb_reservation)],
    "tb_remote_take_all": [tb_status, POINTER(tb_remote_member), c_size_t, POINTER(c_int64), POINTER(c_size_t)],
    "tb_remote_take_each": [tb_status, POINTER(tb_remote_member), c_size_t, POINTER(c_int64), POINTER(c_size_t)],
    "tb_remote_read_many": [tb_status, POINTER(tb_remote_member), c_size_t, POINTER(c_int64), c_size_t, POINTER(c_int64), c_size_t, POINTER(tb_status), POINTER(tb_remote_answer)],
    "tb_remote_parse": [tb_status, c_char_p, c_size_t, c_size_t, POINTER(c_int64), POINTER(c_size_t)],
    "tb_manual_clock_create": [tb_status, c_int64, POINTER(POINTER(tb_clock))],
    "tb_manual_clock_set": [tb_status, POINTER(tb_clock), c_int64],
    "tb_manual_clock_advance": [tb_status, POINTER(tb_clock), c_int64],
    "tb_manual_clock_waiters": [tb_status, POINTER(tb_clock), POINTER(c_int64), POINTER(c_int64)],
    "tb_callback_clock_create": [tb_status, tb_clock_fn, c_void_p, POINTER(POINTER(tb_clock))],
    "tb_clock_destroy": [None, POINTER(tb_clock)],
    "tb_library_version": [c_int32],
    "tb_library_version_string": [c_char_p],
    "tb_abi_version": [c_int32],
    "tb_has_feature": [c_int32, c_char_p],
    "tb_status_name": [c_char_p, tb_status],
    "tb_status_message": [c_char_p, tb_status],
}

//! Made from tokenbucket.h by capi/abi/generate.
use core::ffi::c_void;
use core::marker::{PhantomData, PhantomPinned};

use crate::c_char;

pub type tb_status = i32;

pub const TB_SUCCESS: tb_status = 0;
pub const TB_DENIED: tb_status = 1;
pub const TB_TIMED_OUT: tb_status = 2;
pub const TB_EXCEEDS_CAPACITY: tb_status = 3;
pub const TB_CLOSED: tb_status = 4;
pub const TB_INTERRUPTED: tb_status = 5;
pub const TB_QUEUE_FULL: tb_status = 6;
pub const TB_TABLE_FULL: tb_status = 7;
pub const TB_PENDING: tb_status = 8;
pub const TB_E_INVALID_ARGUMENT: tb_status = -1;
pub const TB_E_OUT_OF_RANGE: tb_status = -2;
pub const TB_E_OUT_OF_MEMORY: tb_status = -3;
pub const TB_E_UNSUPPORTED: tb_status = -4;
pub const TB_E_SYSTEM: tb_status = -5;
pub const TB_E_UNAVAILABLE: tb_status = -6;
pub const TB_E_MISMATCH: tb_status = -7;

/// Opaque; never made or moved by Rust code, and by itself neither `Send` nor `Sync`.
#[repr(C)]
pub struct tb_bucket {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tb_decision {
    pub status: tb_status,
    pub reserved: i32,
    pub remaining: f64,
    pub retry_after_ns: i64,
    pub reset_after_ns: i64,
}
pub const TB_FOREVER: i64 = i64::MAX;
pub const TB_INITIALLY_FULL: f64 = -1.0;
pub const TB_PRECISE_WAIT: u32 = 1;
pub const TB_STATISTICS: u32 = 2;

/// Opaque; never made or moved by Rust code, and by itself neither `Send` nor `Sync`.
#[repr(C)]
pub struct tb_clock {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tb_event {
    pub struct_size: usize,
    pub status: tb_status,
    pub reserved: i32,
    pub n: f64,
    pub waited_ns: i64,
}

/// It must not unwind.
pub type tb_event_fn = Option<unsafe extern "C" fn(user: *mut c_void, event: *const tb_event)>;

/// It must not unwind.
pub type tb_wake_fn = Option<unsafe extern "C" fn(user: *mut c_void, tag: u64)>;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tb_config {
    pub struct_size: usize,
    pub capacity: f64,
    pub rate_tokens: f64,
    pub rate_period_ns: i64,
    pub initial_tokens: f64,
    pub clock: *mut tb_clock,
    pub unit: f64,
    pub max_waiters: i64,
    pub flags: u32,
    pub reserved: u32,
    pub on_event: tb_event_fn,
    pub event_user: *mut c_void,
    pub on_wake: tb_wake_fn,
    pub wake_user: *mut c_void,
    pub max_lateness_ns: i64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tb_config_fault {
    pub field: *const c_char,
    pub allowed: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tb_reservation {
    pub tokens: f64,
    pub wait_ns: i64,
    pub ready_at_ns: i64,
    pub ticket: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tb_stats {
    pub struct_size: usize,
    pub granted: i64,
    pub denied: i64,
    pub timed_out: i64,
    pub cancelled: i64,
    pub waits: i64,
    pub total_wait_ns: i64,
    pub longest_wait_ns: i64,
    pub waiting: i64,
    pub tokens_taken: f64,
    pub tokens_given_back: f64,
}

/// Opaque; never made or moved by Rust code, and by itself neither `Send` nor `Sync`.
#[repr(C)]
pub struct tb_table {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}
pub const TB_MAX_KEY_SIZE: i32 = 65536;
pub const TB_TABLE_EVICT_FULLEST: i32 = 0;
pub const TB_TABLE_DENY: i32 = 1;
pub const TB_TABLE_ADMIT: i32 = 2;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tb_table_config {
    pub struct_size: usize,
    pub max_keys: i64,
    pub max_bytes: i64,
    pub when_full: i32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tb_table_stats {
    pub struct_size: usize,
    pub places: i64,
    pub occupied: i64,
    pub evicted: i64,
    pub tokens_forgiven: f64,
}
pub const TB_ADDRESS_KEY_SIZE: i32 = 16;
pub const TB_MAX_MEMBERS: i32 = 16;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tb_member {
    pub bucket: *mut tb_bucket,
    pub table: *mut tb_table,
    pub key: *const c_void,
    pub key_size: usize,
    pub n: f64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tb_refusal {
    pub member: i32,
    pub reserved: i32,
    pub retry_after_ns: i64,
}

/// Opaque; never made or moved by Rust code, and by itself neither `Send` nor `Sync`.
#[repr(C)]
pub struct tb_waiter_all {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}
pub const TB_SHARED_KIND: i32 = 1;
pub const TB_SHARED_OWNER: i32 = 2;
pub const TB_SHARED_MODE: i32 = 3;
pub const TB_SHARED_SIZE: i32 = 4;
pub const TB_SHARED_LAYOUT: i32 = 5;
pub const TB_SHARED_BOOT: i32 = 6;
pub const TB_SHARED_CLOCK: i32 = 7;
pub const TB_SHARED_DAMAGED: i32 = 8;
pub const TB_SHARED_CAPACITY: i32 = 9;
pub const TB_SHARED_RATE: i32 = 10;
pub const TB_SHARED_OBJECT: i32 = 11;
pub const TB_SHARED_PLACES: i32 = 12;
pub const TB_SHARED_FULL: i32 = 13;
pub const TB_SHARED_ADOPT: u32 = 1;

/// Opaque; never made or moved by Rust code, and by itself neither `Send` nor `Sync`.
#[repr(C)]
pub struct tb_remote {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}
pub const TB_REMOTE_QUEUE_KEY_ADDS: i32 = 4;
pub const TB_REMOTE_MAX_ARGUMENTS: i32 = 9;
pub const TB_REMOTE_MAX_REPLY: i32 = 6;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tb_remote_answer {
    pub tokens: f64,
    pub remaining: f64,
    pub retry_after_ns: i64,
    pub reset_after_ns: i64,
}
pub const TB_REMOTE_MAX_KEYS: i32 = 1024;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tb_remote_member {
    pub remote: *const tb_remote,
    pub key: *const c_void,
    pub key_size: usize,
    pub n: f64,
}

/// It must not unwind.
pub type tb_clock_fn = Option<unsafe extern "C" fn(user: *mut c_void) -> i64>;

pub const TB_VERSION_MAJOR: i32 = 1;
pub const TB_VERSION_MINOR: i32 = 0;
pub const TB_VERSION_PATCH: i32 = 0;

extern "C" {
    pub fn tb_create(capacity: f64, tokens_per_second: f64, out_bucket: *mut *mut tb_bucket) -> tb_status;
    pub fn tb_allow(bucket: *mut tb_bucket, n: f64) -> tb_status;
    pub fn tb_try_consume(bucket: *mut tb_bucket, n: f64) -> tb_status;
    pub fn tb_take(bucket: *mut tb_bucket, n: f64, out_decision: *mut tb_decision) -> tb_status;
    pub fn tb_take_up_to(bucket: *mut tb_bucket, most: f64, out_taken: *mut f64) -> tb_status;
    pub fn tb_wait(bucket: *mut tb_bucket, n: f64) -> tb_status;
    pub fn tb_wait_for(bucket: *mut tb_bucket, n: f64, timeout_ns: i64) -> tb_status;
    pub fn tb_wait_with(bucket: *mut tb_bucket, n: f64, timeout_ns: i64, priority: i32) -> tb_status;
    pub fn tb_enqueue(bucket: *mut tb_bucket, n: f64, timeout_ns: i64, priority: i32, tag: u64, out_waiter: *mut u64, out_wait_ns: *mut i64) -> tb_status;
    pub fn tb_waiter_check(bucket: *mut tb_bucket, waiter: u64, out_wait_ns: *mut i64) -> tb_status;
    pub fn tb_waiter_leave(bucket: *mut tb_bucket, waiter: u64) -> tb_status;
    pub fn tb_close(bucket: *mut tb_bucket) -> tb_status;
    pub fn tb_destroy(bucket: *mut tb_bucket);
    pub fn tb_config_init(config: *mut tb_config, struct_size: usize) -> tb_status;
    pub fn tb_create_with(config: *const tb_config, out_bucket: *mut *mut tb_bucket) -> tb_status;
    pub fn tb_config_check(config: *const tb_config, out_fault: *mut tb_config_fault) -> tb_status;
    pub fn tb_reserve(bucket: *mut tb_bucket, n: f64, max_wait_ns: i64, out_reservation: *mut tb_reservation) -> tb_status;
    pub fn tb_cancel(bucket: *mut tb_bucket, reservation: *mut tb_reservation) -> tb_status;
    pub fn tb_settle(bucket: *mut tb_bucket, reservation: *mut tb_reservation, actual: f64) -> tb_status;
    pub fn tb_charge(bucket: *mut tb_bucket, n: f64, out_repaid_after_ns: *mut i64) -> tb_status;
    pub fn tb_refund(bucket: *mut tb_bucket, n: f64) -> tb_status;
    pub fn tb_reset(bucket: *mut tb_bucket, tokens: f64) -> tb_status;
    pub fn tb_set_tokens(bucket: *mut tb_bucket, tokens: f64) -> tb_status;
    pub fn tb_set_rate(bucket: *mut tb_bucket, tokens_per_second: f64) -> tb_status;
    pub fn tb_set_capacity(bucket: *mut tb_bucket, capacity: f64) -> tb_status;
    pub fn tb_available(bucket: *mut tb_bucket, out_tokens: *mut f64) -> tb_status;
    pub fn tb_time_until(bucket: *mut tb_bucket, n: f64, out_ns: *mut i64) -> tb_status;
    pub fn tb_get_limit(bucket: *mut tb_bucket, out_config: *mut tb_config) -> tb_status;
    pub fn tb_get_stats(bucket: *mut tb_bucket, out_stats: *mut tb_stats) -> tb_status;
    pub fn tb_table_config_init(config: *mut tb_table_config, struct_size: usize) -> tb_status;
    pub fn tb_table_create(capacity: f64, tokens_per_second: f64, max_keys: i64, out_table: *mut *mut tb_table) -> tb_status;
    pub fn tb_table_create_with(limit: *const tb_config, config: *const tb_table_config, out_table: *mut *mut tb_table) -> tb_status;
    pub fn tb_table_config_check(limit: *const tb_config, config: *const tb_table_config, out_fault: *mut tb_config_fault) -> tb_status;
    pub fn tb_table_allow(table: *mut tb_table, key: *const c_void, key_size: usize, n: f64) -> tb_status;
    pub fn tb_table_take(table: *mut tb_table, key: *const c_void, key_size: usize, n: f64, out_decision: *mut tb_decision) -> tb_status;
    pub fn tb_table_take_up_to(table: *mut tb_table, key: *const c_void, key_size: usize, most: f64, out_taken: *mut f64) -> tb_status;
    pub fn tb_table_allow_many(table: *mut tb_table, keys: *const c_void, key_sizes: *const usize, amounts: *const f64, count: usize, out_answers: *mut tb_status) -> tb_status;
    pub fn tb_table_wait_for(table: *mut tb_table, key: *const c_void, key_size: usize, n: f64, timeout_ns: i64) -> tb_status;
    pub fn tb_table_wait_with(table: *mut tb_table, key: *const c_void, key_size: usize, n: f64, timeout_ns: i64, priority: i32) -> tb_status;
    pub fn tb_table_enqueue(table: *mut tb_table, key: *const c_void, key_size: usize, n: f64, timeout_ns: i64, priority: i32, tag: u64, out_waiter: *mut u64, out_wait_ns: *mut i64) -> tb_status;
    pub fn tb_table_waiter_check(table: *mut tb_table, key: *const c_void, key_size: usize, waiter: u64, out_wait_ns: *mut i64) -> tb_status;
    pub fn tb_table_waiter_leave(table: *mut tb_table, key: *const c_void, key_size: usize, waiter: u64) -> tb_status;
    pub fn tb_table_reserve(table: *mut tb_table, key: *const c_void, key_size: usize, n: f64, max_wait_ns: i64, out_reservation: *mut tb_reservation) -> tb_status;
    pub fn tb_table_cancel(table: *mut tb_table, key: *const c_void, key_size: usize, reservation: *mut tb_reservation) -> tb_status;
    pub fn tb_table_settle(table: *mut tb_table, key: *const c_void, key_size: usize, reservation: *mut tb_reservation, actual: f64) -> tb_status;
    pub fn tb_table_charge(table: *mut tb_table, key: *const c_void, key_size: usize, n: f64, out_repaid_after_ns: *mut i64) -> tb_status;
    pub fn tb_table_refund(table: *mut tb_table, key: *const c_void, key_size: usize, n: f64) -> tb_status;
    pub fn tb_table_available(table: *mut tb_table, key: *const c_void, key_size: usize, out_tokens: *mut f64) -> tb_status;
    pub fn tb_table_time_until(table: *mut tb_table, key: *const c_void, key_size: usize, n: f64, out_ns: *mut i64) -> tb_status;
    pub fn tb_table_remove(table: *mut tb_table, key: *const c_void, key_size: usize) -> tb_status;
    pub fn tb_table_set_rate(table: *mut tb_table, tokens_per_second: f64) -> tb_status;
    pub fn tb_table_set_capacity(table: *mut tb_table, capacity: f64) -> tb_status;
    pub fn tb_table_get_limit(table: *mut tb_table, out_config: *mut tb_config) -> tb_status;
    pub fn tb_table_get_stats(table: *mut tb_table, out_stats: *mut tb_table_stats) -> tb_status;
    pub fn tb_table_close(table: *mut tb_table) -> tb_status;
    pub fn tb_table_destroy(table: *mut tb_table);
    pub fn tb_address_key(text: *const c_char, text_size: usize, ipv6_prefix: i32, out_key: *mut c_void, out_key_size: *mut usize) -> tb_status;
    pub fn tb_allow_all(members: *const tb_member, count: usize, out_refusal: *mut tb_refusal) -> tb_status;
    pub fn tb_reserve_all(members: *const tb_member, count: usize, max_wait_ns: i64, out_reservations: *mut tb_reservation, out_wait_ns: *mut i64, out_refusal: *mut tb_refusal) -> tb_status;
    pub fn tb_cancel_all(members: *const tb_member, count: usize, reservations: *mut tb_reservation) -> tb_status;
    pub fn tb_wait_all(members: *const tb_member, count: usize, timeout_ns: i64, priority: i32, out_refusal: *mut tb_refusal) -> tb_status;
    pub fn tb_enqueue_all(members: *const tb_member, count: usize, timeout_ns: i64, priority: i32, tag: u64, out_waiter: *mut *mut tb_waiter_all, out_wait_ns: *mut i64, out_refusal: *mut tb_refusal) -> tb_status;
    pub fn tb_waiter_all_check(waiter: *mut tb_waiter_all, out_wait_ns: *mut i64, out_refusal: *mut tb_refusal) -> tb_status;
    pub fn tb_waiter_all_leave(waiter: *mut tb_waiter_all);
    pub fn tb_shared_open(config: *const tb_config, name: *const c_char, flags: u32, out_bucket: *mut *mut tb_bucket, out_fault: *mut i32) -> tb_status;
    pub fn tb_shared_table_open(limit: *const tb_config, config: *const tb_table_config, name: *const c_char, flags: u32, out_table: *mut *mut tb_table, out_fault: *mut i32) -> tb_status;
    pub fn tb_shared_remove(name: *const c_char, out_fault: *mut i32) -> tb_status;
    pub fn tb_shared_fault_message(fault: i32) -> *const c_char;
    pub fn tb_remote_create(limit: *const tb_config, max_wait_ns: i64, out_remote: *mut *mut tb_remote) -> tb_status;
    pub fn tb_remote_config_check(limit: *const tb_config, max_wait_ns: i64, out_fault: *mut tb_config_fault) -> tb_status;
    pub fn tb_remote_destroy(remote: *mut tb_remote);
    pub fn tb_remote_get_limit(remote: *const tb_remote, out_config: *mut tb_config) -> tb_status;
    pub fn tb_remote_script() -> *const c_char;
    pub fn tb_remote_script_sha1() -> *const c_char;
    pub fn tb_remote_queue_key(key: *const c_void, key_size: usize, out_queue_key: *mut c_void, out_size: *mut usize) -> tb_status;
    pub fn tb_remote_take(remote: *const tb_remote, n: f64, out_arguments: *mut i64, out_count: *mut usize) -> tb_status;
    pub fn tb_remote_take_up_to(remote: *const tb_remote, most: f64, out_arguments: *mut i64, out_count: *mut usize) -> tb_status;
    pub fn tb_remote_charge(remote: *const tb_remote, n: f64, out_arguments: *mut i64, out_count: *mut usize) -> tb_status;
    pub fn tb_remote_refund(remote: *const tb_remote, n: f64, out_arguments: *mut i64, out_count: *mut usize) -> tb_status;
    pub fn tb_remote_reset(remote: *const tb_remote, tokens: f64, out_arguments: *mut i64, out_count: *mut usize) -> tb_status;
    pub fn tb_remote_peek(remote: *const tb_remote, n: f64, out_arguments: *mut i64, out_count: *mut usize) -> tb_status;
    pub fn tb_remote_reserve(remote: *const tb_remote, n: f64, max_wait_ns: i64, out_arguments: *mut i64, out_count: *mut usize) -> tb_status;
    pub fn tb_remote_cancel(remote: *const tb_remote, reservation: *const tb_reservation, out_arguments: *mut i64, out_count: *mut usize) -> tb_status;
    pub fn tb_remote_settle(remote: *const tb_remote, reservation: *const tb_reservation, actual: f64, out_arguments: *mut i64, out_count: *mut usize) -> tb_status;
    pub fn tb_remote_read(remote: *const tb_remote, arguments: *const i64, argument_count: usize, reply: *const i64, reply_count: usize, out_answer: *mut tb_remote_answer) -> tb_status;
    pub fn tb_remote_read_reservation(remote: *const tb_remote, arguments: *const i64, argument_count: usize, reply: *const i64, reply_count: usize, out_reservation: *mut tb_reservation) -> tb_status;
    pub fn tb_remote_take_all(members: *const tb_remote_member, count: usize, out_arguments: *mut i64, out_count: *mut usize) -> tb_status;
    pub fn tb_remote_take_each(members: *const tb_remote_member, count: usize, out_arguments: *mut i64, out_count: *mut usize) -> tb_status;
    pub fn tb_remote_read_many(members: *const tb_remote_member, count: usize, arguments: *const i64, argument_count: usize, reply: *const i64, reply_count: usize, out_statuses: *mut tb_status, out_answers: *mut tb_remote_answer) -> tb_status;
    pub fn tb_remote_parse(text: *const c_char, text_size: usize, room: usize, out_reply: *mut i64, out_count: *mut usize) -> tb_status;
    pub fn tb_manual_clock_create(start_ns: i64, out_clock: *mut *mut tb_clock) -> tb_status;
    pub fn tb_manual_clock_set(clock: *mut tb_clock, now_ns: i64) -> tb_status;
    pub fn tb_manual_clock_advance(clock: *mut tb_clock, duration_ns: i64) -> tb_status;
    pub fn tb_manual_clock_waiters(clock: *mut tb_clock, out_count: *mut i64, out_next_due_ns: *mut i64) -> tb_status;
    pub fn tb_callback_clock_create(now: tb_clock_fn, user: *mut c_void, out_clock: *mut *mut tb_clock) -> tb_status;
    pub fn tb_clock_destroy(clock: *mut tb_clock);
    pub fn tb_library_version() -> i32;
    pub fn tb_library_version_string() -> *const c_char;
    pub fn tb_abi_version() -> i32;
    pub fn tb_has_feature(name: *const c_char) -> i32;
    pub fn tb_status_name(status: tb_status) -> *const c_char;
    pub fn tb_status_message(status: tb_status) -> *const c_char;
}

//! The declarations against the library itself: layouts, numbers, and calls through every kind of type.
use std::ffi::CStr;
use std::mem::{align_of, size_of, MaybeUninit};
use std::os::raw::c_void;
use std::ptr::{addr_of, null, null_mut};

use tokenbucket_sys::*;

macro_rules! offset {
    ($type:ty, $field:ident) => {{
        let value = MaybeUninit::<$type>::uninit();
        // SAFETY: addr_of! makes no reference and reads nothing.
        let field = unsafe { addr_of!((*value.as_ptr()).$field) };
        field as usize - value.as_ptr() as usize
    }};
}

macro_rules! named {
    ($($constant:ident),* $(,)?) => { [$((stringify!($constant), $constant)),*] };
}

const SECOND: i64 = 1_000_000_000;

fn text(pointer: *const c_char) -> &'static str {
    // The type holds c_char to be std's on every architecture. SAFETY: the library's texts are static.
    let pointer: *const std::os::raw::c_char = pointer;
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
}

fn defaults() -> tb_config {
    let mut config = MaybeUninit::uninit();
    assert_eq!(unsafe { tb_config_init(config.as_mut_ptr(), size_of::<tb_config>()) }, TB_SUCCESS);
    unsafe { config.assume_init() }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn layouts_are_the_frozen_ones() {
    assert_eq!((size_of::<tb_event>(), align_of::<tb_event>()), (32, 8));
    assert_eq!(offset!(tb_event, struct_size), 0);
    assert_eq!(offset!(tb_event, status), 8);
    assert_eq!(offset!(tb_event, reserved), 12);
    assert_eq!(offset!(tb_event, n), 16);
    assert_eq!(offset!(tb_event, waited_ns), 24);

    assert_eq!((size_of::<tb_config>(), align_of::<tb_config>()), (112, 8));
    assert_eq!(offset!(tb_config, struct_size), 0);
    assert_eq!(offset!(tb_config, capacity), 8);
    assert_eq!(offset!(tb_config, rate_tokens), 16);
    assert_eq!(offset!(tb_config, rate_period_ns), 24);
    assert_eq!(offset!(tb_config, initial_tokens), 32);
    assert_eq!(offset!(tb_config, clock), 40);
    assert_eq!(offset!(tb_config, unit), 48);
    assert_eq!(offset!(tb_config, max_waiters), 56);
    assert_eq!(offset!(tb_config, flags), 64);
    assert_eq!(offset!(tb_config, reserved), 68);
    assert_eq!(offset!(tb_config, on_event), 72);
    assert_eq!(offset!(tb_config, event_user), 80);
    assert_eq!(offset!(tb_config, on_wake), 88);
    assert_eq!(offset!(tb_config, wake_user), 96);
    assert_eq!(offset!(tb_config, max_lateness_ns), 104);

    assert_eq!((size_of::<tb_decision>(), align_of::<tb_decision>()), (32, 8));
    assert_eq!(offset!(tb_decision, status), 0);
    assert_eq!(offset!(tb_decision, reserved), 4);
    assert_eq!(offset!(tb_decision, remaining), 8);
    assert_eq!(offset!(tb_decision, retry_after_ns), 16);
    assert_eq!(offset!(tb_decision, reset_after_ns), 24);

    assert_eq!((size_of::<tb_reservation>(), align_of::<tb_reservation>()), (32, 8));
    assert_eq!(offset!(tb_reservation, tokens), 0);
    assert_eq!(offset!(tb_reservation, wait_ns), 8);
    assert_eq!(offset!(tb_reservation, ready_at_ns), 16);
    assert_eq!(offset!(tb_reservation, ticket), 24);

    assert_eq!((size_of::<tb_stats>(), align_of::<tb_stats>()), (88, 8));
    assert_eq!(offset!(tb_stats, struct_size), 0);
    assert_eq!(offset!(tb_stats, granted), 8);
    assert_eq!(offset!(tb_stats, denied), 16);
    assert_eq!(offset!(tb_stats, timed_out), 24);
    assert_eq!(offset!(tb_stats, cancelled), 32);
    assert_eq!(offset!(tb_stats, waits), 40);
    assert_eq!(offset!(tb_stats, total_wait_ns), 48);
    assert_eq!(offset!(tb_stats, longest_wait_ns), 56);
    assert_eq!(offset!(tb_stats, waiting), 64);
    assert_eq!(offset!(tb_stats, tokens_taken), 72);
    assert_eq!(offset!(tb_stats, tokens_given_back), 80);

    assert_eq!((size_of::<tb_table_config>(), align_of::<tb_table_config>()), (32, 8));
    assert_eq!(offset!(tb_table_config, struct_size), 0);
    assert_eq!(offset!(tb_table_config, max_keys), 8);
    assert_eq!(offset!(tb_table_config, max_bytes), 16);
    assert_eq!(offset!(tb_table_config, when_full), 24);
    assert_eq!(offset!(tb_table_config, reserved), 28);

    assert_eq!((size_of::<tb_table_stats>(), align_of::<tb_table_stats>()), (40, 8));
    assert_eq!(offset!(tb_table_stats, struct_size), 0);
    assert_eq!(offset!(tb_table_stats, places), 8);
    assert_eq!(offset!(tb_table_stats, occupied), 16);
    assert_eq!(offset!(tb_table_stats, evicted), 24);
    assert_eq!(offset!(tb_table_stats, tokens_forgiven), 32);

    assert_eq!((size_of::<tb_member>(), align_of::<tb_member>()), (40, 8));
    assert_eq!(offset!(tb_member, bucket), 0);
    assert_eq!(offset!(tb_member, table), 8);
    assert_eq!(offset!(tb_member, key), 16);
    assert_eq!(offset!(tb_member, key_size), 24);
    assert_eq!(offset!(tb_member, n), 32);

    assert_eq!((size_of::<tb_refusal>(), align_of::<tb_refusal>()), (16, 8));
    assert_eq!(offset!(tb_refusal, member), 0);
    assert_eq!(offset!(tb_refusal, reserved), 4);
    assert_eq!(offset!(tb_refusal, retry_after_ns), 8);

    assert_eq!((size_of::<tb_remote_answer>(), align_of::<tb_remote_answer>()), (32, 8));
    assert_eq!(offset!(tb_remote_answer, tokens), 0);
    assert_eq!(offset!(tb_remote_answer, remaining), 8);
    assert_eq!(offset!(tb_remote_answer, retry_after_ns), 16);
    assert_eq!(offset!(tb_remote_answer, reset_after_ns), 24);

    assert_eq!((size_of::<tb_remote_member>(), align_of::<tb_remote_member>()), (32, 8));
    assert_eq!(offset!(tb_remote_member, remote), 0);
    assert_eq!(offset!(tb_remote_member, key), 8);
    assert_eq!(offset!(tb_remote_member, key_size), 16);
    assert_eq!(offset!(tb_remote_member, n), 24);

    assert_eq!((size_of::<tb_bucket>(), size_of::<tb_table>(), size_of::<tb_clock>()), (0, 0, 0));
    assert_eq!((size_of::<tb_waiter_all>(), size_of::<tb_remote>()), (0, 0));
    assert_eq!(size_of::<tb_clock_fn>(), size_of::<*const c_void>());
    assert_eq!(size_of::<tb_event_fn>(), size_of::<*const c_void>());
    assert_eq!(size_of::<tb_wake_fn>(), size_of::<*const c_void>());
}

#[test]
fn version_is_the_declared_one() {
    let declared = 10000 * TB_VERSION_MAJOR + 100 * TB_VERSION_MINOR + TB_VERSION_PATCH;
    let spelled = format!("{}.{}.{}", TB_VERSION_MAJOR, TB_VERSION_MINOR, TB_VERSION_PATCH);
    assert_eq!(unsafe { tb_library_version() }, declared);
    assert_eq!(text(unsafe { tb_library_version_string() }), spelled);
    assert_eq!(unsafe { tb_abi_version() }, 1);
}

#[test]
fn every_status_of_the_library_is_declared_under_its_name() {
    let declared = named![
        TB_SUCCESS,
        TB_DENIED,
        TB_TIMED_OUT,
        TB_EXCEEDS_CAPACITY,
        TB_CLOSED,
        TB_INTERRUPTED,
        TB_QUEUE_FULL,
        TB_TABLE_FULL,
        TB_PENDING,
        TB_E_INVALID_ARGUMENT,
        TB_E_OUT_OF_RANGE,
        TB_E_OUT_OF_MEMORY,
        TB_E_UNSUPPORTED,
        TB_E_SYSTEM,
        TB_E_UNAVAILABLE,
        TB_E_MISMATCH,
    ];
    for code in -100..100 {
        let known = declared.iter().find(|(_, number)| *number == code);
        assert_eq!(text(unsafe { tb_status_name(code) }), known.map_or("TB_UNKNOWN", |(name, _)| name));
    }
}

#[test]
fn config_fields_are_where_the_library_reads_and_writes_them() {
    let mut clock = null_mut();
    let mut bucket = null_mut();
    let mut config = defaults();
    assert_eq!((config.struct_size, config.rate_period_ns), (size_of::<tb_config>(), SECOND));
    assert_eq!((config.initial_tokens, config.clock), (TB_INITIALLY_FULL, null_mut()));
    assert_eq!((config.max_waiters, config.flags, config.reserved), (0, 0, 0));
    assert!(config.on_event.is_none() && config.event_user.is_null());
    assert!(config.on_wake.is_none() && config.wake_user.is_null());
    assert_eq!(config.max_lateness_ns, 0);
    unsafe {
        assert_eq!(tb_manual_clock_create(7, &mut clock), TB_SUCCESS);
        config.capacity = 40.0;
        config.rate_tokens = 3.0;
        config.rate_period_ns = 5 * SECOND;
        config.initial_tokens = 11.5;
        config.clock = clock;
        config.max_waiters = 17;
        config.flags = TB_PRECISE_WAIT;
        config.max_lateness_ns = 19;
        assert_eq!(tb_create_with(&config, &mut bucket), TB_SUCCESS);

        let mut tokens = 0.0;
        assert_eq!(tb_available(bucket, &mut tokens), TB_SUCCESS);
        assert_eq!(tokens, 11.5);

        let mut limit = defaults();
        assert_eq!(tb_get_limit(bucket, &mut limit), TB_SUCCESS);
        assert_eq!((limit.capacity, limit.rate_tokens, limit.rate_period_ns), (40.0, 3.0, 5 * SECOND));
        assert_eq!(limit.clock, clock);
        assert_eq!((limit.max_waiters, limit.flags, limit.max_lateness_ns), (17, TB_PRECISE_WAIT, 19));
        assert_eq!(limit.unit, 2e-10);

        tb_clock_destroy(clock);
        tb_destroy(bucket);
    }
}

#[test]
fn results_are_where_the_library_writes_them() {
    let mut clock = null_mut();
    let mut bucket = null_mut();
    let mut config = defaults();
    config.capacity = 10.0;
    config.rate_tokens = 1.0;
    unsafe {
        assert_eq!(tb_manual_clock_create(SECOND, &mut clock), TB_SUCCESS);
        config.clock = clock;
        assert_eq!(tb_create_with(&config, &mut bucket), TB_SUCCESS);
        tb_clock_destroy(clock);

        let mut decision = MaybeUninit::<tb_decision>::uninit();
        assert_eq!(tb_take(bucket, 6.0, decision.as_mut_ptr()), TB_SUCCESS);
        assert_eq!(tb_take(bucket, 5.0, decision.as_mut_ptr()), TB_DENIED);
        let decision = decision.assume_init();
        assert_eq!((decision.status, decision.reserved, decision.remaining), (TB_DENIED, 0, 4.0));
        assert_eq!((decision.retry_after_ns, decision.reset_after_ns), (SECOND, 6 * SECOND));

        let mut reservation = MaybeUninit::<tb_reservation>::uninit();
        assert_eq!(tb_reserve(bucket, 7.0, TB_FOREVER, reservation.as_mut_ptr()), TB_SUCCESS);
        let mut reservation = reservation.assume_init();
        assert_eq!((reservation.tokens, reservation.wait_ns, reservation.ready_at_ns), (7.0, 3 * SECOND, 4 * SECOND));
        assert_eq!(tb_cancel(bucket, &mut reservation), TB_SUCCESS);
        assert_eq!(reservation.tokens, 0.0);

        let mut ns = 0;
        assert_eq!(tb_charge(bucket, 5.0, &mut ns), TB_SUCCESS);
        assert_eq!(ns, SECOND);
        assert_eq!(tb_time_until(bucket, 2.0, &mut ns), TB_SUCCESS);
        assert_eq!(ns, 3 * SECOND);
        tb_destroy(bucket);
    }
}

#[test]
fn table_is_made_and_described_as_declared() {
    let mut clock = null_mut();
    let mut table = null_mut();
    let mut limit = defaults();
    limit.capacity = 10.0;
    limit.rate_tokens = 1.0;
    unsafe {
        assert_eq!(tb_manual_clock_create(0, &mut clock), TB_SUCCESS);
        limit.clock = clock;
        let mut config = MaybeUninit::uninit();
        assert_eq!(tb_table_config_init(config.as_mut_ptr(), size_of::<tb_table_config>()), TB_SUCCESS);
        let mut config: tb_table_config = config.assume_init();
        assert_eq!((config.struct_size, config.max_keys), (size_of::<tb_table_config>(), 0));
        assert_eq!((config.max_bytes, config.when_full, config.reserved), (0, TB_TABLE_EVICT_FULLEST, 0));
        config.max_bytes = 64;
        config.when_full = TB_TABLE_ADMIT;
        assert_eq!(tb_table_create_with(&limit, &config, &mut table), TB_SUCCESS);
        tb_clock_destroy(clock);

        let (keys, sizes, amounts) = (b"aabbc", [1, 1, 2, 1], [4.0, 6.5, 2.0, 1.0]);
        let mut answers = [TB_PENDING; 4];
        let (bytes, answered) = (keys.as_ptr().cast(), answers.as_mut_ptr());
        assert_eq!(tb_table_allow_many(table, bytes, sizes.as_ptr(), amounts.as_ptr(), 4, answered), TB_SUCCESS);
        assert_eq!(answers, [TB_SUCCESS, TB_DENIED, TB_SUCCESS, TB_SUCCESS]);
        assert_eq!(tb_table_allow(table, b"d".as_ptr().cast(), 1, 10.0), TB_SUCCESS);
        assert_eq!(tb_table_allow(table, b"e".as_ptr().cast(), 1, 2.5), TB_SUCCESS);

        let size = size_of::<tb_table_stats>();
        let mut stats =
            tb_table_stats { struct_size: size, places: 0, occupied: 0, evicted: -1, tokens_forgiven: -1.0 };
        assert_eq!(tb_table_get_stats(table, &mut stats), TB_SUCCESS);
        assert_eq!((stats.struct_size, stats.places, stats.occupied), (size, 4, 4));
        assert_eq!((stats.evicted, stats.tokens_forgiven), (0, 2.5));
        tb_table_destroy(table);
    }
}

#[test]
fn members_are_where_the_library_reads_them() {
    let (mut bucket, mut table) = (null_mut(), null_mut());
    let mut refusal = tb_refusal { member: -1, reserved: -1, retry_after_ns: -1 };
    unsafe {
        assert_eq!(tb_create(10.0, 1e-9, &mut bucket), TB_SUCCESS);
        assert_eq!(tb_table_create(5.0, 1e-9, 10, &mut table), TB_SUCCESS);
        let members = [
            tb_member { bucket, table: null_mut(), key: null(), key_size: 0, n: 4.0 },
            tb_member { bucket: null_mut(), table, key: b"ab".as_ptr().cast(), key_size: 1, n: 3.0 },
            tb_member { bucket: null_mut(), table, key: b"ab".as_ptr().cast(), key_size: 2, n: 6.0 },
        ];
        assert_eq!(tb_allow_all(members.as_ptr(), 2, &mut refusal), TB_SUCCESS);
        assert_eq!((refusal.member, refusal.reserved, refusal.retry_after_ns), (-1, -1, -1));
        assert_eq!(tb_allow_all(members.as_ptr(), 3, &mut refusal), TB_EXCEEDS_CAPACITY);
        assert_eq!((refusal.member, refusal.reserved, refusal.retry_after_ns), (2, 0, TB_FOREVER));
        let mut left = 0.0;
        assert_eq!(tb_table_available(table, b"a".as_ptr().cast(), 1, &mut left), TB_SUCCESS);
        assert_eq!(left, 2.0);
        tb_table_destroy(table);
        tb_destroy(bucket);
    }
}

#[test]
fn remote_calls_and_replies_are_where_the_library_looks_for_them() {
    const MOST: usize = TB_REMOTE_MAX_ARGUMENTS as usize;
    let mut remote = null_mut();
    let mut limit = defaults();
    limit.capacity = 10.0;
    limit.rate_tokens = 1.0;
    let mut arguments = [0; MOST];
    let mut count = 0;
    unsafe {
        assert_eq!(tb_remote_create(&limit, SECOND, &mut remote), TB_SUCCESS);
        assert_eq!(tb_remote_get_limit(remote, &mut limit), TB_SUCCESS);
        let unit = limit.unit;
        assert_eq!(tb_remote_take(remote, 4.0, arguments.as_mut_ptr(), &mut count), TB_SUCCESS);
        let reply = [-(1.0 / unit).round() as i64];
        let mut answer = MaybeUninit::<tb_remote_answer>::uninit();
        let (asked, told) = (arguments.as_ptr(), reply.as_ptr());
        assert_eq!(tb_remote_read(remote, asked, count, told, 1, answer.as_mut_ptr()), TB_DENIED);
        let answer = answer.assume_init();
        assert_eq!((answer.tokens, answer.remaining), (0.0, 3.0));
        assert_eq!((answer.retry_after_ns, answer.reset_after_ns), (SECOND, 7 * SECOND));

        let members = [
            tb_remote_member { remote, key: b"{a}1".as_ptr().cast(), key_size: 4, n: 1.0 },
            tb_remote_member { remote, key: b"{a}12".as_ptr().cast(), key_size: 4, n: 1.0 },
        ];
        let mut all = [0; 11];
        assert_eq!(tb_remote_take_all(members.as_ptr(), 2, all.as_mut_ptr(), &mut count), TB_E_INVALID_ARGUMENT);
        assert_eq!(tb_remote_take_each(members.as_ptr(), 2, all.as_mut_ptr(), &mut count), TB_SUCCESS);
        assert_eq!(count, all.len());

        let (mut queue_key, mut size) = ([0u8; 1 + TB_REMOTE_QUEUE_KEY_ADDS as usize], 0);
        let out = queue_key.as_mut_ptr().cast();
        assert_eq!(tb_remote_queue_key(b"a".as_ptr().cast(), 1, out, &mut size), TB_SUCCESS);
        assert_eq!((&queue_key, size), (b"q:{a}", 5));
        let mut number = 0;
        assert_eq!(tb_remote_parse(b":-7\r\n".as_ptr().cast(), 5, 1, &mut number, &mut count), TB_SUCCESS);
        assert_eq!((number, count), (-7, 1));
        assert_eq!(text(tb_remote_script_sha1()).len(), 40);
        tb_remote_destroy(remote);
    }
}

#[test]
fn callback_clock_is_called_with_its_user_pointer() {
    unsafe extern "C" fn now(user: *mut c_void) -> i64 {
        *user.cast::<i64>()
    }
    let mut time = 0i64;
    let mut clock = null_mut();
    let mut bucket = null_mut();
    let mut config = defaults();
    config.capacity = 1.0;
    config.rate_tokens = 1.0;
    unsafe {
        let user: *mut c_void = (&mut time as *mut i64).cast();
        assert_eq!(tb_callback_clock_create(None, user, &mut clock), TB_E_INVALID_ARGUMENT);
        assert_eq!(tb_callback_clock_create(Some(now), user, &mut clock), TB_SUCCESS);
        config.clock = clock;
        assert_eq!(tb_create_with(&config, &mut bucket), TB_SUCCESS);
        assert_eq!(tb_allow(bucket, 1.0), TB_SUCCESS);
        *user.cast::<i64>() = SECOND - 1;
        assert_eq!(tb_allow(bucket, 1.0), TB_DENIED);
        *user.cast::<i64>() = SECOND;
        assert_eq!(tb_allow(bucket, 1.0), TB_SUCCESS);
        tb_destroy(bucket);
        tb_clock_destroy(clock);
    }
}

#[test]
fn waiter_is_woken_by_its_tag() {
    unsafe extern "C" fn wake(user: *mut c_void, tag: u64) {
        (*user.cast::<Vec<u64>>()).push(tag);
    }
    let mut woken: Vec<u64> = Vec::new();
    let mut clock = null_mut();
    let mut bucket = null_mut();
    let mut config = defaults();
    config.capacity = 10.0;
    config.rate_tokens = 1.0;
    config.initial_tokens = 0.0;
    config.on_wake = Some(wake);
    unsafe {
        let user: *mut Vec<u64> = &mut woken;
        config.wake_user = user.cast();
        assert_eq!(tb_manual_clock_create(0, &mut clock), TB_SUCCESS);
        config.clock = clock;
        assert_eq!(tb_create_with(&config, &mut bucket), TB_SUCCESS);

        let (mut late, mut first, mut second, mut wait_ns) = (7, 0, 0, 0);
        assert_eq!(tb_enqueue(bucket, 4.0, 3 * SECOND, 0, 70, &mut late, &mut wait_ns), TB_TIMED_OUT);
        assert_eq!((late, wait_ns), (7, 4 * SECOND));
        assert_eq!(tb_enqueue(bucket, 4.0, TB_FOREVER, 0, 71, &mut first, &mut wait_ns), TB_PENDING);
        assert_eq!(wait_ns, 4 * SECOND);
        assert_eq!(tb_enqueue(bucket, 2.0, TB_FOREVER, 1, u64::MAX, &mut second, &mut wait_ns), TB_PENDING);
        assert_eq!(wait_ns, 2 * SECOND);
        assert!((*user).is_empty());
        assert_eq!(tb_manual_clock_advance(clock, 2 * SECOND), TB_SUCCESS);
        assert_eq!(*user, [u64::MAX]);
        assert_eq!(tb_waiter_check(bucket, second, &mut wait_ns), TB_SUCCESS);
        assert_eq!(tb_waiter_check(bucket, first, &mut wait_ns), TB_PENDING);
        assert_eq!(wait_ns, 4 * SECOND);
        assert_eq!(tb_set_tokens(bucket, 4.0), TB_SUCCESS);
        assert_eq!(*user, [u64::MAX, 71]);
        assert_eq!(tb_waiter_leave(bucket, first), TB_SUCCESS);
        assert_eq!(tb_waiter_leave(bucket, first), TB_E_INVALID_ARGUMENT);
        assert_eq!(tb_wait_with(bucket, 4.0, 0, -5), TB_SUCCESS);
        tb_destroy(bucket);
        tb_clock_destroy(clock);
    }
}

#[test]
fn events_and_statistics_are_where_the_library_writes_them() {
    unsafe extern "C" fn keep(user: *mut c_void, event: *const tb_event) {
        *user.cast::<Option<tb_event>>() = Some(*event);
    }
    let mut last: Option<tb_event> = None;
    let mut clock = null_mut();
    let mut bucket = null_mut();
    let mut config = defaults();
    config.capacity = 10.0;
    config.rate_tokens = 1.0;
    config.flags = TB_STATISTICS;
    config.on_event = Some(keep);
    unsafe {
        let user: *mut Option<tb_event> = &mut last;
        config.event_user = user.cast();
        assert_eq!(tb_manual_clock_create(0, &mut clock), TB_SUCCESS);
        config.clock = clock;
        assert_eq!(tb_create_with(&config, &mut bucket), TB_SUCCESS);

        assert_eq!(tb_allow(bucket, 8.0), TB_SUCCESS);
        assert!((*user).is_none());
        assert_eq!(tb_allow(bucket, 2.5), TB_DENIED);
        let event = (*user).unwrap();
        assert_eq!((event.struct_size, event.status), (size_of::<tb_event>(), TB_DENIED));
        assert_eq!((event.reserved, event.n, event.waited_ns), (0, 2.5, 0));

        let mut reservation = MaybeUninit::<tb_reservation>::uninit();
        assert_eq!(tb_reserve(bucket, 9.0, SECOND, reservation.as_mut_ptr()), TB_TIMED_OUT);
        assert_eq!((*user).unwrap().status, TB_TIMED_OUT);
        assert_eq!(tb_reserve(bucket, 2.0, 0, reservation.as_mut_ptr()), TB_SUCCESS);
        let mut reservation = reservation.assume_init();
        assert_eq!(tb_settle(bucket, &mut reservation, 0.5), TB_SUCCESS);
        assert_eq!(reservation.tokens, 0.0);
        assert_eq!(tb_settle(bucket, &mut reservation, 0.5), TB_E_INVALID_ARGUMENT);

        let mut stats = MaybeUninit::<tb_stats>::zeroed().assume_init();
        stats.struct_size = size_of::<tb_stats>();
        assert_eq!(tb_get_stats(bucket, &mut stats), TB_SUCCESS);
        assert_eq!((stats.granted, stats.denied, stats.timed_out, stats.cancelled), (2, 1, 1, 0));
        assert_eq!((stats.waits, stats.total_wait_ns, stats.longest_wait_ns, stats.waiting), (0, 0, 0, 0));
        assert_eq!((stats.tokens_taken, stats.tokens_given_back), (10.0, 1.5));

        let (mut count, mut next_due) = (-1, -1);
        assert_eq!(tb_manual_clock_waiters(clock, &mut count, &mut next_due), TB_SUCCESS);
        assert_eq!((count, next_due), (0, TB_FOREVER));
        tb_destroy(bucket);
        tb_clock_destroy(clock);
    }
}

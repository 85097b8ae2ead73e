//! Taking, reserving and looking, on a manual clock.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use tokenbucket::{Bucket, CallbackClock, Config, Error, ManualClock, Reservation, Throttled, Wait};

const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);
const NOT_AMOUNTS: [f64; 6] = [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

fn clock() -> ManualClock {
    ManualClock::new(Duration::ZERO).unwrap()
}

fn bucket(capacity: f64, per_second: f64, clock: &ManualClock) -> Bucket {
    Config::new(capacity, per_second, SECOND).clock(clock).build().unwrap()
}

#[test]
fn grants_the_burst_and_then_the_rate() {
    let clock = clock();
    let bucket = bucket(10.0, 2.0, &clock);
    assert_eq!(bucket.allow(10.0), Ok(true));
    assert_eq!(bucket.allow(0.5), Ok(false));
    assert_eq!(bucket.time_until(0.5), Ok(Some(SECOND / 4)));
    clock.advance(SECOND / 4 - NANOSECOND).unwrap();
    assert_eq!(bucket.allow(0.5), Ok(false));
    clock.advance(NANOSECOND).unwrap();
    assert_eq!(bucket.allow(0.5), Ok(true));
    assert_eq!(bucket.available(), Ok(0.0));
}

#[test]
fn rate_is_the_exact_fraction_of_its_period() {
    let clock = clock();
    let bucket = Config::new(10.0, 700_000.0, 3600 * SECOND).initial_tokens(2.0).clock(&clock).build().unwrap();
    assert_eq!(bucket.available(), Ok(2.0));
    assert_eq!(bucket.allow(2.0), Ok(true));
    let due = Duration::from_nanos(5_142_858); // 36 ms / 7, rounded up
    assert_eq!(bucket.time_until(1.0), Ok(Some(due)));
    clock.set(due - NANOSECOND).unwrap();
    assert_eq!(bucket.allow(1.0), Ok(false));
    clock.set(due).unwrap();
    assert_eq!(bucket.allow(1.0), Ok(true));
}

#[test]
fn decision_says_what_a_client_is_told() {
    let clock = clock();
    let bucket = bucket(10.0, 2.0, &clock);

    let granted = bucket.take(7.0).unwrap();
    assert!(granted.granted);
    assert_eq!((granted.remaining, granted.retry_after), (3.0, Some(Duration::ZERO)));
    assert_eq!(granted.reset_after, Some(SECOND * 7 / 2));

    let denied = bucket.take(4.0).unwrap();
    assert!(!denied.granted);
    assert_eq!((denied.remaining, denied.retry_after), (3.0, Some(SECOND / 2)));

    let hopeless = bucket.take(10.5).unwrap();
    assert!(!hopeless.granted);
    assert_eq!((hopeless.remaining, hopeless.retry_after), (3.0, None));

    bucket.reserve(5.0, None).unwrap().commit();
    assert_eq!(bucket.take(1.0).unwrap().remaining, 0.0);
    assert_eq!(bucket.available(), Ok(-2.0));
}

#[test]
fn times_beyond_expression_are_none() {
    let bucket = Config::new(1e15, 1e-9, SECOND).initial_tokens(0.0).clock(&clock()).build().unwrap();
    assert_eq!(bucket.time_until(1e15), Ok(None));
    assert_eq!(bucket.take(1.0).unwrap().reset_after, None);
    assert_eq!(bucket.reserve(1e15, None).unwrap_err(), Error::TimedOut { retry_after: None });
}

#[test]
fn reservation_gives_back_when_dropped() {
    let clock = clock();
    let bucket = bucket(10.0, 2.0, &clock);
    bucket.reserve(8.0, None).unwrap().commit();
    assert_eq!(bucket.available(), Ok(2.0));
    {
        let reservation = bucket.reserve(5.0, None).unwrap();
        assert_eq!(reservation.tokens(), 5.0);
        assert_eq!(reservation.wait_time(), SECOND * 3 / 2);
        assert_eq!(reservation.ready_at(), SECOND * 3 / 2);
        assert_eq!(bucket.available(), Ok(-3.0));
    }
    assert_eq!(bucket.available(), Ok(2.0));
}

#[test]
fn reservation_keeps_its_tokens_once_committed_or_due() {
    let clock = clock();
    let bucket = bucket(10.0, 2.0, &clock);
    bucket.reserve(10.0, None).unwrap().commit();
    assert_eq!(bucket.available(), Ok(0.0));

    let reservation = bucket.reserve(4.0, None).unwrap();
    clock.set(reservation.ready_at()).unwrap();
    drop(reservation);
    assert_eq!(bucket.available(), Ok(0.0));
    assert_eq!(bucket.refund(4.0), Ok(()));
    drop(bucket.reserve(4.0, None).unwrap());
    assert_eq!(bucket.available(), Ok(0.0));
}

#[test]
fn settled_reservation_costs_what_the_work_did() {
    let clock = clock();
    let bucket = bucket(10.0, 2.0, &clock);
    assert_eq!(bucket.reserve(4.0, None).unwrap().settle(1.5), Ok(()));
    assert_eq!(bucket.available(), Ok(8.5));
    assert_eq!(bucket.reserve(8.5, None).unwrap().settle(0.0), Ok(()));
    assert_eq!(bucket.available(), Ok(8.5));
    assert_eq!(bucket.reserve(2.0, None).unwrap().settle(3.5), Ok(()));
    assert_eq!(bucket.available(), Ok(5.0));

    assert!(matches!(bucket.reserve(7.0, None).unwrap().settle(-1.0), Err(Error::InvalidArgument(_))));
    assert_eq!(bucket.available(), Ok(5.0));
    let late = bucket.reserve(7.0, None).unwrap();
    assert_eq!(bucket.close(), Ok(()));
    assert_eq!(late.settle(1.0), Err(Error::Closed));
    assert_eq!(bucket.available(), Ok(5.0));
}

#[test]
fn reservation_beyond_its_limit_takes_nothing() {
    let clock = clock();
    let bucket = bucket(10.0, 2.0, &clock);
    assert_eq!(bucket.allow(10.0), Ok(true));
    let late = Error::TimedOut { retry_after: Some(2 * SECOND) };
    assert_eq!(bucket.reserve(4.0, Some(2 * SECOND - NANOSECOND)).unwrap_err(), late);
    assert_eq!(bucket.reserve(4.0, Some(Duration::ZERO)).unwrap_err(), late);
    assert_eq!(bucket.available(), Ok(0.0));
    bucket.reserve(4.0, Some(2 * SECOND)).unwrap().commit();
    bucket.reserve(4.0, Some(Duration::MAX)).unwrap().commit();
    assert_eq!(bucket.available(), Ok(-8.0));
}

#[test]
fn bad_amounts_are_refused_and_take_nothing() {
    let clock = clock();
    let bucket = bucket(10.0, 2.0, &clock);
    for n in NOT_AMOUNTS {
        assert!(matches!(bucket.allow(n), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(bucket.take(n), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(bucket.reserve(n, None).unwrap_err(), Error::InvalidArgument(_)), "{}", n);
        assert!(matches!(bucket.wait(n), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(bucket.wait_timeout(n, SECOND), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(bucket.wait_with(n, None, 1), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(bucket.time_until(n), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(bucket.take_up_to(n), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(bucket.charge(n), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(bucket.refund(n), Err(Error::InvalidArgument(_))), "{}", n);
    }
    assert!(matches!(bucket.allow(10.5), Err(Error::ExceedsCapacity(_))));
    assert!(matches!(bucket.reserve(10.5, None).unwrap_err(), Error::ExceedsCapacity(_)));
    assert!(matches!(bucket.wait(10.5), Err(Error::ExceedsCapacity(_))));
    assert!(matches!(bucket.time_until(10.5), Err(Error::ExceedsCapacity(_))));
    assert_eq!(bucket.available(), Ok(10.0));
}

#[test]
fn bad_configurations_are_refused() {
    let error = |config: Config| config.build().unwrap_err();
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(error(Config::new(number, 1.0, SECOND)), Error::InvalidArgument(_)));
        assert!(matches!(error(Config::new(1.0, number, SECOND)), Error::InvalidArgument(_)));
        assert!(matches!(error(Config::new(1.0, 1.0, SECOND).initial_tokens(number)), Error::InvalidArgument(_)));
    }
    assert!(matches!(error(Config::new(1.0, 1.0, Duration::ZERO)), Error::InvalidArgument(_)));
    assert!(matches!(error(Config::new(1.0, 1.0, Duration::MAX)), Error::OutOfRange(_)));
    assert!(matches!(error(Config::new(1.0, 1.0, SECOND).initial_tokens(-1.0)), Error::InvalidArgument(_)));
    assert!(matches!(error(Config::new(1.0, 1.0, SECOND).initial_tokens(1.5)), Error::OutOfRange(_)));
    for (capacity, rate) in [(0.0, 1.0), (-1.0, 1.0), (2e15, 1.0), (1e-7, 1.0), (1.0, 0.0), (1.0, -1.0), (1.0, 2e10)] {
        assert!(matches!(Bucket::new(capacity, rate).unwrap_err(), Error::OutOfRange(_)), "{} {}", capacity, rate);
    }
}

#[test]
fn manual_clock_serves_many_buckets_and_outlives_its_owner() {
    let clock = ManualClock::new(SECOND).unwrap();
    let (slow, fast) = (bucket(1.0, 1.0, &clock), bucket(1.0, 2.0, &clock));
    assert_eq!((slow.allow(1.0), fast.allow(1.0)), (Ok(true), Ok(true)));
    clock.set(SECOND * 3 / 2).unwrap();
    clock.set(SECOND).unwrap(); // never back
    assert_eq!((slow.available(), fast.available()), (Ok(0.5), Ok(1.0)));
    drop(clock);
    assert_eq!((slow.allow(1.0), fast.allow(1.0)), (Ok(false), Ok(true)));
}

#[test]
fn manual_clock_refuses_what_cannot_be_expressed() {
    assert!(matches!(ManualClock::new(Duration::MAX).unwrap_err(), Error::OutOfRange(_)));
    let clock = clock();
    assert!(matches!(clock.set(Duration::MAX), Err(Error::OutOfRange(_))));
    clock.set(SECOND).unwrap();
    assert!(matches!(clock.advance(Duration::from_nanos(i64::MAX as u64)), Err(Error::OutOfRange(_))));
}

#[test]
fn threads_together_get_the_exact_number() {
    const THREADS: usize = 8;
    const STEPS: u64 = 200;
    let clock = clock();
    let bucket = bucket(50.0, 1000.0, &clock);
    let granted = AtomicU64::new(0);
    let step = Barrier::new(THREADS + 1);
    // No thread may leave early: the others would stay at the barrier. So what went wrong is asserted at the end.
    let grants_by_step: Vec<u64> = thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..STEPS {
                    step.wait();
                    let grants = (0..10).filter(|_| bucket.allow(1.0) == Ok(true)).count();
                    granted.fetch_add(grants as u64, Ordering::Relaxed);
                    step.wait();
                }
            });
        }
        let one_step = |_| {
            step.wait();
            step.wait();
            let _ = clock.advance(SECOND / 100);
            granted.load(Ordering::Relaxed)
        };
        (0..STEPS).map(one_step).collect()
    });
    let expected: Vec<u64> = (0..STEPS).map(|i| 50 + 10 * i).collect();
    assert_eq!(grants_by_step, expected);
}

#[test]
fn types_may_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Bucket>();
    shared::<ManualClock>();
    shared::<Reservation<'_>>();
    shared::<Config>();
    shared::<CallbackClock>();
    shared::<Wait<'_>>();
    shared::<Throttled<Vec<u8>, Arc<Bucket>>>();
}

#[test]
fn bucket_outlives_a_panic() {
    let bucket = bucket(1.0, 1.0, &clock());
    let caught = std::panic::catch_unwind(|| {
        bucket.allow(1.0).unwrap();
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(caught.is_err());
    assert_eq!(bucket.available(), Ok(0.0));
}

#[test]
fn takes_whole_tokens_up_to_what_is_there() {
    let bucket = bucket(10.0, 2.0, &clock());
    assert_eq!(bucket.take_up_to(3.9), Ok(3.0));
    assert_eq!(bucket.allow(0.5), Ok(true));
    assert_eq!(bucket.take_up_to(100.0), Ok(6.0));
    assert_eq!(bucket.take_up_to(1.0), Ok(0.0));
    assert_eq!(bucket.available(), Ok(0.5));
}

#[test]
fn charge_goes_into_debt_and_says_how_long() {
    let clock = clock();
    let bucket = bucket(10.0, 2.0, &clock);
    assert_eq!(bucket.charge(4.0), Ok(Some(Duration::ZERO)));
    assert_eq!(bucket.charge(15.0), Ok(Some(SECOND * 9 / 2)));
    assert_eq!(bucket.available(), Ok(-9.0));
    assert!(matches!(bucket.charge(1e300), Err(Error::OutOfRange(_))));
    clock.set(SECOND * 9 / 2).unwrap();
    assert_eq!(bucket.available(), Ok(0.0));

    let slow = Config::new(1e9, 1e-9, SECOND).clock(&clock).build().unwrap();
    assert_eq!(slow.charge(1.1e9), Ok(None));
}

#[test]
fn refund_stops_at_the_capacity() {
    let bucket = bucket(10.0, 2.0, &clock());
    assert_eq!(bucket.allow(6.0), Ok(true));
    assert_eq!(bucket.refund(2.0), Ok(()));
    assert_eq!(bucket.available(), Ok(6.0));
    assert_eq!(bucket.refund(50.0), Ok(()));
    assert_eq!(bucket.available(), Ok(10.0));
}

#[test]
fn reset_sets_the_tokens_and_forgives_debt() {
    let bucket = bucket(10.0, 2.0, &clock());
    assert_eq!(bucket.charge(50.0), Ok(Some(20 * SECOND)));
    assert_eq!(bucket.reset(3.5), Ok(()));
    assert_eq!(bucket.available(), Ok(3.5));
    assert_eq!(bucket.reset(0.0), Ok(()));
    assert_eq!(bucket.available(), Ok(0.0));
    assert_eq!(bucket.fill(), Ok(()));
    assert_eq!(bucket.available(), Ok(10.0));
    assert!(matches!(bucket.reset(10.5), Err(Error::ExceedsCapacity(_))));
    assert!(matches!(bucket.set_tokens(10.5), Err(Error::ExceedsCapacity(_))));
    for tokens in [-1.0, -0.5, f64::NAN, f64::INFINITY] {
        assert!(matches!(bucket.reset(tokens), Err(Error::InvalidArgument(_))), "{}", tokens);
        assert!(matches!(bucket.set_tokens(tokens), Err(Error::InvalidArgument(_))), "{}", tokens);
    }
    assert_eq!(bucket.available(), Ok(10.0));
}

#[test]
fn server_said_what_is_left_and_reservations_stay() {
    let clock = clock();
    let bucket = bucket(10.0, 2.0, &clock);
    assert_eq!(bucket.charge(50.0), Ok(Some(20 * SECOND)));
    assert_eq!(bucket.set_tokens(3.0), Ok(()));
    assert_eq!(bucket.available(), Ok(3.0));
    let reservation = bucket.reserve(5.0, None).unwrap();
    assert_eq!(reservation.ready_at(), SECOND);
    assert_eq!(bucket.set_tokens(7.0), Ok(()));
    assert_eq!(bucket.available(), Ok(2.0));
    drop(reservation);
    assert_eq!(bucket.available(), Ok(7.0));
}

#[test]
fn limit_changes_at_once_and_can_be_read() {
    let clock = clock();
    let bucket = Config::new(10.0, 700_000.0, 3600 * SECOND).initial_tokens(0.0).clock(&clock).build().unwrap();
    let limit = bucket.limit().unwrap();
    assert_eq!((limit.capacity, limit.tokens, limit.period), (10.0, 700_000.0, 3600 * SECOND));
    assert_eq!(limit.per_second(), 700_000.0 / 3600.0);
    assert_eq!(limit.unit, 1.0 / 9e9); // the rate is 1750 of them a nanosecond
    assert_eq!(bucket.set_capacity(32_025_597.0), Ok(()));
    assert!(matches!(bucket.set_capacity(32_025_598.0), Err(Error::OutOfRange(_)))); // 2^58 units are less

    bucket.set_rate(4.0).unwrap();
    bucket.set_capacity(6.0).unwrap();
    clock.advance(SECOND).unwrap();
    assert_eq!(bucket.available(), Ok(4.0));
    clock.advance(SECOND).unwrap();
    assert_eq!(bucket.available(), Ok(6.0));
    let limit = bucket.limit().unwrap();
    assert_eq!((limit.capacity, limit.per_second()), (6.0, 4.0));

    assert!(matches!(bucket.set_rate(0.0), Err(Error::OutOfRange(_))));
    assert!(matches!(bucket.set_rate(f64::NAN), Err(Error::InvalidArgument(_))));
    assert!(matches!(bucket.set_capacity(2e15), Err(Error::OutOfRange(_))));
    assert!(matches!(bucket.set_capacity(f64::INFINITY), Err(Error::InvalidArgument(_))));
    assert_eq!(bucket.limit(), Ok(limit));
}

#[test]
fn callback_clock_is_asked_and_freed_with_its_last_bucket() {
    let now = Arc::new(AtomicU64::new(5));
    let asked = now.clone();
    let clock = CallbackClock::new(move || Duration::from_secs(asked.load(Ordering::Relaxed))).unwrap();
    let bucket = Config::new(10.0, 2.0, SECOND).clock(&clock).initial_tokens(0.0).build().unwrap();
    drop(clock);
    assert_eq!(bucket.available(), Ok(0.0));
    now.store(7, Ordering::Relaxed);
    assert_eq!(bucket.available(), Ok(4.0));
    assert_eq!(Arc::strong_count(&now), 2);
    drop(bucket);
    assert_eq!(Arc::strong_count(&now), 1);
}

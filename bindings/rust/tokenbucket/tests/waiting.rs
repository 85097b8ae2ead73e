//! Threads that wait. The first test sleeps for real, the others are on a manual clock.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc};
use std::thread;
use std::time::{Duration, Instant};

use tokenbucket::{Bucket, Config, Error, ManualClock, Outcome};

const SECOND: Duration = Duration::from_secs(1);

type AnyWait = fn(&Bucket) -> Result<(), Error>;

/// 10 tokens, none of them there, and 1 per second.
fn empty(clock: &ManualClock) -> Config {
    Config::new(10.0, 1.0, SECOND).initial_tokens(0.0).clock(clock)
}

fn clock() -> ManualClock {
    ManualClock::new(Duration::ZERO).unwrap()
}

fn until_waiting(clock: &ManualClock, threads: u64) {
    while clock.waiters().unwrap().count != threads {
        thread::yield_now();
    }
}

#[test]
fn wait_returns_when_the_tokens_are_there() {
    let interval = Duration::from_millis(10);
    let started = Instant::now();
    let bucket = Bucket::new(1.0, 100.0).unwrap();
    bucket.wait(1.0).unwrap();
    for waits in 1..4 {
        bucket.wait(1.0).unwrap();
        assert!(started.elapsed() >= interval * waits);
    }
    // Ample, for one that comes too late for its tokens is planned anew.
    bucket.wait_timeout(1.0, 3600 * SECOND).unwrap();
    assert!(started.elapsed() >= interval * 4);
}

#[test]
fn wait_that_cannot_be_met_in_time_is_refused_at_once() {
    let bucket = empty(&clock()).build().unwrap();
    let late = Err(Error::TimedOut { retry_after: Some(5 * SECOND) });
    assert_eq!(bucket.wait_timeout(5.0, 5 * SECOND - Duration::from_nanos(1)), late);
    assert_eq!(bucket.wait_timeout(5.0, Duration::ZERO), late);
    assert_eq!(bucket.available(), Ok(0.0));
    bucket.refund(5.0).unwrap();
    assert_eq!(bucket.wait_timeout(5.0, Duration::ZERO), Ok(()));
}

#[test]
fn waits_are_served_in_order_and_never_overtaken() {
    let clock = clock();
    let bucket = &empty(&clock).build().unwrap();
    let (served, order) = mpsc::channel();
    thread::scope(|scope| {
        for (place, n) in [4.0, 1.0, 2.0].into_iter().enumerate() {
            let served = served.clone();
            scope.spawn(move || {
                bucket.wait(n).unwrap();
                served.send(place).unwrap();
            });
            until_waiting(&clock, place as u64 + 1);
        }
        assert_eq!(clock.waiters().unwrap().next_due, Some(4 * SECOND));
        for (place, due) in [4, 5, 7].into_iter().enumerate() {
            clock.set(due * SECOND - Duration::from_nanos(1)).unwrap();
            assert_eq!(bucket.allow(0.1), Ok(false));
            assert_eq!(clock.waiters().unwrap().count, 3 - place as u64);
            clock.set(due * SECOND).unwrap();
            assert_eq!(order.recv(), Ok(place));
        }
    });
    assert_eq!((clock.waiters().unwrap().count, clock.waiters().unwrap().next_due), (0, None));
}

#[test]
fn new_limit_plans_waits_anew() {
    let clock = clock();
    let bucket = &empty(&clock).build().unwrap();
    thread::scope(|scope| {
        let sooner = scope.spawn(|| bucket.wait(10.0));
        until_waiting(&clock, 1);
        bucket.set_rate(10.0).unwrap();
        assert_eq!(clock.waiters().unwrap().next_due, Some(SECOND));
        bucket.refund(5.0).unwrap();
        assert_eq!(clock.waiters().unwrap().next_due, Some(SECOND / 2));
        clock.set(SECOND / 2).unwrap();
        assert_eq!(sooner.join().unwrap(), Ok(()));

        let too_large = scope.spawn(|| bucket.wait(10.0));
        until_waiting(&clock, 1);
        bucket.set_capacity(9.0).unwrap();
        assert!(matches!(too_large.join().unwrap(), Err(Error::ExceedsCapacity(_))));

        let too_late = scope.spawn(|| bucket.wait_timeout(5.0, SECOND));
        until_waiting(&clock, 1);
        bucket.set_rate(1.0).unwrap();
        assert_eq!(too_late.join().unwrap(), Err(Error::TimedOut { retry_after: Some(5 * SECOND) }));
    });
    assert_eq!(bucket.available(), Ok(0.0));
}

#[test]
fn one_waiter_more_than_allowed_is_told() {
    let clock = clock();
    let bucket = &empty(&clock).max_waiters(1).build().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| bucket.wait(1.0));
        until_waiting(&clock, 1);
        assert_eq!(bucket.wait(1.0), Err(Error::QueueFull));
        clock.set(SECOND).unwrap();
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
    assert_eq!(bucket.available(), Ok(0.0));
}

#[test]
fn close_wakes_who_waits() {
    let waits: [AnyWait; 2] = [|bucket| bucket.wait(1.0), |bucket| bucket.wait_timeout(1.0, Duration::MAX)];
    for wait in waits {
        let clock = clock();
        let bucket = empty(&clock).build().unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| wait(&bucket));
            until_waiting(&clock, 1);
            bucket.close().unwrap();
            assert_eq!(waiter.join().unwrap(), Err(Error::Closed));
        });
        assert_eq!(bucket.available(), Ok(0.0));
    }
}

#[test]
fn closed_bucket_grants_nothing_and_can_be_looked_at() {
    let bucket = empty(&clock()).initial_tokens(2.0).statistics().build().unwrap();
    let pending = bucket.reserve(4.0, None).unwrap();
    assert!(!bucket.is_closed());
    bucket.close().unwrap();
    bucket.close().unwrap();
    assert!(bucket.is_closed());
    assert_eq!(bucket.allow(1.0), Err(Error::Closed));
    assert_eq!(bucket.take(1.0), Err(Error::Closed));
    assert_eq!(bucket.take_up_to(1.0), Err(Error::Closed));
    assert_eq!(bucket.reserve(1.0, None).unwrap_err(), Error::Closed);
    assert_eq!(bucket.wait(1.0), Err(Error::Closed));
    assert_eq!(bucket.wait_timeout(1.0, Duration::ZERO), Err(Error::Closed));
    assert_eq!(bucket.charge(1.0), Err(Error::Closed));
    assert_eq!(bucket.refund(1.0), Err(Error::Closed));
    assert_eq!(bucket.reset(1.0), Err(Error::Closed));
    assert_eq!(bucket.fill(), Err(Error::Closed));
    assert_eq!(bucket.set_rate(1.0), Err(Error::Closed));
    assert_eq!(bucket.set_capacity(1.0), Err(Error::Closed));
    assert_eq!(bucket.available(), Ok(-2.0));
    assert_eq!(bucket.time_until(10.0), Ok(Some(12 * SECOND)));
    assert_eq!(bucket.limit().unwrap().capacity, 10.0);
    assert_eq!(bucket.stats().unwrap().granted, 1);
    drop(pending);
    assert_eq!(bucket.available(), Ok(2.0));
}

#[cfg(target_os = "linux")]
#[test]
fn signal_does_not_end_a_wait() {
    use std::os::raw::{c_int, c_ulong};
    extern "C" {
        fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
        fn pthread_self() -> c_ulong;
        fn pthread_kill(thread: c_ulong, number: c_int) -> c_int;
    }
    extern "C" fn nothing(_: c_int) {}
    const SIGURG: c_int = 23;
    // SAFETY: glibc's and musl's declarations; the handler does nothing.
    unsafe { signal(SIGURG, nothing) };

    let interrupted = Arc::new(AtomicUsize::new(0));
    let counted = interrupted.clone();
    let count = move |event: &tokenbucket::Event| {
        if event.outcome == Outcome::Failed(Error::Interrupted) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    };
    let clock = clock();
    let bucket = &empty(&clock).on_event(count).build().unwrap();
    let waits: [AnyWait; 2] = [|bucket| bucket.wait(1.0), |bucket| bucket.wait_timeout(1.0, 3600 * SECOND)];
    for (round, wait) in waits.into_iter().enumerate() {
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let waiter = scope.spawn(move || {
                // SAFETY: it has no conditions.
                tell.send(unsafe { pthread_self() }).unwrap();
                wait(bucket)
            });
            let thread = told.recv().unwrap();
            until_waiting(&clock, 1);
            // Again and again: the first may come before the thread sleeps.
            while interrupted.load(Ordering::SeqCst) == round {
                // SAFETY: the thread is not joined yet.
                unsafe { pthread_kill(thread, SIGURG) };
                thread::yield_now();
            }
            until_waiting(&clock, 1);
            interrupted.store(round + 1, Ordering::SeqCst);
            clock.advance(SECOND).unwrap();
            assert_eq!(waiter.join().unwrap(), Ok(()));
        });
        assert_eq!(bucket.available(), Ok(0.0));
    }
}

//! Waiting and closing. These are the tests that sleep for real.
use std::thread;
use std::time::{Duration, Instant};

use tokenbucket::{Bucket, Config, Error, ManualClock};

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
    bucket.wait_timeout(1.0, interval).unwrap();
    assert!(started.elapsed() >= interval * 4);
}

#[test]
fn wait_that_cannot_be_met_in_time_is_refused_at_once() {
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let bucket = Config::new(10.0, 1.0, Duration::from_secs(1)).clock(&clock).build().unwrap();
    assert_eq!(bucket.wait_timeout(10.0, Duration::ZERO), Ok(()));
    assert_eq!(bucket.wait_timeout(5.0, Duration::from_secs(4)), Err(Error::TimedOut));
    assert_eq!(bucket.available(), Ok(0.0));
}

#[test]
fn wait_does_not_sleep_on_a_manual_clock() {
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let bucket = Config::new(10.0, 1.0, Duration::from_secs(1)).clock(&clock).build().unwrap();
    assert_eq!(bucket.wait(10.0), Ok(()));
    assert_eq!(bucket.wait(5.0), Err(Error::ManualClock));
    assert_eq!(bucket.wait_timeout(5.0, Duration::from_secs(5)), Err(Error::ManualClock));
    assert_eq!(bucket.available(), Ok(0.0));
}

/// Closes a bucket while a thread waits on it for 10 seconds, until 0 tokens would be left.
fn close_during(wait: fn(&Bucket) -> Result<(), Error>) {
    let bucket = Config::new(1.0, 0.05, Duration::from_secs(1)).initial_tokens(0.5).build().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| wait(&bucket));
        while bucket.available().unwrap() >= 0.0 && !waiter.is_finished() {
            thread::yield_now();
        }
        bucket.close().unwrap();
        assert_eq!(waiter.join().unwrap(), Err(Error::Closed));
    });
    // It left before its time: later, nothing is given back.
    assert!(bucket.available().unwrap() >= 0.5);
}

#[test]
fn close_wakes_who_waits() {
    close_during(|bucket| bucket.wait(1.0));
    close_during(|bucket| bucket.wait_timeout(1.0, Duration::MAX));
}

#[test]
fn closed_bucket_grants_nothing_and_can_be_looked_at() {
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let bucket = Config::new(10.0, 1.0, Duration::from_secs(1)).clock(&clock).build().unwrap();
    let reservation = bucket.reserve(4.0, None).unwrap();
    bucket.close().unwrap();
    bucket.close().unwrap();
    assert_eq!(bucket.allow(1.0), Err(Error::Closed));
    assert_eq!(bucket.take(1.0), Err(Error::Closed));
    assert_eq!(bucket.reserve(1.0, None).unwrap_err(), Error::Closed);
    assert_eq!(bucket.wait(1.0), Err(Error::Closed));
    assert_eq!(bucket.wait_timeout(1.0, Duration::ZERO), Err(Error::Closed));
    assert_eq!(bucket.available(), Ok(6.0));
    assert_eq!(bucket.time_until(10.0), Ok(Some(Duration::from_secs(4))));
    drop(reservation);
    assert_eq!(bucket.available(), Ok(10.0));
}

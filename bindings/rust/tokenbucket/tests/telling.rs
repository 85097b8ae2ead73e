//! What a bucket tells: events and statistics, on a manual clock.
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::Duration;

use tokenbucket::{Config, Error, Event, ManualClock, Outcome, Wait};

const SECOND: Duration = Duration::from_secs(1);

fn keeping(events: &Arc<Mutex<Vec<Event>>>) -> impl Fn(&Event) + Send + Sync + 'static {
    let events = events.clone();
    move |event| events.lock().unwrap().push(event.clone())
}

fn late(retry_after: Option<Duration>) -> Error {
    Error::TimedOut { retry_after }
}

fn told(event: &Event) -> (Outcome, f64, Duration) {
    (event.outcome.clone(), event.tokens, event.waited)
}

#[test]
fn events_tell_denials_and_the_ends_of_waits() {
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let events = Arc::default();
    let config = Config::new(10.0, 1.0, SECOND).clock(&clock).on_event(keeping(&events));
    let bucket = &config.build().unwrap();
    assert_eq!(bucket.allow(10.0), Ok(true));
    assert_eq!(bucket.allow(2.5), Ok(false));
    assert!(!bucket.take(3.0).unwrap().granted);
    assert_eq!(bucket.reserve(9.0, Some(SECOND)).unwrap_err(), late(Some(9 * SECOND)));
    thread::scope(|scope| {
        let granted = scope.spawn(|| bucket.wait(2.0));
        while clock.waiters().unwrap().count == 0 {
            thread::yield_now();
        }
        clock.advance(2 * SECOND).unwrap();
        granted.join().unwrap().unwrap();
    });
    let events = events.lock().unwrap();
    let events: Vec<_> = events.iter().map(told).collect();
    let at_once = Duration::ZERO;
    assert_eq!(
        events,
        [
            (Outcome::Denied, 2.5, at_once),
            (Outcome::Denied, 3.0, at_once),
            (Outcome::Failed(late(None)), 9.0, at_once),
            (Outcome::Granted, 2.0, 2 * SECOND),
        ]
    );
}

fn poll(wait: &mut Wait<'_>) -> Poll<Result<(), Error>> {
    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }
    Pin::new(wait).poll(&mut Context::from_waker(&Arc::new(Nobody).into()))
}

fn begun(mut wait: Wait<'_>) -> Wait<'_> {
    assert!(poll(&mut wait).is_pending());
    wait
}

#[test]
fn futures_are_told_of_as_threads_are() {
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let events = Arc::default();
    let config = Config::new(10.0, 1.0, SECOND).initial_tokens(0.0).clock(&clock).statistics();
    let bucket = config.on_event(keeping(&events)).build().unwrap();
    let mut granted = begun(bucket.wait_async(2.0));
    let dropped = begun(bucket.wait_async(3.0));
    let mut put_back = begun(bucket.wait_timeout_async(4.0, 9 * SECOND));
    let mut closed = begun(bucket.wait_async(5.0));
    assert_eq!(poll(&mut bucket.wait_timeout_async(1.0, SECOND)), Poll::Ready(Err(late(Some(15 * SECOND)))));
    assert_eq!(bucket.stats().unwrap().waiting, 4);
    clock.advance(2 * SECOND).unwrap();
    assert_eq!(poll(&mut granted), Poll::Ready(Ok(())));
    clock.advance(SECOND).unwrap();
    drop(dropped);
    bucket.charge(4.0).unwrap();
    assert_eq!(poll(&mut put_back), Poll::Ready(Err(late(Some(12 * SECOND)))));
    bucket.close().unwrap();
    assert_eq!(poll(&mut closed), Poll::Ready(Err(Error::Closed)));
    let events: Vec<_> = events.lock().unwrap().iter().map(told).collect();
    assert_eq!(
        events,
        [
            (Outcome::Failed(late(None)), 1.0, Duration::ZERO),
            (Outcome::Granted, 2.0, 2 * SECOND),
            (Outcome::Failed(Error::Interrupted), 3.0, 3 * SECOND),
            (Outcome::Failed(late(None)), 4.0, 3 * SECOND),
            (Outcome::Failed(Error::Closed), 5.0, 3 * SECOND),
        ]
    );
    let stats = bucket.stats().unwrap();
    assert_eq!((stats.granted, stats.timed_out, stats.cancelled), (1, 2, 2));
    assert_eq!((stats.waits, stats.waiting, stats.longest_wait), (4, 0, 3 * SECOND));
    assert_eq!((stats.tokens_taken, stats.tokens_given_back), (14.0, 12.0));
}

#[test]
fn handler_is_freed_after_the_bucket() {
    let events = Arc::default();
    let config = Config::new(1.0, 1.0, SECOND).on_event(keeping(&events));
    let bucket = config.clone().build().unwrap();
    drop(config);
    assert_eq!(bucket.allow(1.0), Ok(true));
    assert_eq!(bucket.allow(1.0), Ok(false));
    assert_eq!((events.lock().unwrap().len(), Arc::strong_count(&events)), (1, 2));
    drop(bucket);
    assert_eq!(Arc::strong_count(&events), 1);
}

#[test]
fn statistics_count_what_was_decided() {
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let bucket = &Config::new(10.0, 1.0, SECOND).clock(&clock).statistics().build().unwrap();
    assert_eq!(bucket.allow(8.0), Ok(true));
    assert_eq!(bucket.allow(2.5), Ok(false));
    assert_eq!(bucket.wait_timeout(9.0, SECOND), Err(late(Some(7 * SECOND))));
    bucket.reserve(2.0, None).unwrap().settle(0.5).unwrap();
    drop(bucket.reserve(5.0, None).unwrap());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| bucket.wait(3.5));
        while clock.waiters().unwrap().count == 0 {
            thread::yield_now();
        }
        assert_eq!(bucket.stats().unwrap().waiting, 1);
        clock.advance(2 * SECOND).unwrap();
        waiter.join().unwrap().unwrap();
    });
    let stats = bucket.stats().unwrap();
    assert_eq!((stats.granted, stats.denied, stats.timed_out, stats.cancelled), (4, 1, 1, 1));
    assert_eq!((stats.waits, stats.waiting), (1, 0));
    assert_eq!((stats.total_wait, stats.longest_wait), (2 * SECOND, 2 * SECOND));
    assert_eq!((stats.tokens_taken, stats.tokens_given_back), (18.5, 6.5));

    let uncounted = Config::new(10.0, 1.0, SECOND).build().unwrap();
    assert!(matches!(uncounted.stats(), Err(Error::Unsupported(_))));
}

/// This test runs itself once more, as the process that is to be aborted.
#[cfg(unix)]
#[test]
fn panic_in_a_handler_aborts() {
    use std::os::unix::process::ExitStatusExt;
    const NAME: &str = "panic_in_a_handler_aborts";
    if std::env::var_os(NAME).is_some() {
        let bucket =
            Config::new(1.0, 1.0, SECOND).initial_tokens(0.0).on_event(|_| panic!("on purpose")).build().unwrap();
        let _ = bucket.allow(1.0);
        return;
    }
    let this = std::env::current_exe().unwrap();
    let child =
        std::process::Command::new(this).args(["--exact", "--nocapture", NAME]).env(NAME, "1").output().unwrap();
    const SIGABRT: i32 = 6;
    assert_eq!(child.status.signal(), Some(SIGABRT), "{:?}", child);
    assert!(String::from_utf8_lossy(&child.stderr).contains("on purpose"));
}

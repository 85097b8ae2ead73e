//! Waits that are futures, polled by hand on a manual clock; the last tests sleep for real.
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokenbucket::{Bucket, CallbackClock, Config, Error, ManualClock, Wait};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counter {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll(wait: &mut Wait<'_>, counter: &Arc<Counter>) -> Poll<Result<(), Error>> {
    Pin::new(wait).poll(&mut Context::from_waker(&counter.clone().into()))
}

fn clock() -> ManualClock {
    ManualClock::new(Duration::ZERO).unwrap()
}

/// 10 tokens, none of them there, and 1 per second.
fn empty(clock: &ManualClock) -> Bucket {
    Config::new(10.0, 1.0, SECOND).initial_tokens(0.0).clock(clock).build().unwrap()
}

#[test]
fn nothing_is_taken_before_the_first_poll() {
    let bucket = empty(&clock());
    bucket.fill().unwrap();
    let mut wait = bucket.wait_async(4.0);
    assert_eq!(bucket.available(), Ok(10.0));
    assert_eq!(poll(&mut wait, &Arc::default()), Poll::Ready(Ok(())));
    assert_eq!(bucket.available(), Ok(6.0));
}

#[test]
fn wakes_at_its_time_and_not_before() {
    let (clock, counter) = (clock(), Arc::default());
    let bucket = empty(&clock);
    let mut wait = bucket.wait_async(4.0);
    assert_eq!(poll(&mut wait, &counter), Poll::Pending);
    assert_eq!(bucket.available(), Ok(-4.0));
    clock.advance(4 * SECOND - Duration::from_nanos(1)).unwrap();
    assert_eq!(poll(&mut wait, &counter), Poll::Pending);
    assert_eq!(counter.count(), 0);
    clock.advance(Duration::from_nanos(1)).unwrap();
    assert_eq!(counter.count(), 1);
    assert_eq!(poll(&mut wait, &counter), Poll::Ready(Ok(())));
    drop(wait);
    assert_eq!(bucket.available(), Ok(0.0));
}

#[test]
fn stays_due_when_the_clock_is_set_back() {
    let (clock, counter) = (clock(), Arc::default());
    let bucket = empty(&clock);
    let mut wait = bucket.wait_async(4.0);
    assert_eq!(poll(&mut wait, &counter), Poll::Pending);
    clock.set(4 * SECOND).unwrap();
    clock.set(SECOND).unwrap();
    assert_eq!(poll(&mut wait, &counter), Poll::Ready(Ok(())));
}

#[test]
fn order_is_that_of_the_first_polls() {
    let clock = clock();
    let bucket = empty(&clock);
    let counters: Vec<Arc<Counter>> = (0..100).map(|_| Arc::default()).collect();
    let mut waits: Vec<_> = counters.iter().map(|_| bucket.wait_async(1.0)).collect();
    for (wait, counter) in waits.iter_mut().zip(&counters).rev() {
        assert_eq!(poll(wait, counter), Poll::Pending);
    }
    for woken in 1..=100 {
        clock.advance(SECOND).unwrap();
        let counts: Vec<_> = counters.iter().map(|counter| counter.count()).collect();
        let expected: Vec<_> = (1..=100).rev().map(|place| usize::from(place <= woken)).collect();
        assert_eq!(counts, expected);
    }
}

#[test]
fn only_the_latest_waker_is_woken() {
    let (clock, first, second) = (clock(), Arc::default(), Arc::default());
    let bucket = empty(&clock);
    let mut wait = bucket.wait_async(1.0);
    assert_eq!(poll(&mut wait, &first), Poll::Pending);
    assert_eq!(poll(&mut wait, &second), Poll::Pending);
    assert_eq!(Arc::strong_count(&first), 1);
    clock.advance(SECOND).unwrap();
    assert_eq!((first.count(), second.count()), (0, 1));
}

#[test]
fn dropped_wait_gives_its_tokens_back_and_wakes_nobody() {
    let (clock, counter) = (clock(), Arc::default());
    let bucket = empty(&clock);
    let mut wait = bucket.wait_async(4.0);
    assert_eq!(poll(&mut wait, &counter), Poll::Pending);
    drop(wait);
    assert_eq!(bucket.available(), Ok(0.0));
    assert_eq!(Arc::strong_count(&counter), 1);
    clock.advance(4 * SECOND).unwrap();
    assert_eq!(counter.count(), 0);
}

#[test]
fn wait_dropped_when_due_gives_its_tokens_back() {
    let (clock, counter) = (clock(), Arc::default());
    let bucket = empty(&clock);
    let mut wait = bucket.wait_async(4.0);
    assert_eq!(poll(&mut wait, &counter), Poll::Pending);
    clock.advance(5 * SECOND).unwrap();
    assert_eq!(bucket.available(), Ok(1.0));
    drop(wait);
    assert_eq!(bucket.available(), Ok(5.0));
}

#[test]
fn timeout_refuses_at_once_and_takes_nothing() {
    let (clock, counter) = (clock(), Arc::default());
    let bucket = empty(&clock);
    let mut late = bucket.wait_timeout_async(4.0, 4 * SECOND - Duration::from_nanos(1));
    assert_eq!(poll(&mut late, &counter), Poll::Ready(Err(Error::TimedOut)));
    assert_eq!(bucket.available(), Ok(0.0));
    let mut in_time = bucket.wait_timeout_async(4.0, 4 * SECOND);
    assert_eq!(poll(&mut in_time, &counter), Poll::Pending);
    clock.advance(4 * SECOND).unwrap();
    assert_eq!(poll(&mut in_time, &counter), Poll::Ready(Ok(())));
}

#[test]
fn what_can_never_be_granted_is_refused() {
    let (clock, counter) = (clock(), Arc::default());
    let bucket = empty(&clock);
    assert_eq!(poll(&mut bucket.wait_async(11.0), &counter), Poll::Ready(Err(Error::ExceedsCapacity)));
    assert_eq!(poll(&mut bucket.wait_async(0.0), &counter), Poll::Ready(Err(Error::InvalidArgument)));
    assert_eq!(bucket.available(), Ok(0.0));
}

#[test]
fn close_wakes_the_waits_of_its_bucket() {
    let (clock, closed, open) = (clock(), Arc::default(), Arc::default());
    let (bucket, other) = (empty(&clock), empty(&clock));
    let (mut due, mut early, mut unaffected) = (bucket.wait_async(1.0), bucket.wait_async(2.0), other.wait_async(3.0));
    assert_eq!(poll(&mut due, &closed), Poll::Pending);
    assert_eq!(poll(&mut early, &closed), Poll::Pending);
    assert_eq!(poll(&mut unaffected, &open), Poll::Pending);
    clock.advance(SECOND).unwrap();
    bucket.close().unwrap();
    assert_eq!((closed.count(), open.count()), (2, 0));
    assert_eq!(poll(&mut due, &closed), Poll::Ready(Ok(())));
    assert_eq!(poll(&mut early, &closed), Poll::Ready(Err(Error::Closed)));
    assert_eq!(poll(&mut bucket.wait_async(1.0), &closed), Poll::Ready(Err(Error::Closed)));
    assert_eq!(poll(&mut unaffected, &open), Poll::Pending);
    assert_eq!(bucket.available(), Ok(0.0));
}

#[test]
#[should_panic(expected = "polled after it was ready")]
fn wait_is_polled_once_it_is_ready_by_mistake() {
    let bucket = Bucket::new(1.0, 1.0).unwrap();
    let mut wait = bucket.wait_async(1.0);
    assert_eq!(poll(&mut wait, &Arc::default()), Poll::Ready(Ok(())));
    let _ = poll(&mut wait, &Arc::default());
}

/// A waker that drops a future of the same clock when it is woken, as an executor may.
#[test]
fn waker_may_drop_a_wait() {
    struct Dropper(std::sync::Mutex<Option<Wait<'static>>>);
    impl Wake for Dropper {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().take();
        }
    }
    let clock = clock();
    let bucket: &'static Bucket = Box::leak(Box::new(empty(&clock)));
    let (mut first, mut second) = (bucket.wait_async(1.0), bucket.wait_async(1.0));
    let counter = Arc::default();
    assert_eq!(poll(&mut second, &counter), Poll::Pending);
    let waker: Waker = Arc::new(Dropper(std::sync::Mutex::new(Some(second)))).into();
    assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&waker)).is_pending());
    clock.advance(2 * SECOND).unwrap();
    assert_eq!(Pin::new(&mut first).poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(())));
    assert_eq!(bucket.available(), Ok(1.0));
}

// ---- For real ----

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn waits_for_real_and_never_returns_early() {
    let started = Instant::now();
    let bucket = Bucket::new(1.0, 100.0).unwrap();
    block_on(async {
        for waits in 0..4 {
            bucket.wait_async(1.0).await.unwrap();
            assert!(started.elapsed() >= Duration::from_millis(10) * waits);
        }
        let timeout = Duration::from_millis(10);
        bucket.wait_timeout_async(1.0, timeout).await.unwrap();
        assert_eq!(bucket.wait_timeout_async(1.0, Duration::ZERO).await, Err(Error::TimedOut));
    });
}

#[test]
fn close_ends_a_wait_that_sleeps_for_real() {
    let bucket = Config::new(1.0, 0.01, SECOND).initial_tokens(0.0).build().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| block_on(bucket.wait_async(1.0)));
        while bucket.available().unwrap() > -0.5 {
            thread::yield_now();
        }
        bucket.close().unwrap();
        assert_eq!(waiter.join().unwrap(), Err(Error::Closed));
    });
    assert!(bucket.available().unwrap() >= 0.0);
}

/// The clock runs at half the speed, so the first awakenings are too early.
#[test]
fn callback_clock_is_asked_again_until_it_agrees() {
    let origin = Instant::now();
    let asked = Arc::new(Counter::default());
    let ask = asked.clone();
    let slow = CallbackClock::new(move || {
        ask.0.fetch_add(1, Ordering::SeqCst);
        origin.elapsed() / 2
    });
    let bucket = Config::new(1.0, 50.0, SECOND).initial_tokens(0.0).clock(&slow.unwrap()).build().unwrap();
    block_on(bucket.wait_async(1.0)).unwrap();
    assert!(origin.elapsed() >= Duration::from_millis(40));
    // Creating, reserving, and at each of at least two awakenings.
    assert!(asked.count() >= 4);
}

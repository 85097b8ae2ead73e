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

type Change = fn(&Bucket) -> Result<(), Error>;

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

fn next_due(clock: &ManualClock) -> Option<Duration> {
    clock.waiters().unwrap().next_due
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
    let refused = Error::TimedOut { retry_after: Some(4 * SECOND) };
    assert_eq!(poll(&mut late, &counter), Poll::Ready(Err(refused)));
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
    assert!(matches!(poll(&mut bucket.wait_async(11.0), &counter), Poll::Ready(Err(Error::ExceedsCapacity(_)))));
    assert!(matches!(poll(&mut bucket.wait_async(0.0), &counter), Poll::Ready(Err(Error::InvalidArgument(_)))));
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

/// W1.
#[test]
fn those_behind_a_dropped_wait_move_up() {
    let (clock, first, second) = (clock(), Arc::default(), Arc::default());
    let bucket = Config::new(10.0, 10.0, SECOND).initial_tokens(0.0).clock(&clock).build().unwrap();
    let (mut large, mut small) = (bucket.wait_async(10.0), bucket.wait_async(1.0));
    assert_eq!(poll(&mut large, &first), Poll::Pending);
    assert_eq!(poll(&mut small, &second), Poll::Pending);
    assert_eq!(next_due(&clock), Some(SECOND));
    drop(large);
    assert_eq!(second.count(), 1);
    assert_eq!(poll(&mut small, &second), Poll::Pending);
    assert_eq!(next_due(&clock), Some(SECOND / 10));
    assert_eq!(bucket.allow(1.0), Ok(false));
    clock.set(SECOND / 10).unwrap();
    assert_eq!(second.count(), 2);
    assert_eq!(poll(&mut small, &second), Poll::Ready(Ok(())));
    assert_eq!(bucket.available(), Ok(0.0));
}

/// W3, W4, W5: who has begun to wait is planned anew, and nobody overtakes.
#[test]
fn change_of_the_bucket_plans_waits_anew() {
    let (clock, counter) = (clock(), Arc::default());
    let bucket = empty(&clock);
    let mut wait = bucket.wait_async(10.0);
    assert_eq!(poll(&mut wait, &counter), Poll::Pending);
    let changes: [(Change, u32); 7] = [
        (|bucket| bucket.refund(4.0), 6),
        (|bucket| bucket.charge(1.0).map(drop), 7),
        (|bucket| bucket.set_tokens(2.0), 8),
        (|bucket| bucket.reset(5.0), 5),
        (|bucket| bucket.set_rate(5.0), 1),
        (|bucket| bucket.set_rate(0.1), 50),
        (|bucket| bucket.set_capacity(20.0), 50),
    ];
    for (change, due) in changes {
        change(&bucket).unwrap();
        assert_eq!(next_due(&clock), Some(due * SECOND));
    }
    let mut behind = bucket.wait_async(1.0);
    assert_eq!(poll(&mut behind, &counter), Poll::Pending);
    bucket.set_capacity(9.0).unwrap();
    assert!(matches!(poll(&mut wait, &counter), Poll::Ready(Err(Error::ExceedsCapacity(_)))));
    assert_eq!(poll(&mut behind, &counter), Poll::Ready(Ok(())));
}

#[test]
fn wait_put_beyond_its_timeout_ends() {
    let (clock, counter) = (clock(), Arc::default());
    let bucket = empty(&clock);
    let mut wait = bucket.wait_timeout_async(4.0, 5 * SECOND);
    assert_eq!(poll(&mut wait, &counter), Poll::Pending);
    bucket.charge(2.0).unwrap();
    assert_eq!(counter.count(), 1);
    let late = Error::TimedOut { retry_after: Some(6 * SECOND) };
    assert_eq!(poll(&mut wait, &counter), Poll::Ready(Err(late)));
    assert_eq!(bucket.available(), Ok(-2.0));
}

#[test]
fn higher_priority_is_served_first() {
    let clock = clock();
    let bucket = empty(&clock);
    let counters: Vec<Arc<Counter>> = (0..4).map(|_| Arc::default()).collect();
    let mut waits: Vec<_> = [0, 7, -1, 7].map(|priority| bucket.wait_with_async(1.0, None, priority)).into();
    for (wait, counter) in waits.iter_mut().zip(&counters) {
        assert_eq!(poll(wait, counter), Poll::Pending);
    }
    for served in [1, 3, 0, 2] {
        clock.advance(SECOND).unwrap();
        for (place, wait) in waits.iter_mut().enumerate() {
            let is_served = place == served;
            assert!(!is_served || counters[place].count() > 0);
            if is_served {
                assert_eq!(poll(wait, &counters[place]), Poll::Ready(Ok(())));
                *wait = bucket.wait_with_async(1.0, None, -9);
                assert_eq!(poll(wait, &counters[place]), Poll::Pending);
            } else {
                assert_eq!(poll(wait, &counters[place]), Poll::Pending);
            }
        }
    }
}

/// W9.
#[test]
fn futures_are_counted_and_refused_as_threads_are() {
    let (clock, counter) = (clock(), Arc::default());
    let config = Config::new(10.0, 1.0, SECOND).initial_tokens(0.0).clock(&clock).max_waiters(2);
    let bucket = config.build().unwrap();
    let (mut first, mut second) = (bucket.wait_async(1.0), bucket.wait_async(2.0));
    assert_eq!(clock.waiters().unwrap().count, 0);
    assert_eq!(poll(&mut first, &counter), Poll::Pending);
    assert_eq!(poll(&mut second, &counter), Poll::Pending);
    assert_eq!((clock.waiters().unwrap().count, next_due(&clock)), (2, Some(SECOND)));
    assert_eq!(poll(&mut bucket.wait_async(1.0), &counter), Poll::Ready(Err(Error::QueueFull)));
    assert_eq!(bucket.wait(1.0), Err(Error::QueueFull));
    drop(first);
    assert_eq!((clock.waiters().unwrap().count, next_due(&clock)), (1, Some(2 * SECOND)));
    assert_eq!(poll(&mut bucket.wait_async(1.0), &counter), Poll::Pending);
}

#[test]
fn threads_and_futures_stand_in_one_queue() {
    let (clock, counter) = (clock(), Arc::default());
    let bucket = empty(&clock);
    thread::scope(|scope| {
        let first = scope.spawn(|| bucket.wait(3.0));
        while clock.waiters().unwrap().count == 0 {
            thread::yield_now();
        }
        let mut second = bucket.wait_async(1.0);
        assert_eq!(poll(&mut second, &counter), Poll::Pending);
        let third = scope.spawn(|| bucket.wait(1.0));
        while clock.waiters().unwrap().count < 3 {
            thread::yield_now();
        }
        clock.set(3 * SECOND).unwrap();
        assert_eq!(first.join().unwrap(), Ok(()));
        clock.set(4 * SECOND).unwrap();
        assert_eq!(clock.waiters().unwrap().count, 1);
        drop(second); // due, but not seen: the third gets its tokens
        assert_eq!(third.join().unwrap(), Ok(()));
    });
    assert_eq!(bucket.available(), Ok(0.0));
}

/// W2, of an executor that is busy for two seconds.
#[test]
fn late_waits_do_not_burst() {
    let clock = clock();
    let config = Config::new(1.0, 10.0, SECOND).initial_tokens(0.0).clock(&clock);
    let bucket = config.max_lateness(SECOND / 100).build().unwrap();
    let counter = Arc::default();
    let mut waits: Vec<_> = (0..40).map(|_| bucket.wait_async(1.0)).collect();
    waits.retain_mut(|wait| poll(wait, &counter).is_pending());
    assert_eq!(waits.len(), 40);
    clock.set(SECOND * 235 / 100).unwrap();
    for left in (0..40).rev() {
        waits.retain_mut(|wait| poll(wait, &counter).is_pending());
        assert_eq!(waits.len(), left);
        clock.advance(SECOND / 10).unwrap();
    }
}

#[test]
fn wait_begun_in_one_thread_ends_in_another() {
    let (clock, here) = (clock(), Arc::default());
    let bucket = empty(&clock);
    let mut wait = bucket.wait_async(1.0);
    assert_eq!(poll(&mut wait, &here), Poll::Pending);
    thread::scope(|scope| {
        let ended = scope.spawn(|| block_on(wait));
        while Arc::strong_count(&here) > 1 {
            thread::yield_now(); // until it has the other thread's waker
        }
        clock.set(SECOND).unwrap();
        assert_eq!(ended.join().unwrap(), Ok(()));
    });
    assert_eq!(here.count(), 0);
}

/// From all sides at once; what is left is what a bucket has that nobody waited for.
#[test]
fn waits_dropped_in_any_order_leave_nothing() {
    const WAITS: usize = 2000;
    let clock = clock();
    let bucket = empty(&clock);
    for step in [1, WAITS - 1, 761] {
        let counter = Arc::default();
        let mut waits: Vec<_> = (0..WAITS).map(|_| Some(bucket.wait_async(1.0))).collect();
        for wait in waits.iter_mut().flatten() {
            assert_eq!(poll(wait, &counter), Poll::Pending);
        }
        for place in 0..WAITS {
            assert_eq!(clock.waiters().unwrap().count as usize, WAITS - place);
            waits[(place + 1) * step % WAITS] = None;
        }
        assert_eq!((bucket.available(), clock.waiters().unwrap().count), (Ok(0.0), 0));
        assert_eq!(Arc::strong_count(&counter), 1);
    }
}

#[test]
fn bucket_outlives_a_wait_that_was_forgotten() {
    let (clock, counter) = (clock(), Arc::default());
    let bucket = empty(&clock);
    let mut wait = bucket.wait_async(1.0);
    assert_eq!(poll(&mut wait, &counter), Poll::Pending);
    std::mem::forget(wait);
    drop(bucket);
    assert_eq!(counter.count(), 1);
    clock.advance(SECOND).unwrap();
    assert_eq!(counter.count(), 1);
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

/// As an executor may that runs tasks within `wake`.
#[test]
fn waker_may_poll_and_move_the_clock() {
    struct Inline(std::sync::Mutex<Option<Wait<'static>>>, ManualClock);
    impl Wake for Inline {
        fn wake(self: Arc<Self>) {
            let mut wait = self.0.lock().unwrap().take().unwrap();
            assert_eq!(poll(&mut wait, &Arc::default()), Poll::Ready(Ok(())));
            self.1.advance(SECOND).unwrap();
        }
    }
    let clock = clock();
    let bucket: &'static Bucket = Box::leak(Box::new(empty(&clock)));
    for _ in 0..3 {
        let inline = Arc::new(Inline(Default::default(), clock.clone()));
        let mut wait = bucket.wait_async(1.0);
        assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&inline.clone().into())).is_pending());
        *inline.0.lock().unwrap() = Some(wait);
    }
    clock.advance(SECOND).unwrap();
    assert_eq!(clock.waiters().unwrap().count, 0);
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
        // Ample, for one that comes too late for its tokens is planned anew.
        bucket.wait_timeout_async(1.0, 3600 * SECOND).await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(40));
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

/// Threads that each wait in threads and futures, some of which they drop: no more is granted than there is, and all
/// that was not granted comes back.
#[test]
fn many_threads_wait_and_drop_at_once() {
    const THREADS: u32 = 4;
    const ROUNDS: u32 = 300;
    let started = Instant::now();
    let bucket = &Config::new(10.0, 20_000.0, SECOND).initial_tokens(0.0).build().unwrap();
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let mut dropped = bucket.wait_async(2.0);
                    let is_granted = poll(&mut dropped, &Arc::default()).is_ready();
                    match (number + round) % 3 {
                        0 => block_on(bucket.wait_async(1.0)).unwrap(),
                        1 => bucket.wait(1.0).unwrap(),
                        _ => block_on(bucket.wait_with_async(1.0, None, 1)).unwrap(),
                    }
                    drop(dropped);
                    if is_granted {
                        bucket.refund(2.0).unwrap();
                    }
                }
            });
        }
    });
    assert!(started.elapsed() >= Duration::from_secs((THREADS * ROUNDS).into()) / 20_000);
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

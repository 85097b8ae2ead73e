//! Waits of keys, in threads and as futures that are polled by hand, on a manual clock.
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::Duration;

use tokenbucket::{Config, Error, ManualClock, Table, TableConfig, Wait};

const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);

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

fn begun<'table>(mut wait: Wait<'table>, counter: &Arc<Counter>) -> Wait<'table> {
    assert!(poll(&mut wait, counter).is_pending());
    wait
}

fn clock() -> ManualClock {
    ManualClock::new(Duration::ZERO).unwrap()
}

fn waiters(clock: &ManualClock) -> u64 {
    clock.waiters().unwrap().count
}

fn until_waiters_are(count: u64, clock: &ManualClock) {
    while waiters(clock) != count {
        thread::yield_now();
    }
}

fn limit(clock: &ManualClock) -> Config {
    Config::new(10.0, 1.0, SECOND).clock(clock)
}

/// 10 tokens for each key, and 1 per second; "a" and "b" have none.
fn table(limit: Config) -> Table {
    let table = TableConfig::with_max_keys(limit, 100).build().unwrap();
    assert_eq!(table.allow_many([("a", 10.0), ("b", 10.0)]), Ok(vec![Ok(true), Ok(true)]));
    table
}

#[test]
fn nothing_is_taken_before_the_first_poll() {
    let table = table(limit(&clock()));
    let mut wait = table.wait_async("c", 4.0);
    assert_eq!(table.available("c"), Ok(10.0));
    assert_eq!(poll(&mut wait, &Arc::default()), Poll::Ready(Ok(())));
    assert_eq!(table.available("c"), Ok(6.0));
}

#[test]
fn wait_is_woken_at_its_time_and_keeps_its_key() {
    let (clock, first, second) = (clock(), Arc::default(), Arc::default());
    let table = table(limit(&clock));
    let mut of_a = begun(table.wait_async(String::from("a"), 4.0), &first);
    let mut of_b = begun(table.wait_async([b'b'], 3.0), &second);
    clock.advance(3 * SECOND).unwrap();
    assert_eq!((first.count(), second.count()), (0, 1));
    assert_eq!(poll(&mut of_b, &second), Poll::Ready(Ok(())));
    clock.advance(SECOND - NANOSECOND).unwrap();
    assert_eq!(poll(&mut of_a, &first), Poll::Pending);
    clock.advance(NANOSECOND).unwrap();
    assert_eq!((first.count(), second.count()), (1, 1));
    assert_eq!(poll(&mut of_a, &first), Poll::Ready(Ok(())));
    assert_eq!((table.available("a"), table.available("b")), (Ok(0.0), Ok(1.0)));
}

#[test]
fn dropped_wait_gives_its_tokens_back_and_those_behind_move_up() {
    let (clock, first, second) = (clock(), Arc::default(), Arc::default());
    let table = table(limit(&clock));
    let large = begun(table.wait_async("a", 9.0), &first);
    let mut small = begun(table.wait_async("a", 1.0), &second);
    assert_eq!((table.available("a"), waiters(&clock)), (Ok(-10.0), 2));
    drop(large);
    assert_eq!((table.available("a"), waiters(&clock)), (Ok(-1.0), 1));
    assert_eq!((second.count(), Arc::strong_count(&first)), (1, 1));
    clock.advance(SECOND).unwrap();
    assert_eq!(poll(&mut small, &second), Poll::Ready(Ok(())));

    let due = begun(table.wait_async("a", 4.0), &first);
    clock.advance(5 * SECOND).unwrap();
    assert_eq!(table.available("a"), Ok(1.0));
    drop(due);
    assert_eq!((table.available("a"), waiters(&clock)), (Ok(5.0), 0));
}

#[test]
fn timeout_refuses_at_once_and_takes_nothing() {
    let (clock, counter) = (clock(), Arc::default());
    let table = table(limit(&clock));
    let late = Err(Error::TimedOut { retry_after: Some(4 * SECOND) });
    let too_short = 4 * SECOND - NANOSECOND;
    assert_eq!(table.wait_timeout("a", 4.0, too_short), late);
    assert_eq!(poll(&mut table.wait_timeout_async("a", 4.0, too_short), &counter), Poll::Ready(late));
    assert_eq!(table.available("a"), Ok(0.0));
    let mut in_time = begun(table.wait_timeout_async("a", 4.0, 4 * SECOND), &counter);
    clock.advance(4 * SECOND).unwrap();
    assert_eq!(poll(&mut in_time, &counter), Poll::Ready(Ok(())));
}

#[test]
fn what_can_never_be_granted_is_refused() {
    let (counter, table) = (Arc::default(), table(limit(&clock())));
    let answer = |mut wait: Wait<'_>| poll(&mut wait, &counter);
    assert!(matches!(answer(table.wait_async("a", 11.0)), Poll::Ready(Err(Error::ExceedsCapacity(_)))));
    assert!(matches!(answer(table.wait_async("a", 0.0)), Poll::Ready(Err(Error::InvalidArgument(_)))));
    let long = vec![0; Table::MAX_KEY_SIZE + 1];
    assert_eq!(answer(table.wait_async(&long, 1.0)), Poll::Ready(Err(Error::KeyTooLong { size: 65537 })));
    assert_eq!(answer(table.wait_async(&long[1..], 1.0)), Poll::Ready(Ok(())));
    assert_eq!(answer(table.wait_async("", 1.0)), Poll::Ready(Ok(())));
}

#[test]
fn higher_priority_is_served_first() {
    let (clock, counter) = (clock(), Arc::default());
    let table = table(limit(&clock));
    let mut low = begun(table.wait_with_async("a", 1.0, None, -1), &counter);
    let mut high = begun(table.wait_with_async("a", 1.0, Some(SECOND), 1), &counter);
    clock.advance(SECOND).unwrap();
    assert_eq!((poll(&mut low, &counter), poll(&mut high, &counter)), (Poll::Pending, Poll::Ready(Ok(()))));
    clock.advance(SECOND).unwrap();
    assert_eq!(poll(&mut low, &counter), Poll::Ready(Ok(())));
}

#[test]
fn thread_with_a_priority_goes_first() {
    let (clock, counter) = (clock(), Arc::default());
    let table = table(limit(&clock));
    let mut low = begun(table.wait_async("a", 1.0), &counter);
    thread::scope(|scope| {
        let high = scope.spawn(|| table.wait_with("a", 2.0, Some(2 * SECOND), 1));
        until_waiters_are(2, &clock);
        assert_eq!(table.wait_with("a", 2.0, Some(4 * SECOND - NANOSECOND), 1).map_err(|error| error.status()), Err(2));
        clock.advance(2 * SECOND).unwrap();
        assert_eq!(high.join().unwrap(), Ok(()));
        assert_eq!(poll(&mut low, &counter), Poll::Pending);
        clock.advance(SECOND).unwrap();
        assert_eq!(poll(&mut low, &counter), Poll::Ready(Ok(())));
    });
}

#[test]
fn threads_and_futures_stand_in_one_queue_of_the_key() {
    let (clock, counter) = (clock(), Arc::default());
    let table = table(limit(&clock));
    thread::scope(|scope| {
        let first = scope.spawn(|| table.wait("a", 3.0));
        until_waiters_are(1, &clock);
        let mut second = begun(table.wait_async("a", 1.0), &counter);
        let third = scope.spawn(|| table.wait_timeout("a", 1.0, 5 * SECOND));
        until_waiters_are(3, &clock);
        assert_eq!(table.allow("b", 1.0), Ok(false));
        clock.set(3 * SECOND).unwrap();
        assert_eq!(first.join().unwrap(), Ok(()));
        clock.set(4 * SECOND).unwrap();
        assert_eq!((poll(&mut second, &counter), waiters(&clock)), (Poll::Ready(Ok(())), 1));
        clock.set(5 * SECOND).unwrap();
        assert_eq!(third.join().unwrap(), Ok(()));
    });
    assert_eq!((table.available("a"), table.available("b")), (Ok(0.0), Ok(5.0)));
}

#[test]
fn max_waiters_holds_for_each_key() {
    let (clock, counter) = (clock(), Arc::default());
    let table = table(limit(&clock).max_waiters(1));
    let _of_a = begun(table.wait_async("a", 1.0), &counter);
    let _of_b = begun(table.wait_async("b", 1.0), &counter);
    assert_eq!(poll(&mut table.wait_async("a", 1.0), &counter), Poll::Ready(Err(Error::QueueFull)));
    assert_eq!(table.wait("b", 1.0), Err(Error::QueueFull));
}

/// Of an executor that is busy for two seconds.
#[test]
fn late_waits_do_not_burst() {
    let (clock, counter) = (clock(), Arc::default());
    let limit = Config::new(1.0, 1.0, SECOND).clock(&clock).max_lateness(SECOND / 100);
    let table = TableConfig::with_max_keys(limit, 100).build().unwrap();
    let mut waits: Vec<_> = (0..4).map(|_| table.wait_async("a", 1.0)).collect();
    waits.retain_mut(|wait| poll(wait, &counter).is_pending());
    assert_eq!(waits.len(), 3);
    clock.set(SECOND * 5 / 2).unwrap();
    for left in (0..3).rev() {
        waits.retain_mut(|wait| poll(wait, &counter).is_pending());
        assert_eq!(waits.len(), left);
        clock.advance(SECOND).unwrap();
    }
}

#[test]
fn change_of_the_key_or_the_limit_plans_waits_anew() {
    type Change = fn(&Table) -> Result<(), Error>;
    let (clock, counter) = (clock(), Arc::default());
    let table = table(limit(&clock));
    let mut wait = begun(table.wait_async("a", 10.0), &counter);
    let changes: [(Change, u32); 4] = [
        (|table| table.refund("a", 4.0), 6),
        (|table| table.charge("a", 1.0).map(drop), 7),
        (|table| table.set_rate(7.0), 1),
        (|table| table.set_rate(0.1), 70),
    ];
    for (change, due) in changes {
        change(&table).unwrap();
        assert_eq!(clock.waiters().unwrap().next_due, Some(due * SECOND));
    }
    table.remove("a").unwrap();
    assert_eq!(poll(&mut wait, &counter), Poll::Ready(Ok(())));
    assert_eq!(table.available("a"), Ok(0.0));
}

#[test]
fn wait_that_a_change_ends_says_why() {
    let (clock, counter) = (clock(), Arc::default());
    let table = table(limit(&clock));
    let mut late = begun(table.wait_timeout_async("a", 4.0, 5 * SECOND), &counter);
    table.charge("a", 2.0).unwrap();
    let refused = Err(Error::TimedOut { retry_after: Some(6 * SECOND) });
    assert_eq!((counter.count(), poll(&mut late, &counter)), (1, Poll::Ready(refused)));
    let mut large = begun(table.wait_async("b", 10.0), &counter);
    table.set_capacity(9.0).unwrap();
    assert_eq!(counter.count(), 2);
    assert!(matches!(poll(&mut large, &counter), Poll::Ready(Err(Error::ExceedsCapacity(_)))));
    assert_eq!((table.available("a"), table.available("b")), (Ok(-2.0), Ok(0.0)));
}

#[test]
fn close_ends_the_waits_of_all_keys() {
    let (clock, of_a, of_b) = (clock(), Arc::default(), Arc::default());
    let table = table(limit(&clock));
    let mut due = begun(table.wait_async("a", 1.0), &of_a);
    let mut early = begun(table.wait_async("b", 2.0), &of_b);
    thread::scope(|scope| {
        let in_thread = scope.spawn(|| table.wait("a", 3.0));
        until_waiters_are(3, &clock);
        clock.advance(SECOND).unwrap();
        table.close().unwrap();
        assert_eq!(in_thread.join().unwrap(), Err(Error::Closed));
    });
    assert_eq!((of_a.count(), of_b.count()), (1, 1));
    assert_eq!(poll(&mut due, &of_a), Poll::Ready(Ok(())));
    assert_eq!(poll(&mut early, &of_b), Poll::Ready(Err(Error::Closed)));
    assert_eq!((table.available("a"), table.available("b")), (Ok(0.0), Ok(1.0)));
}

#[test]
fn table_outlives_waits_that_were_forgotten() {
    let (clock, counter) = (clock(), Arc::default());
    let table = table(limit(&clock));
    for key in ["a", "b", "a"] {
        std::mem::forget(begun(table.wait_async(key, 1.0), &counter));
    }
    drop(table);
    assert_eq!((counter.count(), waiters(&clock)), (3, 0));
    clock.advance(SECOND).unwrap();
    assert_eq!(counter.count(), 3);
}

/// Waits that are all dropped, between charges: what is left is what nobody waited for.
#[test]
fn waits_of_many_keys_leave_the_exact_sums() {
    const THREADS: u64 = 16;
    const KEYS: u64 = 50;
    let clock = clock();
    let config = Config::new(100.0, 1.0, SECOND).clock(&clock);
    let table = &TableConfig::with_max_keys(config, 10 * KEYS).build().unwrap();
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || {
                let counter = Arc::default();
                for key in (0..KEYS).map(|key| ((key + number * 3) % KEYS).to_be_bytes()) {
                    table.charge(key, 3.0).unwrap();
                    let dropped = begun(table.wait_async(key, 100.0), &counter);
                    table.charge(key, 2.0).unwrap();
                    drop(dropped);
                }
            });
        }
    });
    assert_eq!(waiters(&clock), 0);
    for key in 0..KEYS {
        assert_eq!(table.available(key.to_be_bytes()), Ok(100.0 - 5.0 * THREADS as f64));
    }
}

#[test]
fn wait_of_a_key_sleeps_for_real() {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let started = std::time::Instant::now();
    let table = Table::new(1.0, 100.0, 10).unwrap();
    assert_eq!(table.wait("a", 1.0), Ok(()));
    assert_eq!(table.wait("a", 1.0), Ok(()));
    assert!(started.elapsed() >= SECOND / 100);
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut wait = table.wait_async("a", 1.0);
    while Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending() {
        thread::park();
    }
    assert!(started.elapsed() >= SECOND / 50);
}

#[test]
fn types_may_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Table>();
    shared::<TableConfig>();
}

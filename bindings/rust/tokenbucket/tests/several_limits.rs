//! Several limits in one decision, on a manual clock; futures are polled by hand.
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use tokenbucket::{
    Bucket, CallbackClock, Config, Error, Event, Limits, ManualClock, Member, Outcome, Refusal, Reservations, Table,
    TableConfig, WaitAll, WhenFull,
};

const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);

/// Refused by that member, since it holds less.
fn too_large(member: usize, n: u32) -> (Option<usize>, Error) {
    (Some(member), Bucket::new(1, 1).unwrap().allow(n).unwrap_err())
}

type Change = fn(&Quota);
/// Of requests, tokens and the user's.
type Left = [f64; 3];

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

fn poll<T>(future: &mut (impl Future<Output = T> + Unpin), counter: &Arc<Counter>) -> Poll<T> {
    Pin::new(future).poll(&mut Context::from_waker(&counter.clone().into()))
}

fn begun<T>(mut future: impl Future<Output = T> + Unpin) -> impl Future<Output = T> + Unpin {
    assert!(poll(&mut future, &Arc::default()).is_pending());
    future
}

fn clock() -> ManualClock {
    ManualClock::new(Duration::ZERO).unwrap()
}

fn until_waiters_are(count: u64, clock: &ManualClock) {
    while clock.waiters().unwrap().count != count {
        thread::yield_now();
    }
}

/// Requests, 10 with 1 per second, and tokens, 100 with 10 per second; and users, 5 with 1 per second.
struct Quota {
    clock: ManualClock,
    requests: Bucket,
    tokens: Bucket,
    users: Table,
}

impl Quota {
    fn full() -> Quota {
        let clock = clock();
        let config = |capacity, rate| Config::new(capacity, rate, SECOND).clock(&clock);
        Quota {
            requests: config(10.0, 1.0).build().unwrap(),
            tokens: config(100.0, 10.0).build().unwrap(),
            users: TableConfig::with_max_keys(config(5.0, 1.0), 100).build().unwrap(),
            clock,
        }
    }

    /// But for the users.
    fn empty() -> Quota {
        let quota = Quota::full();
        quota.requests.reset(0.0).unwrap();
        quota.tokens.reset(0.0).unwrap();
        quota
    }

    /// 2 requests, 50 tokens and 1 of the user.
    fn limits(&self) -> Limits<[Member<'_>; 3]> {
        Limits::new([self.requests.member(2.0), self.tokens.member(50.0), self.users.member("u", 1.0)])
    }

    fn left(&self) -> Left {
        [self.requests.available(), self.tokens.available(), self.users.available("u")].map(Result::unwrap)
    }
}

fn refused(answer: Result<(), Refusal>) -> (Option<usize>, Error) {
    let refusal = answer.unwrap_err();
    (refusal.member, refusal.error)
}

fn denied(member: usize, retry_after: Duration) -> (Option<usize>, Error) {
    (Some(member), Error::Denied { retry_after: Some(retry_after) })
}

fn late(member: usize, retry_after: Duration) -> (Option<usize>, Error) {
    (Some(member), Error::TimedOut { retry_after: Some(retry_after) })
}

// ---- At once ----

#[test]
fn all_pay_or_none() {
    let quota = Quota::full();
    for left in [[8.0, 50.0, 4.0], [6.0, 0.0, 3.0]] {
        assert_eq!(quota.limits().allow(), Ok(()));
        assert_eq!(quota.left(), left);
    }
    assert_eq!(refused(quota.limits().allow()), denied(1, 5 * SECOND));
    assert_eq!(quota.left(), [6.0, 0.0, 3.0]);
    assert_eq!(quota.users.available("v"), Ok(5.0));
}

#[test]
fn of_several_the_member_is_named_that_takes_longest() {
    let quota = Quota::empty();
    let refusal = quota.limits().allow().unwrap_err();
    assert_eq!((refusal.member, refusal.retry_after()), (Some(1), Some(5 * SECOND)));
    quota.clock.advance(4 * SECOND).unwrap();
    quota.users.charge("u", 8.0).unwrap();
    assert_eq!(refused(quota.limits().allow()), denied(2, 4 * SECOND));
}

#[test]
fn member_is_named_that_never_grants() {
    let quota = Quota::full();
    let large = Limits::new([quota.requests.member(1.0), quota.users.member("u", 6.0)]);
    assert!(matches!(refused(large.allow()), (Some(1), Error::ExceedsCapacity(_))));
    assert!(matches!(refused(large.reserve(None).map(Reservations::commit)), (Some(1), Error::ExceedsCapacity(_))));
    assert!(matches!(refused(large.wait()), (Some(1), Error::ExceedsCapacity(_))));
    assert_eq!(large.allow().unwrap_err().retry_after(), None);
    quota.tokens.close().unwrap();
    assert_eq!(refused(quota.limits().allow()), (Some(1), Error::Closed));
    assert_eq!(refused(quota.limits().wait_timeout(SECOND)), (Some(1), Error::Closed));
    assert_eq!(quota.left(), [10.0, 100.0, 5.0]);
}

#[test]
fn table_without_room_is_named() {
    let quota = Quota::full();
    let limit = Config::new(1.0, 1.0, SECOND).clock(&quota.clock);
    let small = TableConfig::with_max_bytes(limit, 64).when_full(WhenFull::Deny).build().unwrap();
    let keys: Vec<[u8; 1]> = (0..100).map(|key| [key]).collect();
    let answers = keys.iter().map(|key| Limits::new([quota.tokens.member(1.0), small.member(key, 1.0)]).allow());
    let full: Vec<_> = answers.filter(Result::is_err).map(refused).collect();
    assert!(!full.is_empty() && full.iter().all(|refused| *refused == (Some(1), Error::TableFull)));
    assert_eq!(quota.tokens.available(), Ok(full.len() as f64));
}

#[test]
fn members_may_be_any_number_up_to_the_most() {
    let quota = Quota::full();
    let keys: Vec<String> = (0..=Limits::MAX_MEMBERS).map(|key| key.to_string()).collect();
    let members: Vec<_> = keys.iter().map(|key| quota.users.member(key, 5.0)).collect();
    let (most, too_many) = (&members[1..], members.clone());
    assert_eq!(Limits::new(most).allow(), Ok(()));
    assert_eq!(Limits::new(most).allow().unwrap_err().retry_after(), Some(5 * SECOND));
    assert!(matches!(refused(Limits::new(too_many).allow()), (None, Error::InvalidArgument(_))));
    assert_eq!(quota.users.available("0"), Ok(5.0));
}

#[test]
fn bad_members_are_refused() {
    let quota = Quota::full();
    let check = |bad: &[Member<'_>], text: &str| {
        let limits = Limits::new(bad);
        let answer = poll(&mut limits.wait_async(), &Arc::default());
        assert_eq!(answer, Poll::Ready(Err(limits.allow().unwrap_err())));
        let answers = [limits.allow(), limits.wait_timeout(SECOND), limits.reserve(None).map(Reservations::commit)];
        for refusal in answers.map(Result::unwrap_err) {
            assert!(matches!(refusal.error, Error::InvalidArgument(_)));
            assert_eq!(refusal.to_string(), text);
        }
    };
    check(&[], "members must be from 1 to 16, got 0");
    let twice = "members must be different buckets and keys, got one of them twice";
    check(&[quota.tokens.member(1), quota.tokens.member(2)], twice);
    check(&[quota.users.member("u", 1), quota.users.member(b"u", 1)], twice);
    let zero = "limit 1: n must be finite and more than 0, got 0";
    check(&[quota.requests.member(1), quota.tokens.member(0)], zero);
    check(&[quota.requests.member(f64::NAN)], "limit 0: n must be finite and more than 0, got NaN");
    let long = vec![0; Table::MAX_KEY_SIZE + 1];
    let limits = Limits::new([quota.tokens.member(1.0), quota.users.member(&long, 1.0)]);
    assert_eq!(refused(limits.allow()), (Some(1), Error::KeyTooLong { size: long.len() }));
    assert_eq!(quota.left(), [10.0, 100.0, 5.0]);
}

#[test]
fn refusal_says_who_and_why_and_becomes_an_error() {
    let quota = Quota::full();
    let both = Limits::new([quota.requests.member(1.0), quota.tokens.member(100.0)]);
    both.allow().unwrap();
    let refusal = both.allow().unwrap_err();
    assert_eq!(refusal.to_string(), "limit 1: denied: not enough tokens now; it would take 10s");
    assert_eq!(Error::from(refusal), Error::Denied { retry_after: Some(10 * SECOND) });
    let nobody = Limits::new([]).allow().unwrap_err();
    assert_eq!(nobody.to_string(), "members must be from 1 to 16, got 0");
    let boxed: Box<dyn std::error::Error + Send + Sync> = nobody.into();
    assert!(boxed.is::<Refusal>());
}

// ---- Reserving ----

#[test]
fn reservation_is_ready_when_the_last_member_is() {
    let quota = Quota::full();
    quota.tokens.charge(100.0).unwrap();
    let reserved = quota.limits().reserve(None).unwrap();
    assert_eq!((reserved.wait_time(), quota.left()), (5 * SECOND, [8.0, -50.0, 4.0]));
    let too_late = quota.limits().reserve(Some(10 * SECOND - NANOSECOND));
    assert_eq!(refused(too_late.map(Reservations::commit)), late(1, 10 * SECOND));
    assert_eq!(quota.left(), [8.0, -50.0, 4.0]);
    reserved.commit();
    assert_eq!(quota.left(), [8.0, -50.0, 4.0]);
}

/// Also what is due already: whoever cancels one limit after the other loses that.
#[test]
fn reservation_dropped_before_all_are_due_gives_all_back() {
    let quota = Quota::empty();
    for _ in 0..10 {
        drop(quota.limits().reserve(None).unwrap());
    }
    assert_eq!(quota.left(), [0.0, 0.0, 5.0]);
    let reserved = quota.limits().reserve(None).unwrap();
    quota.clock.advance(5 * SECOND - NANOSECOND).unwrap();
    drop(reserved);
    quota.clock.advance(NANOSECOND).unwrap();
    assert_eq!(quota.left(), [5.0, 50.0, 5.0]);
}

#[test]
fn reservation_that_is_due_counts_as_used() {
    let quota = Quota::empty();
    let reserved = quota.limits().reserve(None).unwrap();
    quota.clock.advance(5 * SECOND).unwrap();
    drop(reserved);
    assert_eq!(quota.left(), [3.0, 0.0, 5.0]);
}

#[test]
fn reservation_is_split_to_settle_each_member() {
    let quota = Quota::full();
    let mut each = quota.limits().reserve(None).unwrap().split();
    assert_eq!(quota.left(), [8.0, 50.0, 4.0]);
    assert_eq!(each.iter().map(|reservation| reservation.tokens()).collect::<Vec<_>>(), [2.0, 50.0, 1.0]);
    each.pop().unwrap().settle(2.0).unwrap();
    each.pop().unwrap().settle(10.0).unwrap();
    each.pop().unwrap().settle(0.0).unwrap();
    assert_eq!(quota.left(), [10.0, 90.0, 3.0]);

    quota.tokens.charge(90.0).unwrap();
    let mut each = quota.limits().reserve(None).unwrap().split();
    assert_eq!(each[1].wait_time(), 5 * SECOND);
    drop(each.remove(1));
    each.into_iter().for_each(|reservation| reservation.commit());
    assert_eq!(quota.left(), [8.0, 0.0, 2.0]);
}

// ---- Threads ----

#[test]
fn thread_holds_what_is_due_until_all_have_granted() {
    let quota = &Quota::empty();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| quota.limits().wait());
        until_waiters_are(2, &quota.clock);
        assert_eq!(quota.clock.waiters().unwrap().next_due, Some(2 * SECOND));
        quota.clock.set(2 * SECOND).unwrap();
        assert_eq!(quota.clock.waiters().unwrap().next_due, Some(5 * SECOND));
        assert_eq!(quota.left(), [0.0, -30.0, 5.0]);
        quota.clock.set(5 * SECOND).unwrap();
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
    assert_eq!(quota.left(), [3.0, 0.0, 5.0]);
}

#[test]
fn thread_is_refused_at_once_if_not_all_can_be_had_in_time() {
    let quota = Quota::empty();
    assert_eq!(refused(quota.limits().wait_timeout(5 * SECOND - NANOSECOND)), late(1, 5 * SECOND));
    assert_eq!(quota.left(), [0.0, 0.0, 5.0]);
    quota.clock.advance(5 * SECOND).unwrap();
    assert_eq!(quota.limits().wait_timeout(Duration::ZERO), Ok(()));
    assert_eq!(quota.left(), [3.0, 0.0, 4.0]);
}

#[test]
fn thread_is_told_who_refused_later() {
    let changes: [(Change, (Option<usize>, Error), Left); 3] = [
        (|quota| assert!(quota.tokens.charge(1.0).is_ok()), late(1, SECOND * 51 / 10), [0.0, -1.0, 5.0]),
        (|quota| quota.tokens.set_capacity(49.0).unwrap(), too_large(1, 50), [0.0, 0.0, 5.0]),
        (|quota| quota.users.close().unwrap(), (Some(2), Error::Closed), [0.0, 0.0, 4.0]),
    ];
    for (change, why, left) in changes {
        let quota = &Quota::empty();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| quota.limits().wait_timeout(5 * SECOND));
            until_waiters_are(2, &quota.clock);
            change(quota);
            assert_eq!(refused(waiter.join().unwrap()), why);
        });
        assert_eq!(quota.left(), left);
    }
}

#[test]
fn higher_priority_goes_first_in_all_queues() {
    let quota = &Quota::empty();
    let mut low = begun(quota.limits().wait_async());
    thread::scope(|scope| {
        let high = scope.spawn(|| quota.limits().wait_with(None, 1));
        until_waiters_are(4, &quota.clock);
        quota.clock.set(5 * SECOND).unwrap();
        assert_eq!(high.join().unwrap(), Ok(()));
        assert!(poll(&mut low, &Arc::default()).is_pending());
        quota.clock.set(10 * SECOND).unwrap();
        assert_eq!(poll(&mut low, &Arc::default()), Poll::Ready(Ok(())));
    });
}

/// The wait begins anew, and what it held came back meanwhile.
#[cfg(target_os = "linux")]
#[test]
fn signal_neither_ends_a_wait_nor_takes_anything() {
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
    let count = move |event: &Event| {
        if event.outcome == Outcome::Failed(Error::Interrupted) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    };
    let clock = clock();
    let config = Config::new(10.0, 1.0, SECOND).initial_tokens(0.0).clock(&clock);
    let (fast, slow) = (&config.clone().build().unwrap(), &config.on_event(count).build().unwrap());
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            // SAFETY: it has no conditions.
            tell.send(unsafe { pthread_self() }).unwrap();
            Limits::new([fast.member(1.0), slow.member(5.0)]).wait_timeout(3600 * SECOND)
        });
        let thread = told.recv().unwrap();
        until_waiters_are(2, &clock);
        clock.set(2 * SECOND).unwrap();
        until_waiters_are(1, &clock);
        // Again and again: the first may come before the thread sleeps.
        while interrupted.load(Ordering::SeqCst) == 0 {
            // SAFETY: the thread is not joined yet.
            unsafe { pthread_kill(thread, SIGURG) };
            thread::yield_now();
        }
        until_waiters_are(1, &clock);
        clock.set(5 * SECOND).unwrap();
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
    assert_eq!((fast.available(), slow.available()), (Ok(4.0), Ok(0.0)));
}

// ---- Futures ----

#[test]
fn nothing_is_taken_before_the_first_poll() {
    let quota = Quota::full();
    let mut wait = quota.limits().wait_async();
    assert_eq!(quota.left(), [10.0, 100.0, 5.0]);
    assert_eq!(poll(&mut wait, &Arc::default()), Poll::Ready(Ok(())));
    assert_eq!(quota.left(), [8.0, 50.0, 4.0]);
}

#[test]
fn future_is_woken_when_a_member_is_due_and_holds_it() {
    let (quota, counter) = (Quota::empty(), Arc::default());
    let mut wait = quota.limits().wait_async();
    assert!(poll(&mut wait, &counter).is_pending());
    assert_eq!((quota.left(), quota.clock.waiters().unwrap().count), ([-2.0, -50.0, 4.0], 2));
    for (time, woken) in [(2 * SECOND - NANOSECOND, 0), (2 * SECOND, 1), (5 * SECOND - NANOSECOND, 1)] {
        quota.clock.set(time).unwrap();
        assert_eq!(counter.count(), woken);
        assert!(poll(&mut wait, &counter).is_pending());
    }
    assert_eq!(quota.requests.allow(3.0), Ok(false));
    quota.clock.set(5 * SECOND).unwrap();
    assert_eq!((counter.count(), poll(&mut wait, &counter)), (2, Poll::Ready(Ok(()))));
    drop(wait);
    assert_eq!((quota.left(), Arc::strong_count(&counter)), ([3.0, 0.0, 5.0], 1));
}

#[test]
fn dropped_future_gives_all_back_and_those_behind_move_up() {
    for held in [false, true] {
        let (quota, counter) = (Quota::empty(), Arc::default());
        let mut wait = quota.limits().wait_async();
        assert!(poll(&mut wait, &counter).is_pending());
        let mut behind = begun(quota.tokens.wait_async(30.0));
        if held {
            quota.clock.set(2 * SECOND).unwrap();
            assert!(poll(&mut wait, &counter).is_pending());
        }
        let woken = counter.count();
        drop(wait);
        assert_eq!(quota.clock.waiters().unwrap().next_due, Some(3 * SECOND));
        quota.clock.set(3 * SECOND).unwrap();
        assert_eq!(poll(&mut behind, &Arc::default()), Poll::Ready(Ok(())));
        assert_eq!((quota.left(), quota.clock.waiters().unwrap().count), ([3.0, 0.0, 5.0], 0));
        assert_eq!((counter.count(), Arc::strong_count(&counter)), (woken, 1));
    }
}

#[test]
fn future_is_refused_at_once_if_not_all_can_be_had_in_time() {
    let (quota, counter) = (Quota::empty(), Arc::default());
    let mut wait = quota.limits().wait_timeout_async(5 * SECOND - NANOSECOND);
    assert_eq!(poll(&mut wait, &counter).map(refused), Poll::Ready(late(1, 5 * SECOND)));
    assert_eq!((quota.left(), counter.count()), ([0.0, 0.0, 5.0], 0));
    let mut behind = quota.limits().wait_with_async(None, -1);
    assert!(poll(&mut behind, &counter).is_pending());
    let mut first = quota.limits().wait_with_async(Some(5 * SECOND), 1);
    assert!(poll(&mut first, &counter).is_pending());
}

#[test]
fn change_or_close_ends_a_future() {
    let changes: [(Change, (Option<usize>, Error)); 3] = [
        (|quota| quota.tokens.set_rate(5.0).unwrap(), late(1, 6 * SECOND)),
        (|quota| quota.tokens.set_capacity(40.0).unwrap(), too_large(1, 50)),
        // It holds the tokens of this one.
        (|quota| quota.requests.close().unwrap(), (Some(0), Error::Closed)),
    ];
    for (change, why) in changes {
        let (quota, counter) = (Quota::empty(), Arc::default());
        let mut wait = quota.limits().wait_timeout_async(5 * SECOND);
        assert!(poll(&mut wait, &counter).is_pending());
        quota.clock.set(2 * SECOND).unwrap();
        assert!(poll(&mut wait, &counter).is_pending());
        change(&quota);
        assert_eq!(counter.count(), 2);
        assert_eq!(poll(&mut wait, &counter).map(refused), Poll::Ready(why));
        assert_eq!(quota.tokens.available(), Ok(20.0));
        assert_eq!(quota.clock.waiters().unwrap().count, 0);
    }
}

#[test]
fn narrow_queue_is_named() {
    let quota = Quota::empty();
    let config = Config::new(10.0, 1.0, SECOND).initial_tokens(0.0).clock(&quota.clock).max_waiters(1);
    let narrow = config.build().unwrap();
    let limits = Limits::new([quota.tokens.member(1.0), narrow.member(1.0)]);
    let _first = begun(limits.wait_async());
    assert_eq!(poll(&mut limits.wait_async(), &Arc::default()).map(refused), Poll::Ready((Some(1), Error::QueueFull)));
    assert_eq!(refused(limits.wait()), (Some(1), Error::QueueFull));
    assert_eq!(quota.tokens.available(), Ok(-1.0));
}

#[test]
#[should_panic(expected = "polled after it was ready")]
fn future_that_was_ready_is_not_polled_again() {
    let quota = Quota::full();
    let mut wait = quota.limits().wait_async();
    let _ = poll(&mut wait, &Arc::default());
    let _ = poll(&mut wait, &Arc::default());
}

/// As an executor may: the one that is woken, or another one.
#[test]
fn waker_may_drop_a_wait() {
    struct Dropper(Mutex<Option<WaitAll<'static>>>);
    impl Wake for Dropper {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().take();
        }
    }
    for itself in [false, true] {
        let quota: &'static Quota = Box::leak(Box::new(Quota::empty()));
        let dropper = Arc::new(Dropper(Mutex::new(None)));
        let waker: Waker = dropper.clone().into();
        let (mut first, mut second) = (quota.limits().wait_async(), quota.limits().wait_async());
        assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(poll(&mut second, &Arc::default()).is_pending());
        let (dropped, mut other) = if itself { (first, second) } else { (second, first) };
        *dropper.0.lock().unwrap() = Some(dropped);
        quota.clock.set(2 * SECOND).unwrap();
        assert!(dropper.0.lock().unwrap().is_none());
        assert_eq!(quota.left(), [0.0, -30.0, 5.0]);
        quota.clock.set(5 * SECOND).unwrap();
        assert_eq!(poll(&mut other, &Arc::default()), Poll::Ready(Ok(())));
    }
}

#[test]
fn members_outlive_a_wait_that_was_forgotten() {
    let counter = Arc::default();
    let quota = Quota::empty();
    for held in [false, true] {
        quota.users.charge("u", 9.0).unwrap();
        let mut wait = quota.limits().wait_async();
        assert!(poll(&mut wait, &counter).is_pending());
        if held {
            quota.clock.advance(4 * SECOND).unwrap();
            assert!(poll(&mut wait, &counter).is_pending());
        }
        mem::forget(wait);
    }
    let clock = quota.clock.clone();
    drop(quota);
    let woken = counter.count();
    assert_eq!(clock.waiters().unwrap().count, 0);
    clock.advance(100 * SECOND).unwrap();
    assert_eq!(counter.count(), woken);
}

#[test]
fn members_are_freed_after_the_last_wait() {
    let (clock, kept) = (clock(), Arc::new(()));
    let count = kept.clone();
    let config = Config::new(1.0, 1.0, SECOND).clock(&clock).on_event(move |_| assert!(Arc::strong_count(&count) > 1));
    let bucket = config.initial_tokens(0.0).build().unwrap();
    let mut granted = begun(Limits::new([bucket.member(1.0)]).wait_async());
    clock.advance(SECOND).unwrap();
    assert!(poll(&mut granted, &Arc::default()).is_ready());
    drop(begun(Limits::new([bucket.member(1.0)]).wait_async()));
    assert_eq!(Arc::strong_count(&kept), 2);
    drop(granted);
    drop(bucket);
    assert_eq!(Arc::strong_count(&kept), 1);
}

// ---- For real ----

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(mut future: impl Future<Output = T> + Unpin) -> T {
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        match Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn waits_for_real_and_never_returns_early() {
    let started = Instant::now();
    let bucket = |rate| Config::new(10.0, rate, SECOND).initial_tokens(0.0).build().unwrap();
    let (fast, slow) = (bucket(1000.0), bucket(100.0));
    let limits = Limits::new([fast.member(1.0), slow.member(1.0)]);
    for waits in 1..4 {
        assert_eq!(block_on(limits.wait_async()), Ok(()));
        assert!(started.elapsed() >= Duration::from_millis(10) * (2 * waits - 1));
        assert_eq!(limits.wait(), Ok(()));
        assert!(started.elapsed() >= Duration::from_millis(10) * 2 * waits);
    }
}

/// One on the system's clock, one on a clock that runs at half the speed, and one that a thread moves.
#[test]
fn members_may_have_clocks_of_their_own() {
    let origin = Instant::now();
    let (half, manual) = (CallbackClock::new(move || origin.elapsed() / 2).unwrap(), clock());
    let config = Config::new(1.0, 100.0, SECOND).initial_tokens(0.0);
    let real = &config.clone().build().unwrap();
    let slow = &config.clone().clock(&half).build().unwrap();
    let moved = &config.clock(&manual).build().unwrap();
    thread::scope(|scope| {
        let members = [real.member(1.0), slow.member(1.0), moved.member(1.0)];
        let waiter = scope.spawn(move || block_on(Limits::new(members).wait_async()));
        until_waiters_are(1, &manual);
        manual.advance(SECOND / 100).unwrap();
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
    assert!(origin.elapsed() >= Duration::from_millis(20));
}

/// Threads that wait for both, or for one, in threads and futures, some of which they drop: all that was not granted
/// comes back. On a manual clock that a thread moves, so that the sum is exact.
#[test]
fn many_threads_wait_and_drop_at_once() {
    const THREADS: u32 = 4;
    const ROUNDS: u32 = 200;
    let clock = clock();
    let config = Config::new(1e12, 1000.0, SECOND).initial_tokens(0.0).clock(&clock);
    let (first, second) = (&config.clone().build().unwrap(), &config.build().unwrap());
    let ended = &AtomicUsize::new(0);
    let mut moved = Duration::ZERO;
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let both = Limits::new([second.member(1.0), first.member(2.0)]);
                    let mut dropped = both.wait_with_async(None, (round % 2) as i32);
                    let is_granted = poll(&mut dropped, &Arc::default()).is_ready();
                    match (number + round) % 3 {
                        0 => block_on(both.wait_async()).unwrap(),
                        1 => both.wait().unwrap(),
                        _ => {
                            block_on(first.wait_async(2.0)).unwrap();
                            second.wait(1.0).unwrap();
                        }
                    }
                    drop(dropped);
                    if is_granted {
                        first.refund(2.0).unwrap();
                        second.refund(1.0).unwrap();
                    }
                }
                ended.fetch_add(1, Ordering::SeqCst);
            });
        }
        while ended.load(Ordering::SeqCst) < THREADS as usize {
            clock.advance(Duration::from_millis(1)).unwrap();
            moved += Duration::from_millis(1);
            thread::yield_now();
        }
    });
    let gained = moved.as_millis() as f64;
    let granted = f64::from(THREADS * ROUNDS);
    assert_eq!((first.available(), second.available()), (Ok(gained - 2.0 * granted), Ok(gained - granted)));
    assert_eq!(clock.waiters().unwrap().count, 0);
}

#[test]
fn types_may_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Limits<[Member<'static>; 2]>>();
    shared::<Refusal>();
    shared::<Reservations<'static>>();
    shared::<WaitAll<'static>>();
}

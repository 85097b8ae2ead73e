//! One limit for the processes of a host.
use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::process::{self, Command};
use std::sync::{mpsc, Arc};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use std::{env, fs, io};

use tokenbucket::{
    has_feature, remove_shared, Bucket, Config, Error, Limits, ManualClock, Member, Refusal, Reservation, SharedError,
    Table, TableConfig, Wait, WhenFull,
};

/// What the child does, to a bucket or a key, and the name.
const FOR_CHILD: &str = "TOKENBUCKET_TEST_SHARED";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// After which a broken library makes a test fail, and after twice which its child ends.
const WAY_OUT: Duration = Duration::from_secs(10);

/// Next to nothing comes in during a test.
fn slow() -> Config {
    Config::new(10.0, 1.0, Duration::from_secs(1_000_000))
}

fn open(name: &str) -> Bucket {
    slow().open_shared(Some(name)).unwrap()
}

fn of_keys(limit: Config, max_keys: u64) -> TableConfig {
    TableConfig::with_max_keys(limit, max_keys)
}

fn open_table(name: &str) -> Table {
    of_keys(slow(), 100).open_shared(Some(name)).unwrap()
}

/// Runs the test with a name of its own, where there is such memory.
fn with_name(test: &str, run: impl FnOnce(&str)) {
    if !has_feature("shared_memory") {
        assert!(matches!(slow().open_shared(None).unwrap_err().error, Error::Unsupported(_)));
        return;
    }
    let name = Name(format!("tokenbucket-rust-{}-{}", test, process::id()));
    run(&name.0);
}

/// A name that is removed, also after a failure.
struct Name(String);

impl Drop for Name {
    fn drop(&mut self) {
        let removed = remove_shared(&self.0);
        assert!(thread::panicking() || removed.is_ok());
    }
}

/// As with_name, where tables can be shared.
fn with_table_name(test: &str, run: impl FnOnce(&str)) {
    if has_feature("lock_free_table") {
        return with_name(test, run);
    }
    let refused = of_keys(slow(), 100).open_shared(None).unwrap_err();
    assert!(matches!(refused.error, Error::Unsupported(_)));
}

/// A bucket, or a key of a table, of which the same holds.
trait Limiter: Send + Sync {
    fn allow(&self, n: u32) -> Result<bool, Error>;
    fn available(&self) -> f64;
    fn refund(&self, n: u32) -> Result<(), Error>;
    fn wait(&self, n: u32, timeout: Option<Duration>) -> Result<(), Error>;
    fn wait_async(&self, n: u32, timeout: Option<Duration>) -> Wait<'_>;
    fn reserve(&self, n: u32, max_wait: Option<Duration>) -> Result<Reservation<'_>, Error>;
    fn member(&self, n: u32) -> Member<'_>;
    fn close(&self) -> Result<(), Error>;
}

macro_rules! limiter {
    ($type:ty $(, $key:literal)?) => {
        impl Limiter for $type {
            fn allow(&self, n: u32) -> Result<bool, Error> {
                self.allow($($key,)? n)
            }
            fn available(&self) -> f64 {
                self.available($($key)?).unwrap()
            }
            fn refund(&self, n: u32) -> Result<(), Error> {
                self.refund($($key,)? n)
            }
            fn wait(&self, n: u32, timeout: Option<Duration>) -> Result<(), Error> {
                self.wait_with($($key,)? n, timeout, 0)
            }
            fn wait_async(&self, n: u32, timeout: Option<Duration>) -> Wait<'_> {
                self.wait_with_async($($key,)? n, timeout, 0)
            }
            fn reserve(&self, n: u32, max_wait: Option<Duration>) -> Result<Reservation<'_>, Error> {
                self.reserve($($key,)? n, max_wait)
            }
            fn member(&self, n: u32) -> Member<'_> {
                self.member($($key,)? n)
            }
            fn close(&self) -> Result<(), Error> {
                self.close()
            }
        }
    };
}

limiter!(Bucket);
limiter!(Table, "alice");

#[derive(Clone, Copy)]
struct Shared<'name> {
    kind: &'name str,
    name: &'name str,
}

impl Shared<'_> {
    fn open(&self) -> Arc<dyn Limiter> {
        self.open_with(slow())
    }

    fn open_with(&self, limit: Config) -> Arc<dyn Limiter> {
        match self.kind {
            "bucket" => Arc::new(limit.open_shared(Some(self.name)).unwrap()),
            _ => Arc::new(of_keys(limit, 100).open_shared(Some(self.name)).unwrap()),
        }
    }

    fn open_empty(&self) -> (Arc<dyn Limiter>, Arc<dyn Limiter>) {
        let (one, other) = (self.open(), self.open());
        assert!(one.allow(10).unwrap());
        (one, other)
    }

    fn run_child(&self, what: &str) -> bool {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "child"]).env(FOR_CHILD, format!("{} {} {}", what, self.kind, self.name));
        child.status().unwrap().success()
    }
}

/// Runs the test for a bucket and for a key.
fn of_each(test: &str, run: impl Fn(Shared<'_>)) {
    with_name(&format!("{}-bucket", test), |name| run(Shared { kind: "bucket", name }));
    with_table_name(&format!("{}-key", test), |name| run(Shared { kind: "key", name }));
}

/// A test of its own only as the child of another.
#[test]
fn child() {
    let asked = match env::var(FOR_CHILD) {
        Ok(asked) => asked,
        Err(_) => return,
    };
    let mut words = asked.split(' ');
    let mut word = || words.next().unwrap();
    let (what, kind, name) = (word(), word(), word());
    thread::spawn(|| {
        thread::sleep(2 * WAY_OUT);
        process::exit(1);
    });
    let limiter = Shared { kind, name }.open();
    match what {
        "take" => assert!(limiter.allow(3).unwrap()),
        "refund" => limiter.refund(2).unwrap(),
        "close" => limiter.close().unwrap(),
        "wait" => limiter.wait(2, None).unwrap(),
        _ => block_on(limiter.wait_async(2, None)).unwrap(),
    }
}

#[test]
fn tokens_are_those_of_all() {
    of_each("all", |shared| {
        let (one, other) = (shared.open(), shared.open());
        assert!(one.allow(4).unwrap());
        assert!(shared.run_child("take"));
        assert!(!other.allow(4).unwrap());
        assert!(other.allow(3).unwrap());
        assert!(!one.allow(1).unwrap());
    });
}

#[test]
fn each_key_has_its_own_and_all_one_limit() {
    with_table_name("keys", |name| {
        let (one, other) = (open_table(name), open_table(name));
        assert!(one.allow("alice", 10).unwrap() && other.allow("bob", 10).unwrap());
        other.set_capacity(20).unwrap();
        assert_eq!(one.limit().unwrap().capacity, 20.0);
    });
}

#[test]
fn another_limit_is_a_mismatch() {
    with_name("mismatch", |name| {
        let _first = open(name);
        let assert_refused = |config: &Config, text: &str| {
            let refused = config.clone().open_shared(Some(name)).unwrap_err();
            let text = format!("shared bucket {:?}: {} (adopt_shared takes what is there)", name, text);
            assert_eq!(refused.to_string(), text);
            assert_eq!(refused.error, Error::Mismatch);
        };
        let larger = Config::new(11, 1, Duration::from_secs(1_000_000));
        assert_refused(&larger, "capacity must be 10, got 11");
        let other = Config::per_second(10, 1);
        assert_refused(&other, "rate must be 1 per 1000000s, got 1");
        let adopted = other.adopt_shared(Some(name)).unwrap();
        assert_eq!(adopted.limit().unwrap().period, Duration::from_secs(1_000_000));
    });
}

#[test]
fn another_table_is_a_mismatch() {
    with_table_name("tables", |name| {
        let first = open_table(name);
        let assert_refused = |config: TableConfig, text: &str| {
            let refused = config.open_shared(Some(name)).unwrap_err();
            let text = format!("shared table {:?}: {} (adopt_shared takes what is there)", name, text);
            assert_eq!((refused.to_string(), &refused.error), (text, &Error::Mismatch));
        };
        let larger = Config::new(11, 1, Duration::from_secs(1_000_000));
        assert_refused(of_keys(larger.clone(), 100), "capacity must be 10, got 11");
        assert_refused(of_keys(Config::per_second(10, 1), 100), "rate must be 1 per 1000000s, got 1");
        assert_refused(of_keys(slow(), 200), "max_keys must be that of the shared table, got 200");
        let small = TableConfig::with_max_bytes(slow(), 64);
        assert_refused(small, "max_bytes must be that of the shared table, got 64");
        let denying = || of_keys(slow(), 100).when_full(WhenFull::Deny);
        assert_refused(denying(), "when_full must be that of the shared table, got Deny");
        let adopted = of_keys(larger, 200).when_full(WhenFull::Deny).adopt_shared(Some(name)).unwrap();
        assert_eq!((adopted.limit().unwrap().capacity, adopted.stats()), (10.0, first.stats()));
        assert!(adopted.allow("alice", 10).unwrap());
        assert!(!first.allow("alice", 1).unwrap());
    });
}

#[test]
fn a_table_is_no_bucket() {
    with_table_name("object", |name| {
        let reason = "the shared memory is a bucket and no table, or the reverse";
        let table = open_table(name);
        let refused = slow().open_shared(Some(name)).unwrap_err();
        assert_eq!(refused.to_string(), format!("shared bucket {:?}: {}", name, reason));
        assert_eq!(slow().adopt_shared(Some(name)).unwrap_err().error, Error::Mismatch);
        remove_shared(name).unwrap();
        let _bucket = open(name);
        let refused = of_keys(slow(), 100).open_shared(Some(name)).unwrap_err();
        assert_eq!(refused.to_string(), format!("shared table {:?}: {}", name, reason));
        assert!(table.allow("alice", 10).unwrap());
    });
}

#[test]
fn a_closed_table_is_closed_for_all_until_its_name_is_removed() {
    with_table_name("closed", |name| {
        let (one, other) = (open_table(name), open_table(name));
        drop(open_table(name));
        assert!(one.allow("alice", 1).unwrap());
        other.close().unwrap();
        assert_eq!(one.allow("alice", 1), Err(Error::Closed));
        assert_eq!((one.is_closed(), other.is_closed()), (false, true));
        let refused = of_keys(slow(), 100).open_shared(Some(name)).unwrap_err();
        let text = format!("shared table {:?}: closed: the bucket was closed", name);
        assert_eq!((refused.to_string(), refused.error), (text, Error::Closed));
        remove_shared(name).unwrap();
        assert!(open_table(name).allow("alice", 10).unwrap());
    });
}

#[test]
fn what_is_no_bucket_is_a_mismatch_and_stays() {
    with_name("foreign", |name| {
        let path = format!("/dev/shm/{}", name);
        fs::write(&path, "x").unwrap();
        let refused = slow().open_shared(Some(name)).unwrap_err();
        assert_eq!(refused.error, Error::Mismatch);
        let text = format!("shared bucket {:?}: the shared memory ", name);
        assert!(refused.to_string().starts_with(&text), "{}", refused);
        assert_eq!(remove_shared(name).unwrap_err().error, Error::Mismatch);
        fs::remove_file(&path).unwrap();
    });
}

#[test]
fn a_removed_name_is_free() {
    with_name("removed", |name| {
        let one = open(name);
        remove_shared(name).unwrap();
        remove_shared(name).unwrap();
        let other = open(name);
        assert!(one.allow(10.0).unwrap());
        assert!(other.allow(10.0).unwrap());
    });
}

#[test]
fn a_nameless_one_is_new() {
    with_name("nameless", |_| {
        let buckets = [slow().open_shared(None).unwrap(), slow().open_shared(None).unwrap()];
        assert!(buckets.iter().all(|bucket| bucket.allow(10.0).unwrap()));
    });
}

#[test]
fn errors() {
    with_name("errors", |_| {
        let error = |config: Config, name| config.open_shared(Some(name)).unwrap_err();
        for name in ["", "a\0b", "a/b"] {
            assert!(matches!(error(slow(), name).error, Error::InvalidArgument(_)));
            assert!(matches!(remove_shared(name).unwrap_err().error, Error::InvalidArgument(_)));
        }
        assert!(matches!(
            error(slow().clock(&ManualClock::new(Duration::ZERO).unwrap()), "x").error,
            Error::Unsupported(_)
        ));
        let clock = ManualClock::new(Duration::ZERO).unwrap();
        let refused = |table: TableConfig, name| table.open_shared(Some(name)).unwrap_err().to_string();
        if has_feature("lock_free_table") {
            assert_eq!(
                refused(of_keys(slow().clock(&clock), 100), "x"),
                "clock must be left out for a shared table, got one"
            );
            assert_eq!(refused(of_keys(slow(), 0), "x"), "max_keys must be 1 or more, got 0");
            assert_eq!(
                refused(of_keys(slow(), 1), "a/b"),
                "name must be the name of a file, without a slash or a leading dot, or an absolute path, got a/b"
            );
            let text = "initial_tokens must be left out for a table, got 1";
            assert_eq!(refused(of_keys(slow().initial_tokens(1), 1), "x"), text);
        }
        let missing: SharedError = error(slow(), "/no/such/folder/bucket");
        assert_eq!(missing.error, Error::System);
        let text = r#"shared bucket "/no/such/folder/bucket": No such file or directory (os error 2)"#;
        assert_eq!(missing.to_string(), text);
        assert!(missing.source().is_some());
        assert_eq!(io::Error::from(missing).kind(), io::ErrorKind::NotFound);
    });
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&Arc::new(Unpark(thread::current())).into()))
}

fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    match poll(&mut future) {
        Poll::Ready(answer) => answer,
        Poll::Pending => woken(future),
    }
}

/// What a future that was polled ends with; it is polled again only when it is woken.
fn woken<F: Future + Unpin>(mut future: F) -> F::Output {
    let start = Instant::now();
    loop {
        thread::park_timeout(WAY_OUT);
        assert!(start.elapsed() < WAY_OUT);
        if let Poll::Ready(answer) = poll(&mut future) {
            return answer;
        }
    }
}

/// Next to nothing has come in since.
fn assert_left(limiter: &Arc<dyn Limiter>, tokens: f64) {
    let left = limiter.available();
    assert!(left >= tokens && left < tokens + 0.5, "{}", left);
}

/// What `wait` returns, in a thread of its own, once it stands in the queue for 2 tokens and `change` is made.
fn ended<T: Send + 'static>(
    limiter: &Arc<dyn Limiter>,
    wait: impl FnOnce() -> T + Send + 'static,
    change: impl FnOnce(),
) -> T {
    let before = limiter.available();
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(wait()));
    let start = Instant::now();
    while limiter.available() > before - 1.5 {
        assert!(start.elapsed() < WAY_OUT);
        thread::sleep(Duration::from_millis(1));
    }
    change();
    receive.recv_timeout(WAY_OUT).unwrap()
}

#[test]
fn threads_learn_of_what_others_do() {
    of_each("threads", |shared| {
        let (one, other) = shared.open_empty();
        let waiting = || {
            let one = Arc::clone(&one);
            move || one.wait(2, None)
        };
        assert_eq!(ended(&one, waiting(), || other.refund(2).unwrap()), Ok(()));
        assert_eq!(ended(&one, waiting(), || assert!(shared.run_child("refund"))), Ok(()));
        assert_eq!(ended(&one, waiting(), || other.close().unwrap()), Err(Error::Closed));
        remove_shared(shared.name).unwrap();
        let (one, _) = shared.open_empty();
        let closed = ended(&one.clone(), move || one.wait(2, None), || assert!(shared.run_child("close")));
        assert_eq!(closed, Err(Error::Closed));
    });
}

#[test]
fn futures_learn_of_what_others_do() {
    of_each("futures", |shared| {
        let (one, other) = shared.open_empty();
        let ended = |change: &dyn Fn()| {
            let mut wait = one.wait_async(2, None);
            assert!(poll(&mut wait).is_pending());
            change();
            woken(wait)
        };
        assert_eq!(ended(&|| other.refund(2).unwrap()), Ok(()));
        assert_eq!(ended(&|| assert!(shared.run_child("refund"))), Ok(()));
        assert_eq!(ended(&|| other.close().unwrap()), Err(Error::Closed));
    });
}

#[test]
fn others_learn_of_what_this_process_does() {
    for how in ["wait", "wait_async"] {
        of_each(how, |shared| {
            let (one, _) = shared.open_empty();
            let [kind, name] = [shared.kind, shared.name].map(String::from);
            let granted =
                ended(&one, move || Shared { kind: &kind, name: &name }.run_child(how), || one.refund(2).unwrap());
            assert!(granted);
        });
    }
}

#[test]
fn a_dropped_future_gives_its_place_back() {
    of_each("dropped", |shared| {
        let (one, other) = shared.open_empty();
        let mut wait = one.wait_async(2, None);
        assert!(poll(&mut wait).is_pending());
        assert_left(&other, -2.0);
        let strict = shared.open_with(slow().max_waiters(1));
        assert_eq!(poll(&mut strict.wait_async(1, None)), Poll::Ready(Err(Error::QueueFull)));
        drop(wait);
        assert_left(&other, 0.0);
    });
}

#[test]
fn a_wait_that_would_be_too_long_takes_nothing() {
    of_each("timeout", |shared| {
        let (one, other) = shared.open_empty();
        let assert_refused = |answer: Result<(), Error>| {
            assert!(matches!(answer, Err(Error::TimedOut { retry_after }) if retry_after > Some(HOUR)));
            assert_left(&other, 0.0);
        };
        match poll(&mut one.wait_async(2, Some(MINUTE))) {
            Poll::Ready(answer) => assert_refused(answer),
            Poll::Pending => panic!("it waits"),
        }
        assert_refused(one.wait(2, Some(MINUTE)));
    });
}

#[test]
fn reservations_are_taken_from_all() {
    of_each("reserved", |shared| {
        let (one, other) = shared.open_empty();
        let (first, second) = (one.reserve(3, None).unwrap(), other.reserve(4, None).unwrap());
        assert_left(&other, -7.0);
        drop(first);
        assert_left(&other, -4.0);
        second.settle(1).unwrap();
        assert_left(&one, -1.0);
        assert!(matches!(other.reserve(3, Some(MINUTE)), Err(Error::TimedOut { .. })));
        assert_left(&one, -1.0);
    });
}

#[test]
fn there_is_room_for_so_many() {
    of_each("room", |shared| {
        let (one, other) = shared.open_empty();
        let most = if shared.kind == "bucket" { 1000 } else { 128 };
        let mut held: Vec<_> = (0..most).map(|_| one.reserve(1, None).unwrap()).collect();
        assert_eq!(other.reserve(1, None).map(drop), Err(Error::OutOfMemory));
        assert_eq!(poll(&mut other.wait_async(1, None)), Poll::Ready(Err(Error::OutOfMemory)));
        assert_eq!(Limits::new([other.member(1)]).reserve(None).map(drop), Err(Error::OutOfMemory.into()));
        assert_left(&other, -f64::from(most));
        held.pop();
        held.push(other.reserve(1, None).unwrap());
    });
}

#[test]
fn there_is_room_for_so_many_keys() {
    with_table_name("places", |name| {
        for max_keys in [50, 1000, 10_000] {
            let table = of_keys(slow(), max_keys).open_shared(Some(name)).unwrap();
            let most = (table.stats().unwrap().places / 8).clamp(16, 512);
            let keys: Vec<_> = (0..=most).map(u64::to_be_bytes).collect();
            assert!(keys.iter().all(|key| table.allow(key, 10).unwrap()));
            let mut held: Vec<_> = keys.iter().map(|key| table.reserve(key, 1, None)).collect();
            assert_eq!(held.pop().unwrap().map(drop), Err(Error::OutOfMemory));
            assert!(held.iter().all(Result::is_ok));
            remove_shared(name).unwrap();
        }
    });
}

#[test]
fn as_one_of_several_it_grants_and_reserves_but_nobody_waits_for_it() {
    of_each("several", |shared| {
        let (one, other, own) = (shared.open(), shared.open(), slow().build().unwrap());
        let limits = Limits::new([own.member(4), one.member(5)]);
        let assert_refused = |answer: Result<(), Refusal>| {
            let refusal = answer.unwrap_err();
            let got = if shared.kind == "bucket" { "a shared bucket" } else { "a key of a shared table" };
            let allowed = "of this process alone in a wait for several limits";
            assert_eq!(refusal.to_string(), format!("limit 1: members must be {}, got {}", allowed, got));
            assert!(matches!(refusal.error, Error::Unsupported(_)));
        };
        assert_refused(limits.wait());
        assert_refused(block_on(limits.wait_async()));
        assert_eq!((other.available(), own.available()), (10.0, Ok(10.0)));

        limits.allow().unwrap();
        assert_left(&other, 5.0);
        assert!(other.allow(5).unwrap());
        let reserved = limits.reserve(None).unwrap();
        assert!(reserved.wait_time() > HOUR);
        assert_left(&other, -5.0);
        drop(reserved);
        assert_left(&other, 0.0);
        assert!(matches!(own.available(), Ok(left) if (6.0..6.5).contains(&left)));

        let refusal = Limits::new([one.member(1), other.member(1)]).allow().unwrap_err();
        let twice = "members must be different buckets and keys, got one of them twice";
        assert_eq!(refusal.to_string(), twice);
    });
}

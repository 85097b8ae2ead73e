//! One limit for the processes of a host.
use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::process::{self, Command};
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use std::{env, fs, io};

use tokenbucket::{
    has_feature, remove_shared, Bucket, Config, Error, Limits, ManualClock, Refusal, SharedError, Table, TableConfig,
    WhenFull,
};

const NAME_FOR_CHILD: &str = "TOKENBUCKET_TEST_SHARED";

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
    let name = format!("tokenbucket-rust-{}-{}", test, process::id());
    run(&name);
    remove_shared(&name).unwrap();
}

/// As with_name, where tables can be shared.
fn with_table_name(test: &str, run: impl FnOnce(&str)) {
    if has_feature("lock_free_table") {
        return with_name(test, run);
    }
    let refused = of_keys(slow(), 100).open_shared(None).unwrap_err();
    assert!(matches!(refused.error, Error::Unsupported(_)));
}

/// Runs that test in a child, with the name.
fn run_child(test: &str, name: &str) {
    let mut child = Command::new(env::current_exe().unwrap());
    assert!(child.args(["--exact", test]).env(NAME_FOR_CHILD, name).status().unwrap().success());
}

#[test]
fn tokens_are_those_of_all() {
    with_name("all", |name| {
        let (one, other) = (open(name), open(name));
        assert!(one.allow(4.0).unwrap());
        run_child("child_takes_three", name);
        assert!(!other.allow(4.0).unwrap());
        assert!(other.allow(3.0).unwrap());
        assert!(!one.allow(1.0).unwrap());
    });
}

/// A test of its own only as the child of another.
#[test]
fn child_takes_three() {
    if let Ok(name) = env::var(NAME_FOR_CHILD) {
        assert!(open(&name).allow(3.0).unwrap());
    }
}

#[test]
fn tokens_of_a_key_are_those_of_all() {
    with_table_name("keys", |name| {
        let (one, other) = (open_table(name), open_table(name));
        assert!(one.allow("alice", 4).unwrap());
        run_child("child_takes_three_of_a_key", name);
        assert!(!other.allow("alice", 4).unwrap());
        assert!(other.allow("alice", 3).unwrap());
        assert!(!one.allow("alice", 1).unwrap());
        assert!(one.allow("bob", 10).unwrap());
        other.set_capacity(20).unwrap();
        assert_eq!(one.limit().unwrap().capacity, 20.0);
    });
}

/// A test of its own only as the child of another.
#[test]
fn child_takes_three_of_a_key() {
    if let Ok(name) = env::var(NAME_FOR_CHILD) {
        assert!(open_table(&name).allow("alice", 3).unwrap());
    }
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
fn keys_of_a_shared_table_have_no_queue() {
    with_table_name("queues", |name| {
        let table = open_table(name);
        let assert_refused = |answer: Result<(), Error>| {
            let error = answer.unwrap_err();
            assert!(matches!(error, Error::Unsupported(_)), "{}", error);
            let text = "table must be one with queues for its keys (else sleep for the retry_after of take, and take \
                        again), got a shared one";
            assert_eq!(error.to_string(), text);
        };
        let assert_refused_by = |member: usize, answer: Result<(), Refusal>| {
            let refusal = answer.unwrap_err();
            let text = "members must be of this process alone in a wait or reservation, got a key of a shared table";
            assert_eq!(refusal.to_string(), format!("limit {}: {}", member, text));
            assert!(matches!(refusal.error, Error::Unsupported(_)));
        };
        let second = Duration::from_secs(1);
        for taken in [0, 10] {
            assert_refused(table.wait("alice", 1));
            assert_refused(table.wait_timeout("alice", 1, second));
            assert_refused(table.wait_with("alice", 1, None, 1));
            assert_refused(block_on(table.wait_async("alice", 1)));
            assert_refused(block_on(table.wait_timeout_async("alice", 1, Duration::ZERO)));
            assert_refused(table.reserve("alice", 1, None).map(drop));
            let (own, bucket) = (Bucket::new(1, 1).unwrap(), slow().open_shared(None).unwrap());
            let limits = Limits::new([own.member(1), table.member("alice", 1)]);
            assert_refused_by(1, limits.wait());
            assert_refused_by(1, block_on(limits.wait_async()));
            assert_refused_by(1, limits.reserve(None).map(drop));
            assert_refused_by(1, Limits::new([bucket.member(1), table.member("alice", 1)]).reserve(None).map(drop));
            assert_eq!((own.available(), bucket.available().unwrap() >= 10.0), (Ok(1.0), true));
            assert_eq!(table.take_up_to("alice", 10), Ok(f64::from(10 - taken)));
        }
        let own = Bucket::new(1, 1).unwrap();
        assert_eq!(Limits::new([own.member(1), table.member("bob", 10)]).allow(), Ok(()));
        assert_eq!(table.allow("bob", 1), Ok(false));
        assert!(table.take("bob", 1).unwrap().retry_after > Some(second));
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

#[test]
fn nobody_waits_for_it_as_one_of_several() {
    with_name("several", |_| {
        let bucket = slow().open_shared(None).unwrap();
        let other = Bucket::new(1.0, 1.0).unwrap();
        let limits = Limits::new([bucket.member(1.0), other.member(1.0)]);
        limits.allow().unwrap();
        assert!(matches!(Error::from(limits.wait().unwrap_err()), Error::Unsupported(_)));
    });
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        match Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            // The timeout is only a way out for a broken library.
            Poll::Pending => thread::park_timeout(Duration::from_secs(3)),
        }
    }
}

#[test]
fn waits_learn_of_what_others_do() {
    with_name("waits", |name| {
        let (one, other) = (open(name), open(name));
        assert!(one.allow(10.0).unwrap());
        let soon = |change: fn(&Bucket)| {
            let other = &other;
            move || {
                thread::sleep(Duration::from_millis(20));
                change(other);
            }
        };
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(soon(|other| other.refund(1.0).unwrap()));
            block_on(one.wait_async(1.0)).unwrap();
        });
        thread::scope(|scope| {
            scope.spawn(soon(|other| other.close().unwrap()));
            let waiting = scope.spawn(|| one.wait(1.0));
            assert_eq!(block_on(one.wait_async(1.0)), Err(Error::Closed));
            assert_eq!(waiting.join().unwrap(), Err(Error::Closed));
        });
        assert!(start.elapsed() < Duration::from_secs(2));
    });
}

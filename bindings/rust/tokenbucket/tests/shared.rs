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

use tokenbucket::{has_feature, remove_shared, Bucket, Config, Error, Limits, ManualClock, SharedError};

const NAME_FOR_CHILD: &str = "TOKENBUCKET_TEST_SHARED";

/// Next to nothing comes in during a test.
fn slow() -> Config {
    Config::new(10.0, 1.0, Duration::from_secs(1_000_000))
}

fn open(name: &str) -> Bucket {
    slow().open_shared(Some(name)).unwrap()
}

/// Runs the test with a name of its own, where there is such memory.
fn with_name(test: &str, run: impl FnOnce(&str)) {
    if !has_feature("shared_memory") {
        assert_eq!(slow().open_shared(None).unwrap_err().error, Error::Unsupported);
        return;
    }
    let name = format!("tokenbucket-rust-{}-{}", test, process::id());
    run(&name);
    remove_shared(&name).unwrap();
}

#[test]
fn tokens_are_those_of_all() {
    with_name("all", |name| {
        let (one, other) = (open(name), open(name));
        assert!(one.allow(4.0).unwrap());
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child_takes_three"])
            .env(NAME_FOR_CHILD, name)
            .status();
        assert!(child.unwrap().success());
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
fn another_limit_is_a_mismatch() {
    with_name("mismatch", |name| {
        let _first = open(name);
        let mismatch = |config: Config| config.open_shared(Some(name)).unwrap_err();
        let capacity = mismatch(Config::new(11.0, 1.0, Duration::from_secs(1_000_000)));
        assert_eq!(
            (capacity.error, capacity.to_string().as_str()),
            (Error::Mismatch, "the shared limit has another capacity")
        );
        let other = Config::new(10.0, 1.0, Duration::from_secs(1));
        assert_eq!(mismatch(other.clone()).to_string(), "the shared limit has another rate");
        let adopted = other.adopt_shared(Some(name)).unwrap();
        assert_eq!(adopted.limit().unwrap().period, Duration::from_secs(1_000_000));
    });
}

#[test]
fn what_is_no_bucket_is_a_mismatch() {
    with_name("foreign", |name| {
        fs::write(format!("/dev/shm/{}", name), "x").unwrap();
        assert_eq!(slow().open_shared(Some(name)).unwrap_err().error, Error::Mismatch);
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
            assert_eq!(error(slow(), name).error, Error::InvalidArgument);
            assert_eq!(remove_shared(name).unwrap_err().error, Error::InvalidArgument);
        }
        assert_eq!(error(slow().clock(&ManualClock::new(Duration::ZERO).unwrap()), "x").error, Error::Unsupported);
        let missing: SharedError = error(slow(), "/no/such/folder/bucket");
        assert_eq!(missing.error, Error::System);
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
        assert_eq!(Error::from(limits.wait().unwrap_err()), Error::Unsupported);
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

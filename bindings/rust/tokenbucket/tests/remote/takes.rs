use std::thread;
use std::time::Duration;

use tokenbucket::remote::{script, script_sha1, Call, RemoteLimit, RemoteLimiter};
use tokenbucket::{Config, Error};

use crate::server::{with_server, Client};
use crate::{assert_about, assert_near, limiter, slow, HOUR, SECOND};

#[test]
fn takes_are_granted_or_denied_with_a_time() {
    with_server(|server| {
        let limiter = limiter(server, slow());
        let first = limiter.take("a", 8.0).unwrap();
        assert!(first.granted);
        assert_near(first.remaining, 2.0);
        assert_eq!(first.retry_after, Some(Duration::ZERO));
        assert_about(first.reset_after, 8000);
        let second = limiter.take("a", 3.0).unwrap();
        assert!(!second.granted);
        assert_near(second.remaining, 2.0);
        assert_about(second.retry_after, 1000);
        assert_eq!(limiter.take_up_to("a", 5.5).unwrap(), 2.0);
        assert_eq!(limiter.take_up_to("a", 5.0).unwrap(), 0.0);
        assert!(!limiter.allow("a", 1.0).unwrap());
        assert!(limiter.allow("b", 10.0).unwrap());

        let peeked = limiter.peek("a", 10.0).unwrap();
        assert_eq!(peeked.tokens, 0.0);
        assert_near(peeked.remaining, 0.0);
        assert_about(peeked.retry_after, 10_000);
        assert_eq!(limiter.limit().limit().unwrap().capacity, 10.0);
    });
}

#[test]
fn keys_stand_behind_the_prefix() {
    with_server(|server| {
        assert!(limiter(server, slow()).allow("a", 10.0).unwrap());
        let other = limiter(server, slow().prefix("tb:other:"));
        assert!(other.allow("a", 10.0).unwrap());
        assert!(!other.allow("a", 1.0).unwrap());
        let client = server.client();
        assert_eq!(client.ask(&["EXISTS", "tb:a", "tb:other:a"]), ":2\r\n");
        assert_eq!(client.ask(&["DBSIZE"]), ":2\r\n");
    });
}

#[test]
fn a_key_is_any_bytes() {
    with_server(|server| {
        let limiter = limiter(server, slow());
        for byte in 0..=255u8 {
            assert!(limiter.allow([byte, b'x'], 10.0).unwrap(), "{}", byte);
            assert!(!limiter.allow([byte, b'x'], 1.0).unwrap(), "{}", byte);
            match limiter.refund([byte, b'x'], 4.0) {
                // There is no second key for it in the same slot of a cluster.
                Err(refused) if byte == b'}' => assert!(matches!(refused.error, Error::InvalidArgument(_))),
                refunded => assert!(refunded.is_ok() && limiter.allow([byte, b'x'], 4.0).unwrap(), "{}", byte),
            }
        }
        assert!(limiter.allow("", 10.0).unwrap());
        assert!(!limiter.allow("", 1.0).unwrap());
    });
}

#[test]
fn many_keys_are_asked_in_one_call() {
    with_server(|server| {
        let client = server.client();
        let limiter = RemoteLimiter::new(slow(), &client);
        assert!(limiter.allow("z", 1.0).unwrap());
        let before = client.sent();
        let answers = limiter.take_each([("a", 10.0), ("b", 1.0), ("a", 1.0), ("z", 9.5)]).unwrap();
        assert_eq!(client.sent(), before + 1);
        assert_eq!(answers.iter().map(|answer| answer.granted).collect::<Vec<_>>(), [true, true, false, false]);
        assert_near(answers[1].remaining, 9.0);
        assert_about(answers[2].retry_after, 1000);
        assert_about(answers[3].retry_after, 500);
    });
}

#[test]
fn all_or_none_of_several_limits() {
    with_server(|server| {
        let client = server.client();
        let small = RemoteLimit::new(Config::new(2.0, 1.0, HOUR), Duration::ZERO).unwrap().prefix("tb:small:");
        let limiter = RemoteLimiter::new(slow().prefix("tb:large:"), &client);
        let call = |n: f64| {
            let members = [limiter.limit().member("{alice}", n).unwrap(), small.member("{alice}", 1.0).unwrap()];
            Call::take_all(members).unwrap()
        };
        for left in [1.0, 0.0] {
            let answers = limiter.ask(&call(4.0)).unwrap();
            assert!(answers[0].granted && answers[1].granted);
            assert_near(answers[1].remaining, left);
        }
        let refused = limiter.ask(&call(2.0)).unwrap();
        assert!(!refused[0].granted && !refused[1].granted);
        assert_eq!(refused[0].retry_after, Some(Duration::ZERO));
        assert_about(refused[1].retry_after, 3600);
        assert_near(limiter.peek("{alice}", 1.0).unwrap().remaining, 2.0);

        let refused = |keys: &[&str], text: &str| {
            let members = keys.iter().map(|key| small.member(key, 1).unwrap());
            let error = Call::take_all(members).unwrap_err();
            assert!(matches!(error, Error::InvalidArgument(_)));
            assert_eq!(error.to_string(), text);
        };
        let other = "members must be different keys with one tag in braces, got ";
        refused(&["a", "b"], &format!("{}tb:small:a, tb:small:b", other));
        refused(&["{a}", "{a}"], &format!("{}tb:small:{{a}}, tb:small:{{a}}", other));
        refused(&[], "members must be from 1 to 16, got 0");
        assert!(matches!(Call::take_all([small.member("a", 3.0).unwrap()]).err(), Some(Error::ExceedsCapacity(_))));
    });
}

#[test]
fn threads_and_connections_share_one_limit() {
    with_server(|server| {
        let limit = || RemoteLimit::new(Config::new(100.0, 1.0, HOUR), Duration::ZERO).unwrap();
        let limiters = [limiter(server, limit()), limiter(server, limit())];
        let take = |limiter: &RemoteLimiter<Client>| (0..40).filter(|_| limiter.allow("a", 1.0).unwrap()).count();
        let granted: usize = thread::scope(|scope| {
            let threads: Vec<_> = limiters.iter().chain(&limiters).map(|one| scope.spawn(|| take(one))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(granted, 100);
    });
}

#[test]
fn a_script_that_is_lost_is_sent_again() {
    with_server(|server| {
        let client = server.client();
        let limiter = RemoteLimiter::new(slow(), &client);
        let calls = |n: f64| {
            let before = client.sent();
            assert!(limiter.allow("a", n).unwrap());
            client.sent() - before
        };
        assert_eq!((calls(1.0), calls(1.0)), (2, 1));
        let other = server.client();
        assert_eq!(other.ask(&["SCRIPT", "FLUSH"]), "+OK\r\n");
        assert_eq!((calls(1.0), calls(1.0)), (2, 1));
        assert_near(limiter.peek("a", 1.0).unwrap().remaining, 6.0);
        assert_eq!(other.ask(&["SCRIPT", "FLUSH"]), "+OK\r\n");
        assert_eq!(other.ask(&["SCRIPT", "LOAD", script()]), format!("$40\r\n{}\r\n", script_sha1()));
        assert_eq!(calls(1.0), 1);
    });
}

#[test]
fn what_can_never_be_is_not_asked() {
    let limit = slow();
    for n in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(limit.take("a", n).err(), Some(Error::InvalidArgument(_))));
        assert!(matches!(limit.take_up_to("a", n).err(), Some(Error::InvalidArgument(_))));
        assert!(matches!(limit.peek("a", n).err(), Some(Error::InvalidArgument(_))));
        assert!(matches!(limit.reserve("a", n, None).err(), Some(Error::InvalidArgument(_))));
        assert!(matches!(limit.charge("a", n).err(), Some(Error::InvalidArgument(_))));
        assert!(matches!(limit.refund("a", n).err(), Some(Error::InvalidArgument(_))));
        assert_eq!(matches!(limit.reset("a", n), Err(Error::InvalidArgument(_))), n != 0.0);
        let member = limit.member("a", n).unwrap();
        assert!(matches!(Call::take_each([member]).err(), Some(Error::InvalidArgument(_))));
    }
    assert!(matches!(limit.take("a", 10.5).err(), Some(Error::ExceedsCapacity(_))));
    assert!(matches!(limit.reserve("a", 10.5, None).err(), Some(Error::ExceedsCapacity(_))));
    assert!(matches!(limit.reset("a", 10.5).err(), Some(Error::ExceedsCapacity(_))));
    assert!(matches!(limit.charge("a", 17.5).err(), Some(Error::OutOfRange(_))));
    assert!(limit.charge("a", 17.0).is_ok());
    let longest = vec![b'x'; 65_536 - 3];
    assert!(limit.fill(&longest).is_ok());
    assert_eq!(limit.take([&longest[..], b"x"].concat(), 1.0).err(), Some(Error::KeyTooLong { size: 65_537 }));
    let members = (0..RemoteLimit::MAX_KEYS + 1).map(|_| limit.member("a", 1.0).unwrap());
    assert!(matches!(Call::take_each(members).err(), Some(Error::InvalidArgument(_))));

    let new = |capacity, tokens, max_wait| RemoteLimit::new(Config::new(capacity, tokens, SECOND), max_wait).err();
    assert!(matches!(new(f64::NAN, 1.0, SECOND), Some(Error::InvalidArgument(_))));
    assert!(matches!(new(10.0, 123_456_789.123_456, SECOND), Some(Error::OutOfRange(_))));
    assert!(matches!(new(10.0, 1.0, Duration::MAX), Some(Error::OutOfRange(_))));
    let counted = Config::new(10.0, 1.0, SECOND).statistics();
    assert!(matches!(RemoteLimit::new(counted, SECOND).err(), Some(Error::Unsupported(_))));
}

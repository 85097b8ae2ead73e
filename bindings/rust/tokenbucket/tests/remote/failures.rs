use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokenbucket::remote::{Command, Connection, OnUnavailable, RemoteError, RemoteLimit, RemoteLimiter, Reply};
use tokenbucket::Error;

use crate::server::{with_server, Client};
use crate::{assert_about, limiter, slow, SECOND};

fn cause<T: std::fmt::Debug>(answer: Result<T, RemoteError>) -> String {
    let error = answer.unwrap_err();
    assert_eq!(error.error, Error::Unavailable);
    assert_eq!(error.to_string(), "unavailable: the store of the limit did not answer");
    error.source().unwrap().to_string()
}

/// Of a server that is there for the first take and dead from then on.
fn orphan(policy: OnUnavailable, test: impl FnOnce(&RemoteLimiter<Client>)) {
    with_server(|server| {
        let limiter = limiter(server, slow()).on_unavailable(policy).unwrap();
        assert!(!limiter.allow("a", 10.0).and(limiter.allow("a", 10.0)).unwrap());
        server.end();
        test(&limiter);
        // What must reach the server says so under every policy.
        cause(limiter.reserve("a", 1.0, None));
        cause(limiter.charge("a", 1.0));
        cause(limiter.refund("a", 1.0));
        cause(limiter.fill("a"));
        cause(limiter.peek("a", 1.0));
    });
}

#[test]
fn a_dead_server_is_no_answer() {
    orphan(OnUnavailable::Error, |limiter| {
        cause(limiter.allow("a", 1.0));
        cause(limiter.take("a", 1.0));
        cause(limiter.take_up_to("a", 1.0));
        cause(limiter.take_each([("a", 1.0)]));
        cause(limiter.wait("a", 1.0));
        let error = limiter.allow("a", 1.0).unwrap_err();
        assert!(error.source().unwrap().downcast_ref::<io::Error>().is_some());
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotConnected);
        // What can be known without it still is.
        assert!(matches!(limiter.allow("a", 11.0).unwrap_err().error, Error::ExceedsCapacity(_)));
    });
}

#[test]
fn closed_denies_without_a_server() {
    orphan(OnUnavailable::Closed, |limiter| {
        let denied = limiter.take("a", 1.0).unwrap();
        assert_eq!((denied.granted, denied.retry_after), (false, None));
        assert_eq!(limiter.take_up_to("a", 2.0).unwrap(), 0.0);
        assert_eq!(limiter.take_each([("a", 1.0), ("b", 1.0)]).unwrap(), [denied, denied]);
        let late = limiter.wait_timeout("a", 1.0, SECOND).unwrap_err();
        assert_eq!(late.error, Error::TimedOut { retry_after: None });
    });
}

#[test]
fn open_grants_without_a_server() {
    orphan(OnUnavailable::Open, |limiter| {
        let granted = limiter.take("a", 1.0).unwrap();
        assert_eq!((granted.granted, granted.retry_after), (true, Some(Duration::ZERO)));
        assert_eq!(limiter.take_up_to("a", 2.5).unwrap(), 2.0);
        assert_eq!(limiter.take_up_to("a", 25.0).unwrap(), 10.0);
        assert_eq!(limiter.take_each([("a", 1.0), ("b", 1.0)]).unwrap(), [granted, granted]);
        limiter.wait("a", 1.0).unwrap();
    });
}

#[test]
fn a_local_share_decides_without_a_server() {
    orphan(OnUnavailable::Local { share: 0.5 }, |limiter| {
        let granted = limiter.take("a", 4.0).unwrap();
        assert!(granted.granted);
        let denied = limiter.take("a", 2.0).unwrap();
        assert!(!denied.granted);
        assert_about(denied.retry_after, 2000);
        let answers = limiter.take_each([("b", 5.0), ("b", 1.0)]).unwrap();
        assert_eq!((answers[0].granted, answers[1].granted), (true, false));
        assert_eq!(limiter.take_up_to("a", 5.0).unwrap(), 1.0);
        limiter.wait("c", 5.0).unwrap();
        assert!(matches!(limiter.wait("c", 5.0).unwrap_err().error, Error::TimedOut { retry_after: Some(_) }));
        // More than the share ever holds, but not more than the limit does.
        assert!(!limiter.allow("d", 6.0).unwrap());
        assert_eq!(limiter.wait("d", 6.0).unwrap_err().error, Error::TimedOut { retry_after: None });
    });
}

#[test]
fn a_share_is_above_0_and_at_most_1() {
    for share in [0.0, -0.5, 1.5, f64::NAN] {
        let limiter = RemoteLimiter::new(slow(), Says("")).on_unavailable(OnUnavailable::Local { share });
        assert!(matches!(limiter.err(), Some(Error::InvalidArgument(_))));
    }
    assert!(RemoteLimiter::new(slow(), Says("")).on_unavailable(OnUnavailable::Local { share: 1.0 }).is_ok());
}

#[test]
fn a_key_that_holds_something_else_is_neither_a_denial_nor_unavailable() {
    with_server(|server| {
        let client = server.client();
        client.ask(&["LPUSH", "tb:list", "1"]);
        client.ask(&["SET", "tb:word", "hello"]);
        let limit = slow();
        let reserve = limit.reserve("queue", 1.0, None).unwrap().command();
        client.ask(&["SET", std::str::from_utf8(reserve.words().nth(4).unwrap()).unwrap(), "hello"]);
        for policy in [OnUnavailable::Error, OnUnavailable::Closed, OnUnavailable::Open] {
            let limiter = limiter(server, slow()).on_unavailable(policy).unwrap();
            let error = limiter.allow("list", 1.0).unwrap_err();
            assert_eq!(error.error, Error::Mismatch);
            assert!(error.source().unwrap().to_string().contains("WRONGTYPE"));
            assert_eq!(limiter.allow("word", 1.0).unwrap_err().error, Error::Mismatch);
            assert_eq!(limiter.wait("queue", 1.0).unwrap_err().error, Error::Mismatch);
        }
    });
}

/// Says one thing to everything.
struct Says(&'static str);

impl Connection for Says {
    type Error = Error;

    fn send(&self, _: &Command) -> Result<Reply, Error> {
        Reply::parse(self.0.as_bytes())
    }
}

#[test]
fn what_a_server_says_instead_of_an_answer_is_kept() {
    let limiter = |says| RemoteLimiter::new(slow(), Arc::new(Says(says)));
    for says in ["LOADING Redis is loading", "NOSCRIPT No matching script.", "MOVED 1 :1", "ERR oh"] {
        let line: &'static str = Box::leak(format!("-{}\r\n", says).into_boxed_str());
        assert_eq!(cause(limiter(line).allow("a", 1.0)), says);
    }
    assert!(cause(limiter("+OK\r\n").allow("a", 1.0)).starts_with("text must be the whole of an error"));
    for no_reply in [":99000000000000000\r\n", "*3\r\n:1\r\n:1\r\n:1\r\n"] {
        assert_eq!(limiter(no_reply).allow("a", 1.0).unwrap_err().error, Error::Mismatch);
        assert_eq!(limiter(no_reply).reserve("a", 1.0, None).unwrap_err().error, Error::Mismatch);
    }
}

#[test]
fn limits_and_limiters_go_to_other_threads() {
    fn goes<T: Send + Sync + 'static>() {}
    goes::<RemoteLimit>();
    goes::<RemoteLimiter<Client>>();
    goes::<RemoteError>();
}

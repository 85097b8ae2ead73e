use std::time::{Duration, Instant};

use tokenbucket::remote::RemoteLimit;
use tokenbucket::{Config, Error};

use crate::server::with_server;
use crate::{assert_about, assert_near, limiter, slow, HOUR, SECOND};

#[test]
fn a_wait_lasts_until_its_tokens_are_there() {
    with_server(|server| {
        let limit = RemoteLimit::new(Config::new(1.0, 50.0, SECOND), Duration::from_millis(30)).unwrap();
        let limiter = limiter(server, limit);
        let start = Instant::now();
        assert!(limiter.allow("a", 1.0).unwrap());
        limiter.wait("a", 1.0).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(18));
    });
}

#[test]
fn a_wait_that_would_be_too_long_takes_nothing() {
    with_server(|server| {
        let limiter = limiter(server, slow());
        assert!(limiter.allow("a", 10.0).unwrap());
        let start = Instant::now();
        for timed_out in [limiter.wait("a", 8.0), limiter.wait_timeout("a", 8.0, SECOND)] {
            match timed_out.unwrap_err().error {
                Error::TimedOut { retry_after } => assert_about(retry_after, 8000),
                other => panic!("{}", other),
            }
        }
        assert!(limiter.wait_timeout("a", 1.0, Duration::ZERO).is_err());
        assert!(start.elapsed() < SECOND);
        assert_near(limiter.peek("a", 1.0).unwrap().remaining, 0.0);
    });
}

#[test]
fn a_reservation_that_is_cancelled_gives_its_tokens_back() {
    with_server(|server| {
        let limiter = limiter(server, slow());
        let at_once = limiter.reserve("a", 10.0, None).unwrap();
        assert_eq!((at_once.tokens(), at_once.wait_time()), (10.0, Duration::ZERO));
        let later = limiter.reserve("a", 4.0, None).unwrap();
        assert_about(Some(later.wait_time()), 4000);
        assert!(later.ready_at() >= at_once.ready_at() + Duration::from_secs(3900));
        assert_near(limiter.peek("a", 1.0).unwrap().remaining, -4.0);
        assert_eq!(limiter.cancel(later).unwrap(), 4.0);
        assert_near(limiter.peek("a", 1.0).unwrap().remaining, 0.0);
        assert_eq!(limiter.cancel(at_once).unwrap(), 0.0);
        assert!(limiter.reserve("a", 4.0, Some(HOUR)).is_err());
        drop(limiter.reserve("a", 3.0, Some(HOUR)).unwrap());
        assert_near(limiter.peek("a", 1.0).unwrap().remaining, -3.0);
    });
}

#[test]
fn a_reservation_is_settled_at_what_it_cost() {
    with_server(|server| {
        let limiter = limiter(server, slow());
        let due = limiter.reserve("a", 10.0, None).unwrap();
        let pending = limiter.reserve("a", 4.0, None).unwrap();
        limiter.settle(pending, 1.0).unwrap();
        assert_near(limiter.peek("a", 1.0).unwrap().remaining, -1.0);
        limiter.settle(due, 8.0).unwrap();
        assert_near(limiter.peek("a", 1.0).unwrap().remaining, 1.0);
        let costly = limiter.reserve("a", 1.0, None).unwrap();
        assert!(matches!(limiter.settle(costly, 9.0).unwrap_err().error, Error::OutOfRange(_)));
        let unsettled = limiter.reserve("a", 1.0, None).unwrap();
        assert!(matches!(limiter.settle(unsettled, -1.0).unwrap_err().error, Error::InvalidArgument(_)));
    });
}

#[test]
fn charges_refunds_and_resets() {
    with_server(|server| {
        let limiter = limiter(server, slow());
        assert_about(limiter.charge("a", 12.0).unwrap(), 2000);
        assert!(matches!(limiter.charge("a", 6.0).unwrap_err().error, Error::OutOfRange(_)));
        assert_near(limiter.peek("a", 1.0).unwrap().remaining, -2.0);
        assert!(!limiter.allow("a", 1.0).unwrap());
        assert_eq!(limiter.take("a", 1.0).unwrap().remaining, 0.0);
        limiter.refund("a", 5.0).unwrap();
        assert_near(limiter.peek("a", 1.0).unwrap().remaining, 3.0);
        limiter.reset("a", 0.0).unwrap();
        assert_near(limiter.peek("a", 1.0).unwrap().remaining, 0.0);
        limiter.fill("a").unwrap();
        assert_eq!(limiter.peek("a", 1.0).unwrap().remaining, 10.0);
        limiter.refund("a", 5.0).unwrap();
        assert_eq!(limiter.peek("a", 1.0).unwrap().remaining, 10.0);
    });
}

//! Limits in Redis, on a server of each test's own. But for the waits, next to nothing accrues during a test.
mod failures;
mod reservations;
mod server;
mod takes;

use std::time::Duration;

use tokenbucket::remote::{RemoteLimit, RemoteLimiter};
use tokenbucket::Config;

use server::{Client, Server};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// 10 tokens, of which one takes a thousand seconds, and no more debt than 7.2.
fn slow() -> RemoteLimit {
    RemoteLimit::new(Config::new(10.0, 0.001, SECOND), 2 * HOUR).unwrap()
}

fn limiter(server: &Server, limit: RemoteLimit) -> RemoteLimiter<Client> {
    RemoteLimiter::new(limit, server.client())
}

/// So many tokens, and what accrues during a test.
fn assert_near(tokens: f64, expected: f64) {
    assert!((expected..expected + 0.1).contains(&tokens), "{} instead of {}", tokens, expected);
}

/// So many seconds, less a test's.
fn assert_about(time: Option<Duration>, seconds: u32) {
    assert!(
        time <= Some(SECOND * seconds) && time > Some(SECOND * (seconds - 100)),
        "{:?} instead of {}",
        time,
        seconds
    );
}

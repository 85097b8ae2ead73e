//! A child of a fork has a copy of each bucket, in which nobody waits.
use std::future::Future;
use std::os::raw::c_int;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use tokenbucket::{Config, Error, Limits, ManualClock};

extern "C" {
    fn fork() -> c_int;
    fn waitpid(child: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&Arc::new(Nobody).into()))
}

#[test]
fn futures_of_the_parent_are_interrupted_in_the_child() {
    // On this clock no thread wakes futures, which could hold a lock at the fork.
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let bucket = Config::per_hour(1, 1).clock(&clock).build().unwrap();
    assert_eq!(bucket.allow(1), Ok(true));
    let mut wait = bucket.wait_async(1);
    let limits = Limits::new([bucket.member(1)]);
    let mut wait_all = limits.wait_async();
    assert!(poll(&mut wait).is_pending() && poll(&mut wait_all).is_pending());
    // SAFETY: the child polls and leaves, and no other thread uses what it uses.
    let child = unsafe { fork() };
    if child == 0 {
        let is_over = matches!(poll(&mut wait), Poll::Ready(Err(Error::Interrupted)));
        let all_are_over =
            matches!(poll(&mut wait_all), Poll::Ready(Err(refusal)) if refusal.error == Error::Interrupted);
        // SAFETY: it ends the child.
        unsafe { _exit(c_int::from(!is_over) | c_int::from(!all_are_over) << 1) }
    }
    let mut status = -1;
    // SAFETY: the output lives for the call.
    assert_eq!(unsafe { waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    assert!(poll(&mut wait).is_pending());
}

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokenbucket_sys as sys;

use crate::queue::Queue;
use crate::time::{from_ns, limit_to_ns};
use crate::waiting::{Waiter, Waiting};
use crate::Error;

/// Waits in the thread by `wait`, which is given the time in nanoseconds that is left. A signal handler that runs
/// meanwhile begins the wait anew.
pub(crate) fn wait_through_signals(timeout: Option<Duration>, wait: impl Fn(i64) -> sys::tb_status) -> sys::tb_status {
    let started = timeout.map(|_| Instant::now());
    let mut left = timeout;
    loop {
        let status = wait(limit_to_ns(left));
        if status != sys::TB_INTERRUPTED {
            return status;
        }
        left = timeout.zip(started).map(|(timeout, started)| timeout.saturating_sub(started.elapsed()));
    }
}

/// A wait that occupies no thread, made by [`Bucket::wait_async`](crate::Bucket::wait_async),
/// [`Table::wait_async`](crate::Table::wait_async) and their like.
///
/// At its first poll it takes the tokens, or a place in the queue among the threads and futures that wait. Dropped
/// before it is ready, it leaves that: its tokens come back, due or not, and those behind it move up. It works under
/// any executor. It is woken by the call that brings its tokens forward or ends it, by the call that moves a manual
/// clock, or else by one thread of this crate's, which the first wait that has to sleep starts and all share. A waker
/// must not panic: that aborts the process.
#[must_use = "futures do nothing unless polled"]
pub struct Wait<'limiter> {
    n: f64,
    waiting: Waiting<Place<'limiter>>,
}

/// A place in the queue, given up when dropped.
struct Place<'limiter> {
    n: f64,
    queue: Queue<'limiter>,
    waiter: u64,
    is_over: bool,
}

impl<'limiter> Waiter for Place<'limiter> {
    type Request = (Queue<'limiter>, f64);
    type Refusal = Error;

    fn enter(
        (queue, n): Self::Request,
        timeout_ns: i64,
        priority: i32,
        tag: u64,
    ) -> Result<Option<Place<'limiter>>, Error> {
        let (status, waiter, wait_ns) = queue.enqueue(n, timeout_ns, priority, tag);
        match status {
            sys::TB_PENDING => Ok(Some(Place { n, queue, waiter, is_over: false })),
            sys::TB_TIMED_OUT => Err(Error::TimedOut { retry_after: from_ns(wait_ns) }),
            status => queue.outcome(n, status).map(|()| None),
        }
    }

    fn look(&mut self) -> Result<Option<i64>, Error> {
        let (status, wait_ns) = self.queue.look(self.waiter);
        if status == sys::TB_PENDING {
            return Ok(Some(wait_ns));
        }
        self.is_over = true;
        if status == sys::TB_E_INVALID_ARGUMENT {
            return Err(Error::Interrupted); // the waiter is the parent's, and this is a child of a fork
        }
        self.queue.outcome(self.n, status).map(|()| None)
    }

    fn is_on_manual_clock(&self) -> bool {
        self.queue.is_on_manual_clock()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.queue.leave(self.waiter);
        }
    }
}

impl<'limiter> Wait<'limiter> {
    pub(crate) fn new(queue: Queue<'limiter>, n: f64, timeout: Option<Duration>, priority: i32) -> Wait<'limiter> {
        Wait { n, waiting: Waiting::new((queue, n), timeout, priority) }
    }
}

impl Future for Wait<'_> {
    type Output = Result<(), Error>;

    /// # Panics
    /// If it was ready before.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().waiting.poll(context)
    }
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("n", &self.n)
            .field("timeout", &self.waiting.timeout)
            .field("priority", &self.waiting.priority)
            .finish_non_exhaustive()
    }
}

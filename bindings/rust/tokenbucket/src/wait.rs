use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use std::{fmt, mem};

use tokenbucket_sys as sys;

use crate::alarm::Alarm;
use crate::queue::Queue;
use crate::time::{from_ns, limit_to_ns};
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
    timeout: Option<Duration>,
    priority: i32,
    state: State<'limiter>,
}

enum State<'limiter> {
    New(Queue<'limiter>),
    Waiting(Place<'limiter>),
    Over,
}

/// A place in the queue, given up when dropped.
struct Place<'limiter> {
    queue: Queue<'limiter>,
    /// None once the wait has ended.
    waiter: Option<u64>,
    alarm: Alarm,
}

impl Place<'_> {
    /// None: it waits, and `waker` is woken when it is to look again.
    fn look(&mut self, n: f64, waker: &Waker) -> Option<Result<(), Error>> {
        let waiter = self.waiter?;
        // A ring before this went to an earlier waker, or to nobody; what it told is seen below.
        self.alarm.set(waker);
        let (status, wait_ns) = self.queue.look(waiter);
        if status == sys::TB_PENDING {
            // A manual clock's time comes by a call alone.
            let left = from_ns(wait_ns).filter(|_| !self.queue.is_on_manual_clock())?;
            return self.alarm.ring_in(left).err().map(Err);
        }
        self.waiter = None;
        Some(self.queue.outcome(n, status))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.queue.leave(waiter);
        }
    }
}

impl<'limiter> Wait<'limiter> {
    pub(crate) fn new(queue: Queue<'limiter>, n: f64, timeout: Option<Duration>, priority: i32) -> Wait<'limiter> {
        Wait { n, timeout, priority, state: State::New(queue) }
    }

    /// None: the tokens were there. A ring before the alarm is set is lost, and so a first look must follow.
    fn enter(&self, queue: Queue<'limiter>) -> Result<Option<Place<'limiter>>, Error> {
        let tag = Alarm::new_tag();
        let (status, waiter, wait_ns) = queue.enqueue(self.n, limit_to_ns(self.timeout), self.priority, tag);
        match status {
            sys::TB_PENDING => Ok(Some(Place { queue, waiter: Some(waiter), alarm: Alarm::of(tag) })),
            sys::TB_TIMED_OUT => Err(Error::TimedOut { retry_after: from_ns(wait_ns) }),
            status => queue.outcome(self.n, status).map(|()| None),
        }
    }
}

impl Future for Wait<'_> {
    type Output = Result<(), Error>;

    /// # Panics
    /// If it was ready before.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let wait = self.get_mut();
        let mut place = match mem::replace(&mut wait.state, State::Over) {
            State::New(queue) => match wait.enter(queue) {
                Ok(Some(place)) => place,
                entered => return Poll::Ready(entered.map(|_| ())),
            },
            State::Waiting(place) => place,
            State::Over => panic!("a wait was polled after it was ready"),
        };
        match place.look(wait.n, context.waker()) {
            Some(answer) => Poll::Ready(answer),
            None => {
                wait.state = State::Waiting(place);
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("n", &self.n)
            .field("timeout", &self.timeout)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}

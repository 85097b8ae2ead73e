use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::alarm::Alarm;
use crate::error::check;
use crate::time::{from_ns, limit_to_ns};
use crate::{Bucket, Error};

/// A wait that occupies no thread, made by [`Bucket::wait_async`] and its like.
///
/// At its first poll it takes the tokens, or a place in the bucket's queue among the threads and futures that wait.
/// Dropped before it is ready, it leaves that: its tokens come back, due or not, and those behind it move up. It works
/// under any executor. It is woken by the call that brings its tokens forward or ends it, by the call that moves a
/// manual clock, or else by one thread of this crate's, which the first wait that has to sleep starts and all buckets
/// share. A waker must not panic: that aborts the process.
#[must_use = "futures do nothing unless polled"]
pub struct Wait<'bucket> {
    bucket: &'bucket Bucket,
    n: f64,
    timeout: Option<Duration>,
    priority: i32,
    state: State<'bucket>,
}

enum State<'bucket> {
    New,
    Waiting(Place<'bucket>),
    Over,
}

/// A place in the queue, given up when dropped.
struct Place<'bucket> {
    bucket: &'bucket Bucket,
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
        let mut wait_ns = 0;
        // SAFETY: the bucket is borrowed, and so alive.
        let status = unsafe { sys::tb_waiter_check(self.bucket.as_raw(), waiter, &mut wait_ns) };
        if status == sys::TB_PENDING {
            // A manual clock's time comes by a call alone.
            let left = from_ns(wait_ns).filter(|_| !self.bucket.is_on_manual_clock())?;
            return self.alarm.ring_in(left).err().map(Err);
        }
        self.waiter = None;
        Some(self.bucket.outcome(n, status))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            // It fails only in the child of a fork, where nobody waits. SAFETY: the bucket is borrowed, and so alive.
            unsafe { sys::tb_waiter_leave(self.bucket.as_raw(), waiter) };
        }
    }
}

impl<'bucket> Wait<'bucket> {
    pub(crate) fn new(bucket: &'bucket Bucket, n: f64, timeout: Option<Duration>, priority: i32) -> Wait<'bucket> {
        Wait { bucket, n, timeout, priority, state: State::New }
    }

    /// None: the tokens were there. A ring before the alarm is set is lost, and so a first look must follow.
    fn enter(&self) -> Result<Option<Place<'bucket>>, Error> {
        let (bucket, tag) = (self.bucket, Alarm::new_tag());
        let (mut waiter, mut wait_ns) = (0, 0);
        let timeout_ns = limit_to_ns(self.timeout);
        // SAFETY: the bucket is borrowed, and so alive; the outputs live for the call.
        let status = unsafe {
            sys::tb_enqueue(bucket.as_raw(), self.n, timeout_ns, self.priority, tag, &mut waiter, &mut wait_ns)
        };
        match status {
            sys::TB_PENDING => Ok(Some(Place { bucket, waiter: Some(waiter), alarm: Alarm::of(tag) })),
            sys::TB_TIMED_OUT => Err(Error::TimedOut { retry_after: from_ns(wait_ns) }),
            status => check(status).map(|()| None),
        }
    }

    fn end(&mut self, answer: Result<(), Error>) -> Poll<Result<(), Error>> {
        self.state = State::Over;
        Poll::Ready(answer)
    }
}

impl Future for Wait<'_> {
    type Output = Result<(), Error>;

    /// # Panics
    /// If it was ready before.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let wait = self.get_mut();
        if let State::New = wait.state {
            match wait.enter() {
                Ok(Some(place)) => wait.state = State::Waiting(place),
                entered => return wait.end(entered.map(|_| ())),
            }
        }
        let answer = match &mut wait.state {
            State::Waiting(place) => place.look(wait.n, context.waker()),
            State::New | State::Over => panic!("a wait was polled after it was ready"),
        };
        match answer {
            Some(answer) => wait.end(answer),
            None => Poll::Pending,
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

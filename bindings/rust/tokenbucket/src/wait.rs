use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::alarm::{Alarm, Board};
use crate::clock::Source;
use crate::timer::Timer;
use crate::{Bucket, CallbackClock, Error, ManualClock, Reservation};

/// A wait that occupies no thread, made by [`Bucket::wait_async`] and [`Bucket::wait_timeout_async`].
///
/// It reserves at its first poll. Dropped before it is ready, it gives all its tokens back, due or not. It works under
/// any executor: it is woken by one thread of this crate's, which the first wait that has to sleep starts and all
/// buckets share, or, on a manual clock, by the call that moves that.
#[must_use = "futures do nothing unless polled"]
pub struct Wait<'bucket> {
    bucket: &'bucket Bucket,
    n: f64,
    max_wait: Option<Duration>,
    state: State<'bucket>,
}

enum State<'bucket> {
    New,
    Asleep(Asleep<'bucket>),
    Done,
}

struct Asleep<'bucket> {
    alarm: Alarm,
    until: Until,
    reservation: Reservation<'bucket>,
}

/// When a reservation is due: by which clock, and at which of its times.
enum Until {
    System(Timer, Duration),
    Manual(ManualClock, Duration),
    Callback(Timer, CallbackClock, Duration),
}

impl Until {
    /// The system's time is counted from after the reservation was made, and so is never early.
    fn ready(reservation: &Reservation<'_>, source: &Source) -> Result<Until, Error> {
        Ok(match source {
            Source::System => {
                let timer = Timer::start()?;
                let due = timer.now() + reservation.wait_time();
                Until::System(timer, due)
            }
            Source::Manual(clock) => Until::Manual(clock.clone(), reservation.ready_at()),
            Source::Callback(clock) => Until::Callback(Timer::start()?, clock.clone(), reservation.ready_at()),
        })
    }

    fn left(&self) -> Duration {
        match self {
            Until::System(timer, due) => due.saturating_sub(timer.now()),
            Until::Manual(clock, due) => due.saturating_sub(clock.now()),
            Until::Callback(_, clock, due) => due.saturating_sub(clock.now()),
        }
    }

    fn board(&self) -> &Arc<Board> {
        match self {
            Until::System(timer, _) | Until::Callback(timer, ..) => timer.board(),
            Until::Manual(clock, _) => clock.board(),
        }
    }

    /// The time by the board's clock at which to look again.
    fn on_board(&self) -> Duration {
        match self {
            Until::System(_, due) | Until::Manual(_, due) => *due,
            Until::Callback(timer, ..) => timer.now() + self.left(),
        }
    }
}

impl<'bucket> Wait<'bucket> {
    pub(crate) fn new(bucket: &'bucket Bucket, n: f64, max_wait: Option<Duration>) -> Wait<'bucket> {
        Wait { bucket, n, max_wait, state: State::New }
    }

    /// Takes the place in the order. None: the tokens are there already.
    fn begin(&self) -> Result<Option<Asleep<'bucket>>, Error> {
        let reservation = self.bucket.reserve(self.n, self.max_wait)?;
        if reservation.wait_time() == Duration::ZERO {
            reservation.commit();
            return Ok(None);
        }
        let until = Until::ready(&reservation, self.bucket.source())?;
        let alarm = Alarm::new(until.board().clone(), self.bucket.id());
        Ok(Some(Asleep { alarm, until, reservation }))
    }

    /// What it ends with, if it does by now: who is due when the bucket is closed is granted.
    fn outcome(&self) -> Option<Result<(), Error>> {
        match &self.state {
            State::Asleep(asleep) if asleep.until.left() == Duration::ZERO => Some(Ok(())),
            State::Asleep(_) if self.bucket.is_closed() => Some(Err(Error::Closed)),
            _ => None,
        }
    }

    fn end(&mut self, outcome: Result<(), Error>) -> Poll<Result<(), Error>> {
        if let (State::Asleep(asleep), Ok(())) = (mem::replace(&mut self.state, State::Done), outcome) {
            asleep.reservation.commit();
        }
        Poll::Ready(outcome)
    }
}

impl Future for Wait<'_> {
    type Output = Result<(), Error>;

    /// # Panics
    /// If it was ready before.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let wait = self.get_mut();
        if let State::New = wait.state {
            wait.state = match wait.begin() {
                Ok(Some(asleep)) => State::Asleep(asleep),
                Ok(None) => return wait.end(Ok(())),
                Err(error) => return wait.end(Err(error)),
            };
        }
        if let Some(outcome) = wait.outcome() {
            return wait.end(outcome);
        }
        match &mut wait.state {
            State::Asleep(asleep) => asleep.alarm.set(asleep.until.on_board(), context.waker()),
            State::New | State::Done => panic!("a wait was polled after it was ready"),
        }
        // What came before the alarm was set has woken nobody.
        match wait.outcome() {
            Some(outcome) => wait.end(outcome),
            None => Poll::Pending,
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let State::Asleep(asleep) = &mut self.state {
            asleep.reservation.give_back_unused();
        }
    }
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("n", &self.n).field("max_wait", &self.max_wait).finish_non_exhaustive()
    }
}

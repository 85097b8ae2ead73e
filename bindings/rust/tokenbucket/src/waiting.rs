//! What all futures that wait have in common, for one limit or several.
use std::mem;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::alarm::Alarm;
use crate::time::{from_ns, limit_to_ns};
use crate::Error;

/// A place in a queue, or in several, given up when dropped.
pub(crate) trait Waiter: Sized {
    /// What it waits for.
    type Request;
    type Refusal: From<Error>;

    /// None: the tokens were there.
    fn enter(request: Self::Request, timeout_ns: i64, priority: i32, tag: u64) -> Result<Option<Self>, Self::Refusal>;
    /// The nanoseconds until it is to look again. None: it has its tokens. Not called after it has ended.
    fn look(&mut self) -> Result<Option<i64>, Self::Refusal>;
    /// Is its time that of manual clocks alone?
    fn is_on_manual_clock(&self) -> bool;
}

pub(crate) struct Waiting<W: Waiter> {
    pub(crate) timeout: Option<Duration>,
    pub(crate) priority: i32,
    state: State<W>,
}

enum State<W: Waiter> {
    New(W::Request),
    Entered(Place<W>),
    Over,
}

/// The waiter goes before what it rings.
struct Place<W> {
    waiter: W,
    alarm: Alarm,
}

impl<W: Waiter> Place<W> {
    /// A ring before this went to an earlier waker, or to nobody; what it told is seen now.
    fn look(&mut self, waker: &Waker) -> Poll<Result<(), W::Refusal>> {
        self.alarm.set(waker);
        match self.waiter.look() {
            Ok(Some(wait_ns)) => {
                // A manual clock's time comes by a call alone.
                match from_ns(wait_ns).filter(|_| !self.waiter.is_on_manual_clock()) {
                    Some(left) => match self.alarm.ring_in(left) {
                        Ok(()) => Poll::Pending,
                        Err(error) => Poll::Ready(Err(error.into())),
                    },
                    None => Poll::Pending,
                }
            }
            answer => Poll::Ready(answer.map(|_| ())),
        }
    }
}

impl<W: Waiter> Waiting<W> {
    pub(crate) fn new(request: W::Request, timeout: Option<Duration>, priority: i32) -> Waiting<W> {
        Waiting { timeout, priority, state: State::New(request) }
    }

    /// A ring before the alarm is set is lost, and so a first look must follow. None: the tokens were there.
    fn enter(&self, request: W::Request) -> Result<Option<Place<W>>, W::Refusal> {
        let tag = Alarm::new_tag();
        let entered = W::enter(request, limit_to_ns(self.timeout), self.priority, tag)?;
        Ok(entered.map(|waiter| Place { waiter, alarm: Alarm::of(tag) }))
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), W::Refusal>> {
        let mut place = match mem::replace(&mut self.state, State::Over) {
            State::New(request) => match self.enter(request) {
                Ok(Some(place)) => place,
                entered => return Poll::Ready(entered.map(|_| ())),
            },
            State::Entered(place) => place,
            State::Over => panic!("a wait was polled after it was ready"),
        };
        let answer = place.look(context.waker());
        if answer.is_pending() {
            self.state = State::Entered(place);
        }
        answer
    }
}

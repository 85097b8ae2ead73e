use std::time::Duration;

use tokenbucket_sys as sys;

use crate::amount::to_tokens;
use crate::queue::Queue;
use crate::{Amount, Error};

/// Tokens of a bucket, or of a key of a table, promised for a later time, which a change of the rate does not move.
///
/// Dropped without [`commit`](Reservation::commit) or [`settle`](Reservation::settle), it gives all its tokens back
/// while they are not due. Once due they count as used; `settle(0)` gives back what is due and unused.
#[must_use = "a reservation that is dropped before it is due gives its tokens back"]
#[derive(Debug)]
pub struct Reservation<'limiter> {
    queue: Queue<'limiter>,
    raw: sys::tb_reservation,
    is_kept: bool,
}

impl<'limiter> Reservation<'limiter> {
    pub(crate) fn new(queue: Queue<'limiter>, raw: sys::tb_reservation) -> Reservation<'limiter> {
        Reservation { queue, raw, is_kept: false }
    }

    /// The tokens reserved.
    pub fn tokens(&self) -> f64 {
        self.raw.tokens
    }

    /// From the call that reserved until the tokens may be used; zero: at once.
    pub fn wait_time(&self) -> Duration {
        Duration::from_nanos(self.raw.wait_ns as u64)
    }

    /// The same as a time of the bucket's clock, such as [`ManualClock::set`](crate::ManualClock::set) takes.
    pub fn ready_at(&self) -> Duration {
        Duration::from_nanos(self.raw.ready_at_ns as u64)
    }

    /// Keeps the tokens for good. They may be used once [`wait_time`](Reservation::wait_time) has passed.
    pub fn commit(mut self) {
        self.is_kept = true;
    }

    /// Ends the reservation of work that turned out to cost `actual` tokens, 0 or more: the rest of what was reserved
    /// comes back, or what is missing is charged. After an error it is as if the reservation was dropped.
    ///
    /// # Errors
    /// `InvalidArgument`: a negative or infinite amount. `OutOfRange`: the debt would be more than a bucket can count.
    /// `Closed`.
    pub fn settle(mut self, actual: impl Into<Amount>) -> Result<(), Error> {
        // The library clears a settled reservation, so that nothing is left to drop.
        self.queue.settle(&mut self.raw, to_tokens(actual))
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.queue.cancel(&mut self.raw);
        }
    }
}

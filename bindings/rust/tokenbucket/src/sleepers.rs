use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Error;

/// Where the threads inside [`Bucket::wait`](crate::Bucket::wait) sleep, so that closing the bucket wakes them.
#[derive(Default)]
pub(crate) struct Sleepers {
    closed: Mutex<bool>,
    wake: Condvar,
}

impl Sleepers {
    /// Returns once the whole duration has passed on the monotonic clock, or with `Closed` as soon as that is so.
    pub(crate) fn sleep(&self, duration: Duration) -> Result<(), Error> {
        let asleep = self.wake.wait_timeout_while(self.lock(), duration, |closed| !*closed);
        let (closed, _) = asleep.unwrap_or_else(PoisonError::into_inner);
        if *closed {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    pub(crate) fn close(&self) {
        *self.lock() = true;
        self.wake.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

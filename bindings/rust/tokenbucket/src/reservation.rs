use std::mem;
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::Bucket;

/// Tokens promised for a later time. Dropped without [`commit`](Reservation::commit), it gives back what it can: all
/// of its tokens if no later reservation stands on it, and nothing after the time at which they might be used.
#[must_use = "a dropped reservation gives its tokens back"]
#[derive(Debug)]
pub struct Reservation<'bucket> {
    bucket: &'bucket Bucket,
    raw: sys::tb_reservation,
}

impl<'bucket> Reservation<'bucket> {
    pub(crate) fn new(bucket: &'bucket Bucket, raw: sys::tb_reservation) -> Reservation<'bucket> {
        Reservation { bucket, raw }
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
    pub fn commit(self) {
        mem::forget(self);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        // It fails for a NULL argument only. SAFETY: the bucket is borrowed, and so alive.
        unsafe { sys::tb_cancel(self.bucket.as_raw(), &mut self.raw) };
    }
}

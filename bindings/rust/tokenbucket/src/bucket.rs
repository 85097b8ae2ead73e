use std::fmt;
use std::mem::MaybeUninit;
use std::ptr::{null_mut, NonNull};
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::error::check;
use crate::sleepers::Sleepers;
use crate::time::{from_ns, limit_to_ns};
use crate::{Config, Error, Reservation};

/// A token bucket, for any number of threads at once.
///
/// An amount of tokens must be above 0 and finite (else `InvalidArgument`) and may be fractional.
pub struct Bucket {
    raw: NonNull<sys::tb_bucket>,
    can_sleep: bool,
    sleepers: Sleepers,
}

// SAFETY: "All functions may be called from any number of threads at once, on the same handle; only a destroy function
// must be the last call on its handle." (tokenbucket.h, convention 7.) Drop has the bucket to itself.
unsafe impl Send for Bucket {}
// SAFETY: as for Send.
unsafe impl Sync for Bucket {}

/// An answer with what a client is told about it, as by HTTP's `RateLimit` and `Retry-After` headers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether the tokens were taken.
    pub granted: bool,
    /// The tokens left now; 0 while in debt.
    pub remaining: f64,
    /// Until this request would be granted; zero if it was. None: never (it asks for more than the capacity), or not
    /// within any time that can be expressed.
    pub retry_after: Option<Duration>,
    /// Until the bucket is full again. None: not within any time that can be expressed.
    pub reset_after: Option<Duration>,
}

impl Bucket {
    /// A full bucket of up to `capacity` tokens that gains `tokens_per_second`, on the system's monotonic clock.
    /// [`Config`] offers more.
    ///
    /// # Errors
    /// As [`Config::build`].
    pub fn new(capacity: f64, tokens_per_second: f64) -> Result<Bucket, Error> {
        Config::new(capacity, tokens_per_second, Duration::from_secs(1)).build()
    }

    /// # Safety
    /// The clock that the config names, if any, must be alive.
    pub(crate) unsafe fn from_config(config: &sys::tb_config) -> Result<Bucket, Error> {
        let mut bucket = null_mut();
        check(sys::tb_create_with(config, &mut bucket))?;
        let raw = NonNull::new(bucket).ok_or(Error::OutOfMemory)?;
        Ok(Bucket { raw, can_sleep: config.clock.is_null(), sleepers: Sleepers::default() })
    }

    /// Takes `n` tokens if they are there now, all or nothing. Never blocks. `Ok(false)`: denied, nothing taken.
    ///
    /// # Errors
    /// `ExceedsCapacity`: never to be granted. `Closed`.
    pub fn allow(&self, n: f64) -> Result<bool, Error> {
        // SAFETY: the handle lives as long as self.
        match unsafe { sys::tb_allow(self.as_raw(), n) } {
            sys::TB_DENIED => Ok(false),
            status => check(status).map(|()| true),
        }
    }

    /// As [`allow`](Bucket::allow), and says why. An `n` above the capacity is denied with no time to retry.
    ///
    /// # Errors
    /// `Closed`.
    pub fn take(&self, n: f64) -> Result<Decision, Error> {
        let mut decision = MaybeUninit::<sys::tb_decision>::uninit();
        // SAFETY: the handle lives as long as self, the output for the call.
        let status = unsafe { sys::tb_take(self.as_raw(), n, decision.as_mut_ptr()) };
        if !matches!(status, sys::TB_DENIED | sys::TB_EXCEEDS_CAPACITY) {
            check(status)?;
        }
        // SAFETY: filled for success and for the two statuses above.
        let decision = unsafe { decision.assume_init() };
        Ok(Decision {
            granted: status == sys::TB_SUCCESS,
            remaining: decision.remaining,
            retry_after: from_ns(decision.retry_after_ns),
            reset_after: from_ns(decision.reset_after_ns),
        })
    }

    /// Takes `n` tokens now, into debt if need be, and says when they may be used. Never blocks. It is refused at
    /// once, nothing taken, if it would have to wait longer than `max_wait` (None: no limit).
    ///
    /// # Errors
    /// `TimedOut`, `ExceedsCapacity`, `Closed`. `OutOfRange`: the debt would pass what the bucket can count.
    pub fn reserve(&self, n: f64, max_wait: Option<Duration>) -> Result<Reservation<'_>, Error> {
        let mut reservation = MaybeUninit::uninit();
        // SAFETY: the handle lives as long as self; the output is filled on success.
        unsafe {
            check(sys::tb_reserve(self.as_raw(), n, limit_to_ns(max_wait), reservation.as_mut_ptr()))?;
            Ok(Reservation::new(self, reservation.assume_init()))
        }
    }

    /// Takes `n` tokens, sleeping until they are there. The place in the order is that of the call: later calls, large
    /// or small, cannot overtake.
    ///
    /// # Errors
    /// `Closed`: also when the bucket is closed meanwhile; the tokens are given back. `ExceedsCapacity`. `OutOfRange`
    /// as [`reserve`](Bucket::reserve). `ManualClock`: the bucket is on a manual clock and the tokens are not there
    /// now; a test reserves instead.
    pub fn wait(&self, n: f64) -> Result<(), Error> {
        self.sleep_for(self.reserve(n, None)?)
    }

    /// As [`wait`](Bucket::wait), but `TimedOut` at once, with nothing taken, if the tokens cannot be had within
    /// `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, and as `wait`.
    pub fn wait_timeout(&self, n: f64, timeout: Duration) -> Result<(), Error> {
        self.sleep_for(self.reserve(n, Some(timeout))?)
    }

    fn sleep_for(&self, reservation: Reservation<'_>) -> Result<(), Error> {
        let duration = reservation.wait_time();
        if duration > Duration::ZERO {
            if !self.can_sleep {
                return Err(Error::ManualClock);
            }
            self.sleepers.sleep(duration)?;
        }
        reservation.commit();
        Ok(())
    }

    /// The tokens in the bucket now, fractions included; negative while in debt.
    ///
    /// # Errors
    /// None that is known; a later library may add one.
    pub fn available(&self) -> Result<f64, Error> {
        let mut tokens = 0.0;
        // SAFETY: the handle lives as long as self, the output for the call.
        check(unsafe { sys::tb_available(self.as_raw(), &mut tokens) })?;
        Ok(tokens)
    }

    /// The time until `n` tokens would be there if nobody took any; zero if they are. None: not within any time that
    /// can be expressed.
    ///
    /// # Errors
    /// `ExceedsCapacity`: never.
    pub fn time_until(&self, n: f64) -> Result<Option<Duration>, Error> {
        let mut ns = 0;
        // SAFETY: the handle lives as long as self, the output for the call.
        check(unsafe { sys::tb_time_until(self.as_raw(), n, &mut ns) })?;
        Ok(from_ns(ns))
    }

    /// Closes the bucket for good: waiting threads leave with `Closed`, their tokens given back, and every later call
    /// that takes tokens says `Closed`. Looking goes on working. Closing twice is no error.
    ///
    /// # Errors
    /// None that is known; a later library may add one.
    pub fn close(&self) -> Result<(), Error> {
        // First the bucket: whoever reserves before that is woken, whoever comes later is refused.
        // SAFETY: the handle lives as long as self.
        check(unsafe { sys::tb_close(self.as_raw()) })?;
        self.sleepers.close();
        Ok(())
    }

    pub(crate) fn as_raw(&self) -> *mut sys::tb_bucket {
        self.raw.as_ptr()
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // SAFETY: nothing borrows self, so this is the last call on the handle.
        unsafe { sys::tb_destroy(self.as_raw()) }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("available", &self.available()).finish_non_exhaustive()
    }
}

use std::fmt;
use std::ptr::{null_mut, NonNull};
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::error::check;
use crate::time::exact_to_ns;
use crate::Error;

/// A clock that stands until it is moved, for tests and simulations. It may serve many buckets, which keep it alive,
/// and is moved from any thread.
pub struct ManualClock {
    raw: NonNull<sys::tb_clock>,
}

// SAFETY: "All functions may be called from any number of threads at once, on the same handle; only a destroy function
// must be the last call on its handle." (tokenbucket.h, convention 7.) Drop has the clock to itself.
unsafe impl Send for ManualClock {}
// SAFETY: as for Send.
unsafe impl Sync for ManualClock {}

impl ManualClock {
    /// A clock that stands at `start`, counted from an origin of the caller's choice.
    ///
    /// # Errors
    /// `OutOfRange`: more than 292 years. `OutOfMemory`.
    pub fn new(start: Duration) -> Result<ManualClock, Error> {
        let mut clock = null_mut();
        // SAFETY: the output is valid for the call.
        check(unsafe { sys::tb_manual_clock_create(exact_to_ns(start)?, &mut clock) })?;
        NonNull::new(clock).map(|raw| ManualClock { raw }).ok_or(Error::OutOfMemory)
    }

    /// Moves the clock to `now`. A time before the present one leaves it where it is.
    ///
    /// # Errors
    /// `OutOfRange`: more than 292 years.
    pub fn set(&self, now: Duration) -> Result<(), Error> {
        // SAFETY: the handle lives as long as self.
        check(unsafe { sys::tb_manual_clock_set(self.raw.as_ptr(), exact_to_ns(now)?) })
    }

    /// Moves the clock on.
    ///
    /// # Errors
    /// `OutOfRange`: past 292 years.
    pub fn advance(&self, duration: Duration) -> Result<(), Error> {
        // SAFETY: the handle lives as long as self.
        check(unsafe { sys::tb_manual_clock_advance(self.raw.as_ptr(), exact_to_ns(duration)?) })
    }

    pub(crate) fn as_raw(&self) -> *mut sys::tb_clock {
        self.raw.as_ptr()
    }
}

impl Drop for ManualClock {
    fn drop(&mut self) {
        // SAFETY: the last use of this handle; buckets hold their own share of the clock.
        unsafe { sys::tb_clock_destroy(self.raw.as_ptr()) }
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").finish_non_exhaustive()
    }
}

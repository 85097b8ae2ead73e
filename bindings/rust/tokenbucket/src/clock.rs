use std::fmt;
use std::os::raw::c_void;
use std::ptr::{null_mut, NonNull};
use std::sync::Arc;
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::error::{abort_on_panic, check};
use crate::time::{argument_to_ns, exact_to_ns, from_ns, too_long};
use crate::Error;

/// What a bucket may take its time from instead of the system's clock: made of a [`ManualClock`] or a
/// [`CallbackClock`], for [`Config::clock`](crate::Config::clock).
#[derive(Clone, Debug)]
pub struct Clock(pub(crate) Source);

#[derive(Clone, Debug)]
pub(crate) enum Source {
    System,
    Manual(ManualClock),
    Callback(CallbackClock),
}

impl Source {
    /// NULL for the system's clock.
    pub(crate) fn as_raw(&self) -> *mut sys::tb_clock {
        match self {
            Source::System => null_mut(),
            Source::Manual(clock) => clock.0.as_ptr(),
            Source::Callback(clock) => clock.0.raw.as_ptr(),
        }
    }
}

/// A handle of the C library's, with the creator's hold on it.
struct Raw(NonNull<sys::tb_clock>);

// SAFETY: "All functions may be called from any number of threads at once, on the same handle; only a destroy function
// must be the last call on its handle." (tokenbucket.h, convention 7.) Drop has the clock to itself; what a callback
// clock calls is Send and Sync by its type.
unsafe impl Send for Raw {}
// SAFETY: as for Send.
unsafe impl Sync for Raw {}

impl Raw {
    fn new(clock: *mut sys::tb_clock) -> Result<Raw, Error> {
        NonNull::new(clock).map(Raw).ok_or(Error::OutOfMemory)
    }

    fn as_ptr(&self) -> *mut sys::tb_clock {
        self.0.as_ptr()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: the last use of this handle; buckets hold their own share of the clock.
        unsafe { sys::tb_clock_destroy(self.as_ptr()) }
    }
}

/// A clock that stands until it is moved, for tests and simulations. It may serve many buckets, which keep it alive,
/// and is moved from any thread. A clone is the same clock.
///
/// Threads and futures that wait on it go on when it reaches their time, and no earlier.
#[derive(Clone)]
pub struct ManualClock(Arc<Raw>);

/// The waits on a manual clock that are not due yet, of all its buckets, in threads and as futures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiters {
    /// How many there are.
    pub count: u64,
    /// When the first of them is due. None: there is none.
    pub next_due: Option<Duration>,
}

impl ManualClock {
    /// A clock that stands at `start`, counted from an origin of the caller's choice.
    ///
    /// # Errors
    /// `OutOfRange`: more than 292 years. `OutOfMemory`.
    pub fn new(start: Duration) -> Result<ManualClock, Error> {
        let mut clock = null_mut();
        // SAFETY: the output is valid for the call.
        check(unsafe { sys::tb_manual_clock_create(argument_to_ns("start", start)?, &mut clock) })?;
        Ok(ManualClock(Arc::new(Raw::new(clock)?)))
    }

    /// Moves the clock to `now` and wakes whoever is due. A time before the present one leaves it where it is.
    ///
    /// # Errors
    /// `OutOfRange`: more than 292 years.
    pub fn set(&self, now: Duration) -> Result<(), Error> {
        let ns = argument_to_ns("now", now)?;
        // SAFETY: the handle lives as long as self.
        check(unsafe { sys::tb_manual_clock_set(self.0.as_ptr(), ns) })
    }

    /// Moves the clock on and wakes whoever is due.
    ///
    /// # Errors
    /// `OutOfRange`: past 292 years.
    pub fn advance(&self, duration: Duration) -> Result<(), Error> {
        let ns = argument_to_ns("duration", duration)?;
        // SAFETY: the handle lives as long as self.
        match unsafe { sys::tb_manual_clock_advance(self.0.as_ptr(), ns) } {
            sys::TB_SUCCESS => Ok(()),
            status => Err(Error::of(status, || too_long("duration", duration))),
        }
    }

    /// How many threads and futures wait, and when the first is due: a test knows by it, without sleeping, that a
    /// thread waits.
    ///
    /// # Errors
    /// None that is known; a later library may add one.
    pub fn waiters(&self) -> Result<Waiters, Error> {
        let (mut count, mut next_due) = (0, sys::TB_FOREVER);
        // SAFETY: the handle lives as long as self, the outputs for the call.
        check(unsafe { sys::tb_manual_clock_waiters(self.0.as_ptr(), &mut count, &mut next_due) })?;
        Ok(Waiters { count: count as u64, next_due: from_ns(next_due) })
    }
}

impl From<&ManualClock> for Clock {
    fn from(clock: &ManualClock) -> Clock {
        Clock(Source::Manual(clock.clone()))
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("waiters", &self.waiters()).finish_non_exhaustive()
    }
}

/// A clock that asks a function for the time, for programs that have a time of their own. Waits on it sleep for real
/// what remains, then ask again. A clone is the same clock.
#[derive(Clone)]
pub struct CallbackClock(Arc<Callback>);

type Now = dyn Fn() -> Duration + Send + Sync;

// The C clock goes before what it calls: fields are dropped in this order, and each bucket holds an Arc of this beside
// its C bucket, which goes first.
struct Callback {
    raw: Raw,
    _now: Box<Box<Now>>,
}

impl CallbackClock {
    /// `now` tells the time since any fixed origin. It is called with no lock held, from several threads at once; a
    /// time before an earlier one is held at the latest. It must not panic: that aborts the process.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(now: impl Fn() -> Duration + Send + Sync + 'static) -> Result<CallbackClock, Error> {
        let now: Box<Box<Now>> = Box::new(Box::new(now));
        let user: *const Box<Now> = &*now;
        let mut clock = null_mut();
        // SAFETY: the function outlives the C clock, as said at Callback, and is only read.
        check(unsafe { sys::tb_callback_clock_create(Some(ask), user as *mut c_void, &mut clock) })?;
        Ok(CallbackClock(Arc::new(Callback { raw: Raw::new(clock)?, _now: now })))
    }
}

unsafe extern "C" fn ask(user: *mut c_void) -> i64 {
    // SAFETY: `user` is what CallbackClock::new passed.
    let now = &*(user as *const Box<Now>);
    abort_on_panic(|| exact_to_ns(now()).unwrap_or(i64::MAX))
}

impl From<&CallbackClock> for Clock {
    fn from(clock: &CallbackClock) -> Clock {
        Clock(Source::Callback(clock.clone()))
    }
}

impl fmt::Debug for CallbackClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackClock").finish_non_exhaustive()
    }
}

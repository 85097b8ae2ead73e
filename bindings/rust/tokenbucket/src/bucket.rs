use std::fmt;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::amount::to_tokens;
use crate::argument::{check_amount, AMOUNT};
use crate::config::Callees;
use crate::error::check;
use crate::fault::{error_of, Fault};
use crate::queue::Queue;
use crate::time::{from_ns, limit_to_ns};
use crate::wait::wait_through_signals;
use crate::{Amount, Config, Error, Member, Reservation, Wait};

/// A token bucket, for any number of threads at once.
///
/// An amount of tokens is any integer or float that is finite and above 0 (else `InvalidArgument`).
pub struct Bucket {
    raw: NonNull<sys::tb_bucket>,
    closed: AtomicBool,
    is_shared: bool,
    /// The C bucket is destroyed first.
    callees: ManuallyDrop<Callees>,
}

// SAFETY: "All functions may be called from any number of threads at once, on the same handle; only a destroy function
// must be the last call on its handle." (tokenbucket.h, convention 7.) Drop has the bucket to itself. What the C bucket
// calls, the handler and a callback clock, is Send and Sync by its type.
unsafe impl Send for Bucket {}
// SAFETY: as for Send.
unsafe impl Sync for Bucket {}

// A panic leaves no bucket half changed: none happens inside C, since one in what C calls aborts.
impl UnwindSafe for Bucket {}
impl RefUnwindSafe for Bucket {}

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

impl Decision {
    /// What `take` writes, which is tb_take or its like; or its status, where that says that it wrote nothing.
    pub(crate) fn of(take: impl FnOnce(*mut sys::tb_decision) -> sys::tb_status) -> Result<Decision, sys::tb_status> {
        let mut decision = MaybeUninit::<sys::tb_decision>::uninit();
        let status = take(decision.as_mut_ptr());
        if !matches!(status, sys::TB_SUCCESS | sys::TB_DENIED | sys::TB_EXCEEDS_CAPACITY) {
            return Err(status);
        }
        // SAFETY: filled for the three statuses above.
        let decision = unsafe { decision.assume_init() };
        Ok(Decision {
            granted: status == sys::TB_SUCCESS,
            remaining: decision.remaining,
            retry_after: from_ns(decision.retry_after_ns),
            reset_after: from_ns(decision.reset_after_ns),
        })
    }
}

impl Bucket {
    /// A full bucket of up to `capacity` tokens that gains `tokens_per_second`, on the system's monotonic clock.
    /// [`Config`] offers more.
    ///
    /// # Errors
    /// As [`Config::build`].
    pub fn new(capacity: impl Into<Amount>, tokens_per_second: impl Into<Amount>) -> Result<Bucket, Error> {
        Config::per_second(capacity, tokens_per_second).build()
    }

    /// The config is that of the callees.
    pub(crate) fn create(config: &sys::tb_config, callees: Callees) -> Result<Bucket, Error> {
        Bucket::open(callees, false, |bucket| {
            // SAFETY: the config and the outputs live for the calls.
            match unsafe { sys::tb_create_with(config, bucket) } {
                sys::TB_SUCCESS => Ok(()),
                status => Err(refused(status, config)),
            }
        })
    }

    /// What `open`, tb_create_with or its like, writes. What the C bucket calls lives as long as it does, by the callees
    /// that are kept.
    pub(crate) fn open<E: From<Error>>(
        callees: Callees,
        is_shared: bool,
        open: impl FnOnce(&mut *mut sys::tb_bucket) -> Result<(), E>,
    ) -> Result<Bucket, E> {
        let mut bucket = null_mut();
        open(&mut bucket)?;
        let raw = NonNull::new(bucket).ok_or(Error::OutOfMemory)?;
        Ok(Bucket { raw, closed: AtomicBool::new(false), is_shared, callees: ManuallyDrop::new(callees) })
    }

    /// Takes `n` tokens if they are there now, all or nothing. Never blocks. `Ok(false)`: denied, nothing taken.
    ///
    /// # Errors
    /// `ExceedsCapacity`: never to be granted. `Closed`.
    #[inline]
    pub fn allow(&self, n: impl Into<Amount>) -> Result<bool, Error> {
        let n = to_tokens(n);
        // SAFETY: the handle lives as long as self.
        match unsafe { sys::tb_allow(self.as_raw(), n) } {
            sys::TB_DENIED => Ok(false),
            status => check_amount(status, n).map(|()| true),
        }
    }

    /// As [`allow`](Bucket::allow), and says why. An `n` above the capacity is denied with no time to retry.
    ///
    /// # Errors
    /// `Closed`.
    pub fn take(&self, n: impl Into<Amount>) -> Result<Decision, Error> {
        let n = to_tokens(n);
        // SAFETY: the handle lives as long as self, the output for the call.
        Decision::of(|decision| unsafe { sys::tb_take(self.as_raw(), n, decision) })
            .map_err(|status| Error::of_amount(status, "n", AMOUNT, n))
    }

    /// Takes `n` tokens now, into debt if need be, and says when they may be used. Never blocks. It is refused at
    /// once, nothing taken, if it would have to wait longer than `max_wait` (None: no limit).
    ///
    /// # Errors
    /// `TimedOut`, `ExceedsCapacity`, `Closed`. `OutOfRange`: the debt would pass what the bucket can count.
    /// `OutOfMemory`.
    pub fn reserve(&self, n: impl Into<Amount>, max_wait: Option<Duration>) -> Result<Reservation<'_>, Error> {
        let n = to_tokens(n);
        let mut reservation = MaybeUninit::uninit();
        // SAFETY: the handle lives as long as self; the output is filled on success.
        unsafe {
            let status = sys::tb_reserve(self.as_raw(), n, limit_to_ns(max_wait), reservation.as_mut_ptr());
            self.outcome(n, status)?;
            Ok(Reservation::new(Queue::Bucket(self), reservation.assume_init()))
        }
    }

    /// Takes as many whole tokens as are there now, at most `most`; it may be 0. Never blocks.
    ///
    /// # Errors
    /// `Closed`.
    pub fn take_up_to(&self, most: impl Into<Amount>) -> Result<f64, Error> {
        let (most, mut taken) = (to_tokens(most), 0.0);
        // SAFETY: the handle lives as long as self, the output for the call.
        match unsafe { sys::tb_take_up_to(self.as_raw(), most, &mut taken) } {
            sys::TB_SUCCESS => Ok(taken),
            status => Err(Error::of_amount(status, "most", AMOUNT, most)),
        }
    }

    /// Takes `n` tokens, blocking the thread until they are there. Threads and futures that wait are served in the order
    /// in which they came; later calls, large or small, do not overtake. A change of the bucket, such as a refund or a
    /// new rate, plans those who wait anew.
    ///
    /// A signal handler that runs meanwhile does not end the wait, but moves it to the end of the queue. To end waits
    /// from outside, close the bucket.
    ///
    /// # Errors
    /// `Closed`: also when the bucket is closed meanwhile; the tokens are given back. `ExceedsCapacity`: also when the
    /// capacity falls below `n` meanwhile. `QueueFull`: see [`Config::max_waiters`]. `TimedOut`: not within any time
    /// that can be expressed. `OutOfRange`: the queue's debt would be more than a bucket can count. `OutOfMemory`.
    pub fn wait(&self, n: impl Into<Amount>) -> Result<(), Error> {
        self.wait_with(n, None, 0)
    }

    /// As [`wait`](Bucket::wait), but `TimedOut` at once, with nothing taken, if the tokens cannot be had within
    /// `timeout`; later, if a change of the bucket, a higher priority or a signal handler moves the wait beyond it.
    ///
    /// # Errors
    /// `TimedOut`, and as `wait`.
    pub fn wait_timeout(&self, n: impl Into<Amount>, timeout: Duration) -> Result<(), Error> {
        self.wait_with(n, Some(timeout), 0)
    }

    /// As [`wait_timeout`](Bucket::wait_timeout), or without a `timeout` as [`wait`](Bucket::wait), with a priority:
    /// who has a higher one is served first. That of the other waits is 0.
    ///
    /// # Errors
    /// As `wait_timeout`.
    pub fn wait_with(&self, n: impl Into<Amount>, timeout: Option<Duration>, priority: i32) -> Result<(), Error> {
        let n = to_tokens(n);
        // SAFETY: the handle lives as long as self.
        let wait = |timeout_ns| unsafe { sys::tb_wait_with(self.as_raw(), n, timeout_ns, priority) };
        self.outcome(n, wait_through_signals(timeout, wait))
    }

    /// As [`wait`](Bucket::wait), as a future: it occupies no thread and needs no particular executor. The place in
    /// the order, that of threads that wait, is taken when it is first polled. Dropped before it is ready, it gives its
    /// tokens back. Of a shared bucket or key it learns within 100 ms what other processes change, as by a close.
    ///
    /// What it ends with: as `wait`; and `System` if the thread that wakes futures cannot be started.
    pub fn wait_async(&self, n: impl Into<Amount>) -> Wait<'_> {
        self.wait_with_async(n, None, 0)
    }

    /// As [`wait_timeout`](Bucket::wait_timeout), as a future; the timeout counts from its first poll.
    pub fn wait_timeout_async(&self, n: impl Into<Amount>, timeout: Duration) -> Wait<'_> {
        self.wait_with_async(n, Some(timeout), 0)
    }

    /// As [`wait_with`](Bucket::wait_with), as a future; the timeout counts from its first poll.
    pub fn wait_with_async(&self, n: impl Into<Amount>, timeout: Option<Duration>, priority: i32) -> Wait<'_> {
        Wait::new(Queue::Bucket(self), to_tokens(n), timeout, priority)
    }

    /// The bucket as one of several limits of a decision, in which it is to pay `n` tokens: see
    /// [`Limits`](crate::Limits).
    pub fn member(&self, n: impl Into<Amount>) -> Member<'_> {
        Member::of_bucket(self, to_tokens(n))
    }

    /// Closes the bucket for good: threads and futures that wait end with `Closed`, their tokens given back, and every
    /// later call that takes tokens or changes the bucket says `Closed`. Looking goes on working. Closing twice is no
    /// error.
    ///
    /// # Errors
    /// None that is known; a later library may add one.
    pub fn close(&self) -> Result<(), Error> {
        // First the flag, so that it is set for whoever learns of it by an error.
        self.closed.store(true, Ordering::SeqCst);
        // SAFETY: the handle lives as long as self.
        check(unsafe { sys::tb_close(self.as_raw()) })
    }

    /// Whether the bucket was closed by this object.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    pub(crate) fn callees(&self) -> &Callees {
        &self.callees
    }

    /// What a wait or a reservation of `n` ended with.
    pub(crate) fn outcome(&self, n: f64, status: sys::tb_status) -> Result<(), Error> {
        match status {
            sys::TB_TIMED_OUT => Err(Error::TimedOut { retry_after: self.time_until(n).ok().flatten() }),
            status => check_amount(status, n),
        }
    }

    #[inline]
    pub(crate) fn as_raw(&self) -> *mut sys::tb_bucket {
        self.raw.as_ptr()
    }
}

/// Of a config that tb_create_with or its like refused. `Unknown`: not for the config's sake.
pub(crate) fn refused(status: sys::tb_status, config: &sys::tb_config) -> Error {
    // SAFETY: the config and the output live for the call.
    let fault = Fault::of(|fault| unsafe { sys::tb_config_check(config, fault) });
    error_of(status, config, "a bucket", fault, |_| None)
}

impl Drop for Bucket {
    fn drop(&mut self) {
        if self.callees.are_held() {
            // Whatever stands in a queue must leave before. What was forgotten never does, so the bucket stays with it.
            let _ = self.close();
            return;
        }
        // SAFETY: nothing borrows self, so this is the last call on the handle, and nothing is called after it.
        unsafe {
            sys::tb_destroy(self.as_raw());
            ManuallyDrop::drop(&mut self.callees);
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("limit", &self.limit())
            .field("available", &self.available())
            .finish_non_exhaustive()
    }
}

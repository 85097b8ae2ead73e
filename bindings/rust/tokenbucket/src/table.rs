use std::fmt;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::raw::c_void;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::amount::to_tokens;
use crate::argument::AMOUNT;
use crate::config::Callees;
use crate::error::check;
use crate::queue::Queue;
use crate::time::limit_to_ns;
use crate::wait::wait_through_signals;
use crate::{Amount, Config, Decision, Error, Member, Reservation, TableConfig, Wait};

/// A bucket for each key, such as a user or an address, all under one limit, in memory that is fixed when it is created.
///
/// A key is any bytes, up to [`MAX_KEY_SIZE`](Table::MAX_KEY_SIZE) of them (else `KeyTooLong`): text, an
/// [`AddressKey`](crate::AddressKey), a number by its `to_be_bytes()`. One that has not been asked for is full, so keys
/// need no creating, and a key whose bucket is full again makes room for others. A table holds those that have taken
/// something of late, however many there are in all; [`WhenFull`](crate::WhenFull) says what becomes of one that finds
/// no room.
///
/// The methods are those of a [`Bucket`](crate::Bucket), for one key.
pub struct Table {
    raw: NonNull<sys::tb_table>,
    closed: AtomicBool,
    is_shared: bool,
    /// The C table is destroyed first.
    callees: ManuallyDrop<Callees>,
}

// SAFETY: as for Bucket.
unsafe impl Send for Table {}
// SAFETY: as for Send.
unsafe impl Sync for Table {}

// A panic leaves no table half changed: none happens inside C, since one in what C calls aborts.
impl UnwindSafe for Table {}
impl RefUnwindSafe for Table {}

impl Table {
    /// The bytes of the longest key.
    pub const MAX_KEY_SIZE: usize = sys::TB_MAX_KEY_SIZE as usize;

    /// A table in which each key may take `capacity` tokens at once and gains `tokens_per_second`, with room for
    /// `max_keys` keys that are not full at one time, on the system's monotonic clock. [`TableConfig`] offers more.
    ///
    /// # Errors
    /// As [`TableConfig::build`].
    pub fn new(
        capacity: impl Into<Amount>,
        tokens_per_second: impl Into<Amount>,
        max_keys: u64,
    ) -> Result<Table, Error> {
        TableConfig::with_max_keys(Config::per_second(capacity, tokens_per_second), max_keys).build()
    }

    /// What `open`, tb_table_create_with or its like, writes. What the C table calls lives as long as it does, by the
    /// callees that are kept.
    pub(crate) fn open<E: From<Error>>(
        callees: Callees,
        is_shared: bool,
        open: impl FnOnce(&mut *mut sys::tb_table) -> Result<(), E>,
    ) -> Result<Table, E> {
        let mut table = null_mut();
        open(&mut table)?;
        let raw = NonNull::new(table).ok_or(Error::OutOfMemory)?;
        Ok(Table { raw, closed: AtomicBool::new(false), is_shared, callees: ManuallyDrop::new(callees) })
    }

    /// Takes `n` tokens of the key if they are there now, all or nothing. Never blocks. `Ok(false)`: denied, nothing
    /// taken.
    ///
    /// # Errors
    /// `ExceedsCapacity`: never to be granted. `TableFull`, `Closed`.
    #[inline]
    pub fn allow(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<bool, Error> {
        let (key, n) = (key.as_ref(), to_tokens(n));
        // SAFETY: the handle lives as long as self, the key for the call.
        is_allowed(key.len(), n, unsafe { sys::tb_table_allow(self.as_raw(), start(key), key.len(), n) })
    }

    /// As [`allow`](Table::allow), and says why. An `n` above the capacity is denied with no time to retry.
    ///
    /// # Errors
    /// `TableFull`, `Closed`.
    pub fn take(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<Decision, Error> {
        let (key, n) = (key.as_ref(), to_tokens(n));
        // SAFETY: the handle lives as long as self, the key and the output for the call.
        Decision::of(|decision| unsafe { sys::tb_table_take(self.as_raw(), start(key), key.len(), n, decision) })
            .map_err(|status| error_for(key.len(), "n", n, status))
    }

    /// Takes as many whole tokens of the key as are there now, at most `most`; it may be 0. Never blocks.
    ///
    /// # Errors
    /// `TableFull`, `Closed`.
    pub fn take_up_to(&self, key: impl AsRef<[u8]>, most: impl Into<Amount>) -> Result<f64, Error> {
        let (key, most) = (key.as_ref(), to_tokens(most));
        let mut taken = 0.0;
        // SAFETY: the handle lives as long as self, the key and the output for the call.
        match unsafe { sys::tb_table_take_up_to(self.as_raw(), start(key), key.len(), most, &mut taken) } {
            sys::TB_SUCCESS => Ok(taken),
            status => Err(error_for(key.len(), "most", most, status)),
        }
    }

    /// [`allow`](Table::allow) for many keys, each with its amount, in their order; faster than as many calls where the
    /// table is larger than the processor's caches. The same key may occur again.
    ///
    /// # Errors
    /// `KeyTooLong`: then nothing is taken. What is to be said of one key alone is in its answer.
    pub fn allow_many<K: AsRef<[u8]>, N: Into<Amount>>(
        &self,
        requests: impl IntoIterator<Item = (K, N)>,
    ) -> Result<Vec<Result<bool, Error>>, Error> {
        let (mut keys, mut sizes, mut amounts) = (Vec::new(), Vec::new(), Vec::new());
        for (key, n) in requests {
            let key = key.as_ref();
            if key.len() > Table::MAX_KEY_SIZE {
                return Err(Error::KeyTooLong { size: key.len() });
            }
            keys.extend_from_slice(key);
            sizes.push(key.len());
            amounts.push(to_tokens(n));
        }
        let mut answers = vec![sys::TB_SUCCESS; sizes.len()];
        // SAFETY: the handle lives as long as self; sizes, amounts and answers have an element for each key, and keys
        // has the bytes of all.
        check(unsafe {
            let (keys, sizes, amounts) = (start(&keys), sizes.as_ptr(), amounts.as_ptr());
            sys::tb_table_allow_many(self.as_raw(), keys, sizes, amounts, answers.len(), answers.as_mut_ptr())
        })?;
        Ok(answers.into_iter().zip(amounts).map(|(status, n)| is_allowed(0, n, status)).collect())
    }

    /// Takes `n` tokens of the key, blocking the thread until they are there. Each key has a queue of its own, in which
    /// threads and futures stand as in that of a bucket.
    ///
    /// # Errors
    /// As [`Bucket::wait`](crate::Bucket::wait). `TableFull`: also with [`WhenFull::Admit`](crate::WhenFull::Admit).
    pub fn wait(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<(), Error> {
        self.wait_with(key, n, None, 0)
    }

    /// As [`wait`](Table::wait), but `TimedOut` at once, with nothing taken, if the tokens cannot be had within
    /// `timeout`; later, if a change of the key's bucket, a higher priority or a signal handler moves the wait beyond
    /// it.
    ///
    /// # Errors
    /// `TimedOut`, and as `wait`.
    pub fn wait_timeout(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>, timeout: Duration) -> Result<(), Error> {
        self.wait_with(key, n, Some(timeout), 0)
    }

    /// As [`wait_timeout`](Table::wait_timeout), or without a `timeout` as [`wait`](Table::wait), with a priority: who
    /// has a higher one is served first. That of the other waits is 0.
    ///
    /// # Errors
    /// As `wait_timeout`.
    pub fn wait_with(
        &self,
        key: impl AsRef<[u8]>,
        n: impl Into<Amount>,
        timeout: Option<Duration>,
        priority: i32,
    ) -> Result<(), Error> {
        let (key, n) = (key.as_ref(), to_tokens(n));
        let (start, size) = (start(key), key.len());
        // SAFETY: the handle lives as long as self, the key for the call.
        let wait = |timeout_ns| unsafe { sys::tb_table_wait_with(self.as_raw(), start, size, n, timeout_ns, priority) };
        self.outcome(key, n, wait_through_signals(timeout, wait))
    }

    /// As [`wait`](Table::wait), as a future with a copy of the key: as
    /// [`Bucket::wait_async`](crate::Bucket::wait_async).
    pub fn wait_async(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Wait<'_> {
        self.wait_with_async(key, n, None, 0)
    }

    /// As [`wait_timeout`](Table::wait_timeout), as a future; the timeout counts from its first poll.
    pub fn wait_timeout_async(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>, timeout: Duration) -> Wait<'_> {
        self.wait_with_async(key, n, Some(timeout), 0)
    }

    /// As [`wait_with`](Table::wait_with), as a future; the timeout counts from its first poll.
    pub fn wait_with_async(
        &self,
        key: impl AsRef<[u8]>,
        n: impl Into<Amount>,
        timeout: Option<Duration>,
        priority: i32,
    ) -> Wait<'_> {
        Wait::new(Queue::of_key(self, key.as_ref()), to_tokens(n), timeout, priority)
    }

    /// Takes `n` tokens of the key now, into debt if need be, and says when they may be used. Never blocks. It is
    /// refused at once, nothing taken, if it would have to wait longer than `max_wait` (None: no limit).
    ///
    /// # Errors
    /// As [`Bucket::reserve`](crate::Bucket::reserve). `TableFull`: also with
    /// [`WhenFull::Admit`](crate::WhenFull::Admit).
    pub fn reserve(
        &self,
        key: impl AsRef<[u8]>,
        n: impl Into<Amount>,
        max_wait: Option<Duration>,
    ) -> Result<Reservation<'_>, Error> {
        let (key, n) = (key.as_ref(), to_tokens(n));
        let mut reservation = MaybeUninit::uninit();
        let (max_wait_ns, out) = (limit_to_ns(max_wait), reservation.as_mut_ptr());
        // SAFETY: the handle lives as long as self, the key for the call; the output is filled on success.
        unsafe {
            let status = sys::tb_table_reserve(self.as_raw(), start(key), key.len(), n, max_wait_ns, out);
            self.outcome(key, n, status)?;
            Ok(Reservation::new(Queue::of_key(self, key), reservation.assume_init()))
        }
    }

    /// The key as one of several limits of a decision, in which it is to pay `n` tokens: see [`Limits`](crate::Limits).
    pub fn member<'limiter, K: AsRef<[u8]> + ?Sized>(
        &'limiter self,
        key: &'limiter K,
        n: impl Into<Amount>,
    ) -> Member<'limiter> {
        Member::of_key(self, key.as_ref(), to_tokens(n))
    }

    /// Closes the table for good, as [`Bucket::close`](crate::Bucket::close).
    ///
    /// # Errors
    /// None that is known; a later library may add one.
    pub fn close(&self) -> Result<(), Error> {
        // First the flag, so that it is set for whoever learns of it by an error.
        self.closed.store(true, Ordering::SeqCst);
        // SAFETY: the handle lives as long as self.
        check(unsafe { sys::tb_table_close(self.as_raw()) })
    }

    /// Whether the table was closed by this object.
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
    pub(crate) fn outcome(&self, key: &[u8], n: f64, status: sys::tb_status) -> Result<(), Error> {
        match status {
            sys::TB_TIMED_OUT => Err(Error::TimedOut { retry_after: self.time_until(key, n).ok().flatten() }),
            status => check_for(key, n, status),
        }
    }

    #[inline]
    pub(crate) fn as_raw(&self) -> *mut sys::tb_table {
        self.raw.as_ptr()
    }
}

#[inline]
pub(crate) fn start(key: &[u8]) -> *const c_void {
    key.as_ptr().cast()
}

/// Success, or the error of any other status of a call for `n` tokens of that key.
pub(crate) fn check_for(key: &[u8], n: f64, status: sys::tb_status) -> Result<(), Error> {
    match status {
        sys::TB_SUCCESS => Ok(()),
        other => Err(error_for(key.len(), "n", n, other)),
    }
}

#[cold]
fn error_for(size: usize, name: &'static str, n: f64, status: sys::tb_status) -> Error {
    match status {
        sys::TB_E_INVALID_ARGUMENT if size > Table::MAX_KEY_SIZE => Error::KeyTooLong { size },
        other => Error::of_amount(other, name, AMOUNT, n),
    }
}

#[inline]
fn is_allowed(size: usize, n: f64, status: sys::tb_status) -> Result<bool, Error> {
    match status {
        sys::TB_SUCCESS => Ok(true),
        sys::TB_DENIED => Ok(false),
        other => Err(error_for(size, "n", n, other)),
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if self.callees.are_held() {
            // Whatever stands in a queue must leave before. What was forgotten never does, so the table stays with it.
            let _ = self.close();
            return;
        }
        // SAFETY: nothing borrows self, so this is the last call on the handle, and nothing is called after it.
        unsafe {
            sys::tb_table_destroy(self.as_raw());
            ManuallyDrop::drop(&mut self.callees);
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("limit", &self.limit()).finish_non_exhaustive()
    }
}

use std::ffi::CStr;
use std::fmt;
use std::ptr::{null_mut, NonNull};
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::amount::to_tokens;
use crate::argument::{AMOUNT, LEVEL};
use crate::config::defaults;
use crate::error::check;
use crate::fault::{error_of, Fault};
use crate::remote::{Call, RemoteAnswer, RemoteMember, RemoteReservation};
use crate::time::{exact_to_ns, limit_to_ns};
use crate::{Amount, Argument, Config, Error, Limit, Table};

/// A limit whose buckets lie on a server: makes [`Call`]s and reads their replies, without I/O. It does not change, so
/// any number of threads may use it.
///
/// A key is any bytes; on the server it stands behind the [`prefix`](RemoteLimit::prefix), with which it has at most
/// [`Table::MAX_KEY_SIZE`] bytes (else `KeyTooLong`). Each function makes the call of its name, and knows these errors
/// without asking: `InvalidArgument`, an amount that is not above 0 and finite; `ExceedsCapacity`, more than the bucket
/// can ever hold.
///
/// Reservations, charges, refunds and resets use a second key, in the same slot of a cluster. For these a key that has
/// no tag in braces must not hold a closing brace (else `InvalidArgument`).
pub struct RemoteLimit {
    raw: NonNull<sys::tb_remote>,
    max_wait: Duration,
    prefix: Vec<u8>,
}

// SAFETY: "A tb_remote does not change: any number of threads may use it." (tokenbucket.h.) Drop has it to itself.
unsafe impl Send for RemoteLimit {}
// SAFETY: as for Send.
unsafe impl Sync for RemoteLimit {}

impl RemoteLimit {
    /// How many keys there may be in one [`Call::take_each`].
    pub const MAX_KEYS: usize = sys::TB_REMOTE_MAX_KEYS as usize;

    /// The `max_wait` that all languages of this library take if nothing is said, so that they share their keys.
    pub const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(60);

    /// The limit of each key. No bucket may owe more than accrues in `max_wait`, whole microseconds of which count:
    /// nobody waits longer, and with zero nobody waits. If the server's clock is set back, a key is denied for at most
    /// that and the time of a fill.
    ///
    /// All processes of a fleet give the same limit and the same `max_wait`.
    ///
    /// # Errors
    /// As [`Config::build`]. `OutOfRange`: also a limit that the server, which counts with 53 bits, cannot count
    /// exactly: as a rule a rate of more than 9 digits, or a bucket that takes more than 285 years to fill.
    /// `Unsupported`: the config has more than a limit.
    pub fn new(limit: Config, max_wait: Duration) -> Result<RemoteLimit, Error> {
        let (mut config, _callees) = limit.into_raw()?;
        config.on_wake = None;
        let mut remote = null_mut();
        // One that cannot be expressed is too long for any server, too.
        let max_wait_ns = exact_to_ns(max_wait).unwrap_or(i64::MAX);
        // SAFETY: the callees live for the call, which keeps none of them.
        let status = unsafe { sys::tb_remote_create(&config, max_wait_ns, &mut remote) };
        if status != sys::TB_SUCCESS {
            // SAFETY: the config and the output live for the call.
            let fault = Fault::of(|fault| unsafe { sys::tb_remote_config_check(&config, max_wait_ns, fault) });
            return Err(error_of(status, &config, "a limit of a server", fault, |fault| {
                let is_it = fault.field == "max_wait_ns";
                is_it.then(|| fault.argument("max_wait", format_args!("{:?}", max_wait)))
            }));
        }
        let raw = NonNull::new(remote).ok_or(Error::OutOfMemory)?;
        Ok(RemoteLimit { raw, max_wait, prefix: b"tb:".to_vec() })
    }

    /// What stands before each key on the server, instead of `tb:`. Limits that share a server need a prefix each, such
    /// as `tb:uploads:`.
    #[must_use]
    pub fn prefix(self, prefix: impl AsRef<[u8]>) -> RemoteLimit {
        let mut limit = self;
        limit.prefix = prefix.as_ref().to_vec();
        limit
    }

    /// The limit, and the unit in which the server counts.
    ///
    /// # Errors
    /// None that is known; a later library may add one.
    pub fn limit(&self) -> Result<Limit, Error> {
        let mut config = defaults()?;
        // SAFETY: the handle lives as long as self, the output for the call; its size is that of the type.
        check(unsafe { sys::tb_remote_get_limit(self.as_raw(), &mut config) })?;
        Ok(Limit::of(&config))
    }

    /// Takes `n` tokens if they are there now, all or nothing: [`RemoteAnswer::granted`].
    pub fn take(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<Call<'_, RemoteAnswer>, Error> {
        Call::of_bucket(self.key(key)?, sys::tb_remote_take, ("n", AMOUNT, to_tokens(n)))
    }

    /// Takes as many whole tokens as are there now, at most `most`; it may be 0.
    pub fn take_up_to(&self, key: impl AsRef<[u8]>, most: impl Into<Amount>) -> Result<Call<'_, RemoteAnswer>, Error> {
        Call::of_bucket(self.key(key)?, sys::tb_remote_take_up_to, ("most", AMOUNT, to_tokens(most)))
    }

    /// The take of `n` tokens as one of those of [`Call::take_all`] or [`Call::take_each`].
    ///
    /// # Errors
    /// `KeyTooLong`.
    pub fn member(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<RemoteMember<'_>, Error> {
        Ok(RemoteMember::new(self.key(key)?, to_tokens(n)))
    }

    /// Takes `n` tokens now, into debt if need be, and says when they may be used. It is refused, nothing taken, if
    /// that is later than in `max_wait` (None: that of the limit, which also bounds it).
    pub fn reserve(
        &self,
        key: impl AsRef<[u8]>,
        n: impl Into<Amount>,
        max_wait: Option<Duration>,
    ) -> Result<Call<'_, RemoteReservation<'_>>, Error> {
        Call::reserve(self.key(key)?, to_tokens(n), limit_to_ns(max_wait))
    }

    /// Takes `n` tokens unconditionally, into debt if need be.
    ///
    /// # Errors
    /// `OutOfRange`, now or when the answer is read: more debt than accrues in the limit's `max_wait`; nothing is taken
    /// then.
    pub fn charge(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<Call<'_, RemoteAnswer>, Error> {
        Call::of_queue(self.key(key)?, sys::tb_remote_charge, ("n", AMOUNT, to_tokens(n)))
    }

    /// Puts `n` tokens in, at most up to the capacity; the rest is dropped. Reservations keep their times.
    pub fn refund(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<Call<'_, RemoteAnswer>, Error> {
        Call::of_queue(self.key(key)?, sys::tb_remote_refund, ("n", AMOUNT, to_tokens(n)))
    }

    /// Sets the tokens in the bucket, 0 to the capacity, and forgives all debt. Reservations that are not due are void.
    pub fn reset(&self, key: impl AsRef<[u8]>, tokens: impl Into<Amount>) -> Result<Call<'_, RemoteAnswer>, Error> {
        let level = to_tokens(tokens);
        // The library reads -1 as "full"; here that is `fill`.
        if level < 0.0 {
            return Err(Error::of_amount(sys::TB_E_INVALID_ARGUMENT, "tokens", LEVEL, level));
        }
        Call::of_queue(self.key(key)?, sys::tb_remote_reset, ("tokens", LEVEL, level))
    }

    /// As [`reset`](RemoteLimit::reset) to the capacity.
    pub fn fill(&self, key: impl AsRef<[u8]>) -> Result<Call<'_, RemoteAnswer>, Error> {
        Call::of_queue(self.key(key)?, sys::tb_remote_reset, ("tokens", LEVEL, sys::TB_INITIALLY_FULL))
    }

    /// Takes nothing: what is left, and how long until `n` tokens would be there.
    pub fn peek(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<Call<'_, RemoteAnswer>, Error> {
        Call::of_bucket(self.key(key)?, sys::tb_remote_peek, ("n", AMOUNT, to_tokens(n)))
    }

    pub(super) fn max_wait(&self) -> Duration {
        self.max_wait
    }

    pub(super) fn as_raw(&self) -> *const sys::tb_remote {
        self.raw.as_ptr()
    }

    fn key(&self, key: impl AsRef<[u8]>) -> Result<RemoteKey<'_>, Error> {
        let bytes = [&self.prefix, key.as_ref()].concat();
        if bytes.len() > Table::MAX_KEY_SIZE {
            return Err(Error::KeyTooLong { size: bytes.len() });
        }
        Ok(RemoteKey { limit: self, bytes })
    }
}

impl Drop for RemoteLimit {
    fn drop(&mut self) {
        // SAFETY: nothing borrows self, so this is the last call on the handle.
        unsafe { sys::tb_remote_destroy(self.raw.as_ptr()) }
    }
}

impl fmt::Debug for RemoteLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteLimit")
            .field("limit", &self.limit())
            .field("max_wait", &self.max_wait)
            .field("prefix", &String::from_utf8_lossy(&self.prefix))
            .finish_non_exhaustive()
    }
}

/// The key on the server, prefix included, of a bucket under the limit.
#[derive(Clone, Debug)]
pub(super) struct RemoteKey<'limit> {
    pub(super) limit: &'limit RemoteLimit,
    bytes: Vec<u8>,
}

impl RemoteKey<'_> {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn queue_key(&self) -> Result<Vec<u8>, Error> {
        let mut queue_key = vec![0; self.bytes.len() + sys::TB_REMOTE_QUEUE_KEY_ADDS as usize];
        let mut size = 0;
        // SAFETY: the key lives for the call, and the output has the room that is asked for.
        let status = unsafe {
            let (key, out) = (self.bytes.as_ptr().cast(), queue_key.as_mut_ptr().cast());
            sys::tb_remote_queue_key(key, self.bytes.len(), out, &mut size)
        };
        if status != sys::TB_SUCCESS {
            let allowed = "with a tag in braces, or without a closing brace and not empty";
            return Err(Error::of(status, || Argument::new("key", allowed, self.text())));
        }
        queue_key.truncate(size);
        Ok(queue_key)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// It points into self.
    pub(super) fn member(&self, n: f64) -> sys::tb_remote_member {
        let (key, key_size) = (self.bytes.as_ptr().cast(), self.bytes.len());
        sys::tb_remote_member { remote: self.limit.as_raw(), key, key_size, n }
    }
}

/// The text of the script, the same for all limits: for `SCRIPT LOAD` when a program starts, which saves the first call
/// from being sent twice.
pub fn script() -> &'static str {
    // SAFETY: the text is static and terminated.
    text(unsafe { CStr::from_ptr(sys::tb_remote_script()) })
}

/// The SHA-1 of the script, by which the server knows it: 40 lower-case hexadecimal digits.
pub fn script_sha1() -> &'static str {
    // SAFETY: the text is static and terminated.
    text(unsafe { CStr::from_ptr(sys::tb_remote_script_sha1()) })
}

fn text(ascii: &'static CStr) -> &'static str {
    ascii.to_str().unwrap_or_default()
}

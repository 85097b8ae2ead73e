//! What changes a bucket without asking it for tokens.
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::amount::to_tokens;
use crate::argument::{check_amount, LEVEL};
use crate::error::check;
use crate::fault::{check_capacity, check_rate};
use crate::time::from_ns;
use crate::{Amount, Bucket, Error};

impl Bucket {
    /// Takes `n` tokens unconditionally, more than the capacity if need be, going into debt: for work whose cost is
    /// known afterwards. Never blocks. Those who wait get later times. Answers how long it takes until the debt is
    /// repaid, zero without debt; None: not within any time that can be expressed.
    ///
    /// # Errors
    /// `OutOfRange`: the debt would be more than a bucket can count. `Closed`.
    pub fn charge(&self, n: impl Into<Amount>) -> Result<Option<Duration>, Error> {
        let (n, mut ns) = (to_tokens(n), 0);
        // SAFETY: the handle lives as long as self, the output for the call.
        check_amount(unsafe { sys::tb_charge(self.as_raw(), n, &mut ns) }, n)?;
        Ok(from_ns(ns))
    }

    /// Puts `n` tokens in, at most up to the capacity; the rest is dropped. Those who wait move up.
    ///
    /// # Errors
    /// `Closed`.
    pub fn refund(&self, n: impl Into<Amount>) -> Result<(), Error> {
        let n = to_tokens(n);
        // SAFETY: the handle lives as long as self.
        check_amount(unsafe { sys::tb_refund(self.as_raw(), n) }, n)
    }

    /// Sets the tokens in the bucket, 0 to the capacity, and forgives all debt. Those who wait are served first, in
    /// order; reservations that are not due are void.
    ///
    /// # Errors
    /// `ExceedsCapacity`. `InvalidArgument`: negative, or not a number. `Closed`.
    pub fn reset(&self, tokens: impl Into<Amount>) -> Result<(), Error> {
        let level = to_tokens(tokens);
        let status = match level < 0.0 {
            // The library reads -1 as "full"; here that is `fill`.
            true => sys::TB_E_INVALID_ARGUMENT,
            // SAFETY: the handle lives as long as self.
            false => unsafe { sys::tb_reset(self.as_raw(), level) },
        };
        check_level(status, level)
    }

    /// As [`reset`](Bucket::reset) to the capacity.
    ///
    /// # Errors
    /// `Closed`.
    pub fn fill(&self) -> Result<(), Error> {
        // SAFETY: the handle lives as long as self.
        check(unsafe { sys::tb_reset(self.as_raw(), sys::TB_INITIALLY_FULL) })
    }

    /// Sets the tokens in the bucket, 0 to the capacity, to what a server said is left: what was taken or owed so far
    /// is forgotten. Those who wait keep their order and get new times, reservations keep theirs; both are taken off
    /// what [`available`](Bucket::available) then shows.
    ///
    /// # Errors
    /// `ExceedsCapacity`. `InvalidArgument`: negative, or not a number. `Closed`.
    pub fn set_tokens(&self, tokens: impl Into<Amount>) -> Result<(), Error> {
        let level = to_tokens(tokens);
        // SAFETY: the handle lives as long as self.
        check_level(unsafe { sys::tb_set_tokens(self.as_raw(), level) }, level)
    }

    /// Changes the rate at once. Tokens and debts are kept, the latter are repaid at the new rate. Threads and futures
    /// that wait get new times in the same order; reservations keep theirs.
    ///
    /// # Errors
    /// `OutOfRange`: outside 1e-9 ..= 1e10. `InvalidArgument`: not a number, or infinite. `Closed`.
    pub fn set_rate(&self, tokens_per_second: impl Into<Amount>) -> Result<(), Error> {
        let rate = to_tokens(tokens_per_second);
        // SAFETY: the handle lives as long as self.
        check_rate(unsafe { sys::tb_set_rate(self.as_raw(), rate) }, rate, "one that this bucket can count")
    }

    /// Changes the capacity at once. Tokens above a smaller one are dropped; a wait for more than that ends with
    /// `ExceedsCapacity`.
    ///
    /// # Errors
    /// `OutOfRange`: outside 1e-6 ..= 1e15, or more than 2^58 times [`Limit::unit`](crate::Limit::unit).
    /// `InvalidArgument`: not a number, or infinite. `Closed`.
    pub fn set_capacity(&self, capacity: impl Into<Amount>) -> Result<(), Error> {
        let capacity = to_tokens(capacity);
        // SAFETY: the handle lives as long as self.
        let status = unsafe { sys::tb_set_capacity(self.as_raw(), capacity) };
        check_capacity(status, capacity, "from 1 to 2^58 units of this bucket")
    }
}

fn check_level(status: sys::tb_status, level: f64) -> Result<(), Error> {
    match status {
        sys::TB_SUCCESS => Ok(()),
        other => Err(Error::of_amount(other, "tokens", LEVEL, level)),
    }
}

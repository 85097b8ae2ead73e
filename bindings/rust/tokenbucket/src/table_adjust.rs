//! What looks at the buckets of a table, or changes them, without asking them for tokens.
use std::mem::size_of;
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::amount::to_tokens;
use crate::config::defaults;
use crate::error::check;
use crate::fault::{check_capacity, check_rate};
use crate::table::{check_for, start};
use crate::time::from_ns;
use crate::{Amount, Error, Limit, Table};

/// What [`Table::stats`] tells.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TableStats {
    /// For keys, free ones included.
    pub places: u64,
    /// By keys that are not full now.
    pub occupied: u64,
    /// Keys so far.
    pub evicted: u64,
    /// What evicted keys had spent, and what [`WhenFull::Admit`](crate::WhenFull::Admit) granted.
    pub tokens_forgiven: f64,
}

impl Table {
    /// Takes `n` tokens of the key unconditionally: as [`Bucket::charge`](crate::Bucket::charge).
    ///
    /// # Errors
    /// `OutOfRange`: the debt would be more than a bucket can count. `TableFull`, `Closed`.
    pub fn charge(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<Option<Duration>, Error> {
        let (key, n) = (key.as_ref(), to_tokens(n));
        let mut ns = 0;
        // SAFETY: the handle lives as long as self, the key and the output for the call.
        check_for(key, n, unsafe { sys::tb_table_charge(self.as_raw(), start(key), key.len(), n, &mut ns) })?;
        Ok(from_ns(ns))
    }

    /// Puts `n` tokens in for the key, at most up to the capacity; the rest is dropped. Those who wait move up.
    ///
    /// # Errors
    /// `Closed`.
    pub fn refund(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<(), Error> {
        let (key, n) = (key.as_ref(), to_tokens(n));
        // SAFETY: the handle lives as long as self, the key for the call.
        check_for(key, n, unsafe { sys::tb_table_refund(self.as_raw(), start(key), key.len(), n) })
    }

    /// Forgets a key: its bucket is full again. Those who wait get their tokens from that, in order; reservations that
    /// are not due are void.
    ///
    /// # Errors
    /// `KeyTooLong`.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<(), Error> {
        let key = key.as_ref();
        // SAFETY: the handle lives as long as self, the key for the call.
        check_for(key, 0.0, unsafe { sys::tb_table_remove(self.as_raw(), start(key), key.len()) })
    }

    /// The tokens of the key now, fractions included; negative while in debt. What is promised to those who wait and to
    /// reservations is taken off.
    ///
    /// # Errors
    /// `KeyTooLong`.
    pub fn available(&self, key: impl AsRef<[u8]>) -> Result<f64, Error> {
        let key = key.as_ref();
        let mut tokens = 0.0;
        // SAFETY: the handle lives as long as self, the key and the output for the call.
        check_for(key, 0.0, unsafe { sys::tb_table_available(self.as_raw(), start(key), key.len(), &mut tokens) })?;
        Ok(tokens)
    }

    /// The time until `n` tokens of the key would be there if nobody took any; zero if they are. None: not within any
    /// time that can be expressed.
    ///
    /// # Errors
    /// `ExceedsCapacity`: never.
    pub fn time_until(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<Option<Duration>, Error> {
        let (key, n) = (key.as_ref(), to_tokens(n));
        let mut ns = 0;
        // SAFETY: the handle lives as long as self, the key and the output for the call.
        check_for(key, n, unsafe { sys::tb_table_time_until(self.as_raw(), start(key), key.len(), n, &mut ns) })?;
        Ok(from_ns(ns))
    }

    /// Changes the rate of all keys at once. Keys keep what they have spent, so a full one stays full.
    ///
    /// # Errors
    /// `OutOfRange`: outside 1e-9 ..= 1e10, or 2^13 times [`Limit::unit`] a nanosecond. `InvalidArgument`: not a
    /// number, or infinite. `Closed`.
    pub fn set_rate(&self, tokens_per_second: impl Into<Amount>) -> Result<(), Error> {
        let rate = to_tokens(tokens_per_second);
        // SAFETY: the handle lives as long as self.
        let status = unsafe { sys::tb_table_set_rate(self.as_raw(), rate) };
        check_rate(status, rate, "less than 8191 units of this table per nanosecond")
    }

    /// Changes the capacity of all keys at once. What exceeds a lowered one is there again if it is raised; a wait for
    /// more than that ends with `ExceedsCapacity`.
    ///
    /// # Errors
    /// `OutOfRange`: outside 1e-6 ..= 1e15, or more than 2^57 times [`Limit::unit`]. `InvalidArgument`: not a number,
    /// or infinite. `Closed`.
    pub fn set_capacity(&self, capacity: impl Into<Amount>) -> Result<(), Error> {
        let capacity = to_tokens(capacity);
        // SAFETY: the handle lives as long as self.
        let status = unsafe { sys::tb_table_set_capacity(self.as_raw(), capacity) };
        check_capacity(status, capacity, "from 1 to 2^57 units of this table")
    }

    /// The limit in force, of each key.
    ///
    /// # Errors
    /// None that is known; a later library may add one.
    pub fn limit(&self) -> Result<Limit, Error> {
        let mut config = defaults()?;
        // SAFETY: the handle lives as long as self, the output for the call; its size is that of the type.
        check(unsafe { sys::tb_table_get_limit(self.as_raw(), &mut config) })?;
        Ok(Limit::of(&config))
    }

    /// How full the table is. Reads all of it: 10 million places take some 50 ms.
    ///
    /// # Errors
    /// None that is known; a later library may add one.
    pub fn stats(&self) -> Result<TableStats, Error> {
        let struct_size = size_of::<sys::tb_table_stats>();
        let mut stats = sys::tb_table_stats { struct_size, places: 0, occupied: 0, evicted: 0, tokens_forgiven: 0.0 };
        // SAFETY: the handle lives as long as self, the output for the call.
        check(unsafe { sys::tb_table_get_stats(self.as_raw(), &mut stats) })?;
        Ok(TableStats {
            places: stats.places as u64,
            occupied: stats.occupied as u64,
            evicted: stats.evicted as u64,
            tokens_forgiven: stats.tokens_forgiven,
        })
    }
}

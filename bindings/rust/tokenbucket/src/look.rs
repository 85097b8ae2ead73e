//! What takes nothing.
use std::mem::{size_of, MaybeUninit};
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::amount::to_tokens;
use crate::argument::check_amount;
use crate::config::defaults;
use crate::error::check;
use crate::time::from_ns;
use crate::{Amount, Argument, Bucket, Error};

/// The limit in force.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Limit {
    /// The largest number of tokens held: the largest burst.
    pub capacity: f64,
    /// The tokens gained in each `period`.
    pub tokens: f64,
    /// The time in which `tokens` are gained.
    pub period: Duration,
    /// The tokens in a unit, which is fixed at creation: an amount that is no whole number of units is rounded against
    /// the caller.
    pub unit: f64,
}

impl Limit {
    /// What tb_get_limit or its like wrote.
    pub(crate) fn of(config: &sys::tb_config) -> Limit {
        Limit {
            capacity: config.capacity,
            tokens: config.rate_tokens,
            period: from_ns(config.rate_period_ns).unwrap_or(Duration::MAX),
            unit: config.unit,
        }
    }

    /// The rate in tokens per second.
    pub fn per_second(&self) -> f64 {
        self.tokens / self.period.as_secs_f64()
    }
}

/// What a bucket with [`Config::statistics`](crate::Config::statistics) has decided so far. Waits are those of threads
/// and futures.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Takes, waits and reservations that got their tokens.
    pub granted: u64,
    /// Takes that were denied.
    pub denied: u64,
    /// Waits and reservations that timed out, at once or later.
    pub timed_out: u64,
    /// Reservations cancelled, and waits that a signal, a drop of the future, a close or a capacity ended.
    pub cancelled: u64,
    /// Waits in the queue that are over.
    pub waits: u64,
    /// How long all those waited, by the bucket's clock.
    pub total_wait: Duration,
    /// The longest of them.
    pub longest_wait: Duration,
    /// Waits that are in the queue now and are not due.
    pub waiting: u64,
    /// The tokens taken by all that was granted, and by waits that ended otherwise.
    pub tokens_taken: f64,
    /// The tokens of these that came back; the rest was used.
    pub tokens_given_back: f64,
}

impl Bucket {
    /// The tokens in the bucket now, fractions included; negative while in debt. What is promised to those who wait and
    /// to reservations is taken off.
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
    pub fn time_until(&self, n: impl Into<Amount>) -> Result<Option<Duration>, Error> {
        let (n, mut ns) = (to_tokens(n), 0);
        // SAFETY: the handle lives as long as self, the output for the call.
        check_amount(unsafe { sys::tb_time_until(self.as_raw(), n, &mut ns) }, n)?;
        Ok(from_ns(ns))
    }

    /// The limit in force.
    ///
    /// # Errors
    /// None that is known; a later library may add one.
    pub fn limit(&self) -> Result<Limit, Error> {
        let mut config = defaults()?;
        // SAFETY: the handle lives as long as self, the output for the call; its size is that of the type.
        check(unsafe { sys::tb_get_limit(self.as_raw(), &mut config) })?;
        Ok(Limit::of(&config))
    }

    /// What the bucket has decided so far; what other threads' calls in progress do may be missing.
    ///
    /// # Errors
    /// `Unsupported`: the bucket was created without [`Config::statistics`](crate::Config::statistics).
    pub fn stats(&self) -> Result<Stats, Error> {
        let mut stats = MaybeUninit::<sys::tb_stats>::zeroed();
        // SAFETY: all fields are numbers, so zeros are a value. The handle lives as long as self, the output for the
        // call.
        let stats = unsafe {
            (*stats.as_mut_ptr()).struct_size = size_of::<sys::tb_stats>();
            match sys::tb_get_stats(self.as_raw(), stats.as_mut_ptr()) {
                sys::TB_E_UNSUPPORTED => return Err(Error::Unsupported(Some(uncounted()))),
                status => check(status)?,
            }
            stats.assume_init()
        };
        let duration = |ns| from_ns(ns).unwrap_or(Duration::MAX);
        Ok(Stats {
            granted: stats.granted as u64,
            denied: stats.denied as u64,
            timed_out: stats.timed_out as u64,
            cancelled: stats.cancelled as u64,
            waits: stats.waits as u64,
            total_wait: duration(stats.total_wait_ns),
            longest_wait: duration(stats.longest_wait_ns),
            waiting: stats.waiting as u64,
            tokens_taken: stats.tokens_taken,
            tokens_given_back: stats.tokens_given_back,
        })
    }
}

fn uncounted() -> Argument {
    Argument::new("statistics", "asked for by Config::statistics", "a bucket without them")
}

use std::mem::{size_of, MaybeUninit};
use std::ptr::null_mut;
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::error::check;
use crate::time::exact_to_ns;
use crate::{Bucket, Error, ManualClock};

/// What a bucket is made of.
///
/// ```
/// # use std::time::Duration;
/// # use tokenbucket::Config;
/// let per_hour = Duration::from_secs(3600);
/// let bucket = Config::new(1000.0, 700_000.0, per_hour).initial_tokens(0.0).build()?;
/// assert!(!bucket.allow(1000.0)?);
/// # Ok::<(), tokenbucket::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a Config does nothing until it is built"]
pub struct Config<'clock> {
    capacity: f64,
    tokens: f64,
    period: Duration,
    initial_tokens: Option<f64>,
    clock: Option<&'clock ManualClock>,
}

impl<'clock> Config<'clock> {
    /// A bucket of up to `capacity` tokens that gains `tokens` in each `period`, as that exact fraction. It starts
    /// full, on the system's monotonic clock.
    pub fn new(capacity: f64, tokens: f64, period: Duration) -> Config<'clock> {
        Config { capacity, tokens, period, initial_tokens: None, clock: None }
    }

    /// The tokens to start with, 0 to the capacity, instead of a full bucket.
    pub fn initial_tokens(self, tokens: f64) -> Config<'clock> {
        Config { initial_tokens: Some(tokens), ..self }
    }

    /// The clock to use instead of the system's. The bucket keeps it alive.
    pub fn clock(self, clock: &'clock ManualClock) -> Config<'clock> {
        Config { clock: Some(clock), ..self }
    }

    /// Creates the bucket.
    ///
    /// # Errors
    /// `InvalidArgument`: not a number, infinite, a period of 0 or negative initial tokens. `OutOfRange`: a capacity
    /// outside 1e-6 ..= 1e15, a rate outside 1e-9 ..= 1e10 tokens per second, or initial tokens above the capacity.
    /// `OutOfMemory`.
    pub fn build(self) -> Result<Bucket, Error> {
        // The library reads a negative number as "full"; here that is said by saying nothing.
        if self.initial_tokens.map_or(false, |tokens| tokens < 0.0) {
            return Err(Error::InvalidArgument);
        }
        let mut config = defaults()?;
        config.capacity = self.capacity;
        config.rate_tokens = self.tokens;
        config.rate_period_ns = exact_to_ns(self.period)?;
        config.initial_tokens = self.initial_tokens.unwrap_or(sys::TB_INITIALLY_FULL);
        config.clock = self.clock.map_or(null_mut(), ManualClock::as_raw);
        // SAFETY: the clock, if any, is borrowed until the bucket has taken its own hold of it.
        unsafe { Bucket::from_config(&config) }
    }
}

fn defaults() -> Result<sys::tb_config, Error> {
    let mut config = MaybeUninit::uninit();
    // SAFETY: tb_config_init fills as many bytes as it is told, and did so if it succeeds.
    unsafe {
        check(sys::tb_config_init(config.as_mut_ptr(), size_of::<sys::tb_config>()))?;
        Ok(config.assume_init())
    }
}

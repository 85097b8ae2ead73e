use std::fmt;
use std::mem::{size_of, MaybeUninit};
use std::os::raw::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::alarm;
use crate::amount::to_tokens;
use crate::argument::{Number, LEVEL};
use crate::clock::Source;
use crate::error::check;
use crate::event::{tell, Handler};
use crate::fault::rate_text;
use crate::time::{argument_to_ns, limit_to_ns};
use crate::{Amount, Argument, Bucket, Clock, Error, Event, Limit};

/// What a bucket is made of.
///
/// ```
/// # use tokenbucket::Config;
/// let bucket = Config::per_hour(1000, 700_000).initial_tokens(0).build()?;
/// assert!(!bucket.allow(1000)?);
/// # Ok::<(), tokenbucket::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a Config does nothing until it is built"]
pub struct Config {
    capacity: f64,
    tokens: f64,
    period: Duration,
    initial_tokens: Option<f64>,
    source: Source,
    max_waiters: u32,
    max_lateness: Duration,
    flags: u32,
    handler: Option<Handler>,
}

impl Config {
    /// A bucket of up to `capacity` tokens that gains `tokens` in each `period`, as that exact fraction. It starts
    /// full, on the system's monotonic clock.
    pub fn new(capacity: impl Into<Amount>, tokens: impl Into<Amount>, period: Duration) -> Config {
        Config {
            capacity: to_tokens(capacity),
            tokens: to_tokens(tokens),
            period,
            initial_tokens: None,
            source: Source::System,
            max_waiters: 0,
            max_lateness: Duration::ZERO,
            flags: 0,
            handler: None,
        }
    }

    /// As [`new`](Config::new), with a period of a second.
    pub fn per_second(capacity: impl Into<Amount>, tokens: impl Into<Amount>) -> Config {
        Config::new(capacity, tokens, Duration::from_secs(1))
    }

    /// As [`new`](Config::new), with a period of a minute.
    pub fn per_minute(capacity: impl Into<Amount>, tokens: impl Into<Amount>) -> Config {
        Config::new(capacity, tokens, Duration::from_secs(60))
    }

    /// As [`new`](Config::new), with a period of an hour.
    pub fn per_hour(capacity: impl Into<Amount>, tokens: impl Into<Amount>) -> Config {
        Config::new(capacity, tokens, Duration::from_secs(3600))
    }

    /// The tokens to start with, 0 to the capacity, instead of a full bucket.
    pub fn initial_tokens(self, tokens: impl Into<Amount>) -> Config {
        Config { initial_tokens: Some(to_tokens(tokens)), ..self }
    }

    /// The clock to use instead of the system's: a [`ManualClock`](crate::ManualClock) or a
    /// [`CallbackClock`](crate::CallbackClock), which the bucket keeps alive.
    pub fn clock(self, clock: impl Into<Clock>) -> Config {
        Config { source: clock.into().0, ..self }
    }

    /// How many threads and futures may wait at a time; the next is told `QueueFull`. 0, as without this: any number.
    pub fn max_waiters(self, waiters: u32) -> Config {
        Config { max_waiters: waiters, ..self }
    }

    /// How long tokens that are due are kept for a thread or future that does not come for them, because the process
    /// was stopped or its executor was busy. After that it is planned anew, with all behind it, so that those who are
    /// late do not act all at once. Zero, as without this: 10 ms, and any time on a manual clock.
    pub fn max_lateness(self, lateness: Duration) -> Config {
        Config { max_lateness: lateness, ..self }
    }

    /// Threads that wait spin their last 60 microseconds, exact to about one, at the price of processor time.
    pub fn precise_wait(self) -> Config {
        Config { flags: self.flags | sys::TB_PRECISE_WAIT, ..self }
    }

    /// The bucket counts what [`Bucket::stats`] tells. Each call then costs about twice as much.
    pub fn statistics(self) -> Config {
        Config { flags: self.flags | sys::TB_STATISTICS, ..self }
    }

    /// What is to be told of each denial by `allow` and `take`, of the end of each wait that slept in a thread, and of
    /// each wait and reservation refused at once with `TimedOut` or `QueueFull`.
    ///
    /// It is called on the thread concerned, after the decision, with no lock held, and may use the same bucket. It
    /// must not panic: that aborts the process.
    pub fn on_event(self, handler: impl Fn(&Event) + Send + Sync + 'static) -> Config {
        Config { handler: Some(Arc::new(handler)), ..self }
    }

    /// Creates the bucket.
    ///
    /// # Errors
    /// `InvalidArgument`: not a number, infinite, a period of 0 or negative initial tokens. `OutOfRange`: a capacity
    /// outside 1e-6 ..= 1e15, a rate outside 1e-9 ..= 1e10 tokens per second, or initial tokens above the capacity.
    /// `OutOfMemory`.
    pub fn build(self) -> Result<Bucket, Error> {
        let (config, callees) = self.into_raw()?;
        Bucket::create(&config, callees)
    }

    /// What of it is another than in the limit found: the capacity, or else the rate.
    pub(crate) fn difference(&self, found: &Limit) -> Argument {
        if self.capacity != found.capacity {
            return Argument::new("capacity", Number(found.capacity).to_string(), Number(self.capacity));
        }
        let rate = |tokens, period| rate_text(tokens, Some(period));
        Argument::new("rate", rate(found.tokens, found.period), rate(self.tokens, self.period))
    }

    /// The C config, which points into the callees.
    pub(crate) fn into_raw(self) -> Result<(sys::tb_config, Callees), Error> {
        // The library reads a negative number as "full"; here that is said by saying nothing.
        if let Some(tokens) = self.initial_tokens.filter(|tokens| *tokens < 0.0) {
            return Err(Error::InvalidArgument(Argument::new("initial_tokens", LEVEL, Number(tokens))));
        }
        let mut config = defaults()?;
        config.capacity = self.capacity;
        config.rate_tokens = self.tokens;
        config.rate_period_ns = argument_to_ns("period", self.period)?;
        config.initial_tokens = self.initial_tokens.unwrap_or(sys::TB_INITIALLY_FULL);
        config.max_waiters = self.max_waiters.into();
        config.max_lateness_ns = limit_to_ns(Some(self.max_lateness));
        config.flags = self.flags;
        config.clock = self.source.as_raw();
        let handler = self.handler.map(Box::new);
        if let Some(handler) = &handler {
            let user: *const Handler = &**handler;
            config.on_event = Some(tell);
            config.event_user = user as *mut c_void;
        }
        config.on_wake = Some(alarm::ring);
        Ok((config, Callees { source: self.source, _handler: handler, holds: AtomicUsize::new(0) }))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("capacity", &self.capacity)
            .field("tokens", &self.tokens)
            .field("period", &self.period)
            .field("initial_tokens", &self.initial_tokens)
            .finish_non_exhaustive()
    }
}

/// What a C bucket or table calls, to be kept as long as it, and what else keeps it.
pub(crate) struct Callees {
    source: Source,
    _handler: Option<Box<Handler>>,
    /// The waits for several limits that stand in its queues.
    holds: AtomicUsize,
}

impl Callees {
    pub(crate) fn is_on_manual_clock(&self) -> bool {
        matches!(self.source, Source::Manual(_))
    }

    pub(crate) fn hold(&self) {
        self.holds.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn release(&self) {
        self.holds.fetch_sub(1, Ordering::Relaxed);
    }

    /// Asked when nothing borrows the bucket any more: only waits that were forgotten still hold it.
    pub(crate) fn are_held(&self) -> bool {
        self.holds.load(Ordering::Relaxed) != 0
    }
}

pub(crate) fn defaults() -> Result<sys::tb_config, Error> {
    let mut config = MaybeUninit::uninit();
    // SAFETY: tb_config_init fills as many bytes as it is told, and did so if it succeeds.
    unsafe {
        check(sys::tb_config_init(config.as_mut_ptr(), size_of::<sys::tb_config>()))?;
        Ok(config.assume_init())
    }
}

use std::time::Duration;

use tokenbucket_sys as sys;

use crate::member::decide;
use crate::time::limit_to_ns;
use crate::wait::wait_through_signals;
use crate::{Member, Refusal, Reservations, WaitAll};

/// Several limits that must all grant: "10 a second and 1000 an hour", or requests and tokens, each with a cost of its
/// own. All of 1 to [`MAX_MEMBERS`](Limits::MAX_MEMBERS) members pay, or none of them does. Buckets and keys of tables
/// mix.
///
/// The members are an array, a vector or a slice of [`Member`]. No member grants more than it would alone, and none is
/// touched while one of them refuses. It is cheap to make for each request, with the costs of that.
///
/// ```
/// # use std::time::Duration;
/// # use tokenbucket::{Bucket, Config, Limits, Member};
/// struct Quota {
///     per_second: Bucket,
///     per_hour: Bucket,
/// }
///
/// impl Quota {
///     fn of(&self, n: u32) -> Limits<[Member<'_>; 2]> {
///         Limits::new([self.per_second.member(n), self.per_hour.member(n)])
///     }
/// }
///
/// let per_hour = Config::per_hour(1000, 1000).build()?;
/// let quota = Quota { per_second: Bucket::new(10, 10)?, per_hour };
/// quota.of(1).wait()?;
/// quota.of(9).allow()?;
/// let refusal = quota.of(5).allow().unwrap_err();
/// assert_eq!(refusal.member, Some(0));
/// assert!(refusal.retry_after() <= Some(Duration::from_millis(500)));
/// # Ok::<(), tokenbucket::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "Limits take nothing until they are asked"]
pub struct Limits<M> {
    members: M,
}

impl Limits<()> {
    /// How many members there may be.
    pub const MAX_MEMBERS: usize = sys::TB_MAX_MEMBERS as usize;
}

impl<'limiter, M: AsRef<[Member<'limiter>]>> Limits<M> {
    /// The limits in the order in which a [`Refusal`] counts them. `InvalidArgument` of the calls below: no members or
    /// too many, an amount that is not above 0 and finite, or the same bucket or key twice.
    pub fn new(members: M) -> Limits<M> {
        Limits { members }
    }

    /// Takes from all members if all have their tokens now, else from none. Never blocks.
    ///
    /// # Errors
    /// `Denied`, `ExceedsCapacity`, `TableFull`, `Closed`: what the member says that refused.
    pub fn allow(&self) -> Result<(), Refusal> {
        // SAFETY: the members are valid for the call, by ask.
        decide(self.members.as_ref(), |members, count, refusal| unsafe { sys::tb_allow_all(members, count, refusal) })
    }

    /// Takes from all members now, into debt if need be, and says when all may be used. Never blocks. It is refused at
    /// once, nothing taken, if it would have to wait longer than `max_wait` (None: no limit).
    ///
    /// # Errors
    /// `TimedOut`, `OutOfRange`, `OutOfMemory`, and as `allow`, but for `Denied`.
    pub fn reserve(&self, max_wait: Option<Duration>) -> Result<Reservations<'limiter>, Refusal> {
        let members = self.members.as_ref();
        let mut reserved =
            vec![sys::tb_reservation { tokens: 0.0, wait_ns: 0, ready_at_ns: 0, ticket: 0 }; members.len()];
        let (mut wait_ns, max_wait_ns, out) = (0, limit_to_ns(max_wait), reserved.as_mut_ptr());
        // SAFETY: the members are valid for the call, by ask; there is an output for each.
        decide(members, |members, count, refusal| unsafe {
            sys::tb_reserve_all(members, count, max_wait_ns, out, &mut wait_ns, refusal)
        })?;
        Ok(Reservations::new(members, reserved, wait_ns))
    }

    /// Takes from all members, blocking the thread until all have granted. It stands in the queue of each, as in
    /// [`Bucket::wait`](crate::Bucket::wait), and holds what one has granted until the others have, too. If it ends
    /// otherwise all comes back.
    ///
    /// A signal handler that runs meanwhile does not end the wait, but moves it to the end of the queues.
    ///
    /// # Errors
    /// What the member says that refused, as `Bucket::wait`; `Closed`: also one that had granted already. `TableFull`.
    /// `Unsupported`: a member in shared memory.
    pub fn wait(&self) -> Result<(), Refusal> {
        self.wait_with(None, 0)
    }

    /// As [`wait`](Limits::wait), but `TimedOut` at once, with nothing taken, if not all can be had within `timeout`;
    /// later, if a change of a bucket, a higher priority or a signal handler moves the wait beyond it.
    ///
    /// # Errors
    /// `TimedOut`, and as `wait`.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), Refusal> {
        self.wait_with(Some(timeout), 0)
    }

    /// As [`wait_timeout`](Limits::wait_timeout), or without a `timeout` as [`wait`](Limits::wait), with a priority in
    /// all queues: who has a higher one is served first. That of the other waits is 0.
    ///
    /// # Errors
    /// As `wait_timeout`.
    pub fn wait_with(&self, timeout: Option<Duration>, priority: i32) -> Result<(), Refusal> {
        decide(self.members.as_ref(), |members, count, refusal| {
            // SAFETY: the members are valid for the call, by ask.
            let wait = |timeout_ns| unsafe { sys::tb_wait_all(members, count, timeout_ns, priority, refusal) };
            wait_through_signals(timeout, wait)
        })
    }

    /// As [`wait`](Limits::wait), as a future: it occupies no thread and needs no particular executor. The places are
    /// taken when it is first polled. Dropped before it is ready, it gives all back. It keeps a copy of the members.
    ///
    /// What it ends with: as `wait`; and `System` if the thread that wakes futures cannot be started.
    pub fn wait_async(&self) -> WaitAll<'limiter> {
        self.wait_with_async(None, 0)
    }

    /// As [`wait_timeout`](Limits::wait_timeout), as a future; the timeout counts from its first poll.
    pub fn wait_timeout_async(&self, timeout: Duration) -> WaitAll<'limiter> {
        self.wait_with_async(Some(timeout), 0)
    }

    /// As [`wait_with`](Limits::wait_with), as a future; the timeout counts from its first poll.
    pub fn wait_with_async(&self, timeout: Option<Duration>, priority: i32) -> WaitAll<'limiter> {
        WaitAll::new(self.members.as_ref().into(), timeout, priority)
    }
}

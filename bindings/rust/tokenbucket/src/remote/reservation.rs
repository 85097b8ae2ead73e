use std::time::Duration;

use tokenbucket_sys as sys;

use crate::amount::to_tokens;
use crate::remote::limit::RemoteKey;
use crate::remote::{Call, RemoteAnswer};
use crate::{Amount, Error};

/// Tokens that a server has promised for a later time, as [`RemoteLimit::reserve`](crate::remote::RemoteLimit::reserve)
/// and [`RemoteLimiter::reserve`](crate::remote::RemoteLimiter::reserve) ask for.
///
/// They may be used once [`wait_time`](RemoteReservation::wait_time) has passed since the reply came; nothing more need
/// be called then. Dropped, it stays: to give the tokens back takes a call, which a drop cannot make.
#[must_use = "a remote reservation that is dropped keeps its tokens; cancel it to give them back"]
#[derive(Debug)]
pub struct RemoteReservation<'limit> {
    key: RemoteKey<'limit>,
    raw: sys::tb_reservation,
}

impl<'limit> RemoteReservation<'limit> {
    pub(super) fn new(key: RemoteKey<'limit>, raw: sys::tb_reservation) -> RemoteReservation<'limit> {
        RemoteReservation { key, raw }
    }

    /// The tokens reserved.
    pub fn tokens(&self) -> f64 {
        self.raw.tokens
    }

    /// From the server's decision until the tokens may be used; zero: at once.
    pub fn wait_time(&self) -> Duration {
        Duration::from_nanos(self.raw.wait_ns as u64)
    }

    /// The same as a time of the server's clock, since 1970.
    pub fn ready_at(&self) -> Duration {
        Duration::from_nanos(self.raw.ready_at_ns as u64)
    }

    /// The call that gives the tokens back while they are not due; [`RemoteAnswer::tokens`] of its answer came back.
    /// Once due they count as used. A server keeps the last 64 of a bucket; older ones count as used, too.
    ///
    /// # Errors
    /// None that is known; a later library may add one.
    pub fn cancel(self) -> Result<Call<'limit, RemoteAnswer>, Error> {
        Call::cancel(self.key, &self.raw)
    }

    /// The call that ends the reservation of work that turned out to cost `actual` tokens, 0 or more: the rest of what
    /// was reserved comes back, or what is missing is charged; reading the answer then says `OutOfRange` where that is
    /// more debt than the limit allows.
    ///
    /// # Errors
    /// `InvalidArgument`: a negative or infinite amount. `OutOfRange`: more than a full bucket and the debt allowed.
    pub fn settle(self, actual: impl Into<Amount>) -> Result<Call<'limit, RemoteAnswer>, Error> {
        Call::settle(self.key, &self.raw, to_tokens(actual))
    }
}

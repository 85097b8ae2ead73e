use std::os::raw::c_void;
use std::sync::Arc;
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::argument::AMOUNT;
use crate::error::abort_on_panic;
use crate::time::from_ns;
use crate::Error;

/// What a bucket tells while it works; see [`Config::on_event`](crate::Config::on_event).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// How the call or the wait ended.
    pub outcome: Outcome,
    /// The tokens asked for.
    pub tokens: f64,
    /// How long the thread or future waited, by the bucket's clock; zero if it did not.
    pub waited: Duration,
}

/// How a call or a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A wait got its tokens.
    Granted,
    /// There were not enough tokens, and nobody waited.
    Denied,
    /// A wait or a reservation ended without its tokens.
    Failed(Error),
}

pub(crate) type Handler = Arc<dyn Fn(&Event) + Send + Sync>;

/// The `on_event` of the C library; `user` points to a `Handler`.
pub(crate) unsafe extern "C" fn tell(user: *mut c_void, event: *const sys::tb_event) {
    // SAFETY: the bucket keeps its handler until it is destroyed; the event lives for the call.
    let (handler, event) = (&*(user as *const Handler), &*event);
    let event = Event {
        outcome: match event.status {
            sys::TB_SUCCESS => Outcome::Granted,
            sys::TB_DENIED => Outcome::Denied,
            status => Outcome::Failed(Error::of_amount(status, "n", AMOUNT, event.n)),
        },
        tokens: event.n,
        waited: from_ns(event.waited_ns).unwrap_or(Duration::MAX),
    };
    abort_on_panic(|| handler(&event));
}

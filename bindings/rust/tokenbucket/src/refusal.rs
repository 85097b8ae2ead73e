use std::convert::TryFrom;
use std::fmt;
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::time::from_ns;
use crate::{Error, Member, Table};

/// Why [`Limits`](crate::Limits) took nothing, and which member refused. It converts into the bare [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Refusal {
    /// The index of the member that refused; of several the one that takes longest to grant. None: the call failed for
    /// a reason that is no member's, as `OutOfMemory` and most of `InvalidArgument`.
    pub member: Option<usize>,
    /// What the member said. `Denied` and `TimedOut` tell when it would grant, exactly.
    pub error: Error,
}

impl Refusal {
    /// Of a call with the members that failed with the status; NOBODY, if none of them refused.
    pub(crate) fn of(members: &[Member<'_>], status: sys::tb_status, refusal: &sys::tb_refusal) -> Refusal {
        let retry_after = from_ns(refusal.retry_after_ns);
        let error = match status {
            sys::TB_DENIED => Error::Denied { retry_after },
            sys::TB_TIMED_OUT => Error::TimedOut { retry_after },
            other => Error::from_status(other),
        };
        let too_long = || members.iter().position(|member| member.key().len() > Table::MAX_KEY_SIZE);
        match too_long().filter(|_| error == Error::InvalidArgument) {
            Some(index) => {
                Refusal { member: Some(index), error: Error::KeyTooLong { size: members[index].key().len() } }
            }
            None => Refusal { member: usize::try_from(refusal.member).ok(), error },
        }
    }

    /// Until that member would grant what was asked of it. None: it never will, nobody knows, or longer than can be
    /// expressed.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.error {
            Error::Denied { retry_after } | Error::TimedOut { retry_after } => retry_after,
            _ => None,
        }
    }
}

impl From<Error> for Refusal {
    /// One that is no member's.
    fn from(error: Error) -> Refusal {
        Refusal { member: None, error }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        refusal.error
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.member {
            Some(member) => write!(f, "limit {}: {}", member, self.error),
            None => self.error.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

use std::convert::TryFrom;
use std::fmt;
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::argument::AMOUNT;
use crate::member::MOST;
use crate::time::from_ns;
use crate::{Argument, Error, Member, Table};

/// Why [`Limits`](crate::Limits) took nothing, and which member refused. It converts into the bare [`Error`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
        let member = usize::try_from(refusal.member).ok();
        let error = match status {
            sys::TB_DENIED => Error::Denied { retry_after },
            sys::TB_TIMED_OUT => Error::TimedOut { retry_after },
            sys::TB_E_INVALID_ARGUMENT => return Refusal::of_arguments(members),
            sys::TB_E_UNSUPPORTED => return Refusal::of_shared(members),
            other => {
                // Where none is named it is the largest that is too much.
                let largest = || members.iter().map(Member::n).fold(0.0, f64::max);
                let n = member.and_then(|index| members.get(index)).map_or_else(largest, Member::n);
                Error::of_amount(other, "n", AMOUNT, n)
            }
        };
        Refusal { member, error }
    }

    /// Finds what is wrong with the members; not asked unless something is.
    fn of_arguments(members: &[Member<'_>]) -> Refusal {
        if !(1..=MOST).contains(&members.len()) {
            let count = Argument::new("members", format!("from 1 to {}", MOST), members.len());
            return Error::InvalidArgument(count).into();
        }
        for (index, member) in members.iter().enumerate() {
            let (n, size) = (member.n(), member.key().len());
            let error = if size > Table::MAX_KEY_SIZE {
                Error::KeyTooLong { size }
            } else if !(n.is_finite() && n > 0.0) {
                Error::of_amount(sys::TB_E_INVALID_ARGUMENT, "n", AMOUNT, n)
            } else {
                continue;
            };
            return Refusal { member: Some(index), error };
        }
        Error::InvalidArgument(Argument::new("members", "different buckets and keys", "one of them twice")).into()
    }

    /// Only of a wait, which can have no member in shared memory.
    fn of_shared(members: &[Member<'_>]) -> Refusal {
        let allowed = "of this process alone in a wait for several limits";
        let shared = members.iter().enumerate().find_map(|(index, member)| Some((index, member.shared()?)));
        let argument = shared.map(|(_, value)| Argument::new("members", allowed, value));
        Refusal { member: shared.map(|(index, _)| index), error: Error::Unsupported(argument) }
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

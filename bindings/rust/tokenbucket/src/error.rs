use std::ffi::CStr;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::abort;
use std::time::Duration;
use std::{fmt, io};

use tokenbucket_sys as sys;

use crate::{Argument, Table};

/// Why a call did nothing. That one bucket denies is no error: [`Bucket::allow`](crate::Bucket::allow) answers it with
/// `false`.
///
/// The text of an error about an argument names it, what it must be, and what it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// Not enough tokens now. Told by a [`Refusal`](crate::Refusal) alone.
    Denied {
        /// Until they are there. None: longer than can be expressed.
        retry_after: Option<Duration>,
    },
    /// The tokens cannot be granted within the time allowed.
    TimedOut {
        /// How long the tokens would have taken to come: exactly for a future refused at its first poll and in a
        /// [`Refusal`](crate::Refusal), else as [`Bucket::time_until`](crate::Bucket::time_until) says, which takes no
        /// account of a priority. None: longer than can be expressed; and in an [`Event`](crate::Event).
        retry_after: Option<Duration>,
    },
    /// More tokens than the bucket can ever hold.
    ExceedsCapacity(Argument),
    /// The bucket was closed.
    Closed,
    /// A signal handler ran during the wait, which then begins anew, or a future was dropped: told by an
    /// [`Event`](crate::Event) alone. A future of the parent that waits, in the child of a fork.
    Interrupted,
    /// Too many waiters.
    QueueFull,
    /// No room for another key; see [`WhenFull`](crate::WhenFull).
    TableFull,
    /// An amount that is not above 0 and finite, or another argument that is never right.
    InvalidArgument(Argument),
    /// A key of a table that is longer than [`Table::MAX_KEY_SIZE`](crate::Table::MAX_KEY_SIZE).
    KeyTooLong {
        /// Its bytes.
        size: usize,
    },
    /// An argument outside the range that a bucket or the library can count.
    OutOfRange(Argument),
    /// Out of memory.
    OutOfMemory,
    /// Asks for something that there is not: if an argument is named, an option that a table or a server does not have,
    /// or a wait for several limits with one in shared memory; else a service of the operating system.
    Unsupported(Option<Argument>),
    /// The operating system refused a needed service.
    System,
    /// The store of the limit did not answer.
    Unavailable,
    /// What is shared is another limit, or of another kind.
    Mismatch,
    /// A status that this crate does not expect of the call, from a newer library.
    Unknown(i32),
}

impl Error {
    /// The C library's number for this error.
    pub fn status(&self) -> i32 {
        match self {
            Error::Denied { .. } => sys::TB_DENIED,
            Error::TimedOut { .. } => sys::TB_TIMED_OUT,
            Error::ExceedsCapacity(_) => sys::TB_EXCEEDS_CAPACITY,
            Error::Closed => sys::TB_CLOSED,
            Error::Interrupted => sys::TB_INTERRUPTED,
            Error::QueueFull => sys::TB_QUEUE_FULL,
            Error::TableFull => sys::TB_TABLE_FULL,
            Error::InvalidArgument(_) | Error::KeyTooLong { .. } => sys::TB_E_INVALID_ARGUMENT,
            Error::OutOfRange(_) => sys::TB_E_OUT_OF_RANGE,
            Error::OutOfMemory => sys::TB_E_OUT_OF_MEMORY,
            Error::Unsupported(_) => sys::TB_E_UNSUPPORTED,
            Error::System => sys::TB_E_SYSTEM,
            Error::Unavailable => sys::TB_E_UNAVAILABLE,
            Error::Mismatch => sys::TB_E_MISMATCH,
            Error::Unknown(status) => *status,
        }
    }

    /// Of a status that is for no argument's sake.
    pub(crate) fn from_status(status: sys::tb_status) -> Error {
        match status {
            sys::TB_DENIED => Error::Denied { retry_after: None },
            sys::TB_TIMED_OUT => Error::TimedOut { retry_after: None },
            sys::TB_CLOSED => Error::Closed,
            sys::TB_INTERRUPTED => Error::Interrupted,
            sys::TB_QUEUE_FULL => Error::QueueFull,
            sys::TB_TABLE_FULL => Error::TableFull,
            sys::TB_E_OUT_OF_MEMORY => Error::OutOfMemory,
            sys::TB_E_UNSUPPORTED => Error::Unsupported(None),
            sys::TB_E_SYSTEM => Error::System,
            sys::TB_E_UNAVAILABLE => Error::Unavailable,
            sys::TB_E_MISMATCH => Error::Mismatch,
            other => Error::Unknown(other),
        }
    }
}

/// Success, or the error of any other status.
pub(crate) fn check(status: sys::tb_status) -> Result<(), Error> {
    match status {
        sys::TB_SUCCESS => Ok(()),
        other => Err(Error::from_status(other)),
    }
}

/// Runs what C has called, into which no panic may unwind. The panic's message is out by then.
pub(crate) fn abort_on_panic<T>(call: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| abort())
}

fn message(status: sys::tb_status) -> &'static str {
    // SAFETY: tb_status_message returns static, terminated text for every number.
    let text = unsafe { CStr::from_ptr(sys::tb_status_message(status)) };
    text.to_str().unwrap_or("unreadable message")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unknown(status) => write!(f, "{} {}", message(*status), status),
            Error::Denied { retry_after: Some(time) } | Error::TimedOut { retry_after: Some(time) } => {
                write!(f, "{}; it would take {:?}", message(self.status()), time)
            }
            Error::ExceedsCapacity(argument)
            | Error::InvalidArgument(argument)
            | Error::OutOfRange(argument)
            | Error::Unsupported(Some(argument)) => argument.fmt(f),
            Error::KeyTooLong { size } => write!(f, "key must be at most {} bytes, got {}", Table::MAX_KEY_SIZE, size),
            known => f.write_str(message(known.status())),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The nearest of the standard library.
    pub(crate) fn kind(&self) -> io::ErrorKind {
        match self {
            Error::TimedOut { .. } => io::ErrorKind::TimedOut,
            Error::Interrupted => io::ErrorKind::Interrupted,
            Error::Denied { .. } | Error::QueueFull => io::ErrorKind::WouldBlock,
            Error::InvalidArgument(_) | Error::KeyTooLong { .. } | Error::OutOfRange(_) | Error::ExceedsCapacity(_) => {
                io::ErrorKind::InvalidInput
            }
            Error::OutOfMemory => io::ErrorKind::OutOfMemory,
            Error::Unsupported(_) => io::ErrorKind::Unsupported,
            Error::Unavailable => io::ErrorKind::NotConnected,
            Error::Closed | Error::TableFull | Error::System | Error::Mismatch | Error::Unknown(_) => {
                io::ErrorKind::Other
            }
        }
    }
}

/// With the nearest kind; the error itself is inside.
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_keeps_its_number_and_message() {
        let argument = || Argument::new("n", "more than 0", -1);
        for status in -100..100 {
            let error = Error::of(status, argument);
            assert_eq!(error.status(), status);
            let is_outcome = [sys::TB_SUCCESS, sys::TB_PENDING].contains(&status);
            let is_known = !is_outcome && message(status) != "unknown status";
            assert_eq!(error != Error::Unknown(status), is_known, "{}", status);
            match error {
                Error::ExceedsCapacity(_) | Error::InvalidArgument(_) | Error::OutOfRange(_) => {
                    assert_eq!(error.to_string(), "n must be more than 0, got -1");
                    assert_eq!(Error::from_status(status), Error::Unknown(status));
                }
                Error::Unknown(_) => assert_eq!(error.to_string(), format!("{} {}", message(status), status)),
                _ => assert_eq!(error.to_string(), message(status)),
            }
        }
        assert_eq!(Error::Closed.to_string(), "closed: the bucket was closed");
        let unsupported = Error::Unsupported(Some(argument()));
        assert_eq!(unsupported.to_string(), argument().to_string());
        assert_eq!(unsupported.status(), sys::TB_E_UNSUPPORTED);
        let long = Error::KeyTooLong { size: 70_000 };
        assert_eq!(long.to_string(), "key must be at most 65536 bytes, got 70000");
        assert_eq!(long.status(), sys::TB_E_INVALID_ARGUMENT);
        let late_by = Some(Duration::from_millis(1500));
        let late = Error::TimedOut { retry_after: late_by };
        assert_eq!(late.to_string(), "timed out: cannot be granted within the time allowed; it would take 1.5s");
        let denied = Error::Denied { retry_after: late_by };
        assert_eq!(denied.to_string(), "denied: not enough tokens now; it would take 1.5s");
    }

    #[test]
    fn io_error_keeps_the_error_inside() {
        let error = io::Error::from(Error::QueueFull);
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(error.get_ref().and_then(|inner| inner.downcast_ref()), Some(&Error::QueueFull));
    }

    #[test]
    fn is_an_error_that_threads_can_pass_on() {
        fn passes<T: std::error::Error + Send + Sync + 'static>(_: T) {}
        passes(Error::Closed);
    }
}

//! Which argument was refused: found out after a call has failed, never before it.
use std::borrow::Cow;
use std::fmt::{self, Display};

use tokenbucket_sys as sys;

use crate::Error;

/// An argument that was refused, what it must be, and what it was: "capacity must be from 1e-6 to 1e15 tokens, got 0".
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Argument(Box<Parts>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Parts {
    name: &'static str,
    allowed: Cow<'static, str>,
    value: String,
}

impl Argument {
    pub(crate) fn new(name: &'static str, allowed: impl Into<Cow<'static, str>>, value: impl Display) -> Argument {
        Argument(Box::new(Parts { name, allowed: allowed.into(), value: value.to_string() }))
    }

    /// The name of the argument, such as "capacity".
    pub fn name(&self) -> &str {
        self.0.name
    }

    /// What it must be, such as "from 1e-6 to 1e15 tokens".
    pub fn allowed(&self) -> &str {
        &self.0.allowed
    }

    /// What it was, as text.
    pub fn value(&self) -> &str {
        &self.0.value
    }
}

impl Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}, got {}", self.name(), self.allowed(), self.value())
    }
}

impl fmt::Debug for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Argument").field(&self.to_string()).finish()
    }
}

/// A number as a person writes it: 0.5, 10, 1e300.
pub(crate) struct Number(pub(crate) f64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_short = self.0 == 0.0 || (1e-4..1e16).contains(&self.0.abs());
        match self.0.is_finite() && !is_short {
            true => write!(f, "{:e}", self.0),
            false => write!(f, "{}", self.0),
        }
    }
}

pub(crate) const AMOUNT: &str = "finite and more than 0";
pub(crate) const ACTUAL: &str = "finite and 0 or more";
pub(crate) const LEVEL: &str = "from 0 to the capacity";
const WITHIN_DEBT: &str = "so small that the debt stays below 2^59 units";

impl Error {
    /// Of a call that failed with the status. `argument` is asked for where that is for an argument's sake.
    pub(crate) fn of(status: sys::tb_status, argument: impl FnOnce() -> Argument) -> Error {
        match status {
            sys::TB_EXCEEDS_CAPACITY => Error::ExceedsCapacity(argument()),
            sys::TB_E_INVALID_ARGUMENT => Error::InvalidArgument(argument()),
            sys::TB_E_OUT_OF_RANGE => Error::OutOfRange(argument()),
            other => Error::from_status(other),
        }
    }

    /// Of a call with an amount of tokens; `allowed` is what that must be in any case.
    #[cold]
    pub(crate) fn of_amount(status: sys::tb_status, name: &'static str, allowed: &'static str, n: f64) -> Error {
        let allowed = match status {
            sys::TB_EXCEEDS_CAPACITY if allowed == AMOUNT => "at most the capacity",
            sys::TB_E_OUT_OF_RANGE => WITHIN_DEBT,
            _ => allowed,
        };
        Error::of(status, || Argument::new(name, allowed, Number(n)))
    }
}

/// Success, or the error of any other status of a call for `n` tokens.
#[inline]
pub(crate) fn check_amount(status: sys::tb_status, n: f64) -> Result<(), Error> {
    match status {
        sys::TB_SUCCESS => Ok(()),
        other => Err(Error::of_amount(other, "n", AMOUNT, n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_a_person_writes_them() {
        let numbers = [0.0, -1.0, 0.5, 1e15, 1e300, -1e-7, f64::NAN, f64::INFINITY];
        let texts: Vec<_> = numbers.iter().map(|number| Number(*number).to_string()).collect();
        assert_eq!(texts, ["0", "-1", "0.5", "1000000000000000", "1e300", "-1e-7", "NaN", "inf"]);
    }
}

//! `Duration` to and from the library's nanoseconds.
use std::convert::TryFrom;
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::{Argument, Error};

/// None for what the library cannot express, or for never.
pub(crate) fn from_ns(ns: i64) -> Option<Duration> {
    match u64::try_from(ns) {
        Ok(ns) if ns < sys::TB_FOREVER as u64 => Some(Duration::from_nanos(ns)),
        _ => None,
    }
}

/// A limit of None, or of more than can be expressed (292 years), is no limit.
pub(crate) fn limit_to_ns(limit: Option<Duration>) -> i64 {
    limit.and_then(exact_to_ns).unwrap_or(sys::TB_FOREVER)
}

pub(crate) fn exact_to_ns(duration: Duration) -> Option<i64> {
    i64::try_from(duration.as_nanos()).ok()
}

/// Of the argument of that name, which must be expressed as it is.
pub(crate) fn argument_to_ns(name: &'static str, duration: Duration) -> Result<i64, Error> {
    exact_to_ns(duration).ok_or_else(|| Error::OutOfRange(too_long(name, duration)))
}

pub(crate) fn too_long(name: &'static str, duration: Duration) -> Argument {
    Argument::new(name, "so short that the time stays below 292 years", format_args!("{:?}", duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_their_nanoseconds() {
        let longest = i64::MAX - 1;
        for ns in [0, 1, 999_999_999, 1_000_000_001, longest] {
            let duration = Duration::from_nanos(ns as u64);
            assert_eq!(from_ns(ns), Some(duration));
            assert_eq!(exact_to_ns(duration), Some(ns));
            assert_eq!(limit_to_ns(Some(duration)), ns);
        }
    }

    #[test]
    fn what_cannot_be_expressed_is_never_wrapped() {
        assert_eq!(from_ns(sys::TB_FOREVER), None);
        assert_eq!(exact_to_ns(Duration::MAX), None);
        let error = argument_to_ns("period", Duration::MAX).unwrap_err();
        assert!(error.to_string().starts_with("period must be so short"), "{}", error);
        assert_eq!(limit_to_ns(Some(Duration::MAX)), sys::TB_FOREVER);
        assert_eq!(limit_to_ns(None), sys::TB_FOREVER);
    }
}

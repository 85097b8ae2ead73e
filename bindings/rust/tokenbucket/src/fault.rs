//! Which part of a limit the library refuses: asked after it did.
use std::ffi::CStr;
use std::os::raw::c_char;
use std::ptr::null;
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::argument::{Number, LEVEL};
use crate::config::defaults;
use crate::time::from_ns;
use crate::{Argument, Error};

/// A field of a C struct, or an argument of a C function, and what it must be.
pub(crate) struct Fault {
    pub(crate) field: &'static str,
    pub(crate) allowed: &'static str,
}

impl Fault {
    /// What `check`, tb_config_check or its like, writes. None: it refuses nothing.
    pub(crate) fn of(check: impl FnOnce(*mut sys::tb_config_fault) -> sys::tb_status) -> Option<Fault> {
        let mut fault = sys::tb_config_fault { field: null(), allowed: null() };
        check(&mut fault);
        Some(Fault { field: text(fault.field)?, allowed: text(fault.allowed)? })
    }

    /// The argument of that name.
    pub(crate) fn argument(&self, name: &'static str, value: impl std::fmt::Display) -> Argument {
        Argument::new(name, self.allowed, value)
    }

    /// The part of the [`Config`](crate::Config) that the field was made from.
    fn of_config(&self, config: &sys::tb_config) -> Argument {
        match self.field {
            "capacity" => self.argument("capacity", Number(config.capacity)),
            "rate_tokens" => self.argument("rate", rate_text(config.rate_tokens, from_ns(config.rate_period_ns))),
            "rate_period_ns" => self.argument("period", "0s"),
            "initial_tokens" => Argument::new("initial_tokens", LEVEL, Number(config.initial_tokens)),
            field => self.argument(field, "another"),
        }
    }

    /// The same for an option that a table or a server, `whose`, does not have.
    fn of_option(&self, config: &sys::tb_config, whose: &str) -> Argument {
        let (name, value) = match self.field {
            "flags" if config.flags & sys::TB_STATISTICS != 0 => ("statistics", "them".into()),
            "flags" => ("precise_wait", "it".into()),
            "max_lateness_ns" => ("max_lateness", format!("{:?}", Duration::from_nanos(config.max_lateness_ns as u64))),
            "max_waiters" => ("max_waiters", config.max_waiters.to_string()),
            "initial_tokens" => ("initial_tokens", Number(config.initial_tokens).to_string()),
            field => (field, "one".into()),
        };
        Argument::new(name, format!("left out for {}", whose), value)
    }
}

/// Of a limit for `whose`, "a bucket" or "a server", that was refused with the status, by what the check says; `own`
/// knows the arguments that are no part of the config.
pub(crate) fn error_of(
    status: sys::tb_status,
    config: &sys::tb_config,
    whose: &str,
    fault: Option<Fault>,
    own: impl FnOnce(&Fault) -> Option<Argument>,
) -> Error {
    match (status, fault) {
        (sys::TB_E_UNSUPPORTED, Some(fault)) => Error::Unsupported(Some(fault.of_option(config, whose))),
        (status, Some(fault)) => Error::of(status, || own(&fault).unwrap_or_else(|| fault.of_config(config))),
        (status, None) => Error::from_status(status),
    }
}

/// The rate of a limit, in the words of [`Config::new`](crate::Config::new) where it is not by the second.
pub(crate) fn rate_text(tokens: f64, period: Option<Duration>) -> String {
    match period {
        Some(period) if period != Duration::from_secs(1) => format!("{} per {:?}", Number(tokens), period),
        _ => Number(tokens).to_string(),
    }
}

/// Success, or the error of a capacity that was refused: by the range of all, or else by `units`, that of this limit.
pub(crate) fn check_capacity(status: sys::tb_status, capacity: f64, units: &'static str) -> Result<(), Error> {
    check_change(status, "capacity", capacity, units, |config| &mut config.capacity)
}

/// The same for a rate.
pub(crate) fn check_rate(status: sys::tb_status, rate: f64, units: &'static str) -> Result<(), Error> {
    check_change(status, "rate", rate, units, |config| &mut config.rate_tokens)
}

fn check_change(
    status: sys::tb_status,
    name: &'static str,
    value: f64,
    units: &'static str,
    field: fn(&mut sys::tb_config) -> &mut f64,
) -> Result<(), Error> {
    if status == sys::TB_SUCCESS {
        return Ok(());
    }
    let mut config = sys::tb_config { capacity: 1.0, rate_tokens: 1.0, ..defaults()? };
    *field(&mut config) = value;
    // SAFETY: the config and the output live for the call.
    let fault = Fault::of(|fault| unsafe { sys::tb_config_check(&config, fault) });
    let allowed = fault.map_or(units, |fault| fault.allowed);
    Err(Error::of(status, || Argument::new(name, allowed, Number(value))))
}

fn text(static_text: *const c_char) -> Option<&'static str> {
    // SAFETY: the library's texts are static and terminated.
    (!static_text.is_null()).then(|| unsafe { CStr::from_ptr(static_text) }.to_str().unwrap_or_default())
}

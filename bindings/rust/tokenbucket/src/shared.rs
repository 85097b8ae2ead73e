//! Buckets and tables in memory that processes share.
use std::ffi::{CStr, CString};
use std::os::raw::c_char;
use std::ptr::null;
use std::{error, fmt, io};

use tokenbucket_sys as sys;

use crate::bucket::refused;
use crate::{Argument, Bucket, Config, Error, Limit, Table, TableConfig};

/// Why shared memory could not be opened or its name not be removed. It converts into the bare [`Error`].
#[derive(Debug)]
#[non_exhaustive]
pub struct SharedError {
    /// What it is. [`Error::Mismatch`]: the text says what differs, for a limit what was found, and the way out.
    /// [`Error::System`]: the [`source`](error::Error::source) is the [`io::Error`].
    pub error: Error,
    /// What was opened, such as `bucket "x"`, and why it was not. None: the error says it all.
    found: Option<(String, String)>,
    /// With `Mismatch`, one of the library's list.
    fault: i32,
    system: Option<io::Error>,
}

impl SharedError {
    /// With `Mismatch` the fault is one of the library's list, with `System` an errno.
    fn of(error: Error, asked: &Asked<'_>, fault: i32) -> SharedError {
        let system = (error == Error::System).then(|| io::Error::from_raw_os_error(fault));
        let text = match (&error, &system) {
            (_, Some(system)) => system.to_string(),
            (Error::Mismatch, None) => fault_text(fault),
            _ => error.to_string(),
        };
        let found = asked.name.map(|name| (format!("{} {:?}", asked.kind, name), text));
        SharedError { error, found, fault, system }
    }

    /// Where what is there can be adopted: what is another there, by the fault, and the way out.
    fn or_adopt(
        mut self,
        adopt: impl FnOnce() -> Option<Limit>,
        difference: impl FnOnce(i32, &Limit) -> Argument,
    ) -> SharedError {
        if let (Error::Mismatch, Some((_, text))) = (&self.error, &mut self.found) {
            if let Some(limit) = adopt() {
                *text = format!("{} (adopt_shared takes what is there)", difference(self.fault, &limit));
            }
        }
        self
    }
}

fn fault_text(fault: i32) -> String {
    // SAFETY: the text is static and terminated, for every number.
    unsafe { CStr::from_ptr(sys::tb_shared_fault_message(fault)) }.to_string_lossy().into_owned()
}

impl From<Error> for SharedError {
    fn from(error: Error) -> SharedError {
        SharedError { error, found: None, fault: 0, system: None }
    }
}

impl From<SharedError> for Error {
    fn from(shared: SharedError) -> Error {
        shared.error
    }
}

/// The system's error, where that is what it is; else with the nearest kind, and the error itself inside.
impl From<SharedError> for io::Error {
    fn from(shared: SharedError) -> io::Error {
        match shared.system {
            Some(error) => error,
            None => io::Error::new(shared.error.kind(), shared),
        }
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Some((what, text)) => write!(f, "shared {}: {}", what, text),
            None => self.error.fmt(f),
        }
    }
}

impl error::Error for SharedError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.system.as_ref().map(|error| error as _)
    }
}

impl Config {
    /// Opens the bucket of that name in memory that the processes of this user share, or creates it as
    /// [`build`](Config::build) does: all take from the same tokens and wait in one queue. Linux alone has it.
    ///
    /// The name is that of a file in `/dev/shm`, or an absolute path. None: nameless, for the children that this
    /// process forks from now on. [`initial_tokens`](Config::initial_tokens) are those of a new bucket. What one process
    /// changes, a rate or by [`close`](Bucket::close), holds for all; futures that wait ask for it every 100 ms. A wait
    /// for several limits cannot have a shared one (`Unsupported`).
    ///
    /// # Errors
    /// As `build`. `Mismatch`: the limit there is another one, or it is no such bucket. `System`. `InvalidArgument`:
    /// also no such name. `Unsupported`: a clock, or the system has no such memory.
    pub fn open_shared(self, name: Option<&str>) -> Result<Bucket, SharedError> {
        let adopt = || open_bucket(self.clone(), name, sys::TB_SHARED_ADOPT).ok()?.limit().ok();
        open_bucket(self.clone(), name, 0).map_err(|refused| refused.or_adopt(adopt, |_, limit| self.difference(limit)))
    }

    /// As [`open_shared`](Config::open_shared), but takes the limit that is in force there, whatever this one says.
    ///
    /// # Errors
    /// As `open_shared`.
    pub fn adopt_shared(self, name: Option<&str>) -> Result<Bucket, SharedError> {
        open_bucket(self, name, sys::TB_SHARED_ADOPT)
    }
}

impl TableConfig {
    /// Opens or creates a table as [`Config::open_shared`] does a bucket: for each key all take from the same tokens and
    /// wait in one queue, and what one process changes, a limit, or by [`remove`](Table::remove) or
    /// [`close`](Table::close), holds for all.
    ///
    /// One key in eight places, at least 16 and at most 512, can have waits and reservations at one time, each at most
    /// 128, else `OutOfMemory`. A new table takes all its memory at once, with 24 KB more for each such key.
    ///
    /// # Errors
    /// As [`build`](TableConfig::build) and `Config::open_shared`. `Mismatch`: also another size or `when_full`.
    pub fn open_shared(self, name: Option<&str>) -> Result<Table, SharedError> {
        let adopt = || open_table(self.clone(), name, sys::TB_SHARED_ADOPT).ok()?.limit().ok();
        open_table(self.clone(), name, 0)
            .map_err(|refused| refused.or_adopt(adopt, |fault, limit| self.difference(fault, limit)))
    }

    /// As [`open_shared`](TableConfig::open_shared), but takes the limit, the size and the `when_full` that are in
    /// force there, whatever this one says.
    ///
    /// # Errors
    /// As `open_shared`.
    pub fn adopt_shared(self, name: Option<&str>) -> Result<Table, SharedError> {
        open_table(self, name, sys::TB_SHARED_ADOPT)
    }
}

fn open_bucket(config: Config, name: Option<&str>, flags: u32) -> Result<Bucket, SharedError> {
    let asked = Asked::of("bucket", name)?;
    let (config, callees) = config.into_raw()?;
    Bucket::open(callees, true, |bucket| {
        let mut fault = 0;
        // SAFETY: the config, which points into the callees, the name and the outputs live for the call.
        let status = unsafe { sys::tb_shared_open(&config, asked.start(), flags, bucket, &mut fault) };
        asked.answer(status, fault, &config, || refused(status, &config))
    })
}

fn open_table(config: TableConfig, name: Option<&str>, flags: u32) -> Result<Table, SharedError> {
    let asked = Asked::of("table", name)?;
    let (raw, callees) = config.into_raw()?;
    Table::open(callees, true, |table| {
        let mut fault = 0;
        // SAFETY: the configs, which point into the callees, the name and the outputs live for the call.
        let status =
            unsafe { sys::tb_shared_table_open(&raw.limit, &raw.table, asked.start(), flags, table, &mut fault) };
        asked.answer(status, fault, &raw.limit, || raw.refused(status))
    })
}

/// Removes the name of a shared bucket or table. Processes that have it open keep it; who opens the name anew creates
/// another. That there is none is no error.
///
/// # Errors
/// `System`. `InvalidArgument`: no such name. `Unsupported`: the system has no such memory.
pub fn remove_shared(name: &str) -> Result<(), SharedError> {
    let asked = Asked::of("memory", Some(name))?;
    let mut fault = 0;
    // SAFETY: the name and the output live for the call.
    match unsafe { sys::tb_shared_remove(asked.start(), &mut fault) } {
        sys::TB_SUCCESS => Ok(()),
        sys::TB_E_INVALID_ARGUMENT => Err(no_name(name).into()),
        status => Err(SharedError::of(Error::from_status(status), &asked, fault)),
    }
}

/// What is asked for, as it is told and as the library reads it.
struct Asked<'name> {
    kind: &'static str,
    name: Option<&'name str>,
    terminated: Option<CString>,
}

impl<'name> Asked<'name> {
    fn of(kind: &'static str, name: Option<&'name str>) -> Result<Asked<'name>, Error> {
        let terminated = name.map(|name| CString::new(name).map_err(|_| no_name(name))).transpose()?;
        Ok(Asked { kind, name, terminated })
    }

    fn start(&self) -> *const c_char {
        self.terminated.as_ref().map_or(null(), |text| text.as_ptr())
    }

    /// The library's; `refused` says what it refuses of the config.
    fn answer(
        &self,
        status: sys::tb_status,
        fault: i32,
        config: &sys::tb_config,
        refused: impl FnOnce() -> Error,
    ) -> Result<(), SharedError> {
        if status == sys::TB_SUCCESS {
            return Ok(());
        }
        Err(match refused() {
            Error::Unknown(sys::TB_E_INVALID_ARGUMENT) => no_name(self.name.unwrap_or_default()).into(),
            Error::Unsupported(None) if !config.clock.is_null() => {
                let allowed = format!("left out for a shared {}", self.kind);
                Error::Unsupported(Some(Argument::new("clock", allowed, "one"))).into()
            }
            error @ (Error::Mismatch | Error::System | Error::Closed) => SharedError::of(error, self, fault),
            error => error.into(),
        })
    }
}

fn no_name(name: &str) -> Error {
    let allowed = "the name of a file, without a slash or a leading dot, or an absolute path";
    Error::InvalidArgument(Argument::new("name", allowed, name))
}

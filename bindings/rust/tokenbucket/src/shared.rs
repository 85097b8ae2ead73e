//! Buckets in memory that processes share.
use std::ffi::{CStr, CString};
use std::ptr::null;
use std::{error, fmt, io};

use tokenbucket_sys as sys;

use crate::bucket::refused;
use crate::{Argument, Bucket, Config, Error};

/// Why shared memory could not be opened or its name not be removed. It converts into the bare [`Error`].
#[derive(Debug)]
#[non_exhaustive]
pub struct SharedError {
    /// What it is. [`Error::Mismatch`]: the text says what differs, and for a limit what was found. [`Error::System`]:
    /// the [`source`](error::Error::source) is the [`io::Error`].
    pub error: Error,
    /// The name, and what is wrong with what has it. None: the error says it all.
    found: Option<(String, String)>,
    system: Option<io::Error>,
}

impl SharedError {
    /// With `Mismatch` the fault is one of the library's list, with `System` an errno.
    fn of(error: Error, name: Option<&str>, fault: i32) -> SharedError {
        let system = (error == Error::System).then(|| io::Error::from_raw_os_error(fault));
        let text = match (&error, &system) {
            (_, Some(system)) => system.to_string(),
            (Error::Mismatch, None) => fault_text(fault),
            _ => error.to_string(),
        };
        SharedError { error, found: name.map(|name| (name.into(), text)), system }
    }
}

fn fault_text(fault: i32) -> String {
    // SAFETY: the text is static and terminated, for every number.
    unsafe { CStr::from_ptr(sys::tb_shared_fault_message(fault)) }.to_string_lossy().into_owned()
}

impl From<Error> for SharedError {
    fn from(error: Error) -> SharedError {
        SharedError { error, found: None, system: None }
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
            Some((name, text)) => write!(f, "shared bucket {:?}: {}", name, text),
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
    /// The name is that of a file in `/dev/shm`, or an absolute path. None: nameless, for the children that this process
    /// forks from now on. [`initial_tokens`](Config::initial_tokens) are those of a new bucket. What one process
    /// changes, a rate or by [`close`](Bucket::close), holds for all; futures that wait ask for it every 100 ms. A
    /// shared bucket cannot be waited for as one of several limits (`Unsupported`).
    ///
    /// # Errors
    /// As `build`. `Mismatch`: the limit there is another one, or it is no such bucket. `System`. `InvalidArgument`: also
    /// no such name. `Unsupported`: a clock, or the system has no such memory.
    pub fn open_shared(self, name: Option<&str>) -> Result<Bucket, SharedError> {
        match open(self.clone(), name, 0) {
            Err(SharedError { error: Error::Mismatch, found: Some((name, text)), system }) => {
                let text = self.difference_to(&name).unwrap_or(text);
                Err(SharedError { error: Error::Mismatch, found: Some((name, text)), system })
            }
            opened => opened,
        }
    }

    /// As [`open_shared`](Config::open_shared), but takes the limit that is in force there, whatever this one says.
    ///
    /// # Errors
    /// As `open_shared`.
    pub fn adopt_shared(self, name: Option<&str>) -> Result<Bucket, SharedError> {
        open(self, name, sys::TB_SHARED_ADOPT)
    }
}

impl Config {
    /// Both limits, where the bucket of that name has another one.
    fn difference_to(&self, name: &str) -> Option<String> {
        let found = open(self.clone(), Some(name), sys::TB_SHARED_ADOPT).ok()?.limit().ok()?;
        Some(self.difference(&found).to_string())
    }
}

fn open(config: Config, name: Option<&str>, flags: u32) -> Result<Bucket, SharedError> {
    let text = name.map(terminated).transpose()?;
    let start = text.as_ref().map_or(null(), |text| text.as_ptr());
    let (config, callees) = config.into_raw()?;
    Bucket::open(callees, true, |bucket| {
        let mut fault = 0;
        // SAFETY: the config, which points into the callees, the name and the outputs live for the call.
        let status = unsafe { sys::tb_shared_open(&config, start, flags, bucket, &mut fault) };
        if status == sys::TB_SUCCESS {
            return Ok(());
        }
        Err(match refused(status, &config) {
            Error::Unknown(sys::TB_E_INVALID_ARGUMENT) => no_name(name.unwrap_or_default()).into(),
            Error::Unsupported(None) if !config.clock.is_null() => {
                Error::Unsupported(Some(Argument::new("clock", "left out for a shared bucket", "one"))).into()
            }
            error @ (Error::Mismatch | Error::System | Error::Closed) => SharedError::of(error, name, fault),
            error => error.into(),
        })
    })
}

/// Removes the name of a shared bucket. Processes that have the bucket keep it; who opens the name anew creates another.
/// That there is none is no error.
///
/// # Errors
/// `System`. `InvalidArgument`: no such name. `Unsupported`: the system has no such memory.
pub fn remove_shared(name: &str) -> Result<(), SharedError> {
    let text = terminated(name)?;
    let mut fault = 0;
    // SAFETY: the name and the output live for the call.
    match unsafe { sys::tb_shared_remove(text.as_ptr(), &mut fault) } {
        sys::TB_SUCCESS => Ok(()),
        sys::TB_E_INVALID_ARGUMENT => Err(no_name(name).into()),
        status => Err(SharedError::of(Error::from_status(status), Some(name), fault)),
    }
}

fn terminated(name: &str) -> Result<CString, Error> {
    CString::new(name).map_err(|_| no_name(name))
}

fn no_name(name: &str) -> Error {
    Error::InvalidArgument(Argument::new("name", "the name of a file or an absolute path", name))
}

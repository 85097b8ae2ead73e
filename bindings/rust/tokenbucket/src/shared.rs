//! Buckets in memory that processes share.
use std::ffi::{CStr, CString};
use std::{error, fmt, io};

use tokenbucket_sys as sys;

use crate::{Bucket, Config, Error};

/// Why shared memory could not be opened or its name not be removed. It converts into the bare [`Error`].
#[derive(Debug)]
#[non_exhaustive]
pub struct SharedError {
    /// What it is. [`Error::Mismatch`]: the text says what differs. [`Error::System`]: the
    /// [`source`](error::Error::source) is the [`io::Error`].
    pub error: Error,
    /// With `Mismatch` one of the library's list, with `System` an errno, else 0.
    fault: i32,
    system: Option<io::Error>,
}

impl SharedError {
    fn of(status: sys::tb_status, fault: i32) -> SharedError {
        let error = Error::from_status(status);
        let system = (error == Error::System).then(|| io::Error::from_raw_os_error(fault));
        SharedError { error, fault, system }
    }
}

impl From<Error> for SharedError {
    fn from(error: Error) -> SharedError {
        SharedError { error, fault: 0, system: None }
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
            None => io::Error::new(io::Error::from(shared.error).kind(), shared),
        }
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.error != Error::Mismatch {
            return self.error.fmt(f);
        }
        // SAFETY: the text is static and terminated, for every number.
        let text = unsafe { CStr::from_ptr(sys::tb_shared_fault_message(self.fault)) };
        f.write_str(text.to_str().unwrap_or("unreadable message"))
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
        open(self, name, 0)
    }

    /// As [`open_shared`](Config::open_shared), but takes the limit that is in force there, whatever this one says.
    ///
    /// # Errors
    /// As `open_shared`.
    pub fn adopt_shared(self, name: Option<&str>) -> Result<Bucket, SharedError> {
        open(self, name, sys::TB_SHARED_ADOPT)
    }
}

fn open(config: Config, name: Option<&str>, flags: u32) -> Result<Bucket, SharedError> {
    let name = name.map(terminated).transpose()?;
    let name = name.as_ref().map_or(std::ptr::null(), |name| name.as_ptr());
    let (config, callees) = config.into_raw()?;
    let mut fault = 0;
    Bucket::open(callees, true, |bucket| {
        // SAFETY: the config, which points into the callees, the name and the outputs live for the call.
        unsafe { sys::tb_shared_open(&config, name, flags, bucket, &mut fault) }
    })
    .map_err(|status| SharedError::of(status, fault))
}

/// Removes the name of a shared bucket. Processes that have the bucket keep it; who opens the name anew creates another.
/// That there is none is no error.
///
/// # Errors
/// `System`. `InvalidArgument`: no such name. `Unsupported`: the system has no such memory.
pub fn remove_shared(name: &str) -> Result<(), SharedError> {
    let name = terminated(name)?;
    let mut fault = 0;
    // SAFETY: the name and the output live for the call.
    match unsafe { sys::tb_shared_remove(name.as_ptr(), &mut fault) } {
        sys::TB_SUCCESS => Ok(()),
        status => Err(SharedError::of(status, fault)),
    }
}

fn terminated(name: &str) -> Result<CString, Error> {
    CString::new(name).map_err(|_| Error::InvalidArgument)
}

use std::{error, fmt, io};

use crate::Error;

type Source = Box<dyn error::Error + Send + Sync>;

/// Why a call on a server did nothing, or nobody knows what it did. It converts into the bare [`Error`].
///
/// [`Error::Unavailable`]: the server did not answer, or answered with an error of its own. That is neither a grant nor
/// a denial. If the command reached it, its tokens may be gone. [`Error::Mismatch`]: the key holds something else, or
/// what came is no reply to that call. What the client or the server said is the [`source`](error::Error::source).
#[derive(Debug)]
#[non_exhaustive]
pub struct RemoteError {
    /// What it is.
    pub error: Error,
    source: Option<Source>,
}

impl RemoteError {
    /// That the server did not answer, which the client's error says. For programs that send a
    /// [`Call`](crate::remote::Call) themselves.
    pub fn unavailable(source: impl Into<Box<dyn error::Error + Send + Sync>>) -> RemoteError {
        RemoteError { error: Error::Unavailable, source: Some(source.into()) }
    }

    /// The error that the server answered with.
    pub(super) fn of_server(text: &str) -> RemoteError {
        // What the script did not write has no type or no numbers for it; then Lua stops it. An older server puts the
        // code into the text.
        let is_foreign = ["WRONGTYPE", ": attempt to "].iter().any(|mark| text.contains(mark));
        let error = if is_foreign { Error::Mismatch } else { Error::Unavailable };
        RemoteError { error, source: Some(text.into()) }
    }
}

impl From<Error> for RemoteError {
    fn from(error: Error) -> RemoteError {
        RemoteError { error, source: None }
    }
}

impl From<RemoteError> for Error {
    fn from(remote: RemoteError) -> Error {
        remote.error
    }
}

/// With the nearest kind; the error itself is inside.
impl From<RemoteError> for io::Error {
    fn from(remote: RemoteError) -> io::Error {
        io::Error::new(remote.error.kind(), remote)
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl error::Error for RemoteError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}

use std::sync::Arc;

use crate::remote::{Command, Reply};

/// A client's connection to a server, or its pool of them: what a [`RemoteLimiter`](crate::remote::RemoteLimiter) sends
/// its commands by. Several limiters share one by `&` or an `Arc`.
///
/// For a client that needs `&mut`, lock it or take one from a pool in [`send`](Connection::send).
pub trait Connection {
    /// The client's own error.
    type Error: Into<Box<dyn std::error::Error + Send + Sync>>;

    /// Sends the command and blocks until its reply is there; the client bounds that by a timeout of its own.
    ///
    /// A command that may have reached the server must not be sent again: its tokens would be taken twice. And where a
    /// reply may still come, the connection must not be used again: it would be taken for that of the next command.
    ///
    /// # Errors
    /// No reply came, or one that is neither numbers nor an error. An error that the server answers with is a
    /// [`Reply::Error`].
    fn send(&self, command: &Command) -> Result<Reply, Self::Error>;
}

impl<C: Connection + ?Sized> Connection for &C {
    type Error = C::Error;

    fn send(&self, command: &Command) -> Result<Reply, Self::Error> {
        (**self).send(command)
    }
}

impl<C: Connection + ?Sized> Connection for Arc<C> {
    type Error = C::Error;

    fn send(&self, command: &Command) -> Result<Reply, Self::Error> {
        (**self).send(command)
    }
}

//! One limit for a fleet: its buckets lie in Redis or Valkey, each under a key, for all processes that use the same
//! prefix and the same limit. The server decides, by its own clock; each decision is one round trip.
//!
//! [`RemoteLimiter`] asks on a blocking [`Connection`], which a client of yours becomes in some ten lines. Below it,
//! [`RemoteLimit`] does no I/O: it makes a [`Call`], whose [`Command`] any client can send, and reads the [`Reply`].
//! That is the way for asynchronous programs:
//!
//! ```
//! use std::io;
//! use std::time::Duration;
//! use tokenbucket::remote::{Call, Command, RemoteError, RemoteLimit, Reply};
//! use tokenbucket::Config;
//!
//! /// By your client: sends the words, and returns the numbers or the error that the server answers.
//! async fn send(command: Command) -> io::Result<Reply> {
//!     # let _ = command.words();
//!     # Ok(Reply::Numbers(vec![99]))
//! }
//!
//! async fn ask<A>(call: &Call<'_, A>) -> Result<A, RemoteError> {
//!     let mut reply = send(call.command()).await.map_err(RemoteError::unavailable)?;
//!     if reply.is_noscript() {
//!         reply = send(call.command_with_script()).await.map_err(RemoteError::unavailable)?;
//!     }
//!     call.read(&reply)
//! }
//!
//! async fn paced(limit: &RemoteLimit, user: &str) -> Result<bool, RemoteError> {
//!     if ask(&limit.take(user, 1)?).await?.granted {
//!         return Ok(true);
//!     }
//!     let reservation = ask(&limit.reserve(user, 1, None)?).await?;
//!     if reservation.wait_time() < Duration::from_secs(1) {
//!         // Sleep for that time by your runtime's timer. The tokens are there then.
//!         return Ok(true);
//!     }
//!     ask(&reservation.cancel()?).await?;
//!     Ok(false)
//! }
//!
//! let limit = RemoteLimit::new(Config::per_second(100, 50), RemoteLimit::DEFAULT_MAX_WAIT)?;
//! let per_user = limit.prefix("tb:per-user:");
//! # let _ = paced(&per_user, "alice");
//! # Ok::<(), tokenbucket::Error>(())
//! ```

mod call;
mod connection;
mod error;
mod limit;
mod limiter;
mod reply;
mod reservation;

pub use call::{Call, Command, RemoteAnswer, RemoteMember};
pub use connection::Connection;
pub use error::RemoteError;
pub use limit::{script, script_sha1, RemoteLimit};
pub use limiter::{OnUnavailable, RemoteLimiter};
pub use reply::Reply;
pub use reservation::RemoteReservation;

use std::fmt;
use std::thread::sleep;
use std::time::Duration;

use crate::amount::to_tokens;
use crate::argument::Number;
use crate::remote::{Call, Connection, RemoteAnswer, RemoteError, RemoteLimit, RemoteReservation};
use crate::{Amount, Argument, Config, Decision, Error, Table, TableConfig};

/// What [`RemoteLimiter::allow`], `take`, `take_up_to`, `take_each`, `wait` and `wait_timeout` say when the server does
/// not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum OnUnavailable {
    /// [`Error::Unavailable`].
    #[default]
    Error,
    /// Denied, with no time to retry.
    Closed,
    /// Granted, at most the capacity at once.
    Open,
    /// What a table in this process says, whose capacity and rate are the limit's times `share`, above 0 and at most
    /// 1: with shares that add up to 1 the fleet stays near its limit. It holds 65,536 keys that are not full, 1.6 MB.
    /// More tokens at once than its capacity are denied.
    Local {
        /// Such as 1 over the number of processes.
        share: f64,
    },
}

const LOCAL_KEYS: u64 = 65_536;

/// A [`RemoteLimit`] and a connection to its server. The methods are those of a [`Table`]. Each blocks for a round
/// trip, for as long as the connection lets it, and may be called from as many threads at once as the connection may.
///
/// The errors are those of [`RemoteLimit`] and of [`Call::read`], and `Unavailable` with the client's error inside.
/// What must reach the server, such as a reservation, says that whatever [`OnUnavailable`] is.
///
/// ```no_run
/// use std::io::{self, Read, Write};
/// use std::os::unix::net::UnixStream;
/// use std::sync::Mutex;
/// use std::time::Duration;
/// use tokenbucket::remote::{Command, Connection, OnUnavailable, RemoteLimit, RemoteLimiter, Reply};
/// use tokenbucket::Config;
///
/// /// One connection for all threads, in place of a client's. None: to be opened.
/// struct Server(Mutex<Option<UnixStream>>);
///
/// fn open() -> io::Result<UnixStream> {
///     let stream = UnixStream::connect("/run/redis/redis.sock")?;
///     stream.set_read_timeout(Some(Duration::from_millis(100)))?;
///     Ok(stream)
/// }
///
/// impl Connection for Server {
///     type Error = io::Error;
///
///     fn send(&self, command: &Command) -> io::Result<Reply> {
///         let mut place = self.0.lock().unwrap();
///         // Put back if all goes well: where a reply is late, the next one would not be the next call's.
///         let mut stream = place.take().map_or_else(open, Ok)?;
///         let mut text = format!("*{}\r\n", command.words().len()).into_bytes();
///         for word in command.words() {
///             text.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
///             text.extend_from_slice(word);
///             text.extend_from_slice(b"\r\n");
///         }
///         stream.write_all(&text)?;
///         let mut text = Vec::new();
///         loop {
///             let mut part = [0; 4096];
///             match stream.read(&mut part)? {
///                 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
///                 size => text.extend_from_slice(&part[..size]),
///             }
///             if let Ok(reply) = Reply::parse(&text) {
///                 *place = Some(stream);
///                 return Ok(reply);
///             }
///         }
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let limit = RemoteLimit::new(Config::per_second(100, 50), RemoteLimit::DEFAULT_MAX_WAIT)?.prefix("tb:per-user:");
/// let limiter = RemoteLimiter::new(limit, Server(Mutex::new(None)))
///     .on_unavailable(OnUnavailable::Local { share: 0.25 })?;
/// if limiter.allow("alice", 1)? {
///     println!("served");
/// }
/// limiter.wait_timeout("alice", 10, Duration::from_secs(1))?;
/// # Ok(())
/// # }
/// ```
pub struct RemoteLimiter<C> {
    limit: RemoteLimit,
    connection: C,
    policy: Policy,
}

enum Policy {
    Error,
    Closed,
    Open,
    Local(Table),
}

impl<C: Connection> RemoteLimiter<C> {
    /// Nothing is sent yet.
    pub fn new(limit: RemoteLimit, connection: C) -> RemoteLimiter<C> {
        RemoteLimiter { limit, connection, policy: Policy::Error }
    }

    /// What to say when the server does not answer, instead of [`OnUnavailable::Error`].
    ///
    /// # Errors
    /// `InvalidArgument`: a share that is not above 0 and at most 1. `OutOfRange`, `OutOfMemory`, `System`: there is no
    /// table of that share; see [`TableConfig::build`].
    pub fn on_unavailable(self, policy: OnUnavailable) -> Result<RemoteLimiter<C>, Error> {
        let policy = match policy {
            OnUnavailable::Error => Policy::Error,
            OnUnavailable::Closed => Policy::Closed,
            OnUnavailable::Open => Policy::Open,
            OnUnavailable::Local { share } => Policy::Local(self.local(share)?),
        };
        Ok(RemoteLimiter { policy, ..self })
    }

    /// The limit, to make calls for [`ask`](RemoteLimiter::ask).
    pub fn limit(&self) -> &RemoteLimit {
        &self.limit
    }

    /// Takes `n` tokens of the key if they are there now, all or nothing. `Ok(false)`: denied, nothing taken.
    pub fn allow(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<bool, RemoteError> {
        self.take(key, n).map(|decision| decision.granted)
    }

    /// As [`allow`](RemoteLimiter::allow), and says why.
    pub fn take(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<Decision, RemoteError> {
        let (key, n) = (key.as_ref(), to_tokens(n));
        let answer = self.ask(&self.limit.take(key, n)?).map(Decision::from);
        self.or(answer, || Ok(CLOSED), || Ok(OPEN), |table| table.take(key, n))
    }

    /// Takes as many whole tokens of the key as are there now, at most `most`; it may be 0.
    pub fn take_up_to(&self, key: impl AsRef<[u8]>, most: impl Into<Amount>) -> Result<f64, RemoteError> {
        let (key, most) = (key.as_ref(), to_tokens(most));
        let taken = self.ask(&self.limit.take_up_to(key, most)?).map(|answer| answer.tokens);
        let open = || Ok(most.min(self.limit.limit()?.capacity).floor());
        self.or(taken, || Ok(0.0), open, |table| table.take_up_to(key, most))
    }

    /// [`take`](RemoteLimiter::take) for 1 to [`RemoteLimit::MAX_KEYS`] keys, each with its amount, in their order and
    /// in one round trip. The same key may occur again. In a cluster all must lie in one slot.
    pub fn take_each<K: AsRef<[u8]>, N: Into<Amount>>(
        &self,
        requests: impl IntoIterator<Item = (K, N)>,
    ) -> Result<Vec<Decision>, RemoteError> {
        let requests: Vec<(K, f64)> = requests.into_iter().map(|(key, n)| (key, to_tokens(n))).collect();
        let members: Result<Vec<_>, _> = requests.iter().map(|(key, n)| self.limit.member(key, *n)).collect();
        let answers = self.ask(&Call::take_each(members?)?);
        let count = requests.len();
        self.or(
            answers.map(|answers| answers.into_iter().map(Decision::from).collect()),
            || Ok(vec![CLOSED; count]),
            || Ok(vec![OPEN; count]),
            |table| requests.iter().map(|(key, n)| table.take(key, *n)).collect(),
        )
    }

    /// Takes `n` tokens of the key, blocking the thread until they are there: a reservation, and a sleep until it is
    /// due. Who comes later, on whatever machine, never delays it.
    ///
    /// `TimedOut`, at once and nothing taken: not within the limit's `max_wait`.
    pub fn wait(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<(), RemoteError> {
        self.wait_at_most(key.as_ref(), to_tokens(n), None)
    }

    /// As [`wait`](RemoteLimiter::wait), but `TimedOut` at once, with nothing taken, if the tokens cannot be had within
    /// `timeout` from the server's decision.
    pub fn wait_timeout(
        &self,
        key: impl AsRef<[u8]>,
        n: impl Into<Amount>,
        timeout: Duration,
    ) -> Result<(), RemoteError> {
        self.wait_at_most(key.as_ref(), to_tokens(n), Some(timeout))
    }

    /// Takes `n` tokens of the key now, into debt if need be, and says when they may be used. `TimedOut`, nothing
    /// taken: later than in `max_wait`, or in that of the limit.
    ///
    /// Who gives up before that time cancels it: a drop gives nothing back.
    pub fn reserve(
        &self,
        key: impl AsRef<[u8]>,
        n: impl Into<Amount>,
        max_wait: Option<Duration>,
    ) -> Result<RemoteReservation<'_>, RemoteError> {
        self.ask(&self.limit.reserve(key, n, max_wait)?)
    }

    /// Gives the tokens of a reservation back, and says how many came back: all while it is not due, then none.
    pub fn cancel(&self, reservation: RemoteReservation<'_>) -> Result<f64, RemoteError> {
        Ok(self.ask(&reservation.cancel()?)?.tokens)
    }

    /// Ends the reservation of work that turned out to cost `actual` tokens, 0 or more: the rest of what was reserved
    /// comes back, or what is missing is charged. After an error it stays as it was.
    pub fn settle(&self, reservation: RemoteReservation<'_>, actual: impl Into<Amount>) -> Result<(), RemoteError> {
        self.ask(&reservation.settle(actual)?).map(drop)
    }

    /// Takes `n` tokens of the key unconditionally, into debt if need be, and says how long until that is repaid.
    /// `OutOfRange`, nothing taken: more debt than accrues in the limit's `max_wait`.
    pub fn charge(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<Option<Duration>, RemoteError> {
        Ok(self.ask(&self.limit.charge(key, n)?)?.retry_after)
    }

    /// Puts `n` tokens in for the key, at most up to the capacity; the rest is dropped.
    pub fn refund(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<(), RemoteError> {
        self.ask(&self.limit.refund(key, n)?).map(drop)
    }

    /// Sets the tokens of the key, 0 to the capacity, and forgives all debt. Reservations that are not due are void.
    pub fn reset(&self, key: impl AsRef<[u8]>, tokens: impl Into<Amount>) -> Result<(), RemoteError> {
        self.ask(&self.limit.reset(key, tokens)?).map(drop)
    }

    /// As [`reset`](RemoteLimiter::reset) to the capacity.
    pub fn fill(&self, key: impl AsRef<[u8]>) -> Result<(), RemoteError> {
        self.ask(&self.limit.fill(key)?).map(drop)
    }

    /// Takes nothing: the tokens of the key that are left, negative while in debt, and how long until `n` would be
    /// there.
    pub fn peek(&self, key: impl AsRef<[u8]>, n: impl Into<Amount>) -> Result<RemoteAnswer, RemoteError> {
        self.ask(&self.limit.peek(key, n)?)
    }

    /// Sends a call, such as [`Call::take_all`] of several limits on this server. If the server has lost the script, it
    /// is sent along, once.
    pub fn ask<A>(&self, call: &Call<'_, A>) -> Result<A, RemoteError> {
        let mut reply = self.connection.send(&call.command()).map_err(RemoteError::unavailable)?;
        if reply.is_noscript() {
            reply = self.connection.send(&call.command_with_script()).map_err(RemoteError::unavailable)?;
        }
        call.read(&reply)
    }

    fn wait_at_most(&self, key: &[u8], n: f64, timeout: Option<Duration>) -> Result<(), RemoteError> {
        let reserved = self.reserve(key, n, timeout).map(|reservation| sleep(reservation.wait_time()));
        let late = || Error::TimedOut { retry_after: None };
        let most = timeout.map_or(self.limit.max_wait(), |timeout| timeout.min(self.limit.max_wait()));
        let local = |table: &Table| match table.wait_timeout(key, n, most) {
            Err(Error::ExceedsCapacity(_)) => Err(late()),
            other => other,
        };
        self.or(reserved, || Err(late()), || Ok(()), local)
    }

    /// The answer, or what the policy says where there is none.
    fn or<T>(
        &self,
        answer: Result<T, RemoteError>,
        closed: impl FnOnce() -> Result<T, Error>,
        open: impl FnOnce() -> Result<T, Error>,
        local: impl FnOnce(&Table) -> Result<T, Error>,
    ) -> Result<T, RemoteError> {
        match answer {
            Err(error) if error.error == Error::Unavailable => match &self.policy {
                Policy::Error => Err(error),
                Policy::Closed => Ok(closed()?),
                Policy::Open => Ok(open()?),
                Policy::Local(table) => Ok(local(table)?),
            },
            other => other,
        }
    }

    fn local(&self, share: f64) -> Result<Table, Error> {
        if !(share > 0.0 && share <= 1.0) {
            return Err(Error::InvalidArgument(Argument::new("share", "more than 0 and at most 1", Number(share))));
        }
        let whole = self.limit.limit()?;
        let limit = Config::new(whole.capacity * share, whole.tokens * share, whole.period);
        TableConfig::with_max_keys(limit, LOCAL_KEYS).build()
    }
}

const CLOSED: Decision = Decision { granted: false, remaining: 0.0, retry_after: None, reset_after: None };
const OPEN: Decision = Decision { granted: true, remaining: 0.0, retry_after: Some(Duration::ZERO), reset_after: None };

impl<C> fmt::Debug for RemoteLimiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteLimiter").field("limit", &self.limit).finish_non_exhaustive()
    }
}

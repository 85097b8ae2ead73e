use std::fmt;
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::argument::{Number, ACTUAL, AMOUNT};
use crate::remote::limit::{script, script_sha1, RemoteKey};
use crate::remote::{RemoteError, RemoteLimit, RemoteReservation, Reply};
use crate::time::from_ns;
use crate::{Argument, Decision, Error, Limits};

/// What a server says of a bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RemoteAnswer {
    /// Whether it was done. Only a take can be denied.
    pub granted: bool,
    /// The tokens taken, charged, or put in.
    pub tokens: f64,
    /// The tokens left now; negative while in debt.
    pub remaining: f64,
    /// Until the amount of a take or a look is there, for other calls until no debt is left; zero if it is so now.
    /// None: not within any time that can be expressed.
    pub retry_after: Option<Duration>,
    /// Until the bucket is full again. None: not within any time that can be expressed.
    pub reset_after: Option<Duration>,
}

impl RemoteAnswer {
    fn of(status: sys::tb_status, raw: &sys::tb_remote_answer) -> RemoteAnswer {
        RemoteAnswer {
            granted: status == sys::TB_SUCCESS,
            tokens: raw.tokens,
            remaining: raw.remaining,
            retry_after: from_ns(raw.retry_after_ns),
            reset_after: from_ns(raw.reset_after_ns),
        }
    }
}

impl From<RemoteAnswer> for Decision {
    fn from(answer: RemoteAnswer) -> Decision {
        Decision {
            granted: answer.granted,
            remaining: answer.remaining.max(0.0),
            retry_after: answer.retry_after,
            reset_after: answer.reset_after,
        }
    }
}

/// One of the takes in one call for several keys, of the same or of different limits: made by
/// [`RemoteLimit::member`](crate::remote::RemoteLimit::member), for [`Call::take_all`] and [`Call::take_each`].
#[derive(Clone, Debug)]
#[must_use = "a RemoteMember takes nothing; a Call does"]
pub struct RemoteMember<'limit> {
    key: RemoteKey<'limit>,
    n: f64,
}

impl<'limit> RemoteMember<'limit> {
    pub(super) fn new(key: RemoteKey<'limit>, n: f64) -> RemoteMember<'limit> {
        RemoteMember { key, n }
    }
}

/// A command as its words, to be sent as they are. The first is EVALSHA or EVAL.
pub struct Command {
    /// The words, one behind the other.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Command {
    /// The words in order, each any bytes.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let word = &self.bytes[start..end];
            start = end;
            word
        })
    }

    fn push(&mut self, word: &[u8]) {
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len());
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.words().map(String::from_utf8_lossy)).finish()
    }
}

/// The argument of a call that is an amount: its name, what it must be, and its value.
pub(super) type AmountArgument = (&'static str, &'static str, f64);

/// Of a call that was refused for the amount, here or by the server.
fn refused((name, allowed, n): AmountArgument, status: sys::tb_status) -> Error {
    match status {
        sys::TB_E_OUT_OF_RANGE => {
            Error::OutOfRange(Argument::new(name, "so small that the debt is repaid within max_wait", Number(n)))
        }
        other => Error::of_amount(other, name, allowed, n),
    }
}

/// A question to the server, whose answer is an `A`. It may be asked again: it is decided anew each time.
#[must_use = "a Call asks nothing until its command is sent"]
pub struct Call<'limit, A> {
    keys: Vec<RemoteKey<'limit>>,
    queue_key: Option<Vec<u8>>,
    arguments: Vec<i64>,
    /// None: of many keys.
    amount: Option<AmountArgument>,
    read: fn(&Call<'limit, A>, &[i64]) -> Result<A, RemoteError>,
}

impl<'limit, A> Call<'limit, A> {
    /// The command to send. If the reply [is that the script is not there](Reply::is_noscript), send
    /// [`command_with_script`](Call::command_with_script) instead.
    pub fn command(&self) -> Command {
        self.command_of("EVALSHA", script_sha1())
    }

    /// The same command with the text of the script, which the server then remembers.
    pub fn command_with_script(&self) -> Command {
        self.command_of("EVAL", script())
    }

    /// What the reply says. Never blocks.
    ///
    /// # Errors
    /// `TimedOut`: a reservation. `OutOfRange`: a charge or a settling, of more debt than the limit allows.
    /// `Unavailable`: the server answered with an error. `Mismatch`: the key holds something else, or it is no reply to
    /// this call.
    pub fn read(&self, reply: &Reply) -> Result<A, RemoteError> {
        match reply {
            Reply::Numbers(numbers) => (self.read)(self, numbers),
            Reply::Error(text) => Err(RemoteError::of_server(text)),
        }
    }

    fn command_of(&self, name: &str, script: &str) -> Command {
        let mut command = Command { bytes: Vec::with_capacity(script.len() + 256), ends: Vec::with_capacity(16) };
        command.push(name.as_bytes());
        command.push(script.as_bytes());
        command.push((self.keys.len() + self.queue_key.iter().len()).to_string().as_bytes());
        for key in &self.keys {
            command.push(key.as_bytes());
        }
        if let Some(key) = &self.queue_key {
            command.push(key);
        }
        for argument in &self.arguments {
            command.push(argument.to_string().as_bytes());
        }
        command
    }

    /// `write`, tb_remote_take or its like, is given room for the arguments of any call.
    fn with_one_key(
        key: RemoteKey<'limit>,
        amount: AmountArgument,
        write: impl FnOnce(*const sys::tb_remote, *mut i64, *mut usize) -> sys::tb_status,
        read: fn(&Call<'limit, A>, &[i64]) -> Result<A, RemoteError>,
    ) -> Result<Call<'limit, A>, Error> {
        let mut arguments = vec![0; sys::TB_REMOTE_MAX_ARGUMENTS as usize];
        let mut count = 0;
        match write(key.limit.as_raw(), arguments.as_mut_ptr(), &mut count) {
            sys::TB_SUCCESS => arguments.truncate(count),
            status => return Err(refused(amount, status)),
        }
        Ok(Call { keys: vec![key], queue_key: None, arguments, amount: Some(amount), read })
    }

    fn with_two_keys(self) -> Result<Call<'limit, A>, Error> {
        let queue_key = Some(self.keys[0].queue_key()?);
        Ok(Call { queue_key, ..self })
    }
}

/// tb_remote_take and those that are called like it.
type AskForAmount = unsafe extern "C" fn(*const sys::tb_remote, f64, *mut i64, *mut usize) -> sys::tb_status;

impl<'limit> Call<'limit, RemoteAnswer> {
    /// A call for an amount that needs no second key.
    pub(super) fn of_bucket(
        key: RemoteKey<'limit>,
        ask: AskForAmount,
        amount: AmountArgument,
    ) -> Result<Call<'limit, RemoteAnswer>, Error> {
        // SAFETY: all that is passed lives for the call, and the outputs have room for every call.
        let write = |remote, arguments, count| unsafe { ask(remote, amount.2, arguments, count) };
        Call::with_one_key(key, amount, write, read_answer)
    }

    /// One that does.
    pub(super) fn of_queue(
        key: RemoteKey<'limit>,
        ask: AskForAmount,
        amount: AmountArgument,
    ) -> Result<Call<'limit, RemoteAnswer>, Error> {
        Call::of_bucket(key, ask, amount)?.with_two_keys()
    }

    pub(super) fn cancel(
        key: RemoteKey<'limit>,
        reservation: &sys::tb_reservation,
    ) -> Result<Call<'limit, RemoteAnswer>, Error> {
        // SAFETY: all that is passed lives for the call, and the outputs have room for every call.
        let write = |remote, arguments, count| unsafe { sys::tb_remote_cancel(remote, reservation, arguments, count) };
        Call::with_one_key(key, ("n", AMOUNT, reservation.tokens), write, read_answer)?.with_two_keys()
    }

    pub(super) fn settle(
        key: RemoteKey<'limit>,
        reservation: &sys::tb_reservation,
        actual: f64,
    ) -> Result<Call<'limit, RemoteAnswer>, Error> {
        // SAFETY: all that is passed lives for the call, and the outputs have room for every call.
        let write =
            |remote, arguments, count| unsafe { sys::tb_remote_settle(remote, reservation, actual, arguments, count) };
        Call::with_one_key(key, ("actual", ACTUAL, actual), write, read_answer)?.with_two_keys()
    }
}

impl<'limit> Call<'limit, RemoteReservation<'limit>> {
    pub(super) fn reserve(
        key: RemoteKey<'limit>,
        n: f64,
        max_wait_ns: i64,
    ) -> Result<Call<'limit, RemoteReservation<'limit>>, Error> {
        // SAFETY: all that is passed lives for the call, and the outputs have room for every call.
        let write =
            |remote, arguments, count| unsafe { sys::tb_remote_reserve(remote, n, max_wait_ns, arguments, count) };
        Call::with_one_key(key, ("n", AMOUNT, n), write, read_reservation)?.with_two_keys()
    }
}

impl<'limit> Call<'limit, Vec<RemoteAnswer>> {
    /// Takes from all of 1 to [`Limits::MAX_MEMBERS`](crate::Limits::MAX_MEMBERS) keys, or from none; they may be under
    /// different limits. All keys have one tag in braces, such as `{alice}` behind the prefix of each limit. Where none
    /// was taken, those that would have granted are not granted with a time to retry of zero.
    ///
    /// # Errors
    /// `ExceedsCapacity`: a member asks for more than its bucket can ever hold. `InvalidArgument`: also no common tag,
    /// the same key twice, or too many.
    pub fn take_all(
        members: impl IntoIterator<Item = RemoteMember<'limit>>,
    ) -> Result<Call<'limit, Vec<RemoteAnswer>>, Error> {
        Call::of_members(members, Limits::MAX_MEMBERS, sys::tb_remote_take_all)
    }

    /// Takes from each of 1 to [`RemoteLimit::MAX_KEYS`](crate::remote::RemoteLimit::MAX_KEYS) keys that has enough, in
    /// their order. The same key may occur again. In a cluster all must lie in one slot.
    ///
    /// # Errors
    /// `ExceedsCapacity`, `InvalidArgument`: as for one key, and then nothing is asked of any; or too many keys.
    pub fn take_each(
        members: impl IntoIterator<Item = RemoteMember<'limit>>,
    ) -> Result<Call<'limit, Vec<RemoteAnswer>>, Error> {
        Call::of_members(members, RemoteLimit::MAX_KEYS, sys::tb_remote_take_each)
    }

    fn of_members(
        members: impl IntoIterator<Item = RemoteMember<'limit>>,
        most: usize,
        ask: unsafe extern "C" fn(*const sys::tb_remote_member, usize, *mut i64, *mut usize) -> sys::tb_status,
    ) -> Result<Call<'limit, Vec<RemoteAnswer>>, Error> {
        let members: Vec<_> = members.into_iter().collect();
        let raw: Vec<_> = members.iter().map(|member| member.key.member(member.n)).collect();
        let mut arguments = vec![0; 5 * raw.len() + 1];
        let mut count = 0;
        // SAFETY: the members point into the keys; the outputs have room for the arguments of as many members.
        match unsafe { ask(raw.as_ptr(), raw.len(), arguments.as_mut_ptr(), &mut count) } {
            sys::TB_SUCCESS => arguments.truncate(count),
            status => return Err(refused_members(&members, most, status)),
        }
        let keys = members.into_iter().map(|member| member.key).collect();
        Ok(Call { keys, queue_key: None, arguments, amount: None, read: read_many })
    }
}

impl<A> fmt::Debug for Call<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.command()).finish()
    }
}

const NOTHING: sys::tb_remote_answer =
    sys::tb_remote_answer { tokens: 0.0, remaining: 0.0, retry_after_ns: 0, reset_after_ns: 0 };

/// Finds what is wrong with members of which the library refused one or all.
fn refused_members(members: &[RemoteMember<'_>], most: usize, status: sys::tb_status) -> Error {
    if !(1..=most).contains(&members.len()) {
        return Error::of(status, || Argument::new("members", format!("from 1 to {}", most), members.len()));
    }
    let alone = members
        .iter()
        .find_map(|member| Call::of_bucket(member.key.clone(), sys::tb_remote_take, ("n", AMOUNT, member.n)).err());
    alone.unwrap_or_else(|| {
        let keys: Vec<_> = members.iter().map(|member| member.key.text()).collect();
        Error::of(status, || Argument::new("members", "different keys with one tag in braces", keys.join(", ")))
    })
}

/// The library calls a reply that does not fit the arguments an invalid argument, but it is not the caller's.
fn error_of(amount: Option<AmountArgument>, status: sys::tb_status) -> RemoteError {
    match (status, amount) {
        (sys::TB_E_INVALID_ARGUMENT, _) => Error::Mismatch.into(),
        (other, Some(amount)) => refused(amount, other).into(),
        (other, None) => Error::from_status(other).into(),
    }
}

fn read_answer(call: &Call<'_, RemoteAnswer>, reply: &[i64]) -> Result<RemoteAnswer, RemoteError> {
    match read_one(&call.keys[0], &call.arguments, reply) {
        (status @ (sys::TB_SUCCESS | sys::TB_DENIED), raw) => Ok(RemoteAnswer::of(status, &raw)),
        (status, _) => Err(error_of(call.amount, status)),
    }
}

fn read_one(key: &RemoteKey<'_>, arguments: &[i64], reply: &[i64]) -> (sys::tb_status, sys::tb_remote_answer) {
    let mut raw = NOTHING;
    // SAFETY: all that is passed lives for the call, and is as long as is said.
    let status = unsafe {
        let (remote, asked, told) = (key.limit.as_raw(), arguments.as_ptr(), reply.as_ptr());
        sys::tb_remote_read(remote, asked, arguments.len(), told, reply.len(), &mut raw)
    };
    (status, raw)
}

fn read_reservation<'limit>(
    call: &Call<'limit, RemoteReservation<'limit>>,
    reply: &[i64],
) -> Result<RemoteReservation<'limit>, RemoteError> {
    let (key, arguments) = (&call.keys[0], &call.arguments);
    let mut raw = sys::tb_reservation { tokens: 0.0, wait_ns: 0, ready_at_ns: 0, ticket: 0 };
    // SAFETY: all that is passed lives for the call, and is as long as is said.
    let status = unsafe {
        let (remote, asked, told) = (key.limit.as_raw(), arguments.as_ptr(), reply.as_ptr());
        sys::tb_remote_read_reservation(remote, asked, arguments.len(), told, reply.len(), &mut raw)
    };
    match status {
        sys::TB_SUCCESS => Ok(RemoteReservation::new(key.clone(), raw)),
        sys::TB_TIMED_OUT => {
            let (_, answer) = read_one(key, arguments, reply);
            Err(Error::TimedOut { retry_after: from_ns(answer.retry_after_ns) }.into())
        }
        other => Err(error_of(call.amount, other)),
    }
}

fn read_many(call: &Call<'_, Vec<RemoteAnswer>>, reply: &[i64]) -> Result<Vec<RemoteAnswer>, RemoteError> {
    let raw: Vec<_> = call.keys.iter().map(|key| key.member(0.0)).collect();
    let (mut statuses, mut answers) = (vec![sys::TB_SUCCESS; raw.len()], vec![NOTHING; raw.len()]);
    // SAFETY: all that is passed lives for the call, and is as long as is said; the outputs have one of each for a key.
    let status = unsafe {
        let (asked, told) = (call.arguments.as_ptr(), reply.as_ptr());
        let (statuses, answers) = (statuses.as_mut_ptr(), answers.as_mut_ptr());
        let (asked_count, told_count) = (call.arguments.len(), reply.len());
        sys::tb_remote_read_many(raw.as_ptr(), raw.len(), asked, asked_count, told, told_count, statuses, answers)
    };
    match status {
        sys::TB_SUCCESS | sys::TB_DENIED => {
            Ok(statuses.iter().zip(&answers).map(|(status, raw)| RemoteAnswer::of(*status, raw)).collect())
        }
        other => Err(error_of(call.amount, other)),
    }
}

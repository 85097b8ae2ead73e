use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use tokenbucket_sys as sys;

use crate::config::Callees;
use crate::queue::Queue;
use crate::{Bucket, Refusal, Table};

pub(crate) const MOST: usize = sys::TB_MAX_MEMBERS as usize;

/// One of the limits that a decision must satisfy, and what it costs there: a bucket by
/// [`Bucket::member`](crate::Bucket::member), or a key of a table by [`Table::member`](crate::Table::member).
/// [`Limits`](crate::Limits) decides for several.
#[derive(Clone, Copy, Debug)]
#[must_use = "a Member takes nothing; Limits does"]
pub struct Member<'limiter> {
    limiter: Limiter<'limiter>,
    n: f64,
}

#[derive(Clone, Copy, Debug)]
enum Limiter<'limiter> {
    Bucket(&'limiter Bucket),
    Key(&'limiter Table, &'limiter [u8]),
}

impl<'limiter> Member<'limiter> {
    pub(crate) fn of_bucket(bucket: &'limiter Bucket, n: f64) -> Member<'limiter> {
        Member { limiter: Limiter::Bucket(bucket), n }
    }

    pub(crate) fn of_key(table: &'limiter Table, key: &'limiter [u8], n: f64) -> Member<'limiter> {
        Member { limiter: Limiter::Key(table, key), n }
    }

    pub(crate) fn n(&self) -> f64 {
        self.n
    }

    /// What it is in shared memory. None: it is of this process alone.
    pub(crate) fn shared(&self) -> Option<&'static str> {
        match self.limiter {
            Limiter::Bucket(bucket) => bucket.is_shared().then_some("a shared bucket"),
            Limiter::Key(table, _) => table.is_shared().then_some("a key of a shared table"),
        }
    }

    pub(crate) fn queue(&self) -> Queue<'limiter> {
        match self.limiter {
            Limiter::Bucket(bucket) => Queue::Bucket(bucket),
            Limiter::Key(table, key) => Queue::of_key(table, key),
        }
    }

    pub(crate) fn key(&self) -> &'limiter [u8] {
        match self.limiter {
            Limiter::Bucket(_) => &[],
            Limiter::Key(_, key) => key,
        }
    }

    pub(crate) fn callees(&self) -> &'limiter Callees {
        match self.limiter {
            Limiter::Bucket(bucket) => bucket.callees(),
            Limiter::Key(table, _) => table.callees(),
        }
    }

    fn as_raw(&self) -> sys::tb_member {
        let (bucket, table, key) = match self.limiter {
            Limiter::Bucket(bucket) => (bucket.as_raw(), null_mut(), null()),
            Limiter::Key(table, key) => (null_mut(), table.as_raw(), key.as_ptr().cast()),
        };
        sys::tb_member { bucket, table, key, key_size: self.key().len(), n: self.n }
    }
}

/// What the C library leaves as it is if no member refuses.
pub(crate) const NOBODY: sys::tb_refusal = sys::tb_refusal { member: -1, reserved: 0, retry_after_ns: sys::TB_FOREVER };

/// The status of a call that is given the members and their number, and the member that refused, or NOBODY. What the
/// members point to is alive during the call.
pub(crate) fn ask(
    members: &[Member<'_>],
    call: impl FnOnce(*const sys::tb_member, usize, *mut sys::tb_refusal) -> sys::tb_status,
) -> (sys::tb_status, sys::tb_refusal) {
    if members.len() > MOST {
        return (sys::TB_E_INVALID_ARGUMENT, NOBODY);
    }
    let mut refusal = NOBODY;
    let mut raw = [MaybeUninit::uninit(); MOST];
    for (place, member) in raw.iter_mut().zip(members) {
        *place = MaybeUninit::new(member.as_raw());
    }
    (call(raw.as_ptr().cast(), members.len(), &mut refusal), refusal)
}

/// As [`ask`], for a call that has only one success.
pub(crate) fn decide(
    members: &[Member<'_>],
    call: impl FnOnce(*const sys::tb_member, usize, *mut sys::tb_refusal) -> sys::tb_status,
) -> Result<(), Refusal> {
    match ask(members, call) {
        (sys::TB_SUCCESS, _) => Ok(()),
        (status, refusal) => Err(Refusal::of(members, status, &refusal)),
    }
}

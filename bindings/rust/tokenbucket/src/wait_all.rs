use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::ptr::{null_mut, NonNull};
use std::task::{Context, Poll};
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::member::{ask, NOBODY};
use crate::waiting::{Waiter, Waiting};
use crate::{Member, Refusal};

/// A wait for several limits that occupies no thread, made by [`Limits::wait_async`](crate::Limits::wait_async) and its
/// like.
///
/// At its first poll it takes all tokens, or a place in the queue of each limit. What one grants it holds until all
/// have granted. Dropped before it is ready, it leaves: all comes back, also what it held, and those behind it move up.
/// Forgotten, as by [`mem::forget`](std::mem::forget), it leaks the buckets and tables, too. It works under any executor
/// and is woken as a [`Wait`](crate::Wait). A waker must not panic: that aborts the process.
#[must_use = "futures do nothing unless polled"]
pub struct WaitAll<'limiter>(Waiting<Places<'limiter>>);

/// A place in the queue of each member. All are given up when dropped.
struct Places<'limiter> {
    members: Box<[Member<'limiter>]>,
    raw: NonNull<sys::tb_waiter_all>,
}

// SAFETY: any thread may check a waiter, and leave it when no check is in progress (tokenbucket.h); both happen through
// a mutable reference. The members are Send by their type.
unsafe impl Send for Places<'_> {}
// SAFETY: nothing is done with the waiter through a shared reference.
unsafe impl Sync for Places<'_> {}

impl<'limiter> Waiter for Places<'limiter> {
    type Request = Box<[Member<'limiter>]>;
    type Refusal = Refusal;

    fn enter(
        members: Self::Request,
        timeout_ns: i64,
        priority: i32,
        tag: u64,
    ) -> Result<Option<Places<'limiter>>, Refusal> {
        let (mut waiter, mut wait_ns) = (null_mut(), 0);
        // SAFETY: the members are valid for the call, by ask, the outputs too. The buckets and tables of the members,
        // but not their keys, must live as long as the waiter: they are borrowed until it is dropped, and if it is
        // forgotten it holds them.
        let (status, refusal) = ask(&members, |members, count, refusal| unsafe {
            sys::tb_enqueue_all(members, count, timeout_ns, priority, tag, &mut waiter, &mut wait_ns, refusal)
        });
        match (status, NonNull::new(waiter)) {
            (sys::TB_PENDING, Some(raw)) => {
                members.iter().for_each(|member| member.callees().hold());
                Ok(Some(Places { members, raw }))
            }
            (sys::TB_SUCCESS, _) => Ok(None),
            _ => Err(Refusal::of(&members, status, &refusal)),
        }
    }

    fn look(&mut self) -> Result<Option<i64>, Refusal> {
        let (mut wait_ns, mut refusal) = (0, NOBODY);
        // SAFETY: the waiter lives until self is dropped; the outputs are valid for the call.
        match unsafe { sys::tb_waiter_all_check(self.raw.as_ptr(), &mut wait_ns, &mut refusal) } {
            sys::TB_PENDING => Ok(Some(wait_ns)),
            sys::TB_SUCCESS => Ok(None),
            status => Err(Refusal::of(&self.members, status, &refusal)),
        }
    }

    fn is_on_manual_clock(&self) -> bool {
        self.members.iter().all(|member| member.callees().is_on_manual_clock())
    }
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        // SAFETY: the last use of the waiter, while no check is in progress.
        unsafe { sys::tb_waiter_all_leave(self.raw.as_ptr()) }
        self.members.iter().for_each(|member| member.callees().release());
    }
}

impl<'limiter> WaitAll<'limiter> {
    pub(crate) fn new(members: Box<[Member<'limiter>]>, timeout: Option<Duration>, priority: i32) -> WaitAll<'limiter> {
        WaitAll(Waiting::new(members, timeout, priority))
    }
}

impl Future for WaitAll<'_> {
    type Output = Result<(), Refusal>;

    /// # Panics
    /// If it was ready before.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().0.poll(context)
    }
}

impl fmt::Debug for WaitAll<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitAll")
            .field("timeout", &self.0.timeout)
            .field("priority", &self.0.priority)
            .finish_non_exhaustive()
    }
}

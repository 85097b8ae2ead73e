use std::mem;
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::member::ask;
use crate::{Member, Reservation};

/// Tokens of several limits, promised together by [`Limits::reserve`](crate::Limits::reserve).
///
/// Dropped without [`commit`](Reservations::commit) while any of them is pending, it gives all of them back, also what
/// is due already. Once all are due they count as used.
#[must_use = "reservations that are dropped before all are due give their tokens back"]
#[derive(Debug)]
pub struct Reservations<'limiter> {
    members: Box<[Member<'limiter>]>,
    /// One for each member; empty once committed or split.
    raw: Vec<sys::tb_reservation>,
    wait_ns: i64,
}

impl<'limiter> Reservations<'limiter> {
    pub(crate) fn new(
        members: &[Member<'limiter>],
        raw: Vec<sys::tb_reservation>,
        wait_ns: i64,
    ) -> Reservations<'limiter> {
        Reservations { members: members.into(), raw, wait_ns }
    }

    /// From the call that reserved until all tokens may be used; zero: at once.
    pub fn wait_time(&self) -> Duration {
        Duration::from_nanos(self.wait_ns as u64)
    }

    /// Keeps the tokens for good. They may be used once [`wait_time`](Reservations::wait_time) has passed.
    pub fn commit(mut self) {
        self.raw.clear();
    }

    /// A reservation of each member, in their order, that from now on goes its own way: to settle each at what the
    /// work did cost there.
    pub fn split(mut self) -> Vec<Reservation<'limiter>> {
        let raw = mem::take(&mut self.raw);
        self.members.iter().zip(raw).map(|(member, raw)| Reservation::new(member.queue(), raw)).collect()
    }
}

impl Drop for Reservations<'_> {
    fn drop(&mut self) {
        if self.raw.is_empty() {
            return;
        }
        let raw = self.raw.as_mut_ptr();
        // SAFETY: the members are valid for the call, by ask, and are those of the call that reserved; there is a
        // reservation for each.
        ask(&self.members, |members, count, _| unsafe { sys::tb_cancel_all(members, count, raw) });
    }
}

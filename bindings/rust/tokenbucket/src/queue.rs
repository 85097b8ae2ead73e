//! Where a wait or a reservation stands: in the queue of a bucket, or of a key of a table. Both are borrowed, and so
//! alive, whatever is called below.
use tokenbucket_sys as sys;

use crate::argument::ACTUAL;
use crate::{Bucket, Error, Table};

#[derive(Debug)]
pub(crate) enum Queue<'limiter> {
    Bucket(&'limiter Bucket),
    Key(&'limiter Table, Box<[u8]>),
}

impl<'limiter> Queue<'limiter> {
    pub(crate) fn of_key(table: &'limiter Table, key: &[u8]) -> Queue<'limiter> {
        Queue::Key(table, key.into())
    }

    /// The status, the waiter's number and the time.
    pub(crate) fn enqueue(&self, n: f64, timeout_ns: i64, priority: i32, tag: u64) -> (sys::tb_status, u64, i64) {
        let (mut waiter, mut wait_ns) = (0, 0);
        // SAFETY: the handles are alive, the key and the outputs for the call.
        let status = unsafe {
            match self {
                Queue::Bucket(bucket) => {
                    sys::tb_enqueue(bucket.as_raw(), n, timeout_ns, priority, tag, &mut waiter, &mut wait_ns)
                }
                Queue::Key(table, key) => {
                    let (raw, start, size) = (table.as_raw(), key.as_ptr().cast(), key.len());
                    sys::tb_table_enqueue(raw, start, size, n, timeout_ns, priority, tag, &mut waiter, &mut wait_ns)
                }
            }
        };
        (status, waiter, wait_ns)
    }

    /// The status, and the time after which to look again.
    pub(crate) fn look(&self, waiter: u64) -> (sys::tb_status, i64) {
        let mut wait_ns = 0;
        // SAFETY: as in enqueue.
        let status = unsafe {
            match self {
                Queue::Bucket(bucket) => sys::tb_waiter_check(bucket.as_raw(), waiter, &mut wait_ns),
                Queue::Key(table, key) => {
                    sys::tb_table_waiter_check(table.as_raw(), key.as_ptr().cast(), key.len(), waiter, &mut wait_ns)
                }
            }
        };
        (status, self.bounded(wait_ns))
    }

    /// Nobody wakes a waiter for what another process does to what they share, so it asks.
    fn bounded(&self, wait_ns: i64) -> i64 {
        const ASK_AGAIN_NS: i64 = 100_000_000;
        match self {
            Queue::Bucket(bucket) if bucket.is_shared() => wait_ns.min(ASK_AGAIN_NS),
            Queue::Key(table, _) if table.is_shared() => wait_ns.min(ASK_AGAIN_NS),
            _ => wait_ns,
        }
    }

    /// It fails only in the child of a fork, where nobody waits.
    pub(crate) fn leave(&self, waiter: u64) {
        // SAFETY: as in enqueue.
        unsafe {
            match self {
                Queue::Bucket(bucket) => sys::tb_waiter_leave(bucket.as_raw(), waiter),
                Queue::Key(table, key) => {
                    sys::tb_table_waiter_leave(table.as_raw(), key.as_ptr().cast(), key.len(), waiter)
                }
            }
        };
    }

    /// It fails for a NULL argument only.
    pub(crate) fn cancel(&self, reservation: &mut sys::tb_reservation) {
        // SAFETY: as in enqueue.
        unsafe {
            match self {
                Queue::Bucket(bucket) => sys::tb_cancel(bucket.as_raw(), reservation),
                Queue::Key(table, key) => {
                    sys::tb_table_cancel(table.as_raw(), key.as_ptr().cast(), key.len(), reservation)
                }
            }
        };
    }

    pub(crate) fn settle(&self, reservation: &mut sys::tb_reservation, actual: f64) -> Result<(), Error> {
        // SAFETY: as in enqueue.
        let status = unsafe {
            match self {
                Queue::Bucket(bucket) => sys::tb_settle(bucket.as_raw(), reservation, actual),
                Queue::Key(table, key) => {
                    sys::tb_table_settle(table.as_raw(), key.as_ptr().cast(), key.len(), reservation, actual)
                }
            }
        };
        match status {
            sys::TB_SUCCESS => Ok(()),
            other => Err(Error::of_amount(other, "actual", ACTUAL, actual)),
        }
    }

    /// What a wait of `n` ended with.
    pub(crate) fn outcome(&self, n: f64, status: sys::tb_status) -> Result<(), Error> {
        match self {
            Queue::Bucket(bucket) => bucket.outcome(n, status),
            Queue::Key(table, key) => table.outcome(key, n, status),
        }
    }

    pub(crate) fn is_on_manual_clock(&self) -> bool {
        match self {
            Queue::Bucket(bucket) => bucket.callees().is_on_manual_clock(),
            Queue::Key(table, _) => table.callees().is_on_manual_clock(),
        }
    }
}

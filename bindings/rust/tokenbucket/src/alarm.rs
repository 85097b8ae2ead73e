//! The wakers of the futures that wait, of all buckets, and the one thread that wakes them on real time: started by the
//! first future that has to sleep, asleep until the next is due. It runs no code but that of wakers.
//!
//! No waker is cloned, woken or dropped under the lock: each may run code of an executor, which may drop a future and
//! so come back here.
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::os::raw::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::abort_on_panic;
use crate::Error;

#[derive(Default)]
struct Alarms {
    by_tag: HashMap<u64, Entry>,
    /// Those that have a time.
    by_time: BTreeSet<(Instant, u64)>,
    has_thread: bool,
}

struct Entry {
    waker: Waker,
    at: Option<Instant>,
}

static ALARMS: Mutex<Option<Alarms>> = Mutex::new(None);
static FIRST_CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Option<Alarms>> {
    ALARMS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_alarms<T>(act: impl FnOnce(&mut Alarms) -> T) -> T {
    act(lock().get_or_insert_with(Alarms::default))
}

impl Alarms {
    fn remove(&mut self, tag: u64) -> Option<Waker> {
        let entry = self.by_tag.remove(&tag)?;
        if let Some(at) = entry.at {
            self.by_time.remove(&(at, tag));
        }
        Some(entry.waker)
    }

    /// The wakers of those that are due at `now`, the earliest first.
    fn remove_due(&mut self, now: Instant) -> Vec<Waker> {
        let later = self.by_time.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.by_time, later);
        due.iter().filter_map(|(_, tag)| self.by_tag.remove(tag)).map(|entry| entry.waker).collect()
    }
}

/// One future's, found by a number of its own. It rings at most once for each waker that was set; once it is dropped,
/// a ring is lost.
pub(crate) struct Alarm(u64);

impl Alarm {
    pub(crate) fn new_tag() -> u64 {
        static LAST: AtomicU64 = AtomicU64::new(0);
        LAST.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn of(tag: u64) -> Alarm {
        Alarm(tag)
    }

    /// Who is to be woken; at no time yet.
    pub(crate) fn set(&self, waker: &Waker) {
        let entry = Entry { waker: waker.clone(), at: None };
        let replaced = with_alarms(|alarms| {
            let replaced = alarms.remove(self.0);
            alarms.by_tag.insert(self.0, entry);
            replaced
        });
        drop(replaced);
    }

    /// Has it ring after `left` too, if it has not rung since it was set. `System`: the operating system refuses the
    /// thread.
    pub(crate) fn ring_in(&self, left: Duration) -> Result<(), Error> {
        let at = Instant::now().checked_add(left);
        with_alarms(|alarms| {
            if !alarms.has_thread {
                let builder = thread::Builder::new().name("tokenbucket".to_string());
                builder.spawn(run).map_err(|_| Error::System)?;
                alarms.has_thread = true;
            }
            if let (Some(at), Some(entry)) = (at, alarms.by_tag.get_mut(&self.0)) {
                entry.at = Some(at);
                alarms.by_time.insert((at, self.0));
                if alarms.by_time.iter().next() == Some(&(at, self.0)) {
                    FIRST_CHANGED.notify_one();
                }
            }
            Ok(())
        })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        drop(with_alarms(|alarms| alarms.remove(self.0)));
    }
}

/// The `on_wake` of the C library.
pub(crate) unsafe extern "C" fn ring(_: *mut c_void, tag: u64) {
    if let Some(waker) = with_alarms(|alarms| alarms.remove(tag)) {
        abort_on_panic(|| waker.wake());
    }
}

fn run() -> Infallible {
    let mut guard = lock();
    loop {
        let now = Instant::now();
        let alarms = guard.get_or_insert_with(Alarms::default);
        guard = match alarms.by_time.iter().next() {
            Some((at, _)) if *at <= now => {
                let due = alarms.remove_due(now);
                drop(guard);
                due.into_iter().for_each(|waker| abort_on_panic(|| waker.wake()));
                lock()
            }
            Some((at, _)) => {
                let left = *at - now;
                FIRST_CHANGED.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0
            }
            None => FIRST_CHANGED.wait(guard).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

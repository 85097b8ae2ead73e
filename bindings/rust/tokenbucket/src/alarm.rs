//! Where futures leave their wakers until a time.
//!
//! No waker is cloned, woken or dropped under the lock: each may run code of an executor, which may drop a future and
//! so come back here.
use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// The time at which it is due, and the place among those of the same time.
type Key = (Duration, u64);

/// The alarms of one clock; `Duration` counts from that clock's origin.
#[derive(Default)]
pub(crate) struct Board {
    alarms: Mutex<Alarms>,
    first_changed: Condvar,
}

#[derive(Default)]
struct Alarms {
    by_time: BTreeMap<Key, Entry>,
    last_place: u64,
}

struct Entry {
    waker: Waker,
    owner: usize,
}

/// One alarm, at most once on its board and never after it is dropped.
pub(crate) struct Alarm {
    board: Arc<Board>,
    owner: usize,
    key: Option<Key>,
}

impl Board {
    /// Wakes all that are due at `now`, the earliest first.
    pub(crate) fn pass(&self, now: Duration) {
        let due: Vec<Entry> = {
            let mut alarms = self.lock();
            let later = alarms.by_time.split_off(&(now, u64::MAX));
            mem::replace(&mut alarms.by_time, later).into_values().collect()
        };
        wake(due);
    }

    /// Wakes all of one owner.
    pub(crate) fn wake_owner(&self, owner: usize) {
        let woken: Vec<Entry> = {
            let mut alarms = self.lock();
            let keys: Vec<Key> = alarms.by_time.iter().filter(|(_, e)| e.owner == owner).map(|(key, _)| *key).collect();
            keys.iter().filter_map(|key| alarms.by_time.remove(key)).collect()
        };
        wake(woken);
    }

    /// Sleeps until an alarm is due by `now`, for ever if there is none.
    pub(crate) fn sleep_until_first(&self, now: impl Fn() -> Duration) {
        let mut alarms = self.lock();
        loop {
            let first = alarms.by_time.keys().next().map(|(at, _)| at.saturating_sub(now()));
            alarms = match first {
                Some(left) if left == Duration::ZERO => return,
                Some(left) => self.first_changed.wait_timeout(alarms, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.first_changed.wait(alarms).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(entries: Vec<Entry>) {
    for entry in entries {
        entry.waker.wake();
    }
}

impl Alarm {
    /// Not on the board yet.
    pub(crate) fn new(board: Arc<Board>, owner: usize) -> Alarm {
        Alarm { board, owner, key: None }
    }

    /// Has `waker` woken at `at`, unless the owner's are woken before.
    pub(crate) fn set(&mut self, at: Duration, waker: &Waker) {
        let entry = Entry { waker: waker.clone(), owner: self.owner };
        let mut alarms = self.board.lock();
        let replaced = self.key.take().and_then(|key| alarms.by_time.remove(&key));
        alarms.last_place += 1;
        let key = (at, alarms.last_place);
        let is_first = alarms.by_time.keys().next().map_or(true, |first| key < *first);
        alarms.by_time.insert(key, entry);
        drop(alarms);
        self.key = Some(key);
        if is_first {
            self.board.first_changed.notify_one();
        }
        drop(replaced);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let removed = self.board.lock().by_time.remove(&key);
            drop(removed);
        }
    }
}

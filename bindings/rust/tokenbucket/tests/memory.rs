//! Memory that is not freed. Alone in its file, and so in its process, for all allocations are counted.
use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Wake};
use std::time::Duration;

use tokenbucket::{Bucket, Config, Limits, ManualClock, Table, TableConfig};

struct Counting;

static BYTES: AtomicIsize = AtomicIsize::new(0);

// SAFETY: it is the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as isize, Ordering::SeqCst);
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as isize, Ordering::SeqCst);
        System.dealloc(pointer, layout)
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

/// Every way to end a reservation or a wait.
fn use_all(bucket: &Bucket, table: &Table, clock: &ManualClock) {
    let waker = Arc::new(Nobody).into();
    let mut context = Context::from_waker(&waker);
    let limits = Limits::new([bucket.member(1.0), table.member("key", 1.0)]);
    table.reserve("key", 1.0, None).unwrap().commit();
    table.reserve("key", 1.0, None).unwrap().settle(2.0).unwrap();
    drop(table.reserve("key", 1.0, None).unwrap());
    limits.reserve(None).unwrap().commit();
    drop(limits.reserve(None).unwrap());
    drop(limits.reserve(None).unwrap().split());
    for is_granted in [false, true] {
        let (mut of_key, mut of_all) = (table.wait_async("key", 1.0), limits.wait_async());
        assert!(Pin::new(&mut of_key).poll(&mut context).is_pending());
        assert!(Pin::new(&mut of_all).poll(&mut context).is_pending());
        if is_granted {
            clock.advance(Duration::from_secs(60)).unwrap();
            assert!(Pin::new(&mut of_key).poll(&mut context).is_ready());
            assert!(Pin::new(&mut of_all).poll(&mut context).is_ready());
            assert!(limits.reserve(Some(Duration::ZERO)).is_ok());
        }
    }
}

#[test]
fn reservations_and_waits_leave_no_memory_behind() {
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let config = Config::new(10.0, 1.0, Duration::from_secs(1)).clock(&clock);
    let bucket = config.clone().initial_tokens(0.0).build().unwrap();
    let table = TableConfig::with_max_keys(config, 10).build().unwrap();
    let mut used = Vec::with_capacity(4);
    for _ in 0..4 {
        table.remove("key").unwrap();
        bucket.reset(0.0).unwrap();
        assert!(table.allow("key", 10.0).unwrap());
        use_all(&bucket, &table, &clock);
        used.push(BYTES.load(Ordering::SeqCst));
    }
    // What is kept for good, such as the list of wakers, is there after the first time.
    assert!(used[1..].iter().all(|bytes| *bytes == used[1]), "{:?}", used);
}

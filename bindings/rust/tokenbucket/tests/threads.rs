//! A thousand waits at once occupy one thread. Alone in its file, and so in its process, for threads are counted.
#![cfg(target_os = "linux")]
use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokenbucket::Bucket;

const WAITS: usize = 1000;

/// Marks its task and wakes the executor.
struct Task {
    is_woken: AtomicBool,
    executor: Thread,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.executor.unpark();
    }
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn a_thousand_waits_occupy_one_thread() {
    let threads_before = threads();
    let started = Instant::now();
    let bucket = Bucket::new(1.0, 5000.0).unwrap();
    bucket.wait(1.0).unwrap();

    let new_task = || Task { is_woken: AtomicBool::new(true), executor: thread::current() };
    let tasks: Vec<Arc<Task>> = (0..WAITS).map(|_| Arc::new(new_task())).collect();
    let mut waits: Vec<_> = (0..WAITS).map(|_| Some(bucket.wait_async(1.0))).collect();
    let mut most_threads = 0;
    let mut served = 0;
    while served < WAITS {
        for (place, task) in tasks.iter().enumerate() {
            if !task.is_woken.swap(false, Ordering::SeqCst) {
                continue;
            }
            let waker = task.clone().into();
            let wait = waits[place].as_mut().expect("woken after it was ready");
            if let Poll::Ready(answer) = Pin::new(wait).poll(&mut Context::from_waker(&waker)) {
                assert_eq!(answer, Ok(()));
                waits[place] = None;
                served += 1;
                assert!(started.elapsed() >= Duration::from_secs(served as u64) / 5000);
            }
        }
        most_threads = threads().max(most_threads);
        thread::park_timeout(Duration::from_millis(100));
    }
    assert_eq!(most_threads, threads_before + 1);
}

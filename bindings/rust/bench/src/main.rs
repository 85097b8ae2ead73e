//! The cost of a call beside that of the limiter which a Rust program has without any crate: a mutex around a float and
//! an `Instant`. Both are measured in turn, in the same rounds; the median of the rounds is printed. Likewise the cost of
//! a future that is begun and dropped while many wait, beside an ordered map of wakers, which knows no tokens.
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use tokenbucket::{Bucket, Config};

const ROUNDS: usize = 41;
const CALLS: u32 = 50_000;
const WAIT_ROUNDS: usize = 5;
const WAITS: usize = 100_000;
const PEER: &str = "Mutex<(f64, Instant)>";
const WAITS_PEER: &str = "Mutex<BTreeMap<(Instant, u64), Waker>>";

/// What is commonly written by hand.
struct MutexBucket {
    capacity: f64,
    per_second: f64,
    state: Mutex<(f64, Instant)>,
}

impl MutexBucket {
    fn new(capacity: f64, per_second: f64) -> MutexBucket {
        MutexBucket { capacity, per_second, state: Mutex::new((capacity, Instant::now())) }
    }

    fn allow(&self, n: f64) -> bool {
        let mut state = self.state.lock().unwrap();
        let now = Instant::now();
        let gained = now.duration_since(state.1).as_secs_f64() * self.per_second;
        *state = ((state.0 + gained).min(self.capacity), now);
        let is_enough = state.0 >= n;
        if is_enough {
            state.0 -= n;
        }
        is_enough
    }
}

/// Nanoseconds per call, of each of the threads that call at the same time.
fn time(threads: usize, call: &(impl Fn() + Sync)) -> f64 {
    let start = Barrier::new(threads);
    let work = || {
        start.wait();
        let started = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        started.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    if threads == 1 {
        return work();
    }
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum::<f64>() / threads as f64
    })
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn row(name: &str, threads: usize, ours: impl Fn() + Sync, peers: impl Fn() + Sync) {
    let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_times.push(time(threads, &ours));
        peer_times.push(time(threads, &peers));
    }
    let (our, peer) = (median(our_times), median(peer_times));
    let threads = if threads == 1 { "1 thread".to_string() } else { format!("{} threads", threads) };
    println!("Rust | {}, {} | {:.1} | {} | {:.1} | {:.2}", name, threads, our, PEER, peer, our / peer);
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

type Alarms = Mutex<BTreeMap<(Instant, u64), Waker>>;

/// What a timer keeps of a future that sleeps.
struct PeerWait<'alarms>(&'alarms Alarms, (Instant, u64));

impl PeerWait<'_> {
    fn begin<'alarms>(alarms: &'alarms Alarms, waker: &Waker) -> PeerWait<'alarms> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let key = (Instant::now() + Duration::from_secs(1), LAST.fetch_add(1, Ordering::Relaxed));
        alarms.lock().unwrap().insert(key, waker.clone());
        PeerWait(alarms, key)
    }
}

impl Drop for PeerWait<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().remove(&self.1);
    }
}

/// Nanoseconds per wait: so many are begun, then dropped in that order.
fn time_waits<T>(order: &[usize], begin: impl Fn() -> T) -> f64 {
    let started = Instant::now();
    let mut waits: Vec<_> = order.iter().map(|_| Some(begin())).collect();
    order.iter().for_each(|place| waits[*place] = None);
    started.elapsed().as_nanos() as f64 / order.len() as f64
}

fn waits_row(name: &str, place: impl Fn(usize) -> usize) {
    let order: Vec<_> = (0..WAITS).map(place).collect();
    let bucket = Config::new(1.0, 0.001, Duration::from_secs(1)).initial_tokens(0.0).build().unwrap();
    let (alarms, waker) = (Alarms::default(), Waker::from(Arc::new(Nobody)));
    let ours = || {
        let mut wait = bucket.wait_async(1.0);
        assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending());
        wait
    };
    let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
    for _ in 0..WAIT_ROUNDS {
        our_times.push(time_waits(&order, ours));
        peer_times.push(time_waits(&order, || PeerWait::begin(&alarms, &waker)));
    }
    let (our, peer) = (median(our_times), median(peer_times));
    println!(
        "Rust | wait_async of {}, dropped {} | {:.1} | {} | {:.1} | {:.2}",
        WAITS,
        name,
        our,
        WAITS_PEER,
        peer,
        our / peer
    );
}

fn main() {
    let plenty = (Bucket::new(1e9, 1e9).unwrap(), MutexBucket::new(1e9, 1e9));
    let empty = (Bucket::new(1.0, 1e-4).unwrap(), MutexBucket::new(1.0, 1e-4));
    assert_eq!((empty.0.allow(1.0), empty.1.allow(1.0)), (Ok(true), true));
    for threads in [1, 2] {
        let ours = || assert!(plenty.0.allow(1.0) == Ok(true));
        row("allow, granted", threads, ours, || assert!(plenty.1.allow(1.0)));
        let ours = || assert!(empty.0.allow(1.0) == Ok(false));
        row("allow, denied", threads, ours, || assert!(!empty.1.allow(1.0)));
        let ours = || assert!(plenty.0.take(1.0).unwrap().granted);
        row("take, granted", threads, ours, || assert!(plenty.1.allow(1.0)));
    }
    waits_row("first to last", |place| place);
    waits_row("last to first", |place| WAITS - 1 - place);
    waits_row("in any order", |place| place * 38_723 % WAITS);
}

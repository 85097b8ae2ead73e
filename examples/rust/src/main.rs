//! Four threads ask a bucket for five times as much as it may grant. On a manual clock, so the answer is exact.
use std::process::exit;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use tokenbucket::{Bucket, Config, Error, ManualClock};

const CAPACITY: u64 = 500;
const TOKENS_PER_SECOND: u64 = 2000;
const WORKERS: usize = 4;
const ASKS_PER_STEP: u64 = 25;
const STEP_MS: u64 = 10;
const DURATION_MS: u64 = 5000;
const STEPS: u64 = DURATION_MS / STEP_MS + 1;

fn main() {
    let clock = or_exit(ManualClock::new(Duration::ZERO));
    let config = Config::new(CAPACITY as f64, TOKENS_PER_SECOND as f64, Duration::from_secs(1)).clock(&clock);
    let granted = overload(&or_exit(config.build()), &clock);

    let asked = WORKERS as u64 * ASKS_PER_STEP * STEPS;
    let expected = CAPACITY + TOKENS_PER_SECOND * DURATION_MS / 1000;
    println!("overload rust asked={} granted={} expected={}", asked, granted, expected);
    exit(if granted == expected { 0 } else { 1 });
}

/// Every worker asks in every step; the clock moves on when all have finished.
fn overload(bucket: &Bucket, clock: &ManualClock) -> u64 {
    let step = Barrier::new(WORKERS);
    let work = || {
        let mut granted = 0;
        for i in 0..STEPS {
            step.wait();
            granted += (0..ASKS_PER_STEP).map(|_| u64::from(or_exit(bucket.allow(1.0)))).sum::<u64>();
            if step.wait().is_leader() && i + 1 < STEPS {
                or_exit(clock.advance(Duration::from_millis(STEP_MS)));
            }
        }
        granted
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("workers do not panic")).sum()
    })
}

/// Ends the process: a worker that merely left would keep the others at the barrier for ever.
fn or_exit<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("overload: {}", error);
        exit(1)
    })
}

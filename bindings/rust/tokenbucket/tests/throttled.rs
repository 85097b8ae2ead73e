//! Readers and writers under a bandwidth, on a manual clock.
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokenbucket::{Bucket, Config, Error, ManualClock, Throttled};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

fn clock() -> ManualClock {
    ManualClock::new(Duration::ZERO).unwrap()
}

fn full(capacity: f64, per_second: f64, clock: &ManualClock) -> Bucket {
    Config::new(capacity, per_second, SECOND).clock(clock).build().unwrap()
}

fn until_waiting(clock: &ManualClock, threads: u64) {
    while clock.waiters().unwrap().count != threads {
        thread::yield_now();
    }
}

fn inner(error: &io::Error) -> Option<Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref()).cloned()
}

/// Accepts at most so many bytes at a time, and none at all of a size that is odd.
struct Reluctant {
    most: usize,
    accepted: Vec<u8>,
}

impl Write for Reluctant {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if from.len() % 2 == 1 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.accepted.extend_from_slice(&from[..from.len().min(self.most)]);
        Ok(from.len().min(self.most))
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

#[test]
fn read_costs_what_it_returns() {
    let bucket = full(100.0, 1000.0, &clock());
    let mut source = Throttled::new(&b"0123456789"[..], &bucket);
    let mut into = [0; 64];
    assert_eq!(source.read(&mut []).unwrap(), 0);
    assert_eq!(source.read(&mut into[..4]).unwrap(), 4);
    assert_eq!(bucket.available(), Ok(96.0));
    assert_eq!(source.read(&mut into[4..]).unwrap(), 6);
    assert_eq!(bucket.available(), Ok(90.0));
    assert_eq!(source.read(&mut into).unwrap(), 0);
    assert_eq!(bucket.available(), Ok(90.0));
    assert_eq!(&into[..10], b"0123456789");

    let error = Throttled::new(Broken, &bucket).read(&mut into).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(bucket.available(), Ok(90.0));
}

#[test]
fn write_costs_what_is_accepted() {
    let bucket = full(100.0, 1000.0, &clock());
    let mut sink = Throttled::new(Reluctant { most: 6, accepted: Vec::new() }, &bucket);
    assert_eq!(sink.write(b"").unwrap(), 0);
    assert_eq!(sink.write(b"0123").unwrap(), 4);
    assert_eq!(sink.write(b"4567890123").unwrap(), 6);
    assert_eq!(bucket.available(), Ok(90.0));
    assert_eq!(sink.write(b"odd").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(bucket.available(), Ok(90.0));
    assert_eq!(sink.flush().unwrap_err().kind(), io::ErrorKind::Unsupported);
    assert_eq!(sink.into_inner().accepted, b"0123456789");
}

#[test]
fn moves_what_is_there_but_waits_for_a_chunk() {
    let clock = clock();
    let bucket = &full(100.0, 1000.0, &clock); // a chunk is 10 bytes
    let mut source = Throttled::new(io::repeat(7), bucket);
    let mut sink = Throttled::new(Vec::new(), bucket);
    assert_eq!(source.read(&mut [0; 75]).unwrap(), 75);
    assert_eq!(sink.write(&[0; 75]).unwrap(), 25);
    bucket.refund(3.0).unwrap();
    thread::scope(|scope| {
        let read = scope.spawn(|| source.read(&mut [0; 75]).unwrap());
        until_waiting(&clock, 1);
        assert_eq!(clock.waiters().unwrap().next_due, Some(7 * MILLISECOND));
        let write = scope.spawn(|| sink.write(&[0; 4]).unwrap());
        until_waiting(&clock, 2);
        clock.set(11 * MILLISECOND).unwrap();
        assert_eq!((read.join().unwrap(), write.join().unwrap()), (10, 4));
    });
    assert_eq!(bucket.available(), Ok(0.0));
}

#[test]
fn higher_priority_is_served_first() {
    let clock = clock();
    let bucket = &full(100.0, 1000.0, &clock);
    bucket.charge(100.0).unwrap();
    let mut background = Throttled::new(io::repeat(7), bucket).with_priority(-1);
    let mut sink = Throttled::new(Vec::new(), bucket).with_priority(-1);
    thread::scope(|scope| {
        let read = scope.spawn(|| background.read(&mut [0; 4]).unwrap());
        until_waiting(&clock, 1);
        let write = scope.spawn(|| sink.write(&[0; 4]).unwrap());
        until_waiting(&clock, 2);
        let mut urgent = Throttled::new(io::repeat(7), bucket);
        let urgent = scope.spawn(move || urgent.read(&mut [0; 4]).unwrap());
        until_waiting(&clock, 3);
        clock.set(4 * MILLISECOND).unwrap();
        assert_eq!(urgent.join().unwrap(), 4);
        assert_eq!(clock.waiters().unwrap().count, 2);
        clock.set(12 * MILLISECOND).unwrap();
        assert_eq!((read.join().unwrap(), write.join().unwrap()), (4, 4));
    });
}

#[test]
fn a_bucket_that_never_holds_a_byte_is_refused() {
    let bucket = full(0.5, 10.0, &clock());
    let mut both = Throttled::new(io::Cursor::new(vec![1, 2, 3]), &bucket);
    for error in [both.read(&mut [0; 2]).unwrap_err(), both.write(&[0; 2]).unwrap_err()] {
        assert!(matches!(
            (error.kind(), inner(&error)),
            (io::ErrorKind::InvalidInput, Some(Error::ExceedsCapacity(_)))
        ));
    }
    assert_eq!(both.get_ref().position(), 0);
}

/// The tokens of bytes that come late are those of then, so that a bucket that was full meanwhile adds no second burst.
#[test]
fn idle_source_buys_no_larger_burst() {
    struct Idle<'clock>(&'clock ManualClock);
    impl Read for Idle<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.advance(10 * SECOND).unwrap();
            Ok(into.len())
        }
    }
    let clock = clock();
    let bucket = full(100.0, 10.0, &clock);
    assert_eq!(Throttled::new(Idle(&clock), &bucket).read(&mut [0; 100]).unwrap(), 100);
    assert_eq!(bucket.available(), Ok(0.0));
}

#[test]
fn closed_bucket_ends_a_copy_and_loses_no_byte() {
    let clock = clock();
    let bucket = &Config::new(10.0, 1.0, SECOND).initial_tokens(0.0).clock(&clock).build().unwrap();
    let mut source = Throttled::new(&b"0123456789"[..], bucket);
    thread::scope(|scope| {
        let read = scope.spawn(|| source.read(&mut [0; 1]).unwrap_err());
        until_waiting(&clock, 1);
        bucket.close().unwrap();
        assert_eq!(inner(&read.join().unwrap()), Some(Error::Closed));
    });
    assert_eq!((source.buffer(), *source.get_ref()), (&b"0"[..], &b"123456789"[..]));
    for _ in 0..2 {
        assert_eq!(inner(&source.read(&mut [0; 9]).unwrap_err()), Some(Error::Closed));
    }
    assert_eq!((source.buffer(), *source.get_ref()), (&b"0"[..], &b"123456789"[..]));

    let mut unread = Throttled::new(&b"data"[..], bucket);
    assert_eq!(inner(&unread.read(&mut [0; 9]).unwrap_err()), Some(Error::Closed));
    assert_eq!(*unread.get_ref(), b"data");
    let mut sink = Throttled::new(Vec::new(), bucket);
    assert_eq!(inner(&sink.write(b"data").unwrap_err()), Some(Error::Closed));
    assert!(sink.into_inner().is_empty());
}

#[test]
fn read_refused_by_a_full_queue_can_be_repeated() {
    let clock = clock();
    let config = Config::new(10.0, 1.0, SECOND).initial_tokens(0.0).clock(&clock).max_waiters(1);
    let bucket = &config.build().unwrap();
    let mut source = Throttled::new(&b"0123456789"[..], bucket);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| bucket.wait(1.0));
        until_waiting(&clock, 1);
        assert_eq!(source.read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        clock.set(11 * SECOND).unwrap();
        waiter.join().unwrap().unwrap();
    });
    let mut rest = String::new();
    source.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "0123456789");
    assert_eq!(bucket.available(), Ok(0.0));
}

/// The waiting read and write no longer fit: they go on with parts that do.
#[test]
fn capacity_may_fall_while_a_read_or_write_waits() {
    let clock = clock();
    let bucket = &full(100.0, 1000.0, &clock);
    let mut source = Throttled::new(&b"0123456789"[..], bucket);
    let mut sink = Throttled::new(Vec::new(), bucket);
    bucket.charge(100.0).unwrap();
    thread::scope(|scope| {
        let read = scope.spawn(|| {
            let mut data = Vec::new();
            source.read_to_end(&mut data).map(|_| data)
        });
        let write = scope.spawn(|| sink.write_all(b"0123456789"));
        until_waiting(&clock, 2);
        bucket.set_capacity(4.0).unwrap();
        while !read.is_finished() || !write.is_finished() {
            if let Some(due) = clock.waiters().unwrap().next_due {
                clock.set(due).unwrap();
            }
        }
        assert_eq!(read.join().unwrap().unwrap(), b"0123456789");
        write.join().unwrap().unwrap();
    });
    assert_eq!(sink.into_inner(), b"0123456789");
}

/// Two readers and a writer share one bandwidth. The clock moves only when all that are left wait, to the first time
/// that is due, so that the times of the transfers are exact.
#[test]
fn no_window_holds_more_than_the_limit_and_nothing_is_wasted() {
    const BURST: f64 = 64.0;
    const RATE: f64 = 1000.0;
    const BYTES: usize = 500;
    let clock = clock();
    let bucket = &full(BURST, RATE, &clock);
    let now = &Mutex::new(Duration::ZERO);
    let log = &Mutex::new(Vec::new());
    let left = &AtomicUsize::new(3);
    let note = &|bytes: usize| log.lock().unwrap().push((*now.lock().unwrap(), bytes));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(move || {
                let mut source = Throttled::new(io::repeat(1).take(BYTES as u64), bucket);
                loop {
                    match source.read(&mut [0; 48]).unwrap() {
                        0 => break,
                        bytes => note(bytes),
                    }
                }
                left.fetch_sub(1, Ordering::SeqCst);
            });
        }
        scope.spawn(move || {
            let mut sink = Throttled::new(io::sink(), bucket);
            let mut written = 0;
            while written < BYTES {
                let bytes = sink.write(&[0; 30][..30.min(BYTES - written)]).unwrap();
                note(bytes);
                written += bytes;
            }
            left.fetch_sub(1, Ordering::SeqCst);
        });
        loop {
            let waiting_for = left.load(Ordering::SeqCst) as u64;
            let waiters = clock.waiters().unwrap();
            if waiting_for == 0 {
                break;
            }
            if waiters.count == waiting_for {
                let due = waiters.next_due.unwrap();
                *now.lock().unwrap() = due;
                clock.set(due).unwrap();
            }
            thread::yield_now();
        }
    });
    let log = log.lock().unwrap();
    assert_eq!(log.iter().map(|(_, bytes)| bytes).sum::<usize>(), 3 * BYTES);
    for (first, (from, _)) in log.iter().enumerate() {
        let mut sum = 0;
        for (to, bytes) in &log[first..] {
            sum += bytes;
            let most = BURST + RATE * (*to - *from).as_secs_f64();
            assert!(sum as f64 <= most + 1e-6, "{} bytes from {:?} to {:?}", sum, from, to);
        }
    }
    let ideal = Duration::from_secs_f64((3.0 * BYTES as f64 - BURST) / RATE);
    assert_eq!(log.last().unwrap().0, ideal);
}

#[test]
fn owns_or_borrows_its_bucket() {
    let shared = Arc::new(Bucket::new(100.0, 100.0).unwrap());
    let mut by_arc = Throttled::new(&b"abc"[..], shared.clone());
    let mut data = Vec::new();
    thread::spawn(move || by_arc.read_to_end(&mut data).unwrap()).join().unwrap();
    assert!(shared.available().unwrap() < 100.0);
    let mut own = Throttled::new(&b"abc"[..], Bucket::new(100.0, 100.0).unwrap());
    own.get_mut().read_exact(&mut [0; 2]).unwrap();
    assert!(own.bucket().available().unwrap() > 99.0);
}

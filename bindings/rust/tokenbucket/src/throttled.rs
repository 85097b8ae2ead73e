use std::borrow::Borrow;
use std::io::{self, Read, Write};
use std::time::Duration;

use tokenbucket_sys as sys;

use crate::argument::AMOUNT;
use crate::{Bucket, Error};

/// The smallest amount that is waited for is what comes in this time: less would be a system call for each few bytes,
/// more would be felt as a stutter.
const CHUNK: Duration = Duration::from_millis(10);

/// A reader or writer, or both, whose bytes each cost a token. Clones of one `Arc<Bucket>`, or references, make any
/// number of them share a bandwidth.
///
/// In any window of w seconds, at most capacity + rate * w bytes come out of [`read`](Read::read) and go into the
/// inner writer. Each call moves what the bucket holds, or else waits for what comes in 10 ms (at least a byte, at most
/// the capacity). A read is paid for when the data is there, and so an idle source holds no tokens; end of file and
/// errors cost nothing. A write is paid for before, and what the writer does not accept is given back.
///
/// A closed bucket ends reads and writes with an [`io::Error`] that holds [`Error::Closed`]. No byte is lost by it: what
/// was read from the source but could not be paid for is in [`buffer`](Throttled::buffer).
///
/// ```
/// # use std::io::{self, Read};
/// # use std::sync::Arc;
/// use tokenbucket::{Bucket, Throttled};
///
/// let megabyte_per_second = Arc::new(Bucket::new(65536, 1e6)?);
/// let mut source = Throttled::new(&b"some data"[..], megabyte_per_second.clone());
/// let mut sink = Throttled::new(Vec::new(), megabyte_per_second);
/// io::copy(&mut source, &mut sink)?;
/// assert_eq!(sink.into_inner(), b"some data");
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Debug)]
pub struct Throttled<T, B> {
    inner: T,
    bucket: B,
    priority: i32,
    unpaid: Vec<u8>,
}

impl<T, B: Borrow<Bucket>> Throttled<T, B> {
    /// Puts `inner` under the bandwidth of `bucket`, an `Arc<Bucket>`, a `&Bucket` or a `Bucket`.
    pub fn new(inner: T, bucket: B) -> Throttled<T, B> {
        Throttled { inner, bucket, priority: 0, unpaid: Vec::new() }
    }

    /// With a priority other than 0 in waits for tokens: who has a higher one is served first.
    pub fn with_priority(self, priority: i32) -> Throttled<T, B> {
        Throttled { priority, ..self }
    }

    /// The bucket that pays.
    pub fn bucket(&self) -> &Bucket {
        self.bucket.borrow()
    }

    /// The inner reader or writer.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The inner reader or writer; what is moved through it directly costs nothing.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// What was read from the source but not returned by a read, since the wait for its tokens failed. The next read
    /// begins with it.
    pub fn buffer(&self) -> &[u8] {
        &self.unpaid
    }

    /// Gives the inner reader or writer back; [`buffer`](Throttled::buffer) is lost.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// How many of `wanted` bytes, at least 1, to move next: what is there, but no less than a chunk.
    fn size(&self, wanted: usize) -> Result<usize, Error> {
        let limit = self.bucket().limit()?;
        let most = limit.capacity.min(wanted as f64).floor();
        if most < 1.0 {
            return Err(Error::of_amount(sys::TB_EXCEEDS_CAPACITY, "n", AMOUNT, 1.0));
        }
        let chunk = (limit.per_second() * CHUNK.as_secs_f64()).floor().clamp(1.0, most);
        Ok(self.bucket().available()?.floor().clamp(chunk, most) as usize)
    }

    fn pay(&self, length: usize) -> Result<(), Error> {
        self.bucket().wait_with(length as f64, None, self.priority)
    }

    /// Waits for some of the tokens of `wanted` bytes, at least 1, and says for how many.
    fn pay_some(&self, wanted: usize) -> Result<usize, Error> {
        loop {
            let size = self.size(wanted)?;
            match self.pay(size) {
                // The capacity has fallen since it was looked at.
                Err(Error::ExceedsCapacity(_)) => continue,
                answer => return answer.map(|()| size),
            }
        }
    }
}

impl<R: Read, B: Borrow<Bucket>> Throttled<R, B> {
    /// Reads from the source as much as is to be paid for at once.
    fn fetch(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.bucket().is_closed() {
            return Err(Error::Closed.into());
        }
        let size = self.size(into.len())?;
        self.inner.read(&mut into[..size])
    }
}

impl<R: Read, B: Borrow<Bucket>> Read for Throttled<R, B> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        if self.unpaid.is_empty() {
            let length = self.fetch(into)?;
            if length == 0 {
                return Ok(0);
            }
            let paid = self.pay(length);
            if paid.is_ok() {
                return Ok(length);
            }
            self.unpaid.extend_from_slice(&into[..length]);
            match paid {
                // Only the capacity has fallen: a part of it can be had.
                Err(Error::ExceedsCapacity(_)) => {}
                paid => paid?,
            }
        }
        let length = self.pay_some(into.len().min(self.unpaid.len()))?;
        into[..length].copy_from_slice(&self.unpaid[..length]);
        self.unpaid.drain(..length);
        Ok(length)
    }
}

impl<W: Write, B: Borrow<Bucket>> Write for Throttled<W, B> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if from.is_empty() {
            return self.inner.write(from);
        }
        let paid = self.pay_some(from.len())?;
        let written = self.inner.write(&from[..paid]);
        let unused = paid - written.as_ref().map_or(0, |length| paid.min(*length));
        if unused > 0 {
            // It fails only where the bucket was closed, which pays for nothing more.
            let _ = self.bucket().refund(unused as f64);
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

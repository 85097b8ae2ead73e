use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::system;

/// How often a signal is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// How much has been moved, by all workers.
pub struct Progress {
    started: Instant,
    expected: u64,
    rate: f64,
    burst: f64,
    state: Mutex<State>,
    is_done: Condvar,
}

struct State {
    bytes: u64,
    is_done: bool,
    log: Option<BufWriter<File>>,
    log_error: Option<io::Error>,
}

impl Progress {
    /// Of so many bytes, as far as is known.
    pub fn new(expected: u64, rate: f64, burst: f64, log: Option<&Path>) -> io::Result<Progress> {
        let log = log.map(File::create).transpose()?.map(BufWriter::new);
        let state = State { bytes: 0, is_done: false, log, log_error: None };
        Ok(Progress {
            started: Instant::now(),
            expected,
            rate,
            burst,
            state: Mutex::new(state),
            is_done: Condvar::new(),
        })
    }

    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// The bytes were let through at some time since `begun`.
    pub fn moved(&self, begun: Duration, bytes: usize) {
        let ended = self.now();
        let mut state = self.state.lock().unwrap();
        state.bytes += bytes as u64;
        let line = format!("{} {} {}\n", begun.as_nanos(), ended.as_nanos(), bytes);
        if let Some(Err(error)) = state.log.as_mut().map(|log| log.write_all(line.as_bytes())) {
            state.log = None;
            state.log_error = Some(error);
        }
    }

    pub fn done(&self) {
        self.state.lock().unwrap().is_done = true;
        self.is_done.notify_all();
    }

    /// Until all is done: calls `stop` if a signal came, and shows now and then how far it is, if that is wanted.
    pub fn watch(&self, is_shown: bool, stop: impl Fn()) {
        let on_terminal = system::is_terminal();
        let interval = Duration::from_millis(if on_terminal { 250 } else { 1000 });
        let (mut shown_at, mut shown_bytes) = (Duration::ZERO, 0);
        let mut state = self.state.lock().unwrap();
        while !state.is_done {
            state = self.is_done.wait_timeout(state, LOOK).unwrap().0;
            if system::is_stopped() {
                stop();
            }
            let now = self.now();
            if is_shown && !state.is_done && now >= shown_at + interval {
                show(&self.line(state.bytes, now, state.bytes - shown_bytes, now - shown_at), on_terminal, false);
                (shown_at, shown_bytes) = (now, state.bytes);
            }
        }
        if is_shown {
            let now = self.now().as_secs_f64();
            let average = amount(state.bytes as f64 / now);
            show(&format!("{} in {:.1} s, average {}/s", amount(state.bytes as f64), now, average), on_terminal, true);
        }
    }

    fn line(&self, bytes: u64, now: Duration, recent: u64, since: Duration) -> String {
        let average = bytes as f64 / now.as_secs_f64();
        let text = format!(
            "{} of {}, now {}/s, average {}/s",
            amount(bytes as f64),
            amount(self.expected as f64),
            amount(recent as f64 / since.as_secs_f64()),
            amount(average)
        );
        if bytes < self.expected {
            text + &time_left(self.seconds_left((self.expected - bytes) as f64, average))
        } else {
            text
        }
    }

    /// At the average rate, but no faster than the limit allows.
    fn seconds_left(&self, left: f64, average: f64) -> f64 {
        let by_average = if average > 0.0 { left / average } else { 0.0 };
        by_average.max((left - self.burst) / self.rate)
    }

    /// An error of any write to the log.
    pub fn close_log(self) -> io::Result<()> {
        let mut state = self.state.into_inner().unwrap();
        if let Some(error) = state.log_error {
            return Err(error);
        }
        state.log.as_mut().map_or(Ok(()), BufWriter::flush)
    }
}

/// On a terminal a line is written over, unless it is the last. Who reads may be gone.
fn show(line: &str, on_terminal: bool, is_last: bool) {
    let mut to = io::stderr();
    let _ = match (on_terminal, is_last) {
        (true, true) => writeln!(to, "\r{}\x1b[K", line),
        (true, false) => write!(to, "\r{}\x1b[K", line),
        (false, _) => writeln!(to, "slowcp: {}", line),
    };
}

/// "12.3 MB".
fn amount(mut bytes: f64) -> String {
    for prefix in ["", "k", "M", "G"] {
        if bytes < 999.95 {
            return format!("{:.*} {}B", usize::from(!prefix.is_empty()), bytes, prefix);
        }
        bytes /= 1000.0;
    }
    format!("{:.1} TB", bytes)
}

/// ", 0:04 left". A time of more than a century is none.
fn time_left(seconds: f64) -> String {
    const HOUR: f64 = 3600.0;
    if seconds >= 100.0 * 365.25 * 24.0 * HOUR {
        return ", never ends".to_string();
    }
    let whole = seconds as u64;
    if seconds >= 100.0 * HOUR {
        format!(", {:.0} days left", seconds / (24.0 * HOUR))
    } else if seconds >= HOUR {
        format!(", {}:{:02}:{:02} left", whole / 3600, whole / 60 % 60, whole % 60)
    } else {
        format!(", {}:{:02} left", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        for (bytes, wanted) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (999.96, "1.0 kB"),
            (12_345_678.0, "12.3 MB"),
            (2e9, "2.0 GB"),
            (2e15, "2000.0 TB"),
        ] {
            assert_eq!(amount(bytes), wanted);
        }
    }

    #[test]
    fn times_left_are_plain() {
        for (seconds, wanted) in [
            (4.9, ", 0:04 left"),
            (3599.0, ", 59:59 left"),
            (3661.0, ", 1:01:01 left"),
            (360_000.0, ", 4 days left"),
            (3.1e9, ", 35880 days left"),
            (3.2e9, ", never ends"),
            (f64::INFINITY, ", never ends"),
        ] {
            assert_eq!(time_left(seconds), wanted);
        }
    }

    #[test]
    fn time_left_keeps_to_the_limit() {
        let progress = Progress::new(1000, 10.0, 100.0, None).unwrap();
        let half = Duration::from_millis(500);
        // The burst came at once, and promises more than the limit allows.
        assert_eq!(progress.line(100, half, 100, half), "100 B of 1.0 kB, now 200 B/s, average 200 B/s, 1:20 left");
        assert_eq!(progress.line(1000, half, 0, half), "1.0 kB of 1.0 kB, now 0 B/s, average 2.0 kB/s");
    }
}

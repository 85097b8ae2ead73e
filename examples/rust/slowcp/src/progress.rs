use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// How much has been moved, by all workers.
pub struct Progress {
    started: Instant,
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
    pub fn new(log: Option<&Path>) -> io::Result<Progress> {
        let log = log.map(File::create).transpose()?.map(BufWriter::new);
        let state = State { bytes: 0, is_done: false, log, log_error: None };
        Ok(Progress { started: Instant::now(), state: Mutex::new(state), is_done: Condvar::new() })
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

    /// Says each second, and when all is done, how far it is.
    pub fn show_until_done(&self) {
        let mut state = self.state.lock().unwrap();
        while !state.is_done {
            state = self.is_done.wait_timeout(state, Duration::from_secs(1)).unwrap().0;
            let seconds = self.started.elapsed().as_secs_f64();
            let megabytes = state.bytes as f64 / 1e6;
            eprintln!("slowcp: {:.1} MB in {:.1} s, {:.2} MB/s", megabytes, seconds, megabytes / seconds);
        }
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

//! The one thread that wakes the futures of all buckets on real time: started by the first future that has to wait,
//! asleep until the next is due. It runs no code but that of wakers.
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::alarm::Board;
use crate::Error;

#[derive(Clone)]
pub(crate) struct Timer {
    board: Arc<Board>,
    origin: Instant,
}

static TIMER: Mutex<Option<Timer>> = Mutex::new(None);

impl Timer {
    /// The process's timer, started if need be. `System`: the operating system refuses the thread.
    pub(crate) fn start() -> Result<Timer, Error> {
        let mut running = TIMER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(timer) = &*running {
            return Ok(timer.clone());
        }
        let timer = Timer { board: Arc::default(), origin: Instant::now() };
        let of_thread = timer.clone();
        let builder = thread::Builder::new().name("tokenbucket".to_string());
        builder.spawn(move || of_thread.run()).map_err(|_| Error::System)?;
        *running = Some(timer.clone());
        Ok(timer)
    }

    pub(crate) fn if_started() -> Option<Timer> {
        TIMER.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// The time on the board's scale.
    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn run(self) -> Infallible {
        loop {
            self.board.sleep_until_first(|| self.now());
            self.board.pass(self.now());
        }
    }
}

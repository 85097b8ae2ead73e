//! What is asked of the operating system: the signals that end a program, and terminals.
use std::sync::atomic::{AtomicI32, Ordering};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const BY_DEFAULT: usize = 0;
const IGNORED: usize = 1;
const STANDARD_ERROR: i32 = 2;

extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
    fn raise(number: i32) -> i32;
    fn isatty(descriptor: i32) -> i32;
}

static SIGNAL: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(number: i32) {
    SIGNAL.store(number, Ordering::Relaxed);
}

/// From now on signals are noted. One that was ignored (nohup) stays ignored.
pub fn note_signals() {
    for number in [SIGHUP, SIGINT, SIGTERM] {
        // SAFETY: the handler does what a signal handler may, a store to an atomic.
        unsafe {
            if signal(number, note as extern "C" fn(i32) as usize) == IGNORED {
                signal(number, IGNORED);
            }
        }
    }
}

pub fn is_stopped() -> bool {
    SIGNAL.load(Ordering::Relaxed) != 0
}

/// Ends the program as the signal that was noted does, if one was.
pub fn end_if_stopped() {
    let number = SIGNAL.load(Ordering::Relaxed);
    if number != 0 {
        // SAFETY: no handler is left to run.
        unsafe {
            signal(number, BY_DEFAULT);
            raise(number);
        }
    }
}

pub fn is_terminal() -> bool {
    // SAFETY: it only looks at the descriptor.
    unsafe { isatty(STANDARD_ERROR) == 1 }
}

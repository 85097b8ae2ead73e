//! Those who wait in a replay.
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{mpsc, Arc};
use std::task::{Context, Poll, Wake};
use std::thread;

use tokenbucket::Error;

/// Is it what a row calls so?
pub fn is_called(answer: &Result<(), Error>, name: &str) -> bool {
    match name {
        "ok" => answer.is_ok(),
        "no" => matches!(answer, Err(Error::Denied { .. })),
        "late" => matches!(answer, Err(Error::TimedOut { .. })),
        "never" => matches!(answer, Err(Error::ExceedsCapacity(_))),
        "full" => matches!(answer, Err(Error::QueueFull)),
        "closed" => matches!(answer, Err(Error::Closed)),
        _ => panic!("unknown answer: {}", name),
    }
}

/// Whether a future is to be polled.
pub struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A wait in a thread, or as a future that is polled only when it was woken.
pub enum Task<A> {
    Thread(mpsc::Receiver<A>),
    Future(Pin<Box<dyn Future<Output = A>>>, Arc<Woken>),
}

impl<A: Send + 'static> Task<A> {
    pub fn thread(wait: impl FnOnce() -> A + Send + 'static) -> Task<A> {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || tell.send(wait()));
        Task::Thread(told)
    }

    pub fn future(wait: impl Future<Output = A> + 'static) -> Task<A> {
        Task::Future(Box::pin(wait), Arc::new(Woken(AtomicBool::new(true))))
    }

    pub fn is_woken(&self) -> bool {
        matches!(self, Task::Future(_, woken) if woken.0.load(Ordering::SeqCst))
    }

    /// None: it waits.
    pub fn answer(&mut self) -> Option<A> {
        match self {
            Task::Thread(told) => told.try_recv().ok(),
            Task::Future(wait, woken) => {
                let is_woken = woken.0.swap(false, Ordering::SeqCst);
                match is_woken.then(|| wait.as_mut().poll(&mut Context::from_waker(&woken.clone().into()))) {
                    Some(Poll::Ready(answer)) => Some(answer),
                    _ => None,
                }
            }
        }
    }
}

/// Does the waiter of that name give up?
pub fn leaves(steps: &str, name: &str) -> bool {
    steps.split(';').any(|step| step.split_whitespace().skip_while(|word| *word != "leave").nth(1) == Some(name))
}

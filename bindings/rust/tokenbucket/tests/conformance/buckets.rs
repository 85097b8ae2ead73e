//! Replays the rows of buckets and of those who wait.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokenbucket::{Bucket, Config, Error, ManualClock};

use crate::steps::{duration, number, per_second, rate, run, Reservations, Step};
use crate::tasks::{is_called, leaves, Task};

type Answer = Result<(), Error>;

fn build(limits: &str, clock: &ManualClock) -> Bucket {
    let mut capacity = None;
    let mut gain = None;
    let mut initial = None;
    let (mut max_waiters, mut lateness) = (0, Duration::ZERO);
    for limit in limits.split_whitespace() {
        match limit.split_once('=').unwrap() {
            ("rate", value) => gain = Some(rate(value)),
            ("burst", value) => capacity = Some(number(value)),
            ("init", value) => initial = Some(number(value)),
            ("max_waiters", value) => max_waiters = number(value) as u32,
            ("lateness", value) => lateness = duration(value),
            _ => panic!("unknown limit: {}", limit),
        }
    }
    let (tokens, period) = gain.unwrap();
    let config = Config::new(capacity.unwrap(), tokens, period).clock(clock).statistics();
    let config = config.max_waiters(max_waiters).max_lateness(lateness);
    initial.map_or(config.clone(), |tokens| config.initial_tokens(tokens)).build().unwrap()
}

struct Waiter {
    name: String,
    task: Task<Answer>,
    /// The answer, and what time it was.
    end: Option<(Answer, Duration)>,
}

struct Replay<'bucket> {
    clock: &'bucket ManualClock,
    now: Duration,
    bucket: &'bucket Arc<Bucket>,
    reservations: Reservations<'bucket>,
    /// In the order in which they came.
    waiters: Vec<Waiter>,
    /// Is a waiter of that name, after so many others, to be a thread?
    is_thread: &'bucket dyn Fn(&str, usize) -> bool,
    kinds: &'bucket mut BTreeSet<String>,
}

impl Replay<'_> {
    fn step(&mut self, text: &str) {
        let step = Step::of(text);
        if let Some(time) = step.time {
            self.kinds.insert("@".to_string());
            self.go_to(time);
        }
        if step.verb.is_empty() {
            return;
        }
        self.kinds.insert(step.verb.to_string());
        self.run(&step);
        self.settle();
    }

    /// Stops whenever a waiter is due on the way.
    fn go_to(&mut self, time: Duration) {
        while let Some(due) = self.clock.waiters().unwrap().next_due.filter(|due| *due <= time) {
            self.jump(due);
        }
        self.jump(time);
    }

    fn jump(&mut self, time: Duration) {
        self.clock.set(time).unwrap();
        self.now = self.now.max(time);
        self.settle();
    }

    /// Until every waiter has ended or is counted, so that nothing more happens at this time. The bucket's count is not
    /// that of a change in progress, the clock's is also not that of a waiter who is about to be due.
    fn settle(&mut self) {
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            for waiter in self.waiters.iter_mut().filter(|waiter| waiter.end.is_none()) {
                waiter.end = waiter.task.answer().map(|answer| (answer, self.now));
            }
            let waiting = || self.waiters.iter().filter(|waiter| waiter.end.is_none());
            let is_woken = waiting().any(|waiter| waiter.task.is_woken());
            let counts = [self.bucket.stats().unwrap().waiting, self.clock.waiters().unwrap().count];
            if !is_woken && counts == [waiting().count() as u64; 2] {
                return;
            }
            assert!(Instant::now() < limit, "a waiter has neither ended nor waits");
            thread::yield_now();
        }
    }

    fn run(&mut self, step: &Step<'_>) {
        let bucket = self.bucket;
        if run(&&**bucket, &mut self.reservations, step.verb, step) {
            return;
        }
        let words = &step.words;
        match step.verb {
            "rate" => bucket.set_rate(per_second(words[0])).unwrap(),
            "burst" => bucket.set_capacity(number(words[0])).unwrap(),
            "reset" => bucket.reset(number(words[0])).unwrap(),
            "set" => bucket.set_tokens(number(words[0])).unwrap(),
            "close" => bucket.close().unwrap(),
            "jump" => self.jump(duration(words[0])),
            "wait" => self.wait(step.name.unwrap().to_string(), words),
            "leave" => drop(self.waiters.remove(self.place(words[0]))),
            "waiting" => assert_eq!(self.clock.waiters().unwrap().count as f64, number(words[0])),
            "next" => {
                let due = Some(words[0]).filter(|due| *due != "never").map(duration);
                assert_eq!(self.clock.waiters().unwrap().next_due, due);
            }
            waiter => self.ended(waiter, words[0]),
        }
    }

    /// Of the latest waiter of that name.
    fn place(&self, name: &str) -> usize {
        self.waiters.iter().rposition(|waiter| waiter.name == name).unwrap_or_else(|| panic!("no waiter {}", name))
    }

    fn wait(&mut self, name: String, words: &[&str]) {
        let option = |key| words.iter().find_map(|word| word.strip_prefix(key));
        let timeout = option("within=").map(duration);
        let priority = option("priority=").map_or(0, |priority| priority.parse().unwrap());
        let is_thread = (self.is_thread)(&name, self.waiters.len());
        let (bucket, n) = (self.bucket.clone(), number(words[0]));
        let task = if is_thread {
            Task::thread(move || bucket.wait_with(n, timeout, priority))
        } else {
            Task::future(async move { bucket.wait_with_async(n, timeout, priority).await })
        };
        self.waiters.push(Waiter { name, task, end: None });
        self.settle();
        let answer = self.waiters.last().unwrap().end.as_ref().map(|(answer, _)| answer);
        if let Some(time) = option("late=").map(duration) {
            // A thread is told what a take is: no sooner, but later if it has a priority or fits before a reservation.
            match answer {
                Some(Err(Error::TimedOut { retry_after: Some(told) })) if is_thread => assert!(*told >= time),
                _ => assert_eq!(answer, Some(&Err(Error::TimedOut { retry_after: Some(time) }))),
            }
        } else {
            match words.iter().skip(1).find(|word| !word.contains('=')) {
                Some(name) => assert!(is_called(answer.unwrap(), name), "{:?}", answer),
                None => assert_eq!(answer, None),
            }
        }
    }

    /// "waits", or how it ended and when, as "ok@1s".
    fn ended(&self, waiter: &str, how: &str) {
        let end = &self.waiters[self.place(waiter)].end;
        match (how.split_once('@'), end) {
            (Some((name, time)), Some((answer, at))) => {
                assert!(is_called(answer, name) && *at == duration(time), "{:?} at {:?}", answer, at);
            }
            (None, None) => assert_eq!(how, "waits"),
            _ => panic!("{:?}", end),
        }
    }
}

/// Runs a row and adds the kinds of its steps.
pub fn replay(limits: &str, steps: &str, is_thread: &dyn Fn(&str, usize) -> bool, kinds: &mut BTreeSet<String>) {
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let bucket = Arc::new(build(limits, &clock));
    // A thread cannot give up.
    let is_thread = |name: &str, others| is_thread(name, others) && !leaves(steps, name);
    let mut replay = Replay {
        clock: &clock,
        now: Duration::ZERO,
        bucket: &bucket,
        reservations: Reservations::new(),
        waiters: Vec::new(),
        is_thread: &is_thread,
        kinds,
    };
    for step in steps.split(';') {
        println!("  {}", step);
        replay.step(step);
    }
    // Threads that still wait end.
    bucket.close().unwrap();
}

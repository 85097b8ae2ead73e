//! Replays tests/conformance/rows.txt and waits.txt of the C library's source through this crate; README.md beside them
//! explains the steps.
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{mpsc, Arc};
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::{Duration, Instant};

use tokenbucket::{Bucket, Config, Error, ManualClock, Reservation};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/conformance/");

/// Every kind of step in rows.txt.
const KINDS: [&str; 12] =
    ["@", "take", "upto", "peek", "peekx", "est", "force", "add", "resv", "cancel", "rate", "burst"];

type Answer = Result<(), Error>;

/// A count of units, such as "100ms" and "-2s"; a unit alone is one.
fn nanoseconds(text: &str) -> i64 {
    let unit = text.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit());
    let scale = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => panic!("no time: {}", text),
    };
    let count = &text[..text.len() - unit.len()];
    scale * if count.is_empty() { 1 } else { count.parse::<i64>().unwrap() }
}

fn duration(text: &str) -> Duration {
    Duration::from_nanos(nanoseconds(text) as u64)
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("no number: {}", text))
}

/// Tokens and their period, of "10/100ms".
fn rate(text: &str) -> (f64, Duration) {
    let (tokens, period) = text.split_once('/').unwrap();
    (number(tokens), duration(period))
}

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

/// Is it what the row calls so?
fn is_called(answer: &Answer, name: &str) -> bool {
    match name {
        "ok" => answer.is_ok(),
        "late" => matches!(answer, Err(Error::TimedOut { .. })),
        "never" => *answer == Err(Error::ExceedsCapacity),
        "full" => *answer == Err(Error::QueueFull),
        "closed" => *answer == Err(Error::Closed),
        _ => panic!("unknown answer: {}", name),
    }
}

/// Whether a future is to be polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A wait in a thread, or as a future that is polled only when it was woken.
enum Task {
    Thread(mpsc::Receiver<Answer>),
    Future(Pin<Box<dyn Future<Output = Answer>>>, Arc<Woken>),
}

impl Task {
    fn thread(bucket: Arc<Bucket>, n: f64, timeout: Option<Duration>, priority: i32) -> Task {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || tell.send(bucket.wait_with(n, timeout, priority)));
        Task::Thread(told)
    }

    fn future(bucket: Arc<Bucket>, n: f64, timeout: Option<Duration>, priority: i32) -> Task {
        let wait = async move { bucket.wait_with_async(n, timeout, priority).await };
        Task::Future(Box::pin(wait), Arc::new(Woken(AtomicBool::new(true))))
    }

    fn is_woken(&self) -> bool {
        matches!(self, Task::Future(_, woken) if woken.0.load(Ordering::SeqCst))
    }

    /// None: it waits.
    fn answer(&mut self) -> Option<Answer> {
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

struct Waiter {
    name: String,
    task: Task,
    /// The answer, and what time it was.
    end: Option<(Answer, Duration)>,
}

struct Replay<'bucket> {
    clock: &'bucket ManualClock,
    now: Duration,
    bucket: &'bucket Arc<Bucket>,
    reservations: HashMap<String, Reservation<'bucket>>,
    /// In the order in which they came.
    waiters: Vec<Waiter>,
    /// Is a waiter of that name, after so many others, to be a thread?
    is_thread: &'bucket dyn Fn(&str, usize) -> bool,
    kinds: BTreeSet<String>,
}

impl Replay<'_> {
    fn step(&mut self, text: &str) {
        let mut words: Vec<&str> = text.split_whitespace().filter(|word| *word != "=").collect();
        if let Some(time) = words[0].strip_prefix('@') {
            self.kinds.insert("@".to_string());
            self.go_to(duration(time));
            words.remove(0);
        }
        if words.is_empty() {
            return;
        }
        let name = words[0].strip_suffix(':').map(str::to_string);
        if name.is_some() {
            words.remove(0);
        }
        let (verb, value) = words[0].split_once('=').unwrap_or((words[0], ""));
        self.kinds.insert(verb.to_string());
        self.run(verb, value, name, &words[1..]);
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

    fn run(&mut self, verb: &str, value: &str, name: Option<String>, words: &[&str]) {
        let bucket = self.bucket;
        match verb {
            "peek" => assert_eq!(bucket.available().unwrap().floor(), number(value)),
            "peekx" => assert_eq!(bucket.available().unwrap(), number(value)),
            "take" => self.take(number(words[0]), words[1], &words[2..]),
            "upto" => assert_eq!(bucket.take_up_to(number(words[0])), Ok(number(words[1]))),
            "est" => assert_eq!(bucket.time_until(number(words[0])), Ok(Some(duration(words[1])))),
            "force" => {
                let repaid_after = bucket.charge(number(words[0])).unwrap();
                assert!(words.len() == 1 || repaid_after == Some(duration(words[1])));
            }
            "add" => bucket.refund(number(words[0])).unwrap(),
            "resv" => self.reserve(name, words),
            "cancel" => drop(self.reservations.remove(words[0]).unwrap()),
            "rate" => {
                let (tokens, period) = rate(words[0]);
                bucket.set_rate(tokens / period.as_secs_f64()).unwrap();
            }
            "burst" => bucket.set_capacity(number(words[0])).unwrap(),
            "reset" => bucket.reset(number(words[0])).unwrap(),
            "set" => bucket.set_tokens(number(words[0])).unwrap(),
            "close" => bucket.close().unwrap(),
            "jump" => self.jump(duration(words[0])),
            "wait" => self.wait(name.unwrap(), words),
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
        let begin = if is_thread { Task::thread } else { Task::future };
        let task = begin(self.bucket.clone(), number(words[0]), timeout, priority);
        self.waiters.push(Waiter { name, task, end: None });
        self.settle();
        let answer = self.waiters.last().unwrap().end.map(|(answer, _)| answer);
        if let Some(time) = option("late=").map(duration) {
            // A thread is told what a take is: no sooner, but later if it has a priority or fits before a reservation.
            match answer {
                Some(Err(Error::TimedOut { retry_after: Some(told) })) if is_thread => assert!(told >= time),
                _ => assert_eq!(answer, Some(Err(Error::TimedOut { retry_after: Some(time) }))),
            }
        } else {
            match words.iter().skip(1).find(|word| !word.contains('=')) {
                Some(name) => assert!(is_called(&answer.unwrap(), name), "{:?}", answer),
                None => assert_eq!(answer, None),
            }
        }
    }

    /// "waits", or how it ended and when, as "ok@1s".
    fn ended(&self, waiter: &str, how: &str) {
        let end = self.waiters[self.place(waiter)].end;
        match (how.split_once('@'), end) {
            (Some((name, time)), Some((answer, at))) => {
                assert!(is_called(&answer, name) && at == duration(time), "{:?} at {:?}", answer, at);
            }
            (None, None) => assert_eq!(how, "waits"),
            _ => panic!("{:?}", end),
        }
    }

    fn take(&self, n: f64, answer: &str, checks: &[&str]) {
        let times = checks.iter().find_map(|check| check.strip_prefix('*')).map_or(1, |k| k.parse().unwrap());
        for _ in 0..times {
            let decision = self.bucket.take(n).unwrap();
            match answer {
                "ok" => assert!(decision.granted && decision.retry_after == Some(Duration::ZERO)),
                "no" => assert!(!decision.granted && decision.retry_after > Some(Duration::ZERO)),
                "never" => assert!(!decision.granted && decision.retry_after.is_none()),
                _ => panic!("unknown answer: {}", answer),
            }
            for check in checks.iter().filter(|check| !check.starts_with('*')) {
                match check.split_once('=').unwrap() {
                    ("retry", time) => assert_eq!(decision.retry_after, Some(duration(time))),
                    ("rem", tokens) => assert_eq!(decision.remaining.floor(), number(tokens)),
                    _ => panic!("unknown check: {}", check),
                }
            }
        }
    }

    fn reserve(&mut self, name: Option<String>, words: &[&str]) {
        let max_wait = words.iter().find_map(|word| word.strip_prefix("max=")).map(duration);
        let reserved = self.bucket.reserve(number(words[0]), max_wait);
        match *words.last().unwrap() {
            "no" => assert!(matches!(reserved, Err(Error::TimedOut { .. }))),
            "never" => assert_eq!(reserved.unwrap_err(), Error::ExceedsCapacity),
            wait => {
                let reservation = reserved.unwrap();
                assert_eq!(reservation.wait_time(), duration(wait));
                match name {
                    Some(name) => drop(self.reservations.insert(name, reservation)),
                    None => reservation.commit(),
                }
            }
        }
    }
}

/// Runs all rows of a file and says how many there are and what kinds of steps they have.
fn replay(file: &str, is_thread: &dyn Fn(&str, usize) -> bool) -> (usize, BTreeSet<String>) {
    let text = fs::read_to_string(FOLDER.to_string() + file).unwrap();
    let mut all_kinds = BTreeSet::new();
    for line in text.lines() {
        println!("{}", line);
        let fields: Vec<&str> = line.split('|').collect();
        assert_eq!(fields.len(), 3);
        let clock = ManualClock::new(Duration::ZERO).unwrap();
        let bucket = Arc::new(build(fields[1], &clock));
        // A thread cannot give up.
        let is_thread = |name: &str, others| is_thread(name, others) && !leaves(fields[2], name);
        let mut replay = Replay {
            clock: &clock,
            now: Duration::ZERO,
            bucket: &bucket,
            reservations: HashMap::new(),
            waiters: Vec::new(),
            is_thread: &is_thread,
            kinds: BTreeSet::new(),
        };
        for step in fields[2].split(';') {
            println!("  {}", step);
            replay.step(step);
        }
        all_kinds.append(&mut replay.kinds);
        // Threads that still wait end.
        bucket.close().unwrap();
    }
    (text.lines().count(), all_kinds)
}

fn leaves(steps: &str, name: &str) -> bool {
    steps.split(';').any(|step| step.split_whitespace().skip_while(|word| *word != "leave").nth(1) == Some(name))
}

#[test]
fn every_row_is_answered_as_it_says() {
    let (rows, kinds) = replay("rows.txt", &|_, _| unreachable!("nobody waits"));
    assert!(rows >= 18, "only {} rows", rows);
    assert_eq!(kinds, KINDS.into_iter().map(str::to_string).collect());
}

#[test]
fn threads_are_served_as_the_wait_rows_say() {
    assert!(replay("waits.txt", &|_, _| true).0 >= 130);
}

#[test]
fn futures_are_served_as_the_wait_rows_say() {
    assert!(replay("waits.txt", &|_, _| false).0 >= 130);
}

#[test]
fn threads_and_futures_in_turn_are_served_as_the_wait_rows_say() {
    for first in [0, 1] {
        assert!(replay("waits.txt", &|_, others| others % 2 == first).0 >= 130);
    }
}

//! Replays the rows of several limits.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokenbucket::{Bucket, Config, Error, Limits, ManualClock, Member, Refusal, Reservations, Table, TableConfig};

use crate::steps::{self, duration, number, per_second, rate, run, Key, Step};
use crate::tasks::{is_called, leaves, Task};

/// The member that refused, as the row writes it, and what it said.
type Answer = Result<(), (Option<String>, Error)>;

enum Limit {
    Bucket(Bucket),
    Table(Table),
}

impl Limit {
    fn build(limit: &[&str], clock: &ManualClock) -> Limit {
        let option = |key| limit.iter().find_map(|word| word.strip_prefix(key));
        let (tokens, period) = rate(option("rate=").unwrap());
        let config = Config::new(number(option("burst=").unwrap()), tokens, period).clock(clock);
        let config = config.max_waiters(option("max_waiters=").map_or(0, |most| number(most) as u32));
        match (option("keys="), option("init=")) {
            (Some(keys), _) => Limit::Table(TableConfig::with_max_keys(config, keys.parse().unwrap()).build().unwrap()),
            (None, Some(tokens)) => Limit::Bucket(config.initial_tokens(number(tokens)).build().unwrap()),
            (None, None) => Limit::Bucket(config.build().unwrap()),
        }
    }

    fn close(&self) {
        match self {
            Limit::Bucket(bucket) => bucket.close(),
            Limit::Table(table) => table.close(),
        }
        .unwrap();
    }
}

type AllLimits = HashMap<String, Limit>;

/// "u.a": a key of a table; "r": a bucket, whose key is empty.
fn limit_and_key(name: &str) -> (&str, &str) {
    name.split_once('.').unwrap_or((name, ""))
}

/// The members that words such as "r:2" and "u.a:1" begin with.
struct Members {
    limits: Arc<AllLimits>,
    names: Vec<String>,
    amounts: Vec<f64>,
}

impl Members {
    fn read(limits: &Arc<AllLimits>, words: &[&str]) -> Members {
        let members = words.iter().map_while(|word| word.split_once(':'));
        let (names, amounts) = members.map(|(name, n)| (name.to_string(), number(n))).unzip();
        Members { limits: limits.clone(), names, amounts }
    }

    fn limits(&self) -> Limits<Vec<Member<'_>>> {
        let members = self.names.iter().zip(&self.amounts).map(|(name, n)| {
            let (limit, key) = limit_and_key(name);
            match &self.limits[limit] {
                Limit::Bucket(bucket) => bucket.member(*n),
                Limit::Table(table) => table.member(key, *n),
            }
        });
        Limits::new(members.collect())
    }

    fn answer(&self, answer: Result<(), Refusal>) -> Answer {
        answer.map_err(|refusal| (refusal.member.map(|member| self.names[member].clone()), refusal.error))
    }
}

/// Is it what the words say: "ok", or "late", "by=X" and "retry=D"? Each may be missing.
fn check(answer: &Answer, name: &str, words: &[&str]) {
    let (by, error) = match answer {
        Ok(()) => (&None, Ok(())),
        Err((by, error)) => (by, Err(error.clone())),
    };
    assert!(is_called(&error, name), "{:?}", answer);
    for word in words {
        match (word.split_once('='), &error) {
            (Some(("by", name)), _) => assert_eq!(by.as_deref(), Some(name)),
            (Some(("retry", time)), Err(Error::Denied { retry_after } | Error::TimedOut { retry_after })) => {
                assert_eq!(*retry_after, Some(duration(time)));
            }
            (Some(("within" | "priority" | "max", _)), _) => {}
            _ => panic!("unknown word: {}", word),
        }
    }
}

struct Waiter {
    name: String,
    task: Task<Answer>,
    /// The answer, and what time it was.
    end: Option<(Answer, Duration)>,
    /// Does the row say how it ended?
    is_told: bool,
}

/// All that can be seen of those who wait.
#[derive(Clone, Debug, PartialEq)]
struct State {
    ended: BTreeSet<String>,
    count: u64,
    next_due: Option<Duration>,
}

struct Replay<'row> {
    clock: ManualClock,
    now: Duration,
    limits: Arc<AllLimits>,
    reservations: BTreeMap<String, Reservations<'row>>,
    /// In the order in which they came.
    waiters: Vec<Waiter>,
    /// Is a waiter of that name, after so many others, to be a thread?
    is_thread: &'row dyn Fn(&str, usize) -> bool,
    /// What every step led to so far.
    states: Vec<State>,
    /// The same of all steps, if it is known; else nobody is a thread.
    expected: Option<&'row [State]>,
}

impl<'row> Replay<'row> {
    fn step(&mut self, text: &str, members: &'row Members) {
        let step = Step::of(text);
        if let Some(time) = step.time {
            self.go_to(time);
        }
        match step.verb.split_once('/') {
            Some((name, verb)) => self.run_for_one(name, verb, &step),
            None if step.verb.is_empty() => return,
            None => self.run(&step, members),
        }
        self.settle();
    }

    /// Stops whenever a waiter is due on the way.
    fn go_to(&mut self, time: Duration) {
        while let Some(due) = self.clock.waiters().unwrap().next_due.filter(|due| *due <= time) {
            self.set_clock(due);
        }
        self.set_clock(time);
    }

    fn set_clock(&mut self, time: Duration) {
        self.clock.set(time).unwrap();
        self.now = self.now.max(time);
        self.settle();
    }

    /// Until nothing more happens at this time: futures are polled when they were woken, and of threads it is known to
    /// what they lead, from a replay without any.
    fn settle(&mut self) {
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            for waiter in self.waiters.iter_mut().filter(|waiter| waiter.end.is_none()) {
                waiter.end = waiter.task.answer().map(|answer| (answer, self.now));
            }
            let is_woken = self.waiters.iter().any(|waiter| waiter.end.is_none() && waiter.task.is_woken());
            let ended = self.waiters.iter().filter(|waiter| waiter.end.is_some());
            let waiters = self.clock.waiters().unwrap();
            let state = State {
                ended: ended.map(|waiter| waiter.name.clone()).collect(),
                count: waiters.count,
                next_due: waiters.next_due,
            };
            let expected = self.expected.map(|states| &states[self.states.len()]);
            if !is_woken && expected.map_or(true, |expected| state == *expected) {
                return self.states.push(state);
            }
            assert!(Instant::now() < limit, "{:?} does not become {:?}", state, expected);
            thread::yield_now();
        }
    }

    fn run(&mut self, step: &Step<'_>, members: &'row Members) {
        let (words, behind) = (&step.words, &step.words[members.names.len()..]);
        match step.verb {
            "all" => check(&members.answer(members.limits().allow()), behind[0], &behind[1..]),
            "resv" => self.reserve(step.name, members, behind),
            "cancel" => drop(self.reservations.remove(words[0]).unwrap()),
            "wait" => self.wait_for_all(step.name.unwrap(), Members::read(&self.limits, words), behind),
            "leave" => drop(self.waiters.remove(self.place(words[0]))),
            "waiting" => assert_eq!(self.clock.waiters().unwrap().count as f64, number(words[0])),
            "next" => {
                let due = Some(words[0]).filter(|due| *due != "never").map(duration);
                assert_eq!(self.clock.waiters().unwrap().next_due, due);
            }
            waiter => self.ended(waiter, words[0], &words[1..]),
        }
    }

    /// "waits", or how it ended and when, as "ok@1s".
    fn ended(&mut self, waiter: &str, how: &str, words: &[&str]) {
        let place = self.place(waiter);
        let waiter = &mut self.waiters[place];
        match (how.split_once('@'), &waiter.end) {
            (Some((name, time)), Some((answer, at))) => {
                check(answer, name, words);
                assert_eq!(*at, duration(time));
                waiter.is_told = true;
            }
            (None, None) => assert_eq!(how, "waits"),
            (_, end) => panic!("{:?}", end),
        }
    }

    fn reserve(&mut self, name: Option<&str>, members: &'row Members, words: &[&str]) {
        let max_wait = words.iter().find_map(|word| word.strip_prefix("max=")).map(duration);
        let answer = members.limits().reserve(max_wait);
        match words.iter().position(|word| !word.contains('=')).map(|place| (words[place], &words[place + 1..])) {
            Some((refused @ ("late" | "never" | "closed"), words)) => {
                check(&members.answer(answer.map(Reservations::commit)), refused, words);
            }
            Some((wait, _)) => {
                let reserved = answer.unwrap();
                assert_eq!(reserved.wait_time(), duration(wait));
                self.reservations.insert(name.unwrap().to_string(), reserved);
            }
            None => panic!("no answer"),
        }
    }

    /// `begin` is told whether it is to be a thread, the timeout and the priority.
    fn wait(&mut self, name: &str, words: &[&str], begin: impl FnOnce(bool, Option<Duration>, i32) -> Task<Answer>) {
        let option = |key| words.iter().find_map(|word| word.strip_prefix(key));
        let timeout = option("within=").map(duration);
        let priority = option("priority=").map_or(0, |priority| priority.parse().unwrap());
        let is_thread = (self.is_thread)(name, self.waiters.len());
        let task = begin(is_thread, timeout, priority);
        let answer = words.iter().position(|word| !word.contains('='));
        self.waiters.push(Waiter { name: name.to_string(), task, end: None, is_told: answer.is_some() });
        self.settle();
        let end = self.waiters.last().unwrap().end.as_ref();
        match answer {
            Some(place) => check(&end.unwrap().0, words[place], &words[place + 1..]),
            None => assert_eq!(end, None),
        }
    }

    fn wait_for_all(&mut self, name: &str, members: Members, words: &[&str]) {
        self.wait(name, words, |is_thread, timeout, priority| {
            if is_thread {
                return Task::thread(move || members.answer(members.limits().wait_with(timeout, priority)));
            }
            Task::future(async move { members.answer(members.limits().wait_with_async(timeout, priority).await) })
        });
    }

    /// A step of a bucket, a table or a key alone.
    fn run_for_one(&mut self, name: &str, verb: &str, step: &Step<'_>) {
        let (limit, key) = limit_and_key(name);
        let (limits, words) = (self.limits.clone(), &step.words);
        match (&limits[limit], verb) {
            (limit, "close") => limit.close(),
            (Limit::Bucket(bucket), "rate") => bucket.set_rate(per_second(words[0])).unwrap(),
            (Limit::Bucket(bucket), "burst") => bucket.set_capacity(number(words[0])).unwrap(),
            (Limit::Bucket(bucket), "reset") => bucket.reset(number(words[0])).unwrap(),
            (Limit::Bucket(bucket), "set") => bucket.set_tokens(number(words[0])).unwrap(),
            (Limit::Table(table), "rate") => table.set_rate(per_second(words[0])).unwrap(),
            (Limit::Table(table), "burst") => table.set_capacity(number(words[0])).unwrap(),
            (_, "wait") => self.wait_for_one(name, step),
            (limit, verb) => {
                let verb = if verb == "peek" { "peekx" } else { verb };
                let mut none = steps::Reservations::new();
                let is_known = match limit {
                    Limit::Bucket(bucket) => run(&bucket, &mut none, verb, step),
                    Limit::Table(table) => run(&Key(table, key), &mut none, verb, step),
                };
                assert!(is_known, "unknown step: {}", step.verb);
            }
        }
    }

    fn wait_for_one(&mut self, name: &str, step: &Step<'_>) {
        let (limit, key) = limit_and_key(name);
        let (limit, key, n) = (limit.to_string(), key.to_string(), number(step.words[0]));
        let limits = self.limits.clone();
        self.wait(step.name.unwrap(), &step.words[1..], |is_thread, timeout, priority| {
            if is_thread {
                return Task::thread(move || {
                    let answer = match &limits[&limit] {
                        Limit::Bucket(bucket) => bucket.wait_with(n, timeout, priority),
                        Limit::Table(table) => table.wait_with(&key, n, timeout, priority),
                    };
                    answer.map_err(|error| (None, error))
                });
            }
            Task::future(async move {
                let wait = match &limits[&limit] {
                    Limit::Bucket(bucket) => bucket.wait_with_async(n, timeout, priority),
                    Limit::Table(table) => table.wait_with_async(&key, n, timeout, priority),
                };
                wait.await.map_err(|error| (None, error))
            })
        });
    }

    /// Of the latest waiter of that name.
    fn place(&self, name: &str) -> usize {
        self.waiters.iter().rposition(|waiter| waiter.name == name).unwrap_or_else(|| panic!("no waiter {}", name))
    }
}

/// Runs a row and returns what every step of it led to.
fn replay_as(
    limits: &str,
    steps: &str,
    is_thread: &dyn Fn(&str, usize) -> bool,
    expected: Option<&[State]>,
) -> Vec<State> {
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let build = |limit: &str| {
        let words: Vec<&str> = limit.split_whitespace().collect();
        (words[0].to_string(), Limit::build(&words[1..], &clock))
    };
    let limits: Arc<AllLimits> = Arc::new(limits.split(';').map(build).collect());
    // Reservations borrow them.
    let members: Vec<Members> = steps.split(';').map(|step| Members::read(&limits, &Step::of(step).words)).collect();
    let mut replay = Replay {
        clock: clock.clone(),
        now: Duration::ZERO,
        limits: limits.clone(),
        reservations: BTreeMap::new(),
        waiters: Vec::new(),
        is_thread,
        states: Vec::new(),
        expected,
    };
    for (step, members) in steps.split(';').zip(&members) {
        println!("  {}", step);
        replay.step(step, members);
    }
    assert!(replay.waiters.iter().all(|waiter| waiter.end.is_none() || waiter.is_told), "a waiter has ended");
    // Threads that still wait end.
    limits.values().for_each(Limit::close);
    replay.states
}

/// Runs a row without threads, and with those of whom `is_thread` says so, by how many others came before.
pub fn replay(limits: &str, steps: &str, is_thread: &dyn Fn(usize) -> bool) {
    let states = replay_as(limits, steps, &|_, _| false, None);
    // A thread cannot give up.
    let is_thread = |name: &str, others| is_thread(others) && !leaves(steps, name);
    replay_as(limits, steps, &is_thread, Some(&states));
}

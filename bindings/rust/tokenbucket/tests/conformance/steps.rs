//! What the rows of buckets and of tables have in common.
use std::collections::HashMap;
use std::time::Duration;

use tokenbucket::{Bucket, Decision, Error, Reservation, Table};

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

pub fn duration(text: &str) -> Duration {
    Duration::from_nanos(nanoseconds(text) as u64)
}

pub fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("no number: {}", text))
}

/// Tokens and their period, of "10/100ms".
pub fn rate(text: &str) -> (f64, Duration) {
    let (tokens, period) = text.split_once('/').unwrap();
    (number(tokens), duration(period))
}

pub fn per_second(text: &str) -> f64 {
    let (tokens, period) = rate(text);
    tokens / period.as_secs_f64()
}

/// "@time name: verb words", of which there is at least the time or the verb; "verb=word" is the same as "verb = word".
pub struct Step<'row> {
    pub time: Option<Duration>,
    pub name: Option<&'row str>,
    /// Empty: none.
    pub verb: &'row str,
    pub words: Vec<&'row str>,
}

impl Step<'_> {
    pub fn of(text: &str) -> Step<'_> {
        let mut step = Step { time: None, name: None, verb: "", words: Vec::new() };
        let mut words = text.split_whitespace().filter(|word| *word != "=").peekable();
        step.time = words.next_if(|word| word.starts_with('@')).map(|time| duration(&time[1..]));
        step.name = words.next_if(|word| word.ends_with(':')).map(|name| &name[..name.len() - 1]);
        if let Some(verb) = words.next() {
            let (verb, value) = verb.split_once('=').map_or((verb, None), |(verb, value)| (verb, Some(value)));
            step.verb = verb;
            step.words = value.into_iter().chain(words).collect();
        }
        step
    }
}

/// A bucket, or a key of a table.
pub trait Limiter<'limiter> {
    fn available(&self) -> Result<f64, Error>;
    fn take(&self, n: f64) -> Result<Decision, Error>;
    fn take_up_to(&self, most: f64) -> Result<f64, Error>;
    fn time_until(&self, n: f64) -> Result<Option<Duration>, Error>;
    fn charge(&self, n: f64) -> Result<Option<Duration>, Error>;
    fn refund(&self, n: f64) -> Result<(), Error>;
    fn reserve(&self, n: f64, max_wait: Option<Duration>) -> Result<Reservation<'limiter>, Error>;
}

impl<'limiter> Limiter<'limiter> for &'limiter Bucket {
    fn available(&self) -> Result<f64, Error> {
        Bucket::available(self)
    }
    fn take(&self, n: f64) -> Result<Decision, Error> {
        Bucket::take(self, n)
    }
    fn take_up_to(&self, most: f64) -> Result<f64, Error> {
        Bucket::take_up_to(self, most)
    }
    fn time_until(&self, n: f64) -> Result<Option<Duration>, Error> {
        Bucket::time_until(self, n)
    }
    fn charge(&self, n: f64) -> Result<Option<Duration>, Error> {
        Bucket::charge(self, n)
    }
    fn refund(&self, n: f64) -> Result<(), Error> {
        Bucket::refund(self, n)
    }
    fn reserve(&self, n: f64, max_wait: Option<Duration>) -> Result<Reservation<'limiter>, Error> {
        Bucket::reserve(self, n, max_wait)
    }
}

pub struct Key<'limiter, 'row>(pub &'limiter Table, pub &'row str);

impl<'limiter> Limiter<'limiter> for Key<'limiter, '_> {
    fn available(&self) -> Result<f64, Error> {
        self.0.available(self.1)
    }
    fn take(&self, n: f64) -> Result<Decision, Error> {
        self.0.take(self.1, n)
    }
    fn take_up_to(&self, most: f64) -> Result<f64, Error> {
        self.0.take_up_to(self.1, most)
    }
    fn time_until(&self, n: f64) -> Result<Option<Duration>, Error> {
        self.0.time_until(self.1, n)
    }
    fn charge(&self, n: f64) -> Result<Option<Duration>, Error> {
        self.0.charge(self.1, n)
    }
    fn refund(&self, n: f64) -> Result<(), Error> {
        self.0.refund(self.1, n)
    }
    fn reserve(&self, n: f64, max_wait: Option<Duration>) -> Result<Reservation<'limiter>, Error> {
        self.0.reserve(self.1, n, max_wait)
    }
}

/// By name; None: cancelled.
pub type Reservations<'limiter> = HashMap<String, Option<Reservation<'limiter>>>;

/// Runs a step that is about a bucket or a key alone. False: it is not.
pub fn run<'limiter>(
    limiter: &impl Limiter<'limiter>,
    reservations: &mut Reservations<'limiter>,
    verb: &str,
    step: &Step<'_>,
) -> bool {
    let words = &step.words;
    match verb {
        "peek" => assert_eq!(limiter.available().unwrap().floor(), number(words[0])),
        "peekx" => assert_eq!(limiter.available().unwrap(), number(words[0])),
        "take" => take(limiter, number(words[0]), words[1], &words[2..]),
        "upto" => assert_eq!(limiter.take_up_to(number(words[0])), Ok(number(words[1]))),
        "est" => assert_eq!(limiter.time_until(number(words[0])), Ok(Some(duration(words[1])))),
        "force" => {
            let repaid_after = limiter.charge(number(words[0])).unwrap();
            assert!(words.len() == 1 || repaid_after == Some(duration(words[1])));
        }
        "add" => limiter.refund(number(words[0])).unwrap(),
        "resv" => reserve(limiter, reservations, step),
        "cancel" => drop(reservations.get_mut(words[0]).unwrap().take()),
        _ => return false,
    }
    true
}

fn take<'limiter>(limiter: &impl Limiter<'limiter>, n: f64, answer: &str, checks: &[&str]) {
    let times = checks.iter().find_map(|check| check.strip_prefix('*')).map_or(1, |k| k.parse().unwrap());
    for _ in 0..times {
        let decision = limiter.take(n).unwrap();
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

fn reserve<'limiter>(limiter: &impl Limiter<'limiter>, reservations: &mut Reservations<'limiter>, step: &Step<'_>) {
    let max_wait = step.words.iter().find_map(|word| word.strip_prefix("max=")).map(duration);
    let reserved = limiter.reserve(number(step.words[0]), max_wait);
    match *step.words.last().unwrap() {
        "no" => assert!(matches!(reserved, Err(Error::TimedOut { .. }))),
        "never" => assert!(matches!(reserved, Err(Error::ExceedsCapacity(_)))),
        wait => {
            let reservation = reserved.unwrap();
            assert_eq!(reservation.wait_time(), duration(wait));
            match step.name {
                Some(name) => drop(reservations.insert(name.to_string(), Some(reservation))),
                None => reservation.commit(),
            }
        }
    }
}

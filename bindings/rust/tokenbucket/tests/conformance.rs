//! Replays tests/conformance/rows.txt of the C library's source through this crate; README.md beside it explains the
//! steps.
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::time::Duration;

use tokenbucket::{Bucket, Config, Error, ManualClock, Reservation};

const ROWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/conformance/rows.txt");

/// Every kind of step that there is; the rows use all of them.
const KINDS: [&str; 12] =
    ["@", "take", "upto", "peek", "peekx", "est", "force", "add", "resv", "cancel", "rate", "burst"];

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
    for limit in limits.split_whitespace() {
        match limit.split_once('=').unwrap() {
            ("rate", value) => gain = Some(rate(value)),
            ("burst", value) => capacity = Some(number(value)),
            ("init", value) => initial = Some(number(value)),
            _ => panic!("unknown limit: {}", limit),
        }
    }
    let (tokens, period) = gain.unwrap();
    let config = Config::new(capacity.unwrap(), tokens, period).clock(clock);
    initial.map_or(config.clone(), |tokens| config.initial_tokens(tokens)).build().unwrap()
}

struct Replay<'bucket> {
    clock: &'bucket ManualClock,
    bucket: &'bucket Bucket,
    reservations: HashMap<String, Reservation<'bucket>>,
    kinds: &'bucket mut BTreeSet<&'static str>,
}

impl Replay<'_> {
    fn step(&mut self, text: &str) {
        let mut words: Vec<&str> = text.split_whitespace().filter(|word| *word != "=").collect();
        if let Some(time) = words[0].strip_prefix('@') {
            self.saw("@");
            self.clock.set(duration(time)).unwrap();
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
        self.saw(verb);
        self.run(verb, value, name, &words[1..]);
    }

    fn saw(&mut self, kind: &str) {
        self.kinds
            .insert(KINDS.into_iter().find(|known| *known == kind).unwrap_or_else(|| panic!("unknown: {}", kind)));
    }

    fn run(&mut self, verb: &str, value: &str, name: Option<String>, words: &[&str]) {
        let bucket = self.bucket;
        match verb {
            "peek" => assert_eq!(bucket.available().unwrap().floor(), number(value)),
            "peekx" => assert_eq!(bucket.available().unwrap(), number(value)),
            "take" => self.take(number(words[0]), words[1], &words[2..]),
            "upto" => assert_eq!(bucket.take_up_to(number(words[0])), Ok(number(words[1]))),
            "est" => assert_eq!(bucket.time_until(number(words[0])), Ok(Some(duration(words[1])))),
            "force" => assert_eq!(bucket.charge(number(words[0])), Ok(Some(duration(words[1])))),
            "add" => bucket.refund(number(words[0])).unwrap(),
            "resv" => self.reserve(name, words),
            "cancel" => drop(self.reservations.remove(words[0]).unwrap()),
            "rate" => {
                let (tokens, period) = rate(words[0]);
                bucket.set_rate(tokens / period.as_secs_f64()).unwrap();
            }
            "burst" => bucket.set_capacity(number(words[0])).unwrap(),
            _ => panic!("not replayed: {}", verb),
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

#[test]
fn every_row_is_answered_as_it_says() {
    let text = fs::read_to_string(ROWS).unwrap();
    let mut kinds = BTreeSet::new();
    let mut rows = 0;
    for line in text.lines() {
        println!("{}", line);
        let fields: Vec<&str> = line.split('|').collect();
        assert_eq!(fields.len(), 3);
        let clock = ManualClock::new(Duration::ZERO).unwrap();
        let bucket = build(fields[1], &clock);
        let mut replay = Replay { clock: &clock, bucket: &bucket, reservations: HashMap::new(), kinds: &mut kinds };
        for step in fields[2].split(';') {
            println!("  {}", step);
            replay.step(step);
        }
        rows += 1;
    }
    assert!(rows >= 18, "only {} rows", rows);
    assert_eq!(kinds, KINDS.into_iter().collect());
}

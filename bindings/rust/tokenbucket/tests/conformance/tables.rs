//! Replays the rows of tables.
use std::collections::BTreeSet;
use std::time::Duration;

use tokenbucket::{Config, Error, ManualClock, Table, TableConfig, WhenFull};

use crate::steps::{number, per_second, rate, run, Key, Reservations, Step};

fn build(limits: &str, clock: &ManualClock) -> Table {
    let mut capacity = None;
    let mut gain = None;
    let mut keys = None;
    let mut when_full = WhenFull::default();
    for limit in limits.split_whitespace() {
        match limit.split_once('=').unwrap() {
            ("rate", value) => gain = Some(rate(value)),
            ("burst", value) => capacity = Some(number(value)),
            ("keys", value) => keys = Some(value.parse().unwrap()),
            ("full", "evict") => when_full = WhenFull::EvictFullest,
            ("full", "deny") => when_full = WhenFull::Deny,
            ("full", "admit") => when_full = WhenFull::Admit,
            _ => panic!("unknown limit: {}", limit),
        }
    }
    let (tokens, period) = gain.unwrap();
    let limit = Config::new(capacity.unwrap(), tokens, period).clock(clock);
    TableConfig::with_max_keys(limit, keys.unwrap()).when_full(when_full).build().unwrap()
}

/// The bytes of a key; `""` is the key without any.
fn bytes(key: &str) -> &str {
    if key == r#""""# {
        ""
    } else {
        key
    }
}

/// `words` are the keys, then their answers.
fn ask_many(table: &Table, words: &[&str]) {
    let (keys, names) = words.split_at(words.len() / 2);
    let answers = table.allow_many(keys.iter().map(|key| (bytes(key), 1.0))).unwrap();
    let answers: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Ok(true) => "ok",
            Ok(false) => "no",
            Err(Error::ExceedsCapacity(_)) => "never",
            Err(error) => panic!("{}", error),
        })
        .collect();
    assert_eq!(answers, names);
}

/// Runs a row and adds the kinds of its steps.
pub fn replay(limits: &str, steps: &str, kinds: &mut BTreeSet<String>) {
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let table = build(limits, &clock);
    let mut reservations = Reservations::new();
    for text in steps.split(';') {
        println!("  {}", text);
        let step = Step::of(text);
        if let Some(time) = step.time {
            kinds.insert("@".to_string());
            clock.set(time).unwrap();
        }
        if step.verb.is_empty() {
            continue;
        }
        let (key, verb) = step.verb.split_once('/').unwrap_or(("", step.verb));
        kinds.insert(verb.to_string());
        let words = &step.words;
        match verb {
            "many" => ask_many(&table, words),
            "rate" => table.set_rate(per_second(words[0])).unwrap(),
            "burst" => table.set_capacity(number(words[0])).unwrap(),
            "close" => table.close().unwrap(),
            "remove" => table.remove(bytes(key)).unwrap(),
            _ => assert!(run(&Key(&table, bytes(key)), &mut reservations, verb, &step), "unknown step: {}", text),
        }
    }
}

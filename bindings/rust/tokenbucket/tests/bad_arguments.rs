//! Replays the rows of bindings/bad_arguments.txt: the text of an error names the argument, what it must be, and what
//! it was.
use std::collections::BTreeMap;
use std::time::Duration;
use std::{fs, io, process};

use tokenbucket::remote::{Command, Connection, OnUnavailable, RemoteLimit, RemoteLimiter, Reply};
use tokenbucket::{
    address_key, has_feature, remove_shared, Bucket, Config, Error, Limits, ManualClock, Table, TableConfig,
};

/// Rows whose value no argument here can have.
const UNSAYABLE: [(&str, &str); 13] = [
    ("bucket", "period=-60s"),
    ("bucket", "max_waiters=-1"),
    ("bucket", "max_lateness=-1s"),
    ("table", "max_waiters=-1"),
    ("table", "max_keys=-1"),
    ("server", "max_wait=-1s"),
    ("wait", "timeout=-3s"),
    ("reserve", "max_wait=-3s"),
    ("table_wait", "timeout=-3s"),
    ("server_wait", "timeout=-3s"),
    ("clock", "start=-1s"),
    ("clock_set", "now=-1s"),
    ("clock_advance", "duration=-1s"),
];

const SECOND: Duration = Duration::from_secs(1);

/// The text of an error, and its kind in the standard library.
type Refused = (String, io::ErrorKind);

/// The arguments of a row, by their neutral names.
struct Arguments<'row>(BTreeMap<&'row str, &'row str>);

impl<'row> Arguments<'row> {
    fn of(text: &'row str) -> Arguments<'row> {
        Arguments(text.split(", ").map(|argument| argument.split_once('=').unwrap()).collect())
    }

    fn number(&self, name: &str, otherwise: f64) -> f64 {
        self.0.get(name).map_or(otherwise, |text| text.parse().unwrap())
    }

    fn whole(&self, name: &str) -> Option<u64> {
        self.0.get(name).map(|text| text.parse().unwrap())
    }

    fn amount(&self) -> f64 {
        self.number("tokens", f64::NAN)
    }

    fn limit(&self) -> Config {
        let period = self.0.get("period").map_or("1", |text| text.strip_suffix('s').unwrap());
        let period = Duration::from_secs(period.parse().unwrap());
        let limit = Config::new(self.number("capacity", 10.0), self.number("rate", 5.0), period);
        match self.0.get("initial") {
            Some(tokens) => limit.initial_tokens(tokens.parse::<f64>().unwrap()),
            None => limit,
        }
    }

    fn key(&self) -> Vec<u8> {
        vec![b'a'; self.whole("key_size").unwrap_or(1) as usize]
    }
}

fn text<T, E: std::error::Error + Into<io::Error>>(answer: Result<T, E>) -> Refused {
    let error = answer.err().expect("is refused");
    (error.to_string(), error.into().kind())
}

fn shared(arguments: &Arguments<'_>) -> Refused {
    let own = format!("tokenbucket-bad-arguments-{}", process::id());
    text(arguments.limit().open_shared(Some(arguments.0.get("name").unwrap_or(&own.as_str()))))
}

fn shared_again(arguments: &Arguments<'_>) -> Refused {
    let name = format!("tokenbucket-bad-arguments-again-{}", process::id());
    let _first = Config::per_second(10, 5).open_shared(Some(&name)).unwrap();
    let refused = arguments.limit().open_shared(Some(&name)).unwrap_err();
    remove_shared(&name).unwrap();
    assert_eq!(refused.error, Error::Mismatch);
    assert!(refused.to_string().contains(&name));
    (refused.to_string(), io::ErrorKind::InvalidInput)
}

fn table(arguments: &Arguments<'_>) -> Refused {
    text(match arguments.whole("max_bytes") {
        Some(bytes) => TableConfig::with_max_bytes(arguments.limit(), bytes).build(),
        None => TableConfig::with_max_keys(arguments.limit(), arguments.whole("max_keys").unwrap_or(100)).build(),
    })
}

/// Is never asked.
struct Nobody;

impl Connection for Nobody {
    type Error = io::Error;

    fn send(&self, _: &Command) -> io::Result<Reply> {
        panic!("nothing is sent");
    }
}

fn server(arguments: &Arguments<'_>) -> Refused {
    match arguments.0.get("share") {
        Some(share) => {
            let share = share.parse().unwrap();
            text(limiter().on_unavailable(OnUnavailable::Local { share }).map(drop))
        }
        None => text(RemoteLimit::new(arguments.limit(), SECOND).map(drop)),
    }
}

fn limiter() -> RemoteLimiter<Nobody> {
    RemoteLimiter::new(RemoteLimit::new(Config::per_second(10, 5), SECOND).unwrap(), Nobody)
}

fn of_bucket(call: &str, arguments: &Arguments<'_>) -> Refused {
    let clock = ManualClock::new(SECOND).unwrap();
    let bucket = Config::per_second(10, 5).clock(&clock).build().unwrap();
    let n = arguments.amount();
    let refused = match call {
        "take" => {
            assert_eq!(text(bucket.take(n)), text(bucket.allow(n)));
            text(bucket.take(n))
        }
        "take_up_to" => text(bucket.take_up_to(arguments.number("most", f64::NAN))),
        "wait" => text(bucket.wait(n)),
        "reserve" => text(bucket.reserve(n, None)),
        "time_until" => text(bucket.time_until(n)),
        "charge" => text(bucket.charge(n)),
        "refund" => text(bucket.refund(n)),
        // What is not settled is given back, but for what is due.
        "settle" => {
            bucket.allow(10).unwrap();
            let refused = text(bucket.reserve(1, None).unwrap().settle(arguments.number("actual", f64::NAN)));
            bucket.refund(10).unwrap();
            refused
        }
        "reset" => text(bucket.reset(n)),
        "set_tokens" => text(bucket.set_tokens(n)),
        "set_rate" => text(bucket.set_rate(arguments.number("rate", f64::NAN))),
        "set_capacity" => text(bucket.set_capacity(arguments.number("capacity", f64::NAN))),
        _ => panic!("unknown call: {}", call),
    };
    let limit = bucket.limit().unwrap();
    assert_eq!((limit.capacity, limit.per_second(), bucket.available()), (10.0, 5.0, Ok(10.0)));
    refused
}

fn of_table(call: &str, arguments: &Arguments<'_>) -> Refused {
    let table = Table::new(10, 5, 100).unwrap();
    let (key, n) = (arguments.key(), arguments.number("tokens", 1.0));
    let refused = match call {
        "table_take" => {
            assert_eq!(text(table.take(&key, n)), text(table.allow(&key, n)));
            text(table.take(&key, n))
        }
        "table_charge" => text(table.charge(&key, n)),
        "table_set_rate" => text(table.set_rate(arguments.number("rate", f64::NAN))),
        "table_set_capacity" => text(table.set_capacity(arguments.number("capacity", f64::NAN))),
        _ => panic!("unknown call: {}", call),
    };
    let limit = table.limit().unwrap();
    assert_eq!((limit.capacity, limit.per_second(), table.available("a")), (10.0, 5.0, Ok(10.0)));
    refused
}

fn limits(count: usize) -> Refused {
    let buckets: Vec<_> = (0..count).map(|_| Bucket::new(10, 5).unwrap()).collect();
    let members: Vec<_> = buckets.iter().map(|bucket| bucket.member(1)).collect();
    text(Limits::new(members).allow().map_err(Error::from))
}

fn refused(call: &str, arguments: &Arguments<'_>) -> Refused {
    match call {
        "bucket" => text(arguments.limit().build()),
        "shared" => shared(arguments),
        "shared_again" => shared_again(arguments),
        "table" => table(arguments),
        "server" => server(arguments),
        "server_take" => text(limiter().take("a", arguments.amount())),
        "server_charge" => text(limiter().charge("a", arguments.amount())),
        "limits" => limits(arguments.whole("members").unwrap() as usize),
        "address" => text(address_key(arguments.0["text"], arguments.whole("ipv6_prefix").unwrap_or(64) as u8)),
        _ if call.starts_with("table_") => of_table(call, arguments),
        _ => of_bucket(call, arguments),
    }
}

/// The name of an argument here.
fn spelled<'name>(call: &str, name: &'name str) -> &'name str {
    match name {
        "initial" => "initial_tokens",
        "tokens" if !["reset", "set_tokens"].contains(&call) => "n",
        _ => name,
    }
}

/// Does the text end with the value, as a user of this language writes it?
fn is_value(told: &str, name: &str, arguments: &Arguments<'_>) -> bool {
    if name == "key" {
        return told == arguments.0["key_size"];
    }
    let value = arguments.0[name];
    match value.parse::<f64>() {
        // A rate by another period is told with that.
        Ok(number) => {
            let told: f64 = told.split(' ').next().unwrap().parse().unwrap();
            told == number || told.is_nan() && number.is_nan()
        }
        Err(_) => told == value,
    }
}

#[test]
fn every_row_is_refused_with_its_words() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bad_arguments.txt");
    let rows = fs::read_to_string(path).unwrap();
    let (mut unsayable, mut count) = (Vec::new(), 0);
    for row in rows.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let columns: Vec<_> = row.split(" | ").collect();
        let [call, words, name, range]: [&str; 4] = columns.try_into().expect(row);
        let is_unsayable = UNSAYABLE.contains(&(call, words));
        if is_unsayable || call.starts_with("shared") && !has_feature("shared_memory") {
            unsayable.extend(is_unsayable.then_some((call, words)));
            continue;
        }
        let arguments = Arguments::of(words);
        let (text, kind) = refused(call, &arguments);
        let sentence = format!("{} must be {}", spelled(call, name), range);
        let rest = text.split_once(&sentence).unwrap_or_else(|| panic!("{}: {}", row, text)).1;
        let (_, told) = rest.split_once(", got ").unwrap_or_else(|| panic!("{}: {}", row, text));
        assert!(is_value(told, name, &arguments), "{}: {}", row, text);
        assert_eq!(kind, io::ErrorKind::InvalidInput, "{}", row);
        count += 1;
    }
    unsayable.sort_unstable();
    let mut expected = UNSAYABLE;
    expected.sort_unstable();
    assert_eq!(unsayable, expected);
    assert!(count > 60, "only {} rows", count);
}

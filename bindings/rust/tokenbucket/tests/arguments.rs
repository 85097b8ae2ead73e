//! Amounts of every type of number, and what the errors of this crate's own arguments say.
use std::time::Duration;
use std::{fmt, mem};

use tokenbucket::remote::{RemoteLimit, Reply};
use tokenbucket::{
    address_key, has_feature, remove_shared, Argument, Bucket, Config, Error, Limits, ManualClock, Table, TableConfig,
};

const SECOND: Duration = Duration::from_secs(1);
const TOO_LONG: Duration = Duration::from_secs(10_000_000_000);

#[test]
fn an_amount_is_any_number() {
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let bucket = Config::per_minute(100, 60).clock(&clock).build().unwrap();
    let bytes = b"abc";
    let (small, large): (u32, u64) = (2, 4);
    for granted in [
        bucket.allow(1),
        bucket.allow(1.5),
        bucket.allow(0.5f32),
        bucket.allow(bytes.len()),
        bucket.allow(small),
        bucket.allow(large),
        bucket.allow(1i8),
        bucket.allow(1u8),
        bucket.allow(1i16),
        bucket.allow(1u16),
        bucket.allow(1i64),
        bucket.allow(1isize),
    ] {
        assert_eq!(granted, Ok(true));
    }
    assert_eq!(bucket.available(), Ok(82.0));
    bucket.reset(large).unwrap();
    let reservation = bucket.reserve(small, None).unwrap();
    reservation.settle(1).unwrap();
    assert_eq!(bucket.available(), Ok(3.0));
}

#[test]
fn a_whole_number_that_no_float_has_is_never_granted() {
    let bucket = Bucket::new(1e15, 1).unwrap();
    for n in [u64::MAX, (1 << 53) + 1] {
        let told = bucket.allow(n).unwrap_err();
        assert!(matches!(told, Error::ExceedsCapacity(_)), "{}", told);
    }
    assert!(matches!(bucket.allow(-1), Err(Error::InvalidArgument(_))));
    assert!(matches!(bucket.allow(i64::MIN), Err(Error::InvalidArgument(_))));
    bucket.reset(999_999_999_999_999u64).unwrap();
    assert!(matches!(bucket.time_until(1_000_000_000_000_000u64), Ok(Some(wait)) if wait > Duration::ZERO));
    assert_eq!(bucket.allow(999_999_999_999_999u64), Ok(true));
}

#[test]
fn a_period_is_what_the_name_says() {
    let limits = [Config::per_second(7, 5), Config::per_minute(7, 5), Config::per_hour(7, 5)];
    let periods = limits.map(|limit| limit.build().unwrap().limit().unwrap());
    for (limit, seconds) in periods.iter().zip([1, 60, 3600]) {
        assert_eq!((limit.capacity, limit.tokens, limit.period), (7.0, 5.0, seconds * SECOND));
    }
}

fn assert_text<T: fmt::Debug, E: fmt::Debug + fmt::Display>(answer: Result<T, E>, text: &str) {
    assert_eq!(answer.unwrap_err().to_string(), text);
}

#[test]
fn times_that_cannot_be_expressed_are_named() {
    let below = "must be so short that the time stays below 292 years, got 10000000000s";
    assert_text(Config::new(1, 1, TOO_LONG).build(), &format!("period {}", below));
    assert_text(ManualClock::new(TOO_LONG), &format!("start {}", below));
    let clock = ManualClock::new(SECOND).unwrap();
    assert_text(clock.set(TOO_LONG), &format!("now {}", below));
    assert_text(clock.advance(TOO_LONG), &format!("duration {}", below));
    let last = Duration::from_nanos(i64::MAX as u64);
    let past_the_end = "duration must be so short that the time stays below 292 years, got 9223372036.854775807s";
    assert_text(clock.advance(last), past_the_end);
    let server = RemoteLimit::new(Config::per_second(10, 5), TOO_LONG);
    let max_wait = "max_wait must be shorter: more accrues in that time than a server can count, got 10000000000s";
    assert_text(server, max_wait);
}

#[test]
fn options_that_a_table_or_a_server_lacks_are_named() {
    let limit = || Config::per_second(10, 5);
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let table = |limit, text: &str| {
        let refused = TableConfig::with_max_keys(limit, 1).build().unwrap_err();
        assert!(matches!(refused, Error::Unsupported(Some(_))));
        assert_eq!(refused.to_string(), text);
    };
    table(limit().initial_tokens(5), "initial_tokens must be left out for a table, got 5");
    table(limit().statistics(), "statistics must be left out for a table, got them");
    table(limit().on_event(|_| ()), "on_event must be left out for a table, got one");
    let server = |limit, name: &str, value: &str| {
        let refused = RemoteLimit::new(limit, SECOND).unwrap_err();
        assert!(matches!(refused, Error::Unsupported(Some(_))));
        assert_eq!(refused.to_string(), format!("{} must be left out for a limit of a server, got {}", name, value));
    };
    server(limit().initial_tokens(5), "initial_tokens", "5");
    server(limit().clock(&clock), "clock", "one");
    server(limit().max_waiters(3), "max_waiters", "3");
    server(limit().max_lateness(SECOND), "max_lateness", "1s");
    server(limit().precise_wait(), "precise_wait", "it");
    server(limit().statistics(), "statistics", "them");
    server(limit().on_event(|_| ()), "on_event", "one");
}

#[test]
fn what_is_too_much_is_named() {
    let bucket = Bucket::new(10, 5).unwrap();
    assert_text(bucket.allow(11), "n must be at most the capacity, got 11");
    assert_text(bucket.charge(1e300), "n must be so small that the debt stays below 2^59 units, got 1e300");
    assert_text(bucket.stats(), "statistics must be asked for by Config::statistics, got a bucket without them");
    let server = RemoteLimit::new(Config::per_second(10, 5), SECOND).unwrap();
    assert_text(server.take("a", 11), "n must be at most the capacity, got 11");
    assert_text(server.charge("a", 15.5), "n must be so small that the debt is repaid within max_wait, got 15.5");
    let braces = "key must be with a tag in braces, or without a closing brace and not empty, got tb:a}";
    assert_text(server.refund("a}", 1), braces);
    let table = Table::new(10, 5, 100).unwrap();
    let long = vec![0; Table::MAX_KEY_SIZE + 1];
    assert_text(table.allow(&long, 1), "key must be at most 65536 bytes, got 65537");
    assert_text(address_key("nobody", 64), "text must be an IPv4 or IPv6 address, got nobody");
    let reply = r#"text must be the whole of an error, a number or an array of numbers from a server, got ":1""#;
    assert_text(Reply::parse(b":1"), reply);
}

#[test]
fn shared_buckets_name_what_they_cannot_do() {
    if !has_feature("shared_memory") {
        return;
    }
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let on_clock = Config::per_second(10, 5).clock(&clock).open_shared(None);
    assert_text(on_clock, "clock must be left out for a shared bucket, got one");
    let text = "name must be the name of a file, without a slash or a leading dot, or an absolute path, got a/b";
    assert_text(remove_shared("a/b"), text);
}

#[test]
fn an_argument_tells_its_parts() {
    let refused = Bucket::new(0, 5).unwrap_err();
    let argument = match &refused {
        Error::OutOfRange(argument) => argument,
        other => panic!("{}", other),
    };
    let parts: [&str; 3] = [argument.name(), argument.allowed(), argument.value()];
    assert_eq!(parts, ["capacity", "from 1e-6 to 1e15 tokens", "0"]);
    assert_eq!(format!("{:?}", refused), r#"OutOfRange(Argument("capacity must be from 1e-6 to 1e15 tokens, got 0"))"#);
    // An error that is returned beside an answer stays small.
    assert!(mem::size_of::<Error>() <= 24 && mem::size_of::<Argument>() == mem::size_of::<usize>());
}

#[test]
fn what_has_a_limit_shows_it() {
    let clock = ManualClock::new(Duration::ZERO).unwrap();
    let limit = || Config::per_second(10, 5).clock(&clock);
    let (bucket, table) = (limit().build().unwrap(), TableConfig::with_max_keys(limit(), 4).build().unwrap());
    let remote = RemoteLimit::new(Config::per_second(10, 5), SECOND).unwrap();
    let both = Limits::new([bucket.member(1), table.member("a", 1)]);
    let shown = "limit: Ok(Limit { capacity: 10.0, tokens: 5.0, period: 1s, unit: 1e-9 })";
    assert_eq!(format!("{:?}", bucket), format!("Bucket {{ {}, available: Ok(10.0), .. }}", shown));
    assert_eq!(format!("{:?}", table), format!("Table {{ {}, .. }}", shown));
    assert_eq!(format!("{:?}", both).matches(shown).count(), 2);
    assert!(format!("{:?}", bucket.reserve(1, None).unwrap()).contains(shown));
    assert!(format!("{:?}", remote).contains("capacity: 10.0, tokens: 5.0, period: 1s"));
}

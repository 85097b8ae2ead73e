//! Limits by key, on a manual clock.
use std::thread;
use std::time::Duration;

use tokenbucket::{address_key, Config, Error, ManualClock, Table, TableConfig, WhenFull};

const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);
/// The bytes of the smallest table, which has 4 places.
const SMALLEST: u64 = 64;

fn clock() -> ManualClock {
    ManualClock::new(Duration::ZERO).unwrap()
}

/// 10 tokens for each key, and 2 per second.
fn limit(clock: &ManualClock) -> Config {
    Config::new(10.0, 2.0, SECOND).clock(clock)
}

fn table(clock: &ManualClock) -> Table {
    TableConfig::with_max_keys(limit(clock), 100).build().unwrap()
}

#[test]
fn each_key_has_its_own_burst_and_rate() {
    let clock = clock();
    let table = table(&clock);
    assert_eq!(table.allow("a", 10.0), Ok(true));
    assert_eq!(table.allow("a", 0.5), Ok(false));
    assert_eq!(table.allow("b", 10.0), Ok(true));
    assert_eq!(table.time_until("a", 0.5), Ok(Some(SECOND / 4)));
    clock.advance(SECOND / 4 - NANOSECOND).unwrap();
    assert_eq!(table.allow("a", 0.5), Ok(false));
    clock.advance(NANOSECOND).unwrap();
    assert_eq!(table.allow("a", 0.5), Ok(true));
    assert_eq!((table.available("a"), table.available("b"), table.available("c")), (Ok(0.0), Ok(0.5), Ok(10.0)));
    assert!(matches!(table.allow("a", 10.5), Err(Error::ExceedsCapacity(_))));
    assert!(matches!(table.time_until("a", 10.5), Err(Error::ExceedsCapacity(_))));
}

#[test]
fn decision_is_that_of_the_key() {
    let table = table(&clock());
    let granted = table.take("a", 7.0).unwrap();
    assert!(granted.granted);
    assert_eq!((granted.remaining, granted.retry_after), (3.0, Some(Duration::ZERO)));
    assert_eq!(granted.reset_after, Some(SECOND * 7 / 2));
    let denied = table.take("a", 4.0).unwrap();
    assert!(!denied.granted);
    assert_eq!((denied.remaining, denied.retry_after), (3.0, Some(SECOND / 2)));
    let hopeless = table.take("a", 10.5).unwrap();
    assert!(!hopeless.granted);
    assert_eq!((hopeless.remaining, hopeless.retry_after), (3.0, None));
}

#[test]
fn takes_whole_tokens_up_to_what_is_there() {
    let table = table(&clock());
    assert_eq!(table.take_up_to("a", 3.9), Ok(3.0));
    assert_eq!(table.allow("a", 0.5), Ok(true));
    assert_eq!(table.take_up_to("a", 100.0), Ok(6.0));
    assert_eq!(table.take_up_to("a", 1.0), Ok(0.0));
    assert_eq!(table.available("a"), Ok(0.5));
}

#[test]
fn many_keys_are_answered_each_as_by_itself() {
    let table = table(&clock());
    let requests = [("a", 6), ("", 10), ("bcd", 11), ("a", 5), ("a", 4), ("e", 0), ("", 1)];
    let answers = table.allow_many(requests).unwrap();
    let text = |answer: &Result<bool, Error>| match answer {
        Ok(granted) => granted.to_string(),
        Err(error) => error.to_string(),
    };
    let (too_many, none) = ("n must be at most the capacity, got 11", "n must be finite and more than 0, got 0");
    let texts: Vec<_> = answers.iter().map(text).collect();
    assert_eq!(texts, ["true", "true", too_many, "false", "true", none, "false"]);
    assert_eq!((table.available("a"), table.available(""), table.available("bcd")), (Ok(0.0), Ok(0.0), Ok(10.0)));
    assert_eq!(table.allow_many::<&str, f64>([]), Ok(vec![]));

    let long = vec![0; Table::MAX_KEY_SIZE + 1];
    let answers = table.allow_many([(&b"f"[..], 1.0), (&long[..], 1.0)]);
    assert_eq!(answers, Err(Error::KeyTooLong { size: 65537 }));
    assert_eq!(table.available("f"), Ok(10.0));
}

#[test]
fn keys_are_any_bytes() {
    let table = table(&clock());
    let long = vec![b'x'; Table::MAX_KEY_SIZE];
    let keys = [&b""[..], b"\0", b"\0\0", b"a", b"a\0", b"a\0b", b"a\0c", &long, &long[1..]];
    for (place, key) in keys.iter().enumerate() {
        assert_eq!(table.allow(key, 1.0 + place as f64), Ok(true));
    }
    for (place, key) in keys.iter().enumerate() {
        assert_eq!(table.available(key), Ok(9.0 - place as f64));
    }
    assert_eq!(table.available(97u8.to_be_bytes()), table.available(String::from("a")));
}

#[test]
fn key_that_is_too_long_is_named() {
    let table = table(&clock());
    let long = vec![0; 70_000];
    let error = || Error::KeyTooLong { size: 70_000 };
    assert_eq!(table.allow(&long, 1.0), Err(error()));
    assert_eq!(table.take(&long, 1.0), Err(error()));
    assert_eq!(table.take_up_to(&long, 1.0), Err(error()));
    assert_eq!(table.wait(&long, 1.0), Err(error()));
    assert_eq!(table.wait_timeout(&long, 1.0, SECOND), Err(error()));
    assert_eq!(table.reserve(&long, 1.0, None).unwrap_err(), error());
    assert_eq!(table.charge(&long, 1.0), Err(error()));
    assert_eq!(table.refund(&long, 1.0), Err(error()));
    assert_eq!(table.remove(&long), Err(error()));
    assert_eq!(table.available(&long), Err(error()));
    assert_eq!(table.time_until(&long, 1.0), Err(error()));
}

#[test]
fn bad_amounts_are_refused_and_take_nothing() {
    let table = table(&clock());
    for n in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(table.allow("a", n), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(table.take("a", n), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(table.take_up_to("a", n), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(table.wait("a", n), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(table.reserve("a", n, None).unwrap_err(), Error::InvalidArgument(_)), "{}", n);
        assert!(matches!(table.charge("a", n), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(table.refund("a", n), Err(Error::InvalidArgument(_))), "{}", n);
        assert!(matches!(table.time_until("a", n), Err(Error::InvalidArgument(_))), "{}", n);
    }
    assert_eq!(table.stats().unwrap().occupied, 0);
}

#[test]
fn reservation_of_a_key_gives_back_keeps_or_settles() {
    let clock = clock();
    let table = table(&clock);
    table.reserve("a", 8.0, None).unwrap().commit();
    {
        let reservation = table.reserve(String::from("a"), 5.0, None).unwrap();
        assert_eq!((reservation.tokens(), reservation.wait_time()), (5.0, SECOND * 3 / 2));
        assert_eq!(reservation.ready_at(), SECOND * 3 / 2);
        assert_eq!(table.available("a"), Ok(-3.0));
    }
    assert_eq!(table.available("a"), Ok(2.0));
    let late = Error::TimedOut { retry_after: Some(SECOND) };
    assert_eq!(table.reserve("a", 4.0, Some(SECOND - NANOSECOND)).unwrap_err(), late);
    assert_eq!(table.reserve("a", 4.0, Some(SECOND)).unwrap().settle(1.5), Ok(()));
    assert_eq!(table.available("a"), Ok(0.5));
    assert!(matches!(table.reserve("a", 9.0, None).unwrap().settle(-1.0), Err(Error::InvalidArgument(_))));
    assert_eq!(table.available("a"), Ok(0.5));
    assert!(matches!(table.reserve("a", 10.5, None).unwrap_err(), Error::ExceedsCapacity(_)));

    let removed = table.reserve("a", 5.0, None).unwrap();
    table.remove("a").unwrap();
    drop(removed);
    assert_eq!(table.available("a"), Ok(10.0));
}

#[test]
fn charge_refund_and_remove_are_of_one_key() {
    let table = table(&clock());
    assert_eq!(table.charge("a", 4.0), Ok(Some(Duration::ZERO)));
    assert_eq!(table.charge("a", 15.0), Ok(Some(SECOND * 9 / 2)));
    assert!(matches!(table.charge("a", 1e300), Err(Error::OutOfRange(_))));
    assert_eq!(table.allow("b", 3.0), Ok(true));
    assert_eq!(table.refund("a", 7.5), Ok(()));
    assert_eq!((table.available("a"), table.available("b")), (Ok(-1.5), Ok(7.0)));
    assert_eq!(table.remove("a"), Ok(()));
    assert_eq!(table.refund("b", 50.0), Ok(()));
    assert_eq!((table.available("a"), table.available("b")), (Ok(10.0), Ok(10.0)));
}

#[test]
fn limit_of_all_keys_changes_at_once_and_can_be_read() {
    let clock = clock();
    let config = Config::new(10.0, 700_000.0, 3600 * SECOND).clock(&clock);
    let table = TableConfig::with_max_keys(config, 100).build().unwrap();
    let limit = table.limit().unwrap();
    assert_eq!((limit.capacity, limit.tokens, limit.period), (10.0, 700_000.0, 3600 * SECOND));
    assert_eq!((table.allow("a", 10.0), table.allow("b", 7.0)), (Ok(true), Ok(true)));
    table.set_rate(2.0).unwrap();
    table.set_capacity(4.0).unwrap();
    assert!(matches!((table.available("c"), table.allow("c", 5.0)), (Ok(4.0), Err(Error::ExceedsCapacity(_)))));
    table.set_capacity(10.0).unwrap();
    clock.advance(SECOND).unwrap();
    assert_eq!((table.available("a"), table.available("b")), (Ok(2.0), Ok(5.0)));
    let limit = table.limit().unwrap();
    assert_eq!((limit.capacity, limit.per_second()), (10.0, 2.0));
    assert!(matches!(table.set_rate(0.0), Err(Error::OutOfRange(_))));
    assert!(matches!(table.set_rate(f64::NAN), Err(Error::InvalidArgument(_))));
    assert!(matches!(table.set_capacity(2e15), Err(Error::OutOfRange(_))));
    assert!(matches!(table.set_capacity(f64::INFINITY), Err(Error::InvalidArgument(_))));
    assert_eq!(table.limit(), Ok(limit));
}

#[test]
fn closed_table_says_so() {
    let table = table(&clock());
    let reservation = table.reserve("a", 4.0, None).unwrap();
    assert!(!table.is_closed());
    assert_eq!((table.close(), table.close()), (Ok(()), Ok(())));
    assert!(table.is_closed());
    assert_eq!(table.allow("a", 1.0), Err(Error::Closed));
    assert_eq!(table.take("a", 1.0), Err(Error::Closed));
    assert_eq!(table.allow_many([("a", 1.0)]), Ok(vec![Err(Error::Closed)]));
    assert_eq!(table.wait("a", 1.0), Err(Error::Closed));
    assert_eq!(table.set_rate(1.0), Err(Error::Closed));
    assert_eq!(reservation.settle(1.0), Err(Error::Closed));
    assert_eq!(table.available("a"), Ok(6.0));
}

fn smallest(when_full: WhenFull) -> Table {
    let table = TableConfig::with_max_bytes(limit(&clock()), SMALLEST).when_full(when_full).build().unwrap();
    assert_eq!(table.stats().unwrap().places, 4);
    for (place, key) in ["a", "b", "c", "d"].iter().enumerate() {
        assert_eq!(table.allow(key, 5.0 + place as f64), Ok(true));
    }
    table
}

#[test]
fn full_table_denies_a_new_key() {
    let table = smallest(WhenFull::Deny);
    assert_eq!(table.allow("e", 1.0), Err(Error::TableFull));
    assert_eq!(table.take("e", 1.0), Err(Error::TableFull));
    assert_eq!(table.take_up_to("e", 1.0), Err(Error::TableFull));
    assert_eq!(table.allow_many([("e", 1.0), ("a", 1.0)]), Ok(vec![Err(Error::TableFull), Ok(true)]));
    assert_eq!(table.charge("e", 1.0), Err(Error::TableFull));
    assert_eq!(table.reserve("e", 1.0, None).unwrap_err(), Error::TableFull);
    assert_eq!(table.wait("e", 1.0), Err(Error::TableFull));
    assert_eq!(table.available("e"), Ok(10.0));
    let stats = table.stats().unwrap();
    assert_eq!((stats.occupied, stats.evicted, stats.tokens_forgiven), (4, 0, 0.0));
    table.remove("d").unwrap();
    assert_eq!(table.allow("e", 1.0), Ok(true));
}

#[test]
fn full_table_evicts_the_fullest_key_that_is_not_in_debt() {
    let table = smallest(WhenFull::EvictFullest);
    assert_eq!(table.allow("e", 9.0), Ok(true));
    assert_eq!((table.available("a"), table.available("b"), table.available("e")), (Ok(10.0), Ok(4.0), Ok(1.0)));
    let stats = table.stats().unwrap();
    assert_eq!((stats.occupied, stats.evicted, stats.tokens_forgiven), (4, 1, 5.0));
    for key in ["b", "c", "d", "e"] {
        table.charge(key, 10.0).unwrap();
    }
    assert_eq!(table.allow("f", 1.0), Err(Error::TableFull));
}

#[test]
fn full_table_admits_and_forgets() {
    let table = smallest(WhenFull::Admit);
    assert_eq!((table.allow("e", 9.0), table.allow("e", 9.0)), (Ok(true), Ok(true)));
    let stats = table.stats().unwrap();
    assert_eq!((stats.occupied, stats.evicted, stats.tokens_forgiven), (4, 0, 18.0));
}

#[test]
fn bad_configurations_are_refused() {
    let limit = || Config::new(1.0, 1.0, SECOND);
    let error = |config: TableConfig| config.build().unwrap_err();
    assert!(matches!(error(TableConfig::with_max_keys(limit(), 0)), Error::InvalidArgument(_)));
    assert!(matches!(error(TableConfig::with_max_keys(limit(), u64::MAX)), Error::OutOfRange(_)));
    assert!(matches!(error(TableConfig::with_max_bytes(limit(), SMALLEST - 1)), Error::InvalidArgument(_)));
    assert_eq!(error(TableConfig::with_max_bytes(limit(), u64::MAX)), Error::OutOfMemory);
    for limit in [limit().initial_tokens(1.0), limit().statistics(), limit().on_event(|_| ())] {
        assert!(matches!(error(TableConfig::with_max_keys(limit, 1)), Error::Unsupported(_)));
    }
    assert!(matches!(
        error(TableConfig::with_max_keys(Config::new(1.0, 1.0, Duration::ZERO), 1)),
        Error::InvalidArgument(_)
    ));
    assert!(matches!(Table::new(1.0, 0.0, 1).unwrap_err(), Error::OutOfRange(_)));
    assert_eq!(Table::new(1.0, 1.0, 1).unwrap().allow("a", 1.0), Ok(true));
}

/// Each thread asks for all keys, in an order of its own, some of them together.
#[test]
fn threads_together_get_the_exact_number_of_each_key() {
    const THREADS: usize = 16;
    const KEYS: usize = 1000;
    let clock = clock();
    let config = Config::new(20.0, 1.0, SECOND).clock(&clock);
    let table = &TableConfig::with_max_keys(config, 4 * KEYS as u64).build().unwrap();
    let name = |key: usize| key.to_be_bytes();
    for granted in [20, 3] {
        let grants_of = |thread: usize| {
            let mut grants = vec![0; KEYS];
            for round in 0..3 {
                let keys: Vec<_> = (0..KEYS).map(|key| (key * 7 + thread * 61) % KEYS).collect();
                for keys in keys.chunks(10) {
                    let are_together = (round + thread) % 2 == 0;
                    let answers = if are_together {
                        table.allow_many(keys.iter().map(|key| (name(*key), 1.0))).unwrap()
                    } else {
                        keys.iter().map(|key| table.allow(name(*key), 1.0)).collect()
                    };
                    for (key, answer) in keys.iter().zip(answers) {
                        grants[*key] += u32::from(answer.unwrap());
                    }
                }
            }
            grants
        };
        let all: Vec<Vec<u32>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || grants_of(thread))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for key in 0..KEYS {
            assert_eq!(all.iter().map(|grants| grants[key]).sum::<u32>(), granted, "{}", key);
        }
        clock.advance(3 * SECOND).unwrap();
    }
    assert_eq!(table.stats().unwrap().evicted, 0);
}

#[test]
fn address_is_one_key_however_it_is_written() {
    let key = |text| address_key(text, 64).unwrap();
    assert_eq!(key("192.0.2.1").as_ref(), [192, 0, 2, 1]);
    assert_eq!(key("192.0.2.1:80"), key("::ffff:192.0.2.1"));
    assert_eq!(key("[2001:db8::1]:80").as_ref(), [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
    assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    assert_ne!(address_key("fe80::1%eth0", 128), address_key("fe80::2", 128));
    for text in ["", "192.0.2", "localhost", "192.0.2.1\0"] {
        assert!(matches!(address_key(text, 64), Err(Error::InvalidArgument(_))), "{}", text);
    }
    assert!(matches!(address_key("::1", 129), Err(Error::InvalidArgument(_))));

    let table = table(&clock());
    assert_eq!(table.allow(key("192.0.2.1:80"), 10.0), Ok(true));
    assert_eq!(table.allow(key("192.0.2.1:81"), 1.0), Ok(false));
}

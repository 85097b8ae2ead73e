//! Replays the rows in tests/conformance of the C library's source through this crate; README.md beside them explains
//! the steps.
mod buckets;
mod limits;
mod steps;
mod tables;
mod tasks;

use std::collections::BTreeSet;
use std::fs;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/conformance/");

/// Every kind of step in rows.txt.
const BUCKET_KINDS: [&str; 12] =
    ["@", "take", "upto", "peek", "peekx", "est", "force", "add", "resv", "cancel", "rate", "burst"];
/// Of those in tables.txt, what rows.txt has not.
const TABLE_KINDS: [&str; 3] = ["remove", "many", "close"];

/// Runs all rows of a file and says how many there are and what kinds of steps they have.
fn replay(file: &str, replay_row: impl Fn(&str, &str, &mut BTreeSet<String>)) -> (usize, BTreeSet<String>) {
    let text = fs::read_to_string(FOLDER.to_string() + file).unwrap();
    let mut kinds = BTreeSet::new();
    for line in text.lines() {
        println!("{}", line);
        let fields: Vec<&str> = line.split('|').collect();
        assert_eq!(fields.len(), 3);
        replay_row(fields[1], fields[2], &mut kinds);
    }
    (text.lines().count(), kinds)
}

fn replay_waits(is_thread: &dyn Fn(&str, usize) -> bool) {
    let (rows, _) = replay("waits.txt", |limits, steps, kinds| buckets::replay(limits, steps, is_thread, kinds));
    assert!(rows >= 130, "only {} rows", rows);
}

fn replay_limits(is_thread: &dyn Fn(usize) -> bool) {
    let (rows, _) = replay("limits.txt", |row, steps, _| limits::replay(row, steps, is_thread));
    assert!(rows >= 60, "only {} rows", rows);
}

#[test]
fn every_row_is_answered_as_it_says() {
    let nobody = |_: &str, _| unreachable!("nobody waits");
    let (rows, kinds) = replay("rows.txt", |limits, steps, kinds| buckets::replay(limits, steps, &nobody, kinds));
    assert!(rows >= 18, "only {} rows", rows);
    assert_eq!(kinds, BUCKET_KINDS.into_iter().map(str::to_string).collect());
}

#[test]
fn keys_are_answered_as_the_table_rows_say() {
    let (rows, kinds) = replay("tables.txt", tables::replay);
    assert!(rows >= 60, "only {} rows", rows);
    assert_eq!(kinds, BUCKET_KINDS.into_iter().chain(TABLE_KINDS).map(str::to_string).collect());
}

#[test]
fn threads_are_served_as_the_wait_rows_say() {
    replay_waits(&|_, _| true);
}

#[test]
fn futures_are_served_as_the_wait_rows_say() {
    replay_waits(&|_, _| false);
}

#[test]
fn threads_and_futures_in_turn_are_served_as_the_wait_rows_say() {
    for first in [0, 1] {
        replay_waits(&|_, others| others % 2 == first);
    }
}

#[test]
fn threads_are_served_as_the_limit_rows_say() {
    replay_limits(&|_| true);
}

#[test]
fn futures_are_served_as_the_limit_rows_say() {
    replay_limits(&|_| false);
}

#[test]
fn threads_and_futures_in_turn_are_served_as_the_limit_rows_say() {
    for first in [0, 1] {
        replay_limits(&|others| others % 2 == first);
    }
}

//! Many databases from one primary to one secondary: how many round trips that takes, and that the
//! published numbers are these.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place and the value")]

use std::collections::BTreeMap;

use pcdr_benches::many::{Configured, Many};
use pcdr_tests::virtually;

fn side_by_side(databases: usize) -> Configured {
    virtually(async { Many::served(databases).await.configure_side_by_side().await })
}

/// Round trips for each database by what they are for, as the book publishes them.
fn published() -> BTreeMap<String, u64> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/numbers.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, table) = text.split_once("| round trips for | each database |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        (cells[1].to_owned(), cells[2].parse().unwrap())
    })
    .collect()
}

#[test]
fn each_database_costs_the_published_round_trips_however_many_there_are() {
    let (few, more) = (side_by_side(3), side_by_side(7));
    assert_eq!((more.steps - few.steps) % 4, 0);
    let mut each = BTreeMap::new();
    for (kind, count) in &more.round_trips {
        let added = count - few.round_trips.get(kind).copied().unwrap_or_default();
        assert_eq!(added % 4, 0, "{kind}: {added} more for 4 more databases");
        if added > 0 {
            each.insert((*kind).to_owned(), added / 4);
        }
    }
    assert_eq!(each, published(), "docs/src/numbers.md says otherwise");
    // What does not grow with the databases: observations of both instances, and the alert jobs.
    let fixed = few.total() - 3 * each.values().sum::<u64>();
    assert!(fixed < 30, "{fixed} round trips belong to no database");
}

#[test]
fn databases_side_by_side_wait_for_each_other_no_longer_than_turns_are_short() {
    // As many databases as statements at once: none waits for another.
    let together = side_by_side(8).took;
    let alone = side_by_side(1).took;
    assert!(together < alone * 2, "8 databases: {together:?}, one: {alone:?}");
}

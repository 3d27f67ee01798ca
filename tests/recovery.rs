//! The recovery engine: how close a recovery of many log backups comes to the shortest time that the
//! costs leave. Virtual time makes the ratios the same on any machine.
#![allow(clippy::print_stdout, reason = "the ratios, beside their limits")]

use std::time::Duration;

use pcdr_benches::recovery::{Backlog, critical_path};
use pcdr_tests::virtually;

fn ratios(databases: usize, each: usize) -> (f64, f64) {
    let (sizes, by_pcdr) = virtually(async {
        let backlog = Backlog::of(databases, each).await;
        (backlog.sizes(), backlog.recovered_by_pcdr().await)
    });
    let by_documents =
        virtually(async { Backlog::of(databases, each).await.recovered_by_the_documents().await });
    let critical = critical_path(&sizes);
    assert!(critical < by_pcdr, "nobody is quicker than the costs leave: {critical:?} {by_pcdr:?}");
    let ratio = |took: Duration| took.as_secs_f64() / critical.as_secs_f64();
    (ratio(by_pcdr), ratio(by_documents))
}

#[test]
fn a_recovery_takes_at_most_a_twentieth_longer_than_its_critical_path() {
    for (databases, each) in [(1, 50), (10, 5)] {
        let (by_pcdr, by_documents) = ratios(databases, each);
        println!(
            "{databases} databases, {each} log backups each: {by_pcdr:.3}; the documented sequence \
             {by_documents:.3}"
        );
        assert!(by_pcdr <= 1.05, "{databases} databases, {each} log backups each: {by_pcdr:.3}");
        assert!(by_documents >= 1.8, "the documented sequence: {by_documents:.3}");
    }
}

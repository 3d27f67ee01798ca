//! How long hand-overs block writes, and what pcdr itself adds to the servers' work, in virtual time.
#![allow(clippy::print_stdout, reason = "the figures, beside their limits")]

use std::time::Duration;

use pcdr_benches::many::Many;
use pcdr_core::Intent;
use pcdr_tests::virtually;

#[test]
fn a_planned_failover_hardly_waits_for_anything_but_the_servers() {
    for (databases, limit) in [(1, 250), (12, 1000)] {
        let went = virtually(async {
            let many = Many::served(databases).await;
            many.configure_side_by_side().await;
            many.hand_over(Intent::PlannedFailover, 1).await
        });
        println!("{databases} databases: {went:?}");
        // What the wall shows depends on the machine, and is no test.
        assert!(went.own.tokio <= Duration::from_millis(limit), "{databases} databases: {went:?}");
        assert!(went.blocked > Duration::ZERO && went.blocked < went.took, "{went:?}");
    }
}

#[test]
fn a_failback_blocks_writes_as_long_for_a_large_database_as_for_a_small_one() {
    let went = [1, 10, 100].map(|units| {
        virtually(async {
            let many = Many::served(1).await;
            many.configure_side_by_side().await;
            many.failed_back_whole(units * 2_000_000).await
        })
    });
    println!("{went:?}");
    let blocked = went.map(|went| went.blocked);
    let (least, most) = (blocked.iter().min().unwrap(), blocked.iter().max().unwrap());
    assert!(most.as_secs_f64() < 1.1 * least.as_secs_f64(), "{blocked:?}");
    // The database is restored while writes go on: that takes as long as it is large.
    assert!(went[2].took > went[0].took * 4, "{went:?}");
}

//! Planned failover of one database and of 100 side by side, and failback of databases of 1, 10 and 100 units of
//! size, in the stand-in's virtual time, while clients write.
//!
//! Reach: outside of the servers' work 250 ms for one database and 1 s for 100; writes blocked by a failback differ
//! by less than a tenth, whatever the size.
#![allow(missing_docs, clippy::print_stdout)]

use std::time::Duration;

use pcdr_benches::handover::HandOver;
use pcdr_benches::many::{Many, ROUND_TRIP};
use pcdr_benches::virtually;
use pcdr_core::Intent;

/// One unit of size.
const UNIT: u64 = 100_000_000;

/// Measures once: virtual time repeats itself. What is measured on the wall is information.
fn main() {
    let mut names =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    if names.peek().is_some() && !names.any(|name| "handover".contains(&name)) {
        return;
    }
    println!("handover: {ROUND_TRIP:?} a round trip");
    let ms = Duration::as_millis;
    for databases in [1, 100] {
        let HandOver { took, own, blocked } = virtually(async {
            let many = Many::served(databases).await;
            many.configure_side_by_side().await;
            many.hand_over(Intent::PlannedFailover, databases.min(4)).await
        });
        println!(
            "  planned failover of {databases}: {} ms, outside of server work {} ms by the clock and {} ms on the wall; \
             writes blocked {} ms",
            ms(&took),
            ms(&own.tokio),
            ms(&own.wall),
            ms(&blocked)
        );
    }
    for units in [1, 10, 100] {
        let HandOver { took, blocked, .. } = virtually(async {
            let many = Many::served(1).await;
            many.configure_side_by_side().await;
            many.failed_back_whole(units * UNIT).await
        });
        println!(
            "  failback of {units} units: {} ms; writes blocked {} ms",
            ms(&took),
            ms(&blocked)
        );
    }
}

//! Recovery of many log backups that nobody has copied yet, in the stand-in's virtual time, against the
//! shortest time that the costs leave, and the documented sequence against it in the same run.
//!
//! Reach: at most 1.05 times the critical path; the documented sequence takes at least 1.8 times.
//! `PCDR_LARGEST` bounds the number of log backups.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use pcdr_benches::recovery::{Backlog, HEADER, LINK, RESTORE, ROUND_TRIP, critical_path};
use pcdr_benches::virtually;

/// Databases, and log backups of each.
const CASES: [(usize, usize); 8] =
    [(1, 50), (10, 5), (1, 500), (10, 50), (100, 5), (1, 5000), (10, 500), (100, 50)];

/// Measures once: virtual time repeats itself, so there is nothing to average.
fn main() {
    let mut names =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    if names.peek().is_some() && !names.any(|name| "recovery".contains(&name)) {
        return;
    }
    let largest: usize =
        std::env::var("PCDR_LARGEST").ok().and_then(|n| n.parse().ok()).unwrap_or(5000);
    println!(
        "recovery: link {} MB/s, restore {} MB/s + {:?} a file, header {HEADER:?}, {ROUND_TRIP:?} a round trip",
        LINK / 1_000_000,
        RESTORE.1 / 1_000_000,
        RESTORE.0,
    );
    println!("| log backups | databases | critical path | pcdr | | documented sequence | |");
    println!("|---|---|---|---|---|---|---|");
    for (databases, each) in CASES.into_iter().filter(|(n, each)| n * each <= largest) {
        let (sizes, by_pcdr) = virtually(async {
            let backlog = Backlog::of(databases, each).await;
            (backlog.sizes(), backlog.recovered_by_pcdr().await)
        });
        let by_documents = virtually(async {
            Backlog::of(databases, each).await.recovered_by_the_documents().await
        });
        let critical = critical_path(&sizes);
        let ratio = |took: std::time::Duration| took.as_secs_f64() / critical.as_secs_f64();
        println!(
            "| {} | {databases} | {:.2} s | {:.2} s | {:.3} | {:.2} s | {:.2} |",
            databases * each,
            critical.as_secs_f64(),
            by_pcdr.as_secs_f64(),
            ratio(by_pcdr),
            by_documents.as_secs_f64(),
            ratio(by_documents),
        );
    }
}

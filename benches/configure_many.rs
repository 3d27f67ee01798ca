//! Configuring log shipping of 100 databases from one primary to one secondary: databases side by side
//! against one after another, in the stand-in's virtual time, and the round trips by what they are for.
//!
//! Reach: at least 8 times as fast side by side. Both are measured in this run, on stand-ins of their own.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use pcdr_benches::many::{Many, ROUND_TRIP};
use pcdr_benches::virtually;

/// Measures once: virtual time repeats itself, so there is nothing to average.
fn main() {
    // As criterion's benches do: a name given selects what bears it.
    let mut names =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    if names.peek().is_some() && !names.any(|name| "configure_many".contains(&name)) {
        return;
    }
    let databases =
        std::env::var("PCDR_DATABASES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let wall = std::time::Instant::now();
    let side_by_side =
        virtually(async { Many::served(databases).await.configure_side_by_side().await });
    let side_by_side_wall = wall.elapsed();
    let wall = std::time::Instant::now();
    let one_by_one =
        virtually(async { Many::served(databases).await.configure_one_after_another().await });
    let one_by_one_wall = wall.elapsed();

    println!(
        "configure_many: {databases} databases, one primary, one secondary; {ROUND_TRIP:?} a round trip"
    );
    println!("  round trips side by side, by what they are for (all, for each database):");
    for (kind, count) in &side_by_side.round_trips {
        println!("    {kind:<34} {count:>7} {:>8.2}", *count as f64 / databases as f64);
    }
    let total = side_by_side.total();
    println!("    {:<34} {total:>7} {:>8.2}", "all", total as f64 / databases as f64);
    println!("  round trips one after another: {}", one_by_one.total());
    let (together, each) = (side_by_side.took, one_by_one.took);
    println!(
        "  {} steps: {:.2} s side by side, {:.2} s one after another: {:.1} times as fast (reach: 8)",
        side_by_side.steps,
        together.as_secs_f64(),
        each.as_secs_f64(),
        each.as_secs_f64() / together.as_secs_f64(),
    );
    println!(
        "  on the wall, stand-ins included: {:.1} s and {:.1} s",
        side_by_side_wall.as_secs_f64(),
        one_by_one_wall.as_secs_f64()
    );
}

//! Hostile input by the million, in a build that is quick and still checks every overflow.

use xshell::{Shell, cmd};

use crate::report::Report;

/// Cases of a run in continuous integration.
pub(crate) const CASES: u64 = 1_000_000;

/// A seed that no run has had. Continuous integration has the test's own, the same every time.
pub(crate) fn fresh_seed() -> u64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

/// Runs `cases` cases of `pcdr-tests`' `fuzz`, which prints its seed; without one, of the test's own.
pub(crate) fn run(shell: &Shell, report: &mut Report, cases: u64, seed: Option<u64>) -> bool {
    let _cases = shell.push_env("PCDR_FUZZ_CASES", cases.to_string());
    let _seed = seed.map(|seed| shell.push_env("PCDR_SEED", seed.to_string()));
    report.command(
        "fuzz",
        cmd!(
            shell,
            "cargo test --locked --profile fuzz --package pcdr-tests --test fuzz -- --nocapture"
        ),
    )
}

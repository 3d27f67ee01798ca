//! Hostile input by the million, in the build of the other tests: every check for overflow is on.

use xshell::{Shell, cmd};

use crate::report::Report;
use crate::testing::{Counts, QUICK, cargo_test};

/// Cases of a run of all tests.
pub(crate) const CASES: u64 = 1_000_000;

/// The seed of a run of all tests, the same every time.
const SEED: u64 = 24_301;

/// A seed that no run has had.
pub(crate) fn fresh_seed() -> u64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

/// Runs `cases` cases of `pcdr-tests`' `fuzz`; without a seed, those of the run of all tests.
///
/// The packages are the whole workspace's, so that nothing is compiled again after its tests.
pub(crate) fn run(shell: &Shell, report: &mut Report, cases: u64, seed: Option<u64>) -> Counts {
    let seed = seed.unwrap_or(SEED);
    let mut counts = Counts::default();
    let repeat = format!("cargo xtask fuzz --cases {cases} --seed {seed}");
    let held = report.check(&format!("fuzz: {cases} hostile inputs"), &repeat, || {
        let fuzz = cmd!(
            shell,
            "cargo test --config {QUICK} --workspace --locked --test fuzz -- --ignored --nocapture"
        );
        let fuzz =
            fuzz.env("PCDR_FUZZ_CASES", cases.to_string()).env("PCDR_SEED", seed.to_string());
        cargo_test(fuzz.into(), &mut counts)
    });
    if !held && counts.failed == 0 {
        counts.failed = 1;
    }
    counts
}

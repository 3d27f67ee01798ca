//! Measurements.

use xshell::{Shell, cmd};

use crate::report::Report;

/// Runs the benches of `pcdr-benches`, handing `criterion` its arguments.
pub(crate) fn run(shell: &Shell, criterion: &[String]) -> bool {
    let mut report = Report::new();
    let separator = (!criterion.is_empty()).then_some("--");
    report.command(
        "benches",
        cmd!(shell, "cargo bench --locked --package pcdr-benches {separator...} {criterion...}"),
    );
    report.finish()
}

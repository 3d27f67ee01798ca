//! Every test of the workspace.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use xshell::{Shell, cmd};

use crate::report::{Checked, Report};
use crate::{clients, fuzz, official_parser, python, setup};

/// What `cargo test` counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

/// What to leave out, because it cannot be installed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Skip {
    /// What needs the vendor's own T-SQL parser.
    pub(crate) parser: bool,
    /// What needs TDS clients written by others.
    pub(crate) clients: bool,
    /// What needs Python.
    pub(crate) python: bool,
}

/// Tests that cross crates spend their time in the stand-in, which is compiled for that.
pub(crate) const QUICK: &str = "profile.dev.package.pcdr-sim.opt-level=1";

/// Steps of which the model and the stand-in are compared: enough to get everywhere.
const STEPS_COMPARED: &str = "2000";

/// Sets up, runs every test and every example, and ends with the line `N passed, N failed`.
pub(crate) fn run(shell: &Shell, skip: Skip) -> bool {
    let mut report = Report::new();
    setup::run(shell, &mut report);

    let mut counts = Counts::default();
    let held = report.check(
        "tests: unit, integration, documentation",
        "cargo test --workspace --locked --no-fail-fast",
        || {
            let traces = official_parser::traces(shell)?;
            let cannot =
                |error: std::io::Error| format!("cannot empty {}: {error}", traces.display());
            if traces.exists() {
                std::fs::remove_dir_all(&traces).map_err(cannot)?;
            }
            std::fs::create_dir_all(&traces).map_err(cannot)?;
            let all =
                cmd!(shell, "cargo test --config {QUICK} --workspace --locked --no-fail-fast");
            let all = all.env("PCDR_CASES", STEPS_COMPARED).env("PCDR_TRACES", &traces);
            cargo_test(all.into(), &mut counts)
        },
    );
    if !held && counts.failed == 0 {
        // Nothing is counted for what did not compile, or for a test process that died.
        counts.failed = 1;
    }

    for part in [
        fuzz::run(shell, &mut report, fuzz::CASES, None),
        official_parser::run(shell, &mut report, skip.parser),
        clients::run(shell, &mut report, skip.clients),
    ] {
        counts.passed += part.passed;
        counts.failed += part.failed;
        // Where that ran, what the run of all tests left out has run after all.
        if part.passed > 0 {
            counts.ignored = counts.ignored.saturating_sub(part.passed + part.failed);
        }
    }
    // These are none of cargo's, so none of them was ignored before.
    let python = python::run(shell, &mut report, skip.python, &[]);
    counts.passed += python.passed;
    counts.failed += python.failed;
    let tests = counts;

    // Each example counts as one test.
    let examples = examples(shell);
    for name in &examples {
        let ran = report.command(
            &format!("example {name}"),
            cmd!(shell, "cargo run --locked --quiet --package pcdr-examples --example {name}"),
        );
        if ran {
            counts.passed += 1;
        } else {
            counts.failed += 1;
        }
    }

    let all_held = report.finish();
    println!(
        "{} tests and {} examples ran; {} tests are ignored by default",
        tests.passed + tests.failed,
        examples.len(),
        tests.ignored
    );
    println!("{} passed, {} failed", counts.passed, counts.failed);
    all_held
}

/// Runs a `cargo test`, showing its output as it comes, and adds up its results in `counts`.
pub(crate) fn cargo_test(mut command: Command, counts: &mut Counts) -> Checked {
    let cannot = |error: std::io::Error| format!("cannot run cargo test: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(cannot)?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(cannot)?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            if let Some(result) = parse_result(&line) {
                counts.passed += result.passed;
                counts.failed += result.failed;
                counts.ignored += result.ignored;
            }
        }
    }
    let status = child.wait().map_err(cannot)?;
    if status.success() {
        return Ok(format!("{} tests", counts.passed));
    }
    if counts.failed == 0 {
        return Err("cargo test failed without a failed test: a target did not compile, or its \
                    process died. This counts as one failure."
            .to_owned());
    }
    Err(format!("{} tests failed", counts.failed))
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`.
fn parse_result(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for part in numbers.split(';') {
        match part.trim().split_once(' ') {
            Some((number, "passed")) => counts.passed = number.parse().ok()?,
            Some((number, "failed")) => counts.failed = number.parse().ok()?,
            Some((number, "ignored")) => counts.ignored = number.parse().ok()?,
            _ => {}
        }
    }
    Some(counts)
}

/// Names of the `*.rs` files in `examples/`, sorted. One without an `[[example]]` entry is not
/// skipped: cargo refuses to run it and says so.
fn examples(shell: &Shell) -> Vec<String> {
    let mut names: Vec<String> = shell
        .read_dir("examples")
        .unwrap_or_default()
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_counted() {
        let line = "test result: FAILED. 12 passed; 2 failed; 3 ignored; 0 measured; 7 filtered out; \
                    finished in 0.10s";
        assert_eq!(parse_result(line), Some(Counts { passed: 12, failed: 2, ignored: 3 }));
    }

    #[test]
    fn a_line_that_only_mentions_a_result_is_not_counted() {
        assert_eq!(parse_result("test parses_test_result: ok. 1 passed ... ok"), None);
        assert_eq!(parse_result("  test result: ok. 1 passed; 0 failed"), None);
        assert_eq!(parse_result("test result: ok"), None);
    }
}

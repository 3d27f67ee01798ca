//! The Python package: built as a wheel, installed into an environment of its own, tested and checked.

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::machine;
use crate::report::{Checked, Report};
use crate::testing::{Counts, QUICK};

/// Leaves this out when set, as `--skip-python` does.
const SKIP: &str = "PCDR_SKIP_PYTHON";

/// The package, and what its tests need.
const PACKAGE: &str = "crates/pcdr-py";
const REQUIREMENTS: &str = "crates/pcdr-py/requirements.txt";

/// Oldest Python that the tests run on; the package itself takes 3.10.
const OLDEST_MINOR: u32 = 11;

/// How many tests run side by side: they mostly wait for stand-ins, which live in real time.
const SIDE_BY_SIDE: &str = "4";

/// Builds, installs, tests and checks; gives back what pytest and the type checkers counted.
pub(crate) fn run(shell: &Shell, report: &mut Report, skip: bool, arguments: &[String]) -> Counts {
    let mut counts = Counts::default();
    if skip || std::env::var_os(SKIP).is_some_and(|value| !value.is_empty()) {
        println!(
            "--> Python package\n<-- Python package: NOT RUN, because of --skip-python or {SKIP}. Nothing \
             has tried the bindings."
        );
        return counts;
    }
    let repeat = "cargo xtask python";
    let mut python = None;
    let is_there = report.check("build and install the Python package", repeat, || {
        let (installed, said) = install(shell)?;
        python = Some(installed);
        Ok(said)
    });
    let (Some(python), true) = (python, is_there) else {
        counts.failed = 1;
        return counts;
    };
    let held =
        report.check("tests in Python", repeat, || pytest(shell, &python, arguments, &mut counts));
    if !held && counts.failed == 0 {
        counts.failed = 1;
    }
    if !arguments.is_empty() {
        return counts; // somebody looks at one test
    }
    let settings = format!("{PACKAGE}/pyproject.toml");
    let checked = [
        report.command_repeated_by(
            "strict types in Python",
            repeat,
            cmd!(
                shell,
                "{python} -m mypy --config-file {settings} {PACKAGE}/python/pcdr {PACKAGE}/tests"
            )
            .env("MYPYPATH", format!("{PACKAGE}/tests")),
        ),
        report.command_repeated_by(
            "stubs against the module",
            repeat,
            cmd!(
                shell,
                "{python} -m mypy.stubtest pcdr --mypy-config-file {settings}
                    --allowlist {PACKAGE}/stubtest.txt"
            ),
        ),
    ];
    for held in checked {
        if held {
            counts.passed += 1;
        } else {
            counts.failed += 1;
        }
    }
    counts
}

fn impossible(why: &str) -> String {
    format!(
        "Needed: Python 3.{OLDEST_MINOR} or newer, to build and try the package. {why}\n\
         To go on without it: --skip-python, or {SKIP}=1."
    )
}

/// Installs the tools where they are not there yet, builds the wheel and installs it; the interpreter.
fn install(shell: &Shell) -> Result<(PathBuf, String), String> {
    if machine::lacks(shell, "python3", &["-c", "import venv, ensurepip"]) {
        machine::install(shell, &["python3-venv"]).map_err(|error| impossible(&error))?;
    }
    let version = "import sys; print(sys.version_info.minor)";
    let version = cmd!(shell, "python3 -c {version}").quiet().read().unwrap_or_default();
    if version.trim().parse().ok().is_none_or(|minor: u32| minor < OLDEST_MINOR) {
        return Err(impossible(&format!("Found: Python 3.{}.", version.trim())));
    }
    let folder = machine::target(shell)?.join("python");
    let environment = folder.join("venv");
    let fresh = machine::once(shell, &folder, "tools", &[REQUIREMENTS], || {
        machine::python_environment(shell, &environment, REQUIREMENTS)
    })
    .map_err(|error| impossible(&error))?;
    let python = environment.join("bin").join("python");
    let wheels = folder.join("wheels");
    build(shell, &python, &wheels).map_err(|error| error.to_string())?;
    let origin = if fresh { "downloaded" } else { "had been downloaded" };
    Ok((python, format!("tools {origin}")))
}

fn build(shell: &Shell, python: &Path, wheels: &Path) -> xshell::Result<()> {
    shell.remove_path(wheels)?;
    let maturin = python.with_file_name("maturin");
    // As the tests of all crates are compiled, whose dependencies this finds ready.
    cmd!(
        shell,
        "{maturin} build --quiet --profile dev --locked --config {QUICK}
            --manifest-path {PACKAGE}/Cargo.toml --interpreter {python} --out {wheels}"
    )
    .quiet()
    .run()?;
    let built = shell.read_dir(wheels)?;
    cmd!(
        shell,
        "{python} -m pip install --quiet --no-input --disable-pip-version-check --no-deps --no-index
            --force-reinstall {built...}"
    )
    .quiet()
    .run()
}

/// Runs pytest and reads what it counted from the report that it writes.
fn pytest(shell: &Shell, python: &Path, arguments: &[String], counts: &mut Counts) -> Checked {
    let results = python.with_file_name("results.xml");
    let cannot = |error: xshell::Error| error.to_string();
    shell.remove_path(&results).map_err(cannot)?;
    let command = cmd!(
        shell,
        "{python} -m pytest --quiet -p no:cacheprovider --numprocesses {SIDE_BY_SIDE}
            --config-file {PACKAGE}/pyproject.toml --rootdir {PACKAGE} --junit-xml {results}
            {PACKAGE}/tests {arguments...}"
    );
    let ran = command.quiet().run();
    let text = shell.read_file(&results).map_err(cannot)?;
    let count = |name| count(&text, name).unwrap_or(0);
    counts.failed = count("failures") + count("errors");
    counts.ignored = count("skipped");
    counts.passed = count("tests").saturating_sub(counts.failed + counts.ignored);
    ran.map(|()| format!("{} tests", counts.passed)).map_err(|error| error.to_string())
}

/// A number of the first test suite of a report in JUnit's form.
fn count(report: &str, name: &str) -> Option<u64> {
    let (_, suite) = report.split_once("<testsuite ")?;
    let (_, value) = suite.split_once(&format!("{name}=\""))?;
    value.split('"').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pytest_counted_is_read_from_its_report() {
        let report = r#"<?xml version="1.0"?><testsuites name="pytest tests"><testsuite name="pytest"
            errors="1" failures="2" skipped="3" tests="48" time="67.1"><testcase tests="7"/>"#;
        let counted = ["tests", "failures", "errors", "skipped"].map(|name| count(report, name));
        assert_eq!(counted, [Some(48), Some(2), Some(1), Some(3)]);
        assert_eq!(count("nothing", "tests"), None);
    }
}

//! The suite of checks against real servers, or the stand-in where none is named.

use xshell::{Shell, cmd};

use crate::report::Report;
use crate::testing::{self, Counts};

/// What the suite's variables start with, and the one that nobody may see.
const PREFIX: &str = "PCDR_TEST_";
const SECRET: &str = "PCDR_TEST_PASSWORD";

/// Prints what would be used and runs the suite; `arguments` are the suite's own, for example a name.
pub(crate) fn run(shell: &Shell, arguments: &[String]) -> bool {
    for line in settings(std::env::vars()) {
        println!("{line}");
    }
    let mut report = Report::new();
    let mut counts = Counts::default();
    let held = report.check("the suite", "cargo xtask real", || {
        let suite =
            cmd!(shell, "cargo test --locked --package pcdr-real --test suite -- {arguments...}");
        testing::cargo_test(suite.into(), &mut counts)
    });
    report.finish();
    let Counts { passed, failed, ignored } = counts;
    println!("{passed} passed, {failed} failed, {ignored} skipped");
    held
}

/// The variables that are set, without the secret's value.
fn settings(all: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let mut set: Vec<String> = all
        .filter(|(name, _)| name.starts_with(PREFIX))
        .map(|(name, value)| {
            let shown = if name == SECRET { "(set, not shown)".to_owned() } else { value };
            format!("{name} = {shown}")
        })
        .collect();
    if set.is_empty() {
        return vec![format!("no {PREFIX} variable is set: the stand-in")];
    }
    set.sort();
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_named_and_not_shown() {
        let pairs = [(SECRET, "hidden"), ("PCDR_TEST_PRIMARY", "a,1"), ("HOME", "/root")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let lines = settings(pairs.into_iter());
        assert_eq!(lines, ["PCDR_TEST_PASSWORD = (set, not shown)", "PCDR_TEST_PRIMARY = a,1"]);
        assert_eq!(settings(std::iter::empty()).len(), 1);
    }
}

//! Everything that can be said about the source without running it.

use std::path::PathBuf;

use xshell::{Shell, cmd};

use crate::report::Report;
use crate::{docs, licences, purity, setup};

/// Runs every check, all to their end, and says whether all held.
pub(crate) fn run(shell: &Shell) -> bool {
    let root = shell.current_dir();
    let mut report = Report::new();

    // The quick ones first.
    report.check("lint tools", "rustup component add rustfmt clippy", || setup::lint_tools(shell));
    report.command("format", cmd!(shell, "cargo fmt --all --check"));
    report.check("purity of the core", "cargo xtask purity", || purity::check(shell));
    report.check("links in Markdown", "cargo xtask lint", || docs::links(&root, &markdown(shell)));
    report.check("the book's summary", "cargo xtask lint", || docs::summary_is_complete(&root));
    report.check("licences and sources", "cargo xtask lint", || licences::check(shell));
    advisories(shell, &mut report);

    report.command(
        "clippy",
        cmd!(shell, "cargo clippy --workspace --all-targets --locked -- -D warnings"),
    );
    report.command_repeated_by(
        "documentation",
        "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked",
        cmd!(shell, "cargo doc --workspace --no-deps --locked").env("RUSTDOCFLAGS", "-D warnings"),
    );
    report.finish()
}

/// Known vulnerabilities need a database that only cargo-deny brings.
fn advisories(shell: &Shell, report: &mut Report) {
    let installed = cmd!(shell, "cargo deny --version").quiet().ignore_stderr().read().is_ok();
    if installed {
        report.command("advisories (cargo-deny)", cmd!(shell, "cargo deny check"));
    } else {
        println!(
            "--> advisories (cargo-deny)\n\
             <-- advisories (cargo-deny): NOT CHECKED, because cargo-deny is not installed. Neither \
             were duplicate versions. To check them: cargo install --locked cargo-deny, then \
             cargo deny check"
        );
    }
}

/// The Markdown files that belong to the project: tracked by git, or new and not ignored.
fn markdown(shell: &Shell) -> Vec<PathBuf> {
    let listed = cmd!(shell, "git ls-files --cached --others --exclude-standard -- *.md")
        .quiet()
        .ignore_stderr()
        .read();
    match listed {
        Ok(text) => text
            .lines()
            .map(PathBuf::from)
            .filter(|path| shell.path_exists(path)) // deleted, but not yet committed
            .collect(),
        // Not a git checkout, for example an unpacked archive.
        Err(_) => docs::markdown_below(&shell.current_dir()),
    }
}

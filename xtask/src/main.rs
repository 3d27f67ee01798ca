//! The workspace's chores, each one command: `cargo xtask --help`.
//!
//! A plain program instead of scripts, so that it runs the same everywhere cargo does. Every step
//! prints its name and its time, and a failed step prints the command that repeats it alone.
#![allow(clippy::print_stdout, reason = "printing is this program's whole purpose")]

mod bench;
mod clients;
mod docs;
mod fuzz;
mod licences;
mod lint;
mod machine;
mod official_parser;
mod purity;
mod python;
mod real;
mod report;
mod scan;
mod setup;
mod testing;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xshell::Shell;

/// The workspace's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Set the machine up and run every test: unit, integration, documentation, parser, examples
    Test {
        /// Leave out the vendor's own T-SQL parser, where it cannot be installed
        #[arg(long)]
        skip_official_parser: bool,
        /// Leave out the TDS clients written by others, where they cannot be installed
        #[arg(long)]
        skip_clients: bool,
        /// Leave out the Python package, where Python cannot be had
        #[arg(long)]
        skip_python: bool,
    },
    /// Set up TDS clients written by others and run each against the stand-in
    Clients {
        /// Do nothing, and say so
        #[arg(long)]
        skip_clients: bool,
    },
    /// Build the Python package, install it beside its tools and run its tests and type checks
    Python {
        /// Do nothing, and say so
        #[arg(long)]
        skip_python: bool,
        /// Passed on to pytest, for example -k and a part of a test's name
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Set up the vendor's own T-SQL parser and judge every statement that pcdr sends
    Tsql {
        /// Do nothing, and say so
        #[arg(long)]
        skip_official_parser: bool,
    },
    /// Run the suite against the servers that PCDR_TEST_ variables name, or against the stand-in
    Real {
        /// Passed on to the suite, for example a part of a check's name, or --list
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check format, clippy, documentation, purity of the core, licences, links and the book
    Lint,
    /// Prove that pcdr-core holds nothing that does I/O, reads a clock, spawns or draws a number
    Purity,
    /// Run the measurements; what follows is for criterion, for example a name or --save-baseline
    Bench {
        /// Passed on to criterion
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        criterion: Vec<String>,
    },
    /// Hostile packets, statements, answers, files and documents: nothing may panic, nothing may grow
    Fuzz {
        /// Cases of the run
        #[arg(long, default_value_t = fuzz::CASES)]
        cases: u64,
        /// Repeats the run of this seed; without one, a new one is drawn and printed
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Lint, then test, both to their end
    Ci {
        /// Leave out the vendor's own T-SQL parser, where it cannot be installed
        #[arg(long)]
        skip_official_parser: bool,
        /// Leave out the TDS clients written by others, where they cannot be installed
        #[arg(long)]
        skip_clients: bool,
        /// Leave out the Python package, where Python cannot be had
        #[arg(long)]
        skip_python: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let shell = match shell_at_root() {
        Ok(shell) => shell,
        Err(error) => {
            println!("cannot work in the workspace: {error}");
            return ExitCode::FAILURE;
        }
    };
    let succeeded = match arguments.chore {
        Chore::Test { skip_official_parser, skip_clients, skip_python } => testing::run(
            &shell,
            testing::Skip {
                parser: skip_official_parser,
                clients: skip_clients,
                python: skip_python,
            },
        ),
        Chore::Python { skip_python, arguments } => {
            let mut report = report::Report::new();
            let counts = python::run(&shell, &mut report, skip_python, &arguments);
            let succeeded = report.finish();
            println!("{} passed, {} failed", counts.passed, counts.failed);
            succeeded
        }
        Chore::Clients { skip_clients } => {
            let mut report = report::Report::new();
            let counts = clients::run(&shell, &mut report, skip_clients);
            let succeeded = report.finish();
            println!("{} passed, {} failed", counts.passed, counts.failed);
            succeeded
        }
        Chore::Tsql { skip_official_parser } => {
            let mut report = report::Report::new();
            let counts = official_parser::run(&shell, &mut report, skip_official_parser);
            let succeeded = report.finish();
            println!("{} passed, {} failed", counts.passed, counts.failed);
            succeeded
        }
        Chore::Real { arguments } => real::run(&shell, &arguments),
        Chore::Lint => lint::run(&shell),
        Chore::Purity => {
            let mut report = report::Report::new();
            report.check("purity", "cargo xtask purity", || purity::check(&shell));
            report.finish()
        }
        Chore::Bench { criterion } => bench::run(&shell, &criterion),
        Chore::Fuzz { cases, seed } => {
            let mut report = report::Report::new();
            let seed = seed.unwrap_or_else(fuzz::fresh_seed);
            fuzz::run(&shell, &mut report, cases, Some(seed));
            report.finish()
        }
        Chore::Ci { skip_official_parser, skip_clients, skip_python } => {
            let clean = lint::run(&shell);
            let skip = testing::Skip {
                parser: skip_official_parser,
                clients: skip_clients,
                python: skip_python,
            };
            testing::run(&shell, skip) && clean
        }
    };
    if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A shell whose current directory is the workspace's, wherever the chore was started.
fn shell_at_root() -> xshell::Result<Shell> {
    let shell = Shell::new()?;
    // Asked at run time: two checkouts that share a target directory share this program as well, and
    // what was compiled in may be the other one's path.
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    shell.change_dir(manifest_dir.parent().unwrap_or(&manifest_dir));
    Ok(shell)
}

//! TDS clients written by others: installed where they can be, then run against the stand-in.
//!
//! From PyPI into a virtual environment, from npm, and from the distribution. See
//! docs/src/decisions/clients-by-others.md.

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::machine;
use crate::report::Report;
use crate::testing::{self, Counts};

/// Leaves this out when set, as `--skip-clients` does.
const SKIP: &str = "PCDR_SKIP_CLIENTS";

/// What says which clients, in which versions.
const REQUIREMENTS: &str = "tests/clients/requirements.txt";
const PACKAGE: &str = "tests/clients/package.json";
const LOCK: &str = "tests/clients/package-lock.json";

/// Oldest Node.js that the client in JavaScript runs on.
const OLDEST_NODE: u32 = 18;

/// Sets the clients up and runs every check of each; gives back what was counted.
pub(crate) fn run(shell: &Shell, report: &mut Report, skip: bool) -> Counts {
    let mut counts = Counts::default();
    if skip || std::env::var_os(SKIP).is_some_and(|value| !value.is_empty()) {
        println!(
            "--> clients by others\n<-- clients by others: NOT RUN, because of --skip-clients or {SKIP}. \
             Only the driver that pcdr uses has spoken with the stand-in."
        );
        return counts;
    }
    let mut installed = None;
    let is_there = report.check("set the clients by others up", "cargo xtask clients", || {
        let (folder, said) = set_up(shell)?;
        installed = Some(folder);
        Ok(said)
    });
    let (Some(folder), true) = (installed, is_there) else {
        counts.failed = 1;
        return counts;
    };
    let held = report.check("clients by others", "cargo xtask clients", || {
        let tests = cmd!(
            shell,
            "cargo test --locked --package pcdr-clients-by-others --test clients -- --ignored"
        );
        testing::cargo_test(tests.env("PCDR_CLIENTS", folder).into(), &mut counts)
    });
    if !held && counts.failed == 0 {
        counts.failed = 1;
    }
    counts
}

/// Installs the clients, as far as they are not there yet; gives back their folder and a word about it.
fn set_up(shell: &Shell) -> Result<(PathBuf, String), String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(impossible(&format!(
            "The vendor's driver is set up for Linux on x86-64. Found: {} on {}.",
            std::env::consts::OS,
            std::env::consts::ARCH
        )));
    }
    tools(shell)?;
    let folder = machine::target(shell)?.join("clients");
    let fresh = [
        machine::once(shell, &folder, "python", &[REQUIREMENTS], || python(shell, &folder))
            .map_err(|error| impossible(&error))?,
        machine::once(shell, &folder, "javascript", &[PACKAGE, LOCK], || {
            javascript(shell, &folder)
        })
        .map_err(|error| impossible(&error))?,
    ];
    let origin = if fresh.contains(&true) { "downloaded" } else { "had been downloaded" };
    Ok((folder, origin.to_owned()))
}

fn impossible(why: &str) -> String {
    format!(
        "Needed: clients written by others, which try the stand-in's protocol. {why}\n\
         To go on without them: --skip-clients, or {SKIP}=1."
    )
}

/// Installs FreeTDS's tools and what the vendor's driver and virtual environments need, and looks at
/// Node.js.
fn tools(shell: &Shell) -> Result<(), String> {
    let mut missing = Vec::new();
    if machine::lacks(shell, "tsql", &["-C"]) {
        missing.push("freetds-bin");
    }
    let has_library = |name: &str| {
        let listed = cmd!(shell, "ldconfig -p").quiet().read().unwrap_or_default();
        listed.contains(name)
    };
    if !has_library("libltdl.so.7") {
        missing.push("libltdl7");
    }
    if !has_library("libgssapi_krb5.so.2") {
        missing.push("libgssapi-krb5-2");
    }
    if machine::lacks(shell, "python3", &["-m", "pip", "--version"]) {
        missing.push("python3-pip");
    }
    if machine::lacks(shell, "python3", &["-c", "import venv, ensurepip"]) {
        missing.push("python3-venv");
    }
    machine::install(shell, &missing).map_err(|error| impossible(&error))?;

    let version = cmd!(shell, "node --version").quiet().read().unwrap_or_default();
    let major = version.trim_start_matches('v').split('.').next().and_then(|n| n.parse().ok());
    if major.is_none_or(|major: u32| major < OLDEST_NODE)
        || machine::lacks(shell, "npm", &["--version"])
    {
        let found = if version.is_empty() { "none" } else { &version };
        return Err(impossible(&format!(
            "Node.js {OLDEST_NODE} or newer with npm is needed for one of them. Found: {found}."
        )));
    }
    Ok(())
}

/// The clients in Python.
fn python(shell: &Shell, folder: &Path) -> xshell::Result<()> {
    machine::python_environment(shell, &folder.join("venv"), REQUIREMENTS)
}

/// The client in JavaScript.
fn javascript(shell: &Shell, folder: &Path) -> xshell::Result<()> {
    for file in [PACKAGE, LOCK] {
        shell.copy_file(file, folder)?;
    }
    let shell = shell.clone();
    shell.change_dir(folder);
    cmd!(shell, "npm ci --ignore-scripts --no-audit --no-fund --loglevel=error")
        .quiet()
        .ignore_stdout()
        .run()
}

//! The vendor's own T-SQL parser: installed where it can be, then asked about everything that is sent.
//!
//! It comes in a Python package together with its own .NET runtime, as a server for editors. A program
//! of ours, `tests/tsql/Parse.cs`, takes the place of that server. See
//! docs/src/decisions/official-parser.md.

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::machine;
use crate::report::Report;
use crate::testing::{self, Counts};

/// Leaves this out when set, as `--skip-official-parser` does.
const SKIP: &str = "PCDR_SKIP_TSQL";

/// The program whose place ours takes; the package's native host starts it.
const SERVER: &str = "MicrosoftSqlToolsServiceLayer";

/// What our program is compiled against, all from the package.
const REFERENCES: [&str; 7] = [
    "System.Private.CoreLib",
    "System.Runtime",
    "System.Runtime.Extensions",
    "System.Console",
    "System.Collections",
    "netstandard",
    "Microsoft.SqlServer.TransactSql.ScriptDom",
];

/// Sets the parser up and runs the tests that need it; gives back what they counted.
pub(crate) fn run(shell: &Shell, report: &mut Report, skip: bool) -> Counts {
    let mut counts = Counts::default();
    if skip || std::env::var_os(SKIP).is_some_and(|value| !value.is_empty()) {
        println!(
            "--> the vendor's T-SQL parser\n<-- the vendor's T-SQL parser: NOT ASKED, because of \
             --skip-official-parser or {SKIP}. Nothing judged the T-SQL but the stand-in, which was \
             written here as well."
        );
        return counts;
    }
    let mut program = None;
    let is_there = report.check("set the vendor's T-SQL parser up", "cargo xtask tsql", || {
        let (path, said) = set_up(shell)?;
        program = Some(path);
        Ok(said)
    });
    // The rehearsal whose statements are judged is one of the command itself.
    let is_built = report.command(
        "build the command",
        cmd!(shell, "cargo build --locked --quiet --package pcdr-cli --bin pcdr"),
    );
    let (Some(program), true, true) = (program, is_there, is_built) else {
        counts.failed = 1;
        return counts;
    };
    let held = report.check("the vendor's T-SQL parser", "cargo xtask tsql", || {
        let command = machine::target(shell)?.join("debug").join("pcdr").with_extension(std::env::consts::EXE_EXTENSION);
        let tests = cmd!(
            shell,
            "cargo test --locked --package pcdr-official-parser --test official_parser --test documented -- --ignored --nocapture"
        );
        let mut tests = tests.env("PCDR_TSQL_PARSER", program).env("PCDR_COMMAND", command);
        let traces = traces(shell)?;
        if traces.exists() {
            tests = tests.env("PCDR_TRACES", traces);
        }
        testing::cargo_test(tests.into(), &mut counts)
    });
    if !held && counts.failed == 0 {
        counts.failed = 1;
    }
    counts
}

/// Where a run of all tests leaves what it sent to SQL Server stand-ins, for the parser to judge.
pub(crate) fn traces(shell: &Shell) -> Result<PathBuf, String> {
    Ok(machine::target(shell)?.join("traces"))
}

/// Makes the parser's program, as far as it is not there yet; gives back its path and a word about it.
fn set_up(shell: &Shell) -> Result<(PathBuf, String), String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(impossible(&format!(
            "The package's runtime is for Linux on x86-64. Found: {} on {}.",
            std::env::consts::OS,
            std::env::consts::ARCH
        )));
    }
    tools(shell)?;
    let folder = machine::target(shell)?.join("official-parser");
    let (package, fresh) = package(shell, &folder)?;
    compile(shell, &package)?;

    let program = package.join(SERVER);
    // It reads nothing and ends: whether it runs at all on this machine.
    cmd!(shell, "{program}")
        .env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1")
        .stdin("")
        .quiet()
        .run()
        .map_err(|error| impossible(&format!("The parser does not start: {error}.")))?;
    let origin = if fresh { "downloaded" } else { "had been downloaded" };
    Ok((program, format!("{origin}, compiled, starts")))
}

fn impossible(why: &str) -> String {
    format!(
        "Needed: the vendor's T-SQL parser, which judges every statement. {why}\n\
         To go on without it: --skip-official-parser, or {SKIP}=1."
    )
}

/// Installs the C# compiler and pip, where they are missing.
fn tools(shell: &Shell) -> Result<(), String> {
    let mut missing = Vec::new();
    if machine::lacks(shell, "mcs", &["--version"]) {
        missing.push("mono-mcs");
    }
    if machine::lacks(shell, "python3", &["-m", "pip", "--version"]) {
        missing.push("python3-pip");
    }
    machine::install(shell, &missing).map_err(|error| impossible(&error))
}

/// The folder of the unpacked package's programs, and whether it had to be downloaded.
fn package(shell: &Shell, folder: &Path) -> Result<(PathBuf, bool), String> {
    let requirements = "tests/tsql/requirements.txt";
    let failed = |error: xshell::Error| impossible(&error.to_string());
    let wanted = shell.read_file(requirements).map_err(failed)?;
    let (unpacked, stamp) = (folder.join("package"), folder.join("requirements.txt"));
    let programs = unpacked.join("mssqlcli/mssqltoolsservice/bin");
    // Written last, so that an interrupted download is not taken for a whole one.
    if shell.path_exists(&stamp) && shell.read_file(&stamp).map_err(failed)? == wanted {
        return Ok((programs, false));
    }
    shell.remove_path(folder).map_err(failed)?;
    let download = folder.join("download");
    shell.create_dir(&download).map_err(failed)?;
    cmd!(
        shell,
        "python3 -m pip download --quiet --no-input --disable-pip-version-check --no-deps
            --only-binary :all: --require-hashes --requirement {requirements} --dest {download}"
    )
    .quiet()
    .run()
    .map_err(failed)?;
    let wheel = shell.read_dir(&download).map_err(failed)?.into_iter().next();
    let wheel = wheel.ok_or_else(|| impossible("pip downloaded nothing."))?;
    cmd!(shell, "python3 -m zipfile -e {wheel} {unpacked}").quiet().run().map_err(failed)?;
    // Unpacking loses the permission, and the wheel itself is not needed again.
    let host = programs.join(SERVER);
    cmd!(shell, "chmod u+x {host}").quiet().run().map_err(failed)?;
    shell.remove_path(&download).map_err(failed)?;
    shell.write_file(&stamp, wanted).map_err(failed)?;
    Ok((programs, true))
}

/// Compiles our program into the place of the package's own.
fn compile(shell: &Shell, package: &Path) -> Result<(), String> {
    let out = package.join(format!("{SERVER}.dll"));
    let references: Vec<String> = REFERENCES
        .iter()
        .map(|name| format!("-r:{}", package.join(format!("{name}.dll")).display()))
        .collect();
    // The warnings are about the versions of those assemblies, which differ among each other.
    cmd!(
        shell,
        "mcs -noconfig -nostdlib -nowarn:1701,1702 -optimize -out:{out} {references...} tests/tsql/Parse.cs"
    )
    .quiet()
    .run()
    .map_err(|error| error.to_string())
}

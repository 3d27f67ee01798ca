//! What a fresh machine needs before anything can be built.

use xshell::{Shell, cmd};

use crate::report::{Checked, Report};

/// Checks the tools that cargo cannot bring along, and fetches the dependencies.
pub(crate) fn run(shell: &Shell, report: &mut Report) {
    report.check("C compiler", "cc --version", || c_compiler(shell));
    report.command("fetch dependencies", cmd!(shell, "cargo fetch --locked"));
}

/// The TLS library (aws-lc-rs) compiles C.
fn c_compiler(shell: &Shell) -> Checked {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    match cmd!(shell, "{compiler} --version").quiet().ignore_stderr().read() {
        Ok(text) => Ok(text.lines().next().unwrap_or_default().to_owned()),
        Err(_) => Err(format!(
            "Needed: a C compiler, because the TLS library compiles C. Found: no program '{compiler}'.\n\
             Debian and Ubuntu: apt-get install build-essential. Fedora: dnf install gcc. \
             macOS: xcode-select --install. Or name one in the environment variable CC."
        )),
    }
}

/// Makes `rustfmt` and `clippy` available: distributions and minimal rustup profiles leave them out.
pub(crate) fn lint_tools(shell: &Shell) -> Checked {
    let missing: Vec<&str> = [("rustfmt", "fmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(_, subcommand)| {
            cmd!(shell, "cargo {subcommand} --version").quiet().ignore_stderr().read().is_err()
        })
        .map(|(component, _)| component)
        .collect();
    if missing.is_empty() {
        return Ok("present".to_owned());
    }
    let list = missing.join(" ");
    let components = &missing;
    cmd!(shell, "rustup component add {components...}").quiet().run().map_err(|error| {
        format!(
            "Needed: {list}. Found: not installed, and rustup could not add them ({error}).\n\
             Install them with rustup, or with your distribution's packages of these names."
        )
    })?;
    Ok(format!("added {list}"))
}

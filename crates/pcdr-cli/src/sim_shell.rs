//! `pcdr sim-shell`: a small process in the place of `powershell.exe`.
//!
//! It sends its standard input to a served Management Shell and passes on what comes back, so that
//! the product's cmdlets are reached in the same way as on a real machine: by starting a command.

use std::io::Read;
use std::path::Path;

use tokio::io::{stderr, stdout};

use crate::args::SimShell;
use crate::failure::Failure;

/// Longest script.
const LONGEST: u64 = 16 << 20;

/// Runs the script on standard input; returns its exit code.
///
/// # Errors
///
/// The token file, or the connection.
pub async fn run(arguments: &SimShell) -> Result<u8, Failure> {
    let token = read_token(&arguments.token_file)?;
    let mut script = String::new();
    std::io::stdin().lock().take(LONGEST).read_to_string(&mut script).map_err(|error| {
        Failure::failed(
            "script",
            format!("a script on standard input was needed, but: {error}"),
            "",
        )
    })?;
    let outcome = pcdr_sim::shell::connect_and_run(
        arguments.connect,
        &token,
        &script,
        arguments.interactive,
        &mut stdout(),
        &mut stderr(),
    )
    .await;
    match outcome {
        Ok(code) => Ok(u8::try_from(code).unwrap_or(1)),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::OutputClosed),
        Err(error) => Err(Failure::failed(
            "management_shell",
            format!("the Management Shell at {} was needed, but: {error}", arguments.connect),
            "Check that `pcdr sim` still runs and that the token file is its own.",
        )),
    }
}

/// The token: the first line of a file that nobody else may read.
fn read_token(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::file("hold the token", path, &error))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path)
            .map_err(|error| Failure::file("hold the token", path, &error))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(Failure::failed(
                "token_file",
                format!(
                    "{} was needed to be readable by its owner only, but its mode is {:o}",
                    path.display(),
                    mode & 0o777
                ),
                "Start pcdr sim again: it writes a new token.",
            ));
        }
    }
    match text.lines().next() {
        Some(token) if !token.is_empty() => Ok(token.to_owned()),
        _ => Err(Failure::failed(
            "token_file",
            format!("{} was needed to hold a token, but its first line is empty", path.display()),
            "Start pcdr sim again: it writes a new token.",
        )),
    }
}

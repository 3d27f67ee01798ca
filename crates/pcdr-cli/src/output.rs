//! Where results go: one JSON object, or text. A reader that goes away ends the command quietly.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Standard output, in the form that was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Whether one JSON object was asked for.
    pub json: bool,
}

impl Output {
    /// Prints the result: the document as JSON, or the text.
    ///
    /// # Errors
    ///
    /// [`Failure::OutputClosed`] when nobody reads, [`Failure::Failed`] when it cannot be written.
    pub fn result(
        self,
        document: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json { print(&to_json(document)?) } else { print(&text()) }
    }

    /// Prints text for people; nothing under `--json`.
    ///
    /// # Errors
    ///
    /// As [`Output::result`].
    pub fn text(self, text: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { print(text) }
    }
}

/// A document as JSON, indented, with its last line ended.
///
/// # Errors
///
/// [`Failure::Failed`] when it is no JSON, which would be a defect of pcdr.
pub fn to_json(document: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(document).map_err(|error| {
        Failure::failed("output", format!("the result cannot be written as JSON: {error}"), REPORT)
    })?;
    Ok(json + "\n")
}

/// A document as JSON on one line, for a stream of them.
///
/// # Errors
///
/// As [`to_json`].
pub fn to_json_line(document: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(document).map_err(|error| {
        Failure::failed("output", format!("the result cannot be written as JSON: {error}"), REPORT)
    })?;
    Ok(json + "\n")
}

const REPORT: &str = "Report this with the command that you gave.";

/// Writes to standard output.
///
/// # Errors
///
/// [`Failure::OutputClosed`] when nobody reads.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::OutputClosed),
        Err(error) => Err(Failure::failed(
            "output",
            format!("standard output was needed, but: {error}"),
            "Send the output somewhere that takes it.",
        )),
    }
}

/// Writes to standard error; one that cannot be written has nobody to be told to.
pub fn complain(text: &str) {
    let _nobody_reads = io::stderr().lock().write_all(text.as_bytes());
}

/// Whether standard error is a terminal: progress and colours are for people only.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

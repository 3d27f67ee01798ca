//! What went wrong in the Management Shell.

use crate::transport::TransportError;

/// The error of a cmdlet, or of the way to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}{}", if cmdlet.is_empty() { "Management Shell" } else { cmdlet },
    if fully_qualified_error_id.is_empty() { String::new() } else { format!(" ({fully_qualified_error_id})") })]
pub struct ShellError {
    /// What kind of trouble it is.
    pub kind: ShellErrorKind,
    /// `FullyQualifiedErrorId` of the error record; empty when the shell gave none.
    pub fully_qualified_error_id: String,
    /// The shell's own words.
    pub message: String,
    /// The cmdlet that failed; empty when it was none.
    pub cmdlet: String,
}

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShellErrorKind {
    /// The shell could not be started: nothing happened.
    NotStarted,
    /// The shell did not come to its end: what it did is unknown.
    Interrupted,
    /// The shell ended without the answer that the script prints.
    NoAnswer,
    /// The answer is not what the cmdlet is documented to give.
    UnexpectedAnswer,
    /// The cmdlet does not exist there: the product's module is missing, or its version is another.
    CommandNotFound,
    /// The cmdlet does not take these arguments.
    InvalidArguments,
    /// What was named does not exist.
    NotFound,
    /// Not allowed, or the Central Management store is read-only.
    PermissionDenied,
    /// Something that the cmdlet needs cannot be reached.
    Unavailable,
    /// The cmdlet wanted to ask a person.
    PromptNeeded,
    /// Anything else.
    Failed,
}

impl ShellError {
    /// An error that the shell did not report itself.
    pub(crate) fn own(kind: ShellErrorKind, message: impl Into<String>) -> Self {
        ShellError {
            kind,
            fully_qualified_error_id: String::new(),
            message: message.into(),
            cmdlet: String::new(),
        }
    }

    /// An error record. The category is an enumeration of PowerShell itself and decides; the
    /// product's identifiers are documented nowhere.
    pub(crate) fn from_record(id: String, category: &str, cmdlet: String, message: String) -> Self {
        use ShellErrorKind as K;
        let identifier = id.split(',').next().unwrap_or_default();
        let kind = match (identifier, category) {
            ("CommandNotFoundException", _) => K::CommandNotFound,
            ("InvalidOperation", _) if message.contains("NonInteractive") => K::PromptNeeded,
            (_, "ObjectNotFound") => K::NotFound,
            (_, "InvalidArgument" | "ParserError" | "SyntaxError" | "InvalidType") => {
                K::InvalidArguments
            }
            (_, "PermissionDenied" | "SecurityError" | "AuthenticationError") => {
                K::PermissionDenied
            }
            (
                _,
                "ResourceUnavailable"
                | "ConnectionError"
                | "OpenError"
                | "OperationTimeout"
                | "ResourceBusy",
            ) => K::Unavailable,
            _ => K::Failed,
        };
        ShellError { kind, fully_qualified_error_id: id, message, cmdlet }
    }
}

impl From<TransportError> for ShellError {
    fn from(error: TransportError) -> Self {
        let kind = match error {
            TransportError::NotStarted { .. } => ShellErrorKind::NotStarted,
            _ => ShellErrorKind::Interrupted,
        };
        ShellError::own(kind, error.to_string())
    }
}

//! Errors and informational messages, as SQL Server numbers them.

use std::fmt;

/// One ERROR or INFO message. Severity 10 and below is informational.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlMessage {
    /// The message number that clients match on.
    pub number: i32,
    /// Where in the server the message was raised.
    pub state: u8,
    /// 0 to 25; 11 and above is an error, 20 and above closes the connection.
    pub severity: u8,
    /// The text, already filled in.
    pub text: String,
    /// The procedure that raised it, empty in a plain batch.
    pub procedure: String,
    /// Line in the batch or procedure, from 1.
    pub line: u32,
}

impl SqlMessage {
    /// A message with state 1 on line 1.
    pub fn new(number: i32, severity: u8, text: impl Into<String>) -> SqlMessage {
        SqlMessage {
            number,
            state: 1,
            severity,
            text: text.into(),
            procedure: String::new(),
            line: 1,
        }
    }

    /// The same message with another state.
    #[must_use]
    pub fn with_state(mut self, state: u8) -> SqlMessage {
        self.state = state;
        self
    }

    /// The same message raised on another line.
    #[must_use]
    pub fn at_line(mut self, line: u32) -> SqlMessage {
        self.line = line;
        self
    }

    /// Whether this ends the statement (severity 11 and above).
    pub fn is_error(&self) -> bool {
        self.severity > 10
    }
}

impl fmt::Display for SqlMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Msg {}, Level {}, State {}, Line {}: {}",
            self.number, self.severity, self.state, self.line, self.text
        )
    }
}

/// Why a statement failed: every error it raised, in order, the generic closing one last.
///
/// Never empty, and every message in it is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFailure(pub Vec<SqlMessage>);

impl SqlFailure {
    /// The error that names the cause: the first.
    pub fn cause(&self) -> &SqlMessage {
        &self.0[0]
    }

    /// The same failure with another state in every message.
    #[must_use]
    pub(crate) fn with_state(mut self, state: u8) -> SqlFailure {
        for message in &mut self.0 {
            message.state = state;
        }
        self
    }

    /// The same failure, raised by a procedure at a line.
    #[must_use]
    pub(crate) fn in_procedure(mut self, procedure: &str, line: u32) -> SqlFailure {
        for message in &mut self.0 {
            procedure.clone_into(&mut message.procedure);
            message.line = line;
        }
        self
    }
}

impl From<SqlMessage> for SqlFailure {
    fn from(message: SqlMessage) -> SqlFailure {
        SqlFailure(vec![message])
    }
}

impl fmt::Display for SqlFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, message) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SqlFailure {}

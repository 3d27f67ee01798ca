//! Where scripts run.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// What a script's process left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code; `None` when the process was ended by a signal.
    pub exit_code: Option<i32>,
}

/// Runs scripts in the product's Management Shell, or in what stands in for it.
///
/// A call runs the script once, from the beginning, in a session of its own. Dropping the future
/// ends the session; what it did until then stays done.
#[async_trait]
pub trait ShellTransport: fmt::Debug + Send + Sync {
    /// Runs one script to its end. A script that fails is not an error here.
    ///
    /// # Errors
    ///
    /// The script did not run to its end: what it did is unknown, unless it was never started.
    async fn run(&self, script: &str) -> Result<Output, TransportError>;
}

/// Why a script did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The command could not be started; nothing happened.
    #[error("cannot start the Management Shell command {program:?}: {source}")]
    NotStarted {
        /// The configured program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It took too long and was ended.
    #[error(
        "the Management Shell did not finish within {} s and was ended; what it did is unknown",
        after.as_secs()
    )]
    TimedOut {
        /// The configured limit.
        after: Duration,
    },
    /// It printed too much and was ended.
    #[error(
        "the Management Shell printed more than {limit} bytes and was ended; what it did is unknown"
    )]
    TooMuchOutput {
        /// The configured limit, per stream.
        limit: usize,
    },
    /// The connection to it broke.
    #[error("the connection to the Management Shell broke: {0}; what it did is unknown")]
    Broken(#[source] std::io::Error),
}

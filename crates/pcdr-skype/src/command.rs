//! A configured command as transport.

use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::transport::{Output, ShellTransport, TransportError};

/// Starts a command for every script and gives it the script on standard input, never as an
/// argument: arguments are visible to everybody on the computer.
///
/// The command may be `powershell.exe` itself, or a program that reaches one (`ssh`, `winrs`).
#[derive(Debug, Clone)]
pub struct CommandTransport {
    program: String,
    arguments: Vec<String>,
    timeout: Duration,
    output_limit: usize,
}

impl CommandTransport {
    /// A command with its arguments. It has 30 minutes for a script (the installation of a mirror
    /// copies a database), and may print 8 MiB on each stream.
    pub fn new(
        program: impl Into<String>,
        arguments: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        CommandTransport {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            timeout: Duration::from_secs(30 * 60),
            output_limit: 8 << 20,
        }
    }

    /// Windows PowerShell on this computer.
    pub fn powershell() -> Self {
        CommandTransport::new(
            "powershell.exe",
            ["-NoLogo", "-NoProfile", "-NonInteractive", "-Command", "-"],
        )
    }

    /// With another time limit for one script.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With another limit for each output stream, in bytes.
    #[must_use]
    pub fn with_output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }
}

#[async_trait]
impl ShellTransport for CommandTransport {
    async fn run(&self, script: &str) -> Result<Output, TransportError> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| TransportError::NotStarted {
                program: self.program.clone(),
                source,
            })?;
        let (mut stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(stdin) = &mut stdin {
                // A command that ends without reading all of it has said why on its own streams.
                let _gone = stdin.write_all(script.as_bytes()).await;
                let _gone = stdin.shutdown().await;
            }
            drop(stdin);
            Ok(())
        };
        let work = async {
            let ((), stdout, stderr) = tokio::try_join!(
                feed,
                read(stdout, self.output_limit),
                read(stderr, self.output_limit)
            )?;
            let status = child.wait().await.map_err(TransportError::Broken)?;
            Ok(Output { stdout, stderr, exit_code: status.code() })
        };
        // Dropping `work` and `child` on the way out ends the process.
        match tokio::time::timeout(self.timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::TimedOut { after: self.timeout }),
        }
    }
}

async fn read(
    stream: Option<impl AsyncRead + Unpin>,
    limit: usize,
) -> Result<String, TransportError> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream
            .take(limit as u64 + 1)
            .read_to_end(&mut bytes)
            .await
            .map_err(TransportError::Broken)?;
    }
    if bytes.len() > limit {
        return Err(TransportError::TooMuchOutput { limit });
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

//! The shell behind a TCP port, so that a small process can stand in for `powershell.exe`.
//!
//! One line of JSON asks, one line of JSON answers. A token that only the rehearsal's own clients
//! know is part of the question: without it nothing runs.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};

use super::{ManagementShell, ShellOutput};

/// Longest question and answer.
const LONGEST: u64 = 64 << 20;
/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
struct Question {
    token: String,
    interactive: bool,
    script: String,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    stdout: String,
    stderr: String,
    exit_code: i32,
}

/// Serves scripts until the listener fails. Each connection runs one script; a client that goes away
/// ends its script.
///
/// # Errors
///
/// The listener's.
pub async fn serve(
    listener: TcpListener,
    shell: Arc<ManagementShell>,
    token: String,
) -> io::Result<()> {
    let token: Arc<str> = token.into();
    loop {
        let (stream, _) = listener.accept().await?;
        let (shell, token) = (Arc::clone(&shell), Arc::clone(&token));
        tokio::spawn(async move {
            if let Err(why) = answer(stream, &shell, &token).await {
                tracing::debug!(%why, "a shell client went away");
            }
        });
    }
}

async fn answer(stream: TcpStream, shell: &Arc<ManagementShell>, token: &str) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read.take(LONGEST));
    let mut line = String::new();
    tokio::time::timeout(PATIENCE, read.read_line(&mut line)).await??;
    let question: Question = serde_json::from_str(&line).map_err(io::Error::other)?;
    if !same(&question.token, token) {
        tracing::warn!("a shell client without the token was turned away");
        return Ok(());
    }
    let mut rest = [0_u8; 1];
    let output = tokio::select! {
        output = shell.run_script(&question.script, question.interactive) => output,
        _ = read.read(&mut rest) => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    let mut text = serde_json::to_string(&Answer {
        stdout: output.stdout,
        stderr: output.stderr,
        exit_code: output.exit_code,
    })
    .map_err(io::Error::other)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await?;
    write.shutdown().await
}

/// Compares without telling by its duration where the difference is.
fn same(given: &str, token: &str) -> bool {
    given.len() == token.len()
        && given.bytes().zip(token.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// Runs a script on a served shell, writes its streams and returns its exit code: what a process
/// that stands in for `powershell.exe` does with its standard input.
///
/// # Errors
///
/// The connection's; `PermissionDenied` when the shell did not accept the token.
pub async fn connect_and_run(
    address: impl ToSocketAddrs,
    token: &str,
    script: &str,
    interactive: bool,
    stdout: &mut (impl AsyncWrite + Unpin),
    stderr: &mut (impl AsyncWrite + Unpin),
) -> io::Result<i32> {
    let stream = TcpStream::connect(address).await?;
    let (read, mut write) = stream.into_split();
    let mut question = serde_json::to_string(&Question {
        token: token.to_owned(),
        interactive,
        script: script.to_owned(),
    })
    .map_err(io::Error::other)?;
    question.push('\n');
    write.write_all(question.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(read.take(LONGEST)).read_line(&mut line).await?;
    if line.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the shell closed the connection without an answer: is the token right?",
        ));
    }
    let answer: Answer = serde_json::from_str(&line).map_err(io::Error::other)?;
    let output =
        ShellOutput { stdout: answer.stdout, stderr: answer.stderr, exit_code: answer.exit_code };
    stdout.write_all(output.stdout.as_bytes()).await?;
    stdout.flush().await?;
    stderr.write_all(output.stderr.as_bytes()).await?;
    stderr.flush().await?;
    Ok(output.exit_code)
}

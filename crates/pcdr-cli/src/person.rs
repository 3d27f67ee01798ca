//! The person at the terminal, who runs cmdlets that no program reaches.

use std::io::{BufRead, IsTerminal};

use async_trait::async_trait;
use pcdr_skype::{NobodyAnswers, Person};
use tokio::sync::Mutex;

use crate::output;

/// Asks on standard error and reads standard input.
#[derive(Debug, Default)]
pub struct AtTheTerminal {
    /// One question at a time, also where databases fail over side by side.
    one: Mutex<()>,
}

#[async_trait]
impl Person for AtTheTerminal {
    async fn ask(&self, question: &str) -> Result<String, NobodyAnswers> {
        let _one = self.one.lock().await;
        if !std::io::stdin().is_terminal() {
            return Err(NobodyAnswers("standard input is no terminal".to_owned()));
        }
        output::complain(&format!("\n{question}: "));
        let read = || {
            let mut line = String::new();
            let length = std::io::stdin().lock().read_line(&mut line);
            length.map(|length| (length > 0).then_some(line))
        };
        // A thread of its own: a person may take an hour, and other databases go on meanwhile.
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(Some(line))) => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
            Ok(Ok(None)) => Err(NobodyAnswers("standard input ended".to_owned())),
            Ok(Err(error)) => Err(NobodyAnswers(format!("standard input cannot be read: {error}"))),
            Err(error) => Err(NobodyAnswers(format!("the question was broken off: {error}"))),
        }
    }
}

//! Batches that the server runs for itself: the T-SQL steps of jobs.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::session::SessionHost;
use crate::front::{Replies, Reply, Request};
use crate::message::SqlFailure;
use crate::tsql::Interpreter;

/// Replies that may wait for whoever reads them.
const WAITING: usize = 64;

/// Runs a batch to its end in a session that nobody watches.
///
/// # Errors
///
/// Every error that the batch raised and did not catch.
pub async fn run(
    mut host: SessionHost,
    batch: &str,
    cancel: CancellationToken,
) -> Result<(), SqlFailure> {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    host.begin_request("EXECUTE", cancel);
    let work = async {
        let replies = Replies(sender);
        let request = Request::Batch(batch.to_owned());
        Interpreter::new().run(&mut host, request, &replies).await;
    };
    let watch = async {
        let mut errors = Vec::new();
        while let Some(reply) = receiver.recv().await {
            match reply {
                Reply::Message(message) if message.is_error() => errors.push(message),
                _ => {}
            }
        }
        errors
    };
    let ((), errors) = tokio::join!(work, watch);
    host.end_request();
    if errors.is_empty() { Ok(()) } else { Err(SqlFailure(errors)) }
}

//! The language over a small host in memory.

mod host;
mod procedural;
mod queries;
mod statements;

use tokio::sync::mpsc;

use super::Interpreter;
use crate::front::{Replies, Reply, Request};
use crate::value::{Row, Value};
use host::Memory;

/// A session over [`Memory`].
struct Server {
    host: Memory,
    interpreter: Interpreter,
}

impl Server {
    fn new() -> Server {
        Server { host: Memory::new(), interpreter: Interpreter::new() }
    }

    fn request(&mut self, request: Request) -> Vec<Reply> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (sender, mut receiver) = mpsc::channel(16);
            let replies = Replies(sender);
            let (interpreter, host) = (&mut self.interpreter, &mut self.host);
            let collect = async {
                let mut all = Vec::new();
                while let Some(reply) = receiver.recv().await {
                    all.push(reply);
                }
                all
            };
            let run = async move {
                interpreter.run(host, request, &replies).await;
            };
            // `replies` moves into the block above, so the collection ends with the run.
            let ((), all) = tokio::join!(run, collect);
            all
        })
    }

    fn replies(&mut self, sql: &str) -> Vec<Reply> {
        let replies = self.request(Request::Batch(sql.to_string()));
        assert!(matches!(replies.last(), Some(Reply::Done { .. })), "{sql}: {replies:?}");
        replies
    }

    /// Every row of every result set, as text; errors as `!number`, messages as `#text`.
    fn text(&mut self, sql: &str) -> Vec<String> {
        self.replies(sql)
            .iter()
            .filter_map(|reply| match reply {
                Reply::Row(row) => Some(show(row)),
                Reply::Message(m) if m.is_error() => Some(format!("!{}", m.number)),
                Reply::Message(m) => Some(format!("#{}", m.text)),
                _ => None,
            })
            .collect()
    }

    /// The rows of a batch that must not fail.
    fn rows(&mut self, sql: &str) -> Vec<String> {
        let text = self.text(sql);
        assert!(!text.iter().any(|t| t.starts_with('!')), "{sql}: {:?}", self.errors(sql));
        text
    }

    fn errors(&mut self, sql: &str) -> Vec<crate::message::SqlMessage> {
        self.replies(sql)
            .into_iter()
            .filter_map(|reply| match reply {
                Reply::Message(m) if m.is_error() => Some(m),
                _ => None,
            })
            .collect()
    }
}

fn show(row: &Row) -> String {
    let cells: Vec<String> = row
        .iter()
        .map(|value| match value {
            Value::Null => "NULL".to_string(),
            other => super::convert::to_text(other, natural(other), None),
        })
        .collect();
    cells.join("|")
}

fn natural(value: &Value) -> crate::value::SqlType {
    use crate::value::SqlType;
    match value {
        Value::DateTime(_) => SqlType::DateTime2(3),
        Value::Date(_) => SqlType::Date,
        _ => SqlType::Int,
    }
}

fn rows(sql: &str) -> Vec<String> {
    Server::new().rows(sql)
}

fn one(sql: &str) -> String {
    let rows = rows(sql);
    assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
    rows[0].clone()
}

/// Number and line of the first error.
fn first_error(sql: &str) -> (i32, u32) {
    let errors = Server::new().errors(sql);
    assert!(!errors.is_empty(), "{sql} did not fail");
    (errors[0].number, errors[0].line)
}

//! Where results go: to the client, or into the table of an INSERT … EXEC.

use async_trait::async_trait;

use super::host::Sink;
use crate::front::{DoneKind, Replies, Reply};
use crate::message::{SqlFailure, SqlMessage};
use crate::value::Relation;

/// The replies of one request.
pub(super) struct Output {
    replies: Replies,
    /// Results collected for the INSERT … EXEC statements that run, innermost last.
    captured: Vec<Vec<Relation>>,
    /// Nothing was sent since the last DONE.
    pub(super) ended: bool,
    pub(super) kind: DoneKind,
    pub(super) no_count: bool,
    /// Send a DONE with this code after every message, as BACKUP and RESTORE do.
    pub(super) progress: Option<u16>,
    progress_due: bool,
    /// Rows of the last result set.
    pub(super) last_count: i64,
}

impl Output {
    pub(super) fn new(replies: &Replies) -> Output {
        Output {
            replies: replies.clone(),
            captured: Vec::new(),
            ended: false,
            kind: DoneKind::Statement,
            no_count: false,
            progress: None,
            progress_due: false,
            last_count: 0,
        }
    }

    pub(super) async fn send(&mut self, reply: Reply) {
        self.ended = matches!(reply, Reply::Done { .. });
        self.replies.send(reply).await;
    }

    pub(super) async fn fail(&mut self, failure: &SqlFailure) {
        for message in &failure.0 {
            self.send(Reply::Message(message.clone())).await;
        }
    }

    pub(super) async fn done(&mut self, command: u16, rows: Option<u64>, error: bool) {
        // The statements of an INSERT … EXEC answer nothing of their own.
        if !self.captured.is_empty() && !error {
            return;
        }
        let rows = if self.no_count { None } else { rows };
        // Inside a procedure, NOCOUNT leaves the token out altogether.
        if self.no_count && self.kind == DoneKind::InProcedure && !error && command != 193 {
            return;
        }
        let kind = self.kind;
        self.send(Reply::Done { kind, command, rows, error }).await;
    }

    pub(super) fn begin_capture(&mut self) {
        self.captured.push(Vec::new());
    }

    pub(super) fn end_capture(&mut self) -> Vec<Relation> {
        self.captured.pop().unwrap_or_default()
    }

    pub(super) fn is_capturing(&self) -> bool {
        !self.captured.is_empty()
    }
}

#[async_trait]
impl Sink for Output {
    async fn result(&mut self, relation: Relation, command: u16) {
        self.last_count = i64::try_from(relation.rows.len()).unwrap_or(i64::MAX);
        if let Some(captured) = self.captured.last_mut() {
            captured.push(relation);
            return;
        }
        let count = relation.rows.len() as u64;
        self.send(Reply::Columns(relation.columns)).await;
        for row in relation.rows {
            self.send(Reply::Row(row)).await;
        }
        self.done(command, Some(count), false).await;
    }

    async fn message(&mut self, message: SqlMessage) {
        if let (Some(command), true) = (self.progress, self.progress_due) {
            self.done(command, None, false).await;
        }
        self.progress_due = self.progress.is_some();
        self.send(Reply::Message(message)).await;
    }
}

impl Output {
    /// Whether nothing more of a progress report is due.
    pub(super) fn end_progress(&mut self) {
        self.progress = None;
        self.progress_due = false;
    }
}

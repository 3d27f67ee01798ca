//! The transaction log: records in LSN order, from the truncation point to the end.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::lsn::Lsn;
use super::state::DatabaseFile;
use super::storage::{TableDefinition, TransactionId};
use crate::value::Row;

/// What a log record does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "tables are named by their key, rows by their id")]
pub enum LogOp {
    /// A transaction begins; its id is this record's LSN.
    Begin,
    /// A row is inserted.
    Insert { table: String, row_id: u64, row: Row },
    /// A row gets other content.
    Update { table: String, row_id: u64, after: Row },
    /// A row is deleted.
    Delete { table: String, row_id: u64 },
    /// A table is created.
    CreateTable { definition: Box<TableDefinition> },
    /// A table gets another definition.
    AlterTable { table: String, before: Box<TableDefinition>, after: Box<TableDefinition> },
    /// A table is dropped.
    DropTable { table: String },
    /// The drop of a table is taken back.
    KeepTable { table: String },
    /// The transaction is durable.
    Commit,
    /// The transaction is undone, every change of it.
    Abort,
    /// Changed pages were written.
    Checkpoint,
    /// A file is added.
    AddFile { file: DatabaseFile },
    /// A file is removed.
    RemoveFile { guid: Uuid },
    /// Log volume without meaning: index maintenance and other work that tests need only as bytes.
    Filler { bytes: u64 },
}

impl LogOp {
    /// The row that is changed: its table, its id, and what it becomes (`None`: deleted).
    pub fn row(&self) -> Option<(&str, u64, Option<&Row>)> {
        match self {
            LogOp::Insert { table, row_id, row } => Some((table, *row_id, Some(row))),
            LogOp::Update { table, row_id, after } => Some((table, *row_id, Some(after))),
            LogOp::Delete { table, row_id } => Some((table, *row_id, None)),
            _ => None,
        }
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Its place.
    pub lsn: Lsn,
    /// Its transaction; zero for records outside of any.
    pub transaction: TransactionId,
    /// When it was written, UTC.
    pub at: Timestamp,
    /// What it does.
    pub op: LogOp,
}

impl LogRecord {
    /// Size in the log, in bytes, roughly as SQL Server's records are.
    pub fn bytes(&self) -> u64 {
        match &self.op {
            LogOp::Begin | LogOp::Commit | LogOp::Abort => 100,
            LogOp::Insert { row, .. } | LogOp::Update { after: row, .. } => {
                120 + row.iter().map(value_bytes).sum::<u64>()
            }
            LogOp::Delete { .. } => 120,
            LogOp::CreateTable { .. }
            | LogOp::AlterTable { .. }
            | LogOp::DropTable { .. }
            | LogOp::KeepTable { .. } => 2_000,
            LogOp::Checkpoint | LogOp::AddFile { .. } | LogOp::RemoveFile { .. } => 200,
            LogOp::Filler { bytes } => *bytes,
        }
    }
}

fn value_bytes(value: &crate::value::Value) -> u64 {
    use crate::value::Value;
    match value {
        Value::String(text) => 2 * text.len() as u64,
        Value::Binary(bytes) => bytes.len() as u64,
        Value::Variant(_, inner) => value_bytes(inner),
        _ => 8,
    }
}

/// The log of a database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// Records that have not been truncated, in LSN order.
    pub records: Vec<LogRecord>,
    /// The LSN that the next record gets.
    pub next: Lsn,
    /// Bytes written since the last flush.
    pub unflushed: u64,
    /// The newest checkpoint.
    pub checkpoint: Lsn,
    /// Everything before this is truncated.
    pub truncated_to: Lsn,
}

impl Log {
    /// An empty log whose first record gets `start`.
    pub fn starting_at(start: Lsn) -> Log {
        Log {
            records: Vec::new(),
            next: start,
            unflushed: 0,
            checkpoint: start,
            truncated_to: start,
        }
    }

    /// Ends the current block: what follows begins in the next one.
    pub fn flush(&mut self) {
        if self.next.slot() > 1 {
            self.next = self.next.next_block(u128::from(self.unflushed.div_ceil(512).max(1)));
        }
        self.unflushed = 0;
    }

    /// Records with `from <= lsn < to`.
    pub fn range(&self, from: Lsn, to: Lsn) -> &[LogRecord] {
        let start = self.records.partition_point(|record| record.lsn < from);
        let end = self.records.partition_point(|record| record.lsn < to);
        self.records.get(start..end.max(start)).unwrap_or_default()
    }

    /// Forgets records before `lsn`.
    pub fn truncate(&mut self, lsn: Lsn) {
        if lsn <= self.truncated_to {
            return;
        }
        let keep = self.records.partition_point(|record| record.lsn < lsn);
        self.records.drain(..keep);
        self.truncated_to = lsn;
    }

    /// Bytes of the records that are kept.
    pub fn bytes(&self) -> u64 {
        self.records.iter().map(LogRecord::bytes).sum()
    }
}

/// A recovery fork: a line of log that began where an earlier one was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// `recovery_fork_guid`.
    pub guid: Uuid,
    /// The LSN where it begins (`fork_point_lsn`); the first one's is the creation of the database.
    pub start: Lsn,
}

/// The recovery path: every fork from the creation of the database to here. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPath(pub Vec<Fork>);

impl RecoveryPath {
    /// The fork that grows now.
    pub fn last(&self) -> Fork {
        self.0.last().copied().unwrap_or(Fork { guid: Uuid::nil(), start: Lsn::ZERO })
    }

    /// The fork on which `lsn` lies; a fork's starting point belongs to the fork before it, since a
    /// copy that ends there can follow either.
    pub fn at(&self, lsn: Lsn) -> Fork {
        self.0
            .iter()
            .rev()
            .find(|fork| fork.start < lsn)
            .or(self.0.first())
            .copied()
            .unwrap_or_else(|| self.last())
    }

    /// Whether a copy whose path is `copy` and that ends at `lsn` can be rolled forward along this
    /// path: both agree up to `lsn`.
    pub fn continues(&self, copy: &RecoveryPath, lsn: Lsn) -> bool {
        let before = |path: &RecoveryPath| -> Vec<Uuid> {
            path.0
                .iter()
                .enumerate()
                .filter(|(i, fork)| *i == 0 || fork.start < lsn)
                .map(|(_, fork)| fork.guid)
                .collect()
        };
        // A copy may already stand on a fork that begins exactly at its end.
        let mine = before(self);
        let theirs = before(copy);
        if mine != theirs {
            return false;
        }
        let at_end = |path: &RecoveryPath| -> Vec<Uuid> {
            path.0.iter().skip(1).filter(|fork| fork.start == lsn).map(|fork| fork.guid).collect()
        };
        let own = at_end(copy);
        own.is_empty() || at_end(self).starts_with(&own)
    }
}

//! User tables: committed rows, and the changes of open transactions beside them.
//!
//! Every change arrives as a log record, whether a session makes it or a log backup carries it, so
//! that a restored copy is rebuilt by the same code that built the original.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::log::{LogOp, LogRecord};
use super::lsn::Lsn;
use super::modules;
use crate::tsql::host::Constraint;
use crate::value::{Column, Row, Value};

/// A transaction's identity: the LSN of its BEGIN record.
pub type TransactionId = Lsn;

/// A table's definition.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TableDefinition {
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// `object_id`.
    pub object_id: i32,
    /// In order.
    pub columns: Vec<Column>,
    /// Index, seed and increment of the identity column.
    pub identity: Option<(usize, i64, i64)>,
    /// The text of each column's DEFAULT, by index.
    #[serde(default)]
    pub defaults: BTreeMap<usize, String>,
    /// The text of each computed column's expression, by index.
    #[serde(default)]
    pub computed: BTreeMap<usize, String>,
    /// Keys, checks and references.
    #[serde(default)]
    pub constraints: Vec<Constraint>,
    /// Creation time.
    pub created: Timestamp,
}

/// When a change was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// LSN of the COMMIT record.
    pub lsn: Lsn,
    /// Time of the COMMIT record.
    pub at: Timestamp,
}

/// A row with what an open transaction did to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredRow {
    /// Content as committed; `None` while the insert is open.
    pub committed: Option<Row>,
    /// When the committed content was committed.
    pub commit: Option<Commit>,
    /// LSN of the record that last changed the row.
    pub lsn: Lsn,
    /// The open transaction that changed the row and what it made of it (`None`: deleted).
    pub open: Option<(TransactionId, Option<Row>)>,
}

/// A table with its rows, by row id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Definition.
    pub definition: TableDefinition,
    /// Rows in order of insertion.
    pub rows: BTreeMap<u64, StoredRow>,
    /// Next row id.
    pub next_row: u64,
    /// Next identity value.
    pub next_identity: i64,
    /// The open transaction that creates the table.
    pub creating: Option<TransactionId>,
    /// The open transaction that drops the table.
    pub dropping: Option<TransactionId>,
}

impl Table {
    /// Whether the table exists for a reader in `reader`'s transaction.
    pub fn visible_to(&self, reader: Option<TransactionId>) -> bool {
        let created = self.creating.is_none() || self.creating == reader;
        let dropped = self.dropping.is_some() && self.dropping == reader;
        created && !dropped
    }

    /// The rows that a reader in `reader`'s transaction sees: what is committed, and its own changes.
    pub fn rows_for(
        &self,
        reader: Option<TransactionId>,
    ) -> impl Iterator<Item = (u64, &Row)> + '_ {
        self.rows.iter().filter_map(move |(id, row)| {
            let content = match &row.open {
                Some((owner, content)) if Some(*owner) == reader => content.as_ref(),
                _ => row.committed.as_ref(),
            };
            content.map(|content| (*id, content))
        })
    }
}

/// An open transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenTransaction {
    /// When it began.
    pub began: Timestamp,
    /// Rows that it changed, by table key.
    pub rows: Vec<(String, u64)>,
    /// Tables that it created or dropped.
    pub tables: Vec<String>,
    /// Tables that it altered, with what they were before.
    #[serde(default)]
    pub altered: Vec<(String, TableDefinition)>,
}

/// The content of a database: tables and open transactions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Storage {
    /// By key: lower-case `schema.name`.
    pub tables: BTreeMap<String, Table>,
    /// By transaction.
    #[serde(with = "open_transactions")]
    pub open: BTreeMap<TransactionId, OpenTransaction>,
    /// Next `object_id`.
    pub next_object_id: i32,
}

/// The key of a table in [`Storage::tables`]; an empty schema is `dbo`.
pub fn table_key(schema: &str, name: &str) -> String {
    let schema = if schema.is_empty() { "dbo" } else { schema };
    format!("{}.{}", schema.to_lowercase(), name.to_lowercase())
}

impl Storage {
    /// Carries out one log record. Records must arrive in LSN order.
    pub fn apply(&mut self, record: &LogRecord) {
        let transaction = record.transaction;
        match &record.op {
            LogOp::Begin => {
                self.open.insert(
                    transaction,
                    OpenTransaction {
                        began: record.at,
                        rows: Vec::new(),
                        tables: Vec::new(),
                        altered: Vec::new(),
                    },
                );
            }
            LogOp::Insert { table, row_id, row } => {
                self.change(record, table, *row_id, Some(row.clone()));
                // The ids of modules are taken from the same numbers as those of tables.
                if let (modules::KEY, Some(Value::Int(id))) =
                    (table.as_str(), row.get(modules::OBJECT_ID))
                {
                    self.next_object_id = self.next_object_id.max(id + 1);
                }
                if let Some(stored) = self.tables.get_mut(table) {
                    stored.next_row = stored.next_row.max(row_id + 1);
                    stored.note_identity(row);
                }
            }
            LogOp::Update { table, row_id, after } => {
                self.change(record, table, *row_id, Some(after.clone()))
            }
            LogOp::Delete { table, row_id } => self.change(record, table, *row_id, None),
            LogOp::CreateTable { definition } => {
                let key = table_key(&definition.schema, &definition.name);
                self.next_object_id = self.next_object_id.max(definition.object_id + 1);
                let next_identity = definition.identity.map_or(1, |(_, seed, _)| seed);
                self.tables.insert(
                    key.clone(),
                    Table {
                        definition: TableDefinition::clone(definition),
                        rows: BTreeMap::new(),
                        next_row: 1,
                        next_identity,
                        creating: Some(transaction),
                        dropping: None,
                    },
                );
                if let Some(open) = self.open.get_mut(&transaction) {
                    open.tables.push(key);
                }
            }
            LogOp::AlterTable { table, before, after } => {
                if let Some(stored) = self.tables.get_mut(table) {
                    stored.definition = TableDefinition::clone(after);
                }
                if let Some(open) = self.open.get_mut(&transaction) {
                    open.altered.push((table.clone(), TableDefinition::clone(before)));
                }
            }
            LogOp::DropTable { table } => {
                if let Some(stored) = self.tables.get_mut(table) {
                    stored.dropping = Some(transaction);
                }
                if let Some(open) = self.open.get_mut(&transaction) {
                    open.tables.push(table.clone());
                }
            }
            LogOp::KeepTable { table } => {
                if let Some(stored) = self.tables.get_mut(table) {
                    stored.dropping = None;
                }
            }
            LogOp::Commit => self.end(transaction, Some(Commit { lsn: record.lsn, at: record.at })),
            LogOp::Abort => self.end(transaction, None),
            LogOp::Checkpoint
            | LogOp::AddFile { .. }
            | LogOp::RemoveFile { .. }
            | LogOp::Filler { .. } => {}
        }
    }

    fn change(&mut self, record: &LogRecord, table: &str, row_id: u64, content: Option<Row>) {
        let Some(stored) = self.tables.get_mut(table) else {
            return;
        };
        let row = stored.rows.entry(row_id).or_insert(StoredRow {
            committed: None,
            commit: None,
            lsn: record.lsn,
            open: None,
        });
        row.lsn = record.lsn;
        row.open = Some((record.transaction, content));
        if let Some(open) = self.open.get_mut(&record.transaction) {
            open.rows.push((table.to_owned(), row_id));
        }
    }

    fn end(&mut self, transaction: TransactionId, commit: Option<Commit>) {
        let Some(open) = self.open.remove(&transaction) else {
            return;
        };
        for (table, row_id) in open.rows {
            let Some(stored) = self.tables.get_mut(&table) else {
                continue;
            };
            let Some(row) = stored.rows.get_mut(&row_id) else {
                continue;
            };
            let Some((_, content)) = row.open.take_if(|(owner, _)| *owner == transaction) else {
                continue;
            };
            if let Some(commit) = commit {
                row.committed = content;
                row.commit = Some(commit);
            }
            if row.committed.is_none() {
                stored.rows.remove(&row_id);
            }
        }
        if commit.is_none() {
            for (key, before) in open.altered.into_iter().rev() {
                if let Some(stored) = self.tables.get_mut(&key) {
                    stored.definition = before;
                }
            }
        }
        for key in open.tables {
            let Some(stored) = self.tables.get_mut(&key) else {
                continue;
            };
            let created = stored.creating == Some(transaction);
            let dropped = stored.dropping == Some(transaction);
            if (created && commit.is_none()) || (dropped && commit.is_some()) {
                self.tables.remove(&key);
                continue;
            }
            if created {
                stored.creating = None;
            }
            if dropped {
                stored.dropping = None;
            }
        }
    }

    /// The oldest open transaction.
    pub fn oldest_open(&self) -> Option<TransactionId> {
        self.open.keys().next().copied()
    }
}

impl Table {
    fn note_identity(&mut self, row: &Row) {
        let Some((column, _, increment)) = self.definition.identity else {
            return;
        };
        let value = match row.get(column) {
            Some(Value::Int(n)) => i64::from(*n),
            Some(Value::BigInt(n)) => *n,
            Some(Value::SmallInt(n)) => i64::from(*n),
            Some(Value::TinyInt(n)) => i64::from(*n),
            Some(Value::Numeric { unscaled, scale: 0 }) => {
                i64::try_from(*unscaled).unwrap_or(i64::MAX)
            }
            _ => return,
        };
        let passed =
            if increment >= 0 { value >= self.next_identity } else { value <= self.next_identity };
        if passed {
            self.next_identity = value.saturating_add(increment);
        }
    }
}

mod open_transactions {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{OpenTransaction, TransactionId};

    pub(super) fn serialize<S: Serializer>(
        open: &BTreeMap<TransactionId, OpenTransaction>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        open.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<TransactionId, OpenTransaction>, D::Error> {
        let list = Vec::<(TransactionId, OpenTransaction)>::deserialize(from)?;
        Ok(list.into_iter().collect())
    }
}

//! What the language keeps between statements: variables, temporary tables, counters and options.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::host::Host;
use super::tree::ColumnDefinition;
use crate::message::{SqlFailure, SqlMessage};
use crate::value::{Column, Row, SqlType, Value};

/// A temporary table or a table variable.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) definitions: Vec<ColumnDefinition>,
    pub(super) rows: Vec<Row>,
    pub(super) next_identity: i64,
    /// The nesting level that created it, and at whose end it goes.
    pub(super) level: u32,
}

impl Table {
    pub(super) fn new(definitions: Vec<ColumnDefinition>, level: u32) -> Table {
        let next_identity = definitions.iter().find_map(|d| d.identity).map_or(1, |(seed, _)| seed);
        Table { definitions, rows: Vec::new(), next_identity, level }
    }

    pub(super) fn columns(&self) -> Vec<Column> {
        self.definitions
            .iter()
            .map(|d| Column { name: d.name.clone(), ty: d.ty, nullable: d.nullable })
            .collect()
    }
}

/// State of the session.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Temporary tables by lower-case name with their `#`.
    pub(super) tables: BTreeMap<String, Table>,
    /// Prepared statements by handle: parameter declarations and text.
    pub(super) prepared: BTreeMap<i32, (String, String)>,
    pub(super) options: Options,
    pub(super) row_count: i64,
    pub(super) error: i32,
    pub(super) transactions: i32,
    /// What `Host::begin` returned for the open transaction.
    pub(super) descriptor: u64,
    /// The name that the outermost BEGIN TRANSACTION gave.
    pub(super) transaction_name: Option<String>,
    /// The open transaction can only be rolled back (`XACT_STATE()` = -1).
    pub(super) doomed: bool,
    pub(super) identity: Option<i64>,
    pub(super) level: u32,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    pub(super) no_count: bool,
    pub(super) abort_transaction: bool,
    pub(super) implicit_transactions: bool,
    pub(super) no_execute: bool,
    pub(super) format_only: bool,
    pub(super) row_count: Option<u64>,
    /// Table of SET IDENTITY_INSERT ON, in lower case.
    pub(super) identity_insert: Option<String>,
    pub(super) lock_timeout: i32,
}

/// State of one batch, dynamic batch or procedure call.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// By lower-case name with its `@`.
    pub(super) variables: BTreeMap<String, (SqlType, Value)>,
    pub(super) tables: BTreeMap<String, Table>,
    /// The errors being handled by enclosing CATCH blocks, innermost last.
    pub(super) caught: Vec<SqlMessage>,
    /// The same with every message of the failure: THROW raises them all again.
    pub(super) rethrow: Vec<SqlFailure>,
}

/// What an expression may ask while it is evaluated.
pub(super) struct Context<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) session: &'a Session,
    pub(super) frame: &'a Frame,
    /// Variables that the running SELECT or UPDATE has assigned.
    pub(super) assigned: RefCell<BTreeMap<String, Value>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(host: &'a dyn Host, session: &'a Session, frame: &'a Frame) -> Context<'a> {
        Context { host, session, frame, assigned: RefCell::default() }
    }

    pub(super) fn variable(&self, lower: &str) -> Value {
        if let Some(value) = self.assigned.borrow().get(lower) {
            return value.clone();
        }
        self.frame.variables.get(lower).map_or(Value::Null, |(_, value)| value.clone())
    }
}

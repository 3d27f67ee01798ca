//! What the language keeps between statements: variables, temporary tables, counters and options.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::host::{Host, TableRules};
use super::language::Language;
use super::tree::{CursorDefinition, Module, Path};
use crate::message::{SqlFailure, SqlMessage};
use crate::value::{Column, Relation, Row, SqlType, Value};

/// A temporary table or a table variable.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rules: TableRules,
    pub(super) rows: Vec<Row>,
    /// The nesting level that created it, and at whose end it goes.
    pub(super) level: u32,
    /// Tells temporary tables of one name apart in the names that errors show.
    pub(super) number: u32,
}

/// A cursor between DECLARE and DEALLOCATE.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) definition: CursorDefinition,
    /// The variables as they were when it was declared.
    pub(super) variables: BTreeMap<String, (SqlType, Value)>,
    /// Its rows while it is open.
    pub(super) open: Option<Relation>,
    /// Where it stands: 0 before the first row.
    pub(super) position: usize,
}

/// A cursor that a name or a variable holds; several may hold one.
pub(super) type SharedCursor = Arc<Mutex<Cursor>>;

/// State of the session.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Temporary tables by lower-case name with their `#`.
    pub(super) tables: BTreeMap<String, Table>,
    /// Those of outer levels whose names inner ones use again, by lower-case name.
    pub(super) hidden: Vec<(String, Table)>,
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
    /// Global cursors by lower-case name.
    pub(super) cursors: BTreeMap<String, SharedCursor>,
    /// `@@FETCH_STATUS` and `@@CURSOR_ROWS`.
    pub(super) fetch_status: i32,
    pub(super) cursor_rows: i32,
    /// Temporary procedures by lower-case name with their `#`, and the level that created them.
    pub(super) procedures: BTreeMap<String, (Arc<Module>, u32)>,
    /// The temporary tables as they were when the transaction began, and at its savepoints.
    pub(super) before: Vec<(String, BTreeMap<String, Table>)>,
    /// Numbers temporary tables.
    pub(super) table_number: u32,
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
    /// QUOTED_IDENTIFIER OFF: double quotes enclose strings.
    pub(super) quotes_are_strings: bool,
    /// ANSI_WARNINGS OFF: text that does not fit is cut.
    pub(super) cuts_text: bool,
    /// ANSI_NULLS OFF: NULL equals NULL.
    pub(super) nulls_are_equal: bool,
    /// CONCAT_NULL_YIELDS_NULL OFF: NULL joins as an empty text.
    pub(super) null_joins_as_empty: bool,
    /// LANGUAGE, DATEFORMAT and DATEFIRST.
    pub(super) language: Language,
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
    /// Local cursors, and those of variables under their `@` name; a variable may hold none.
    pub(super) cursors: BTreeMap<String, Option<SharedCursor>>,
    /// The procedure that runs, empty in a batch.
    pub(super) procedure: String,
    /// The highest severity of the errors that nothing caught here.
    pub(super) worst: u8,
}

/// What an expression may ask while it is evaluated.
pub(super) struct Context<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) session: &'a Session,
    pub(super) frame: &'a Frame,
    /// Variables that the running SELECT or UPDATE has assigned.
    pub(super) assigned: RefCell<BTreeMap<String, Value>>,
    /// The database of the view or function that is evaluated; the session's own otherwise.
    pub(super) database: Option<&'a str>,
    /// How many views and functions are being evaluated inside each other.
    pub(super) depth: u32,
}

impl<'a> Context<'a> {
    pub(super) fn new(host: &'a dyn Host, session: &'a Session, frame: &'a Frame) -> Context<'a> {
        Context { host, session, frame, assigned: RefCell::default(), database: None, depth: 0 }
    }

    /// The object that a path means here.
    pub(super) fn object(&self, path: &Path) -> super::ast::ObjectName {
        let mut name = super::parse::object_name(path);
        if let Some(database) = self.database.filter(|_| name.database.is_empty()) {
            database.clone_into(&mut name.database);
        }
        name
    }

    pub(super) fn variable(&self, lower: &str) -> Value {
        if let Some(value) = self.assigned.borrow().get(lower) {
            return value.clone();
        }
        self.frame.variables.get(lower).map_or(Value::Null, |(_, value)| value.clone())
    }
}

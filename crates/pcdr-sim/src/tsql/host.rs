//! What the language needs from the server it runs in.
//!
//! The interpreter parses, evaluates and keeps variables; everything that has state behind it (tables,
//! views, procedures, administrative statements, server functions) it asks of its [`Host`], which
//! speaks for one session.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::ast::{Admin, ObjectName};
use crate::message::SqlFailure;
use crate::value::{Column, Relation, Row, SqlType, Value};

/// What a table fills its columns with, and what it demands of its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableRules {
    /// Index, seed and increment of the identity column.
    pub identity: Option<(usize, i64, i64)>,
    /// What the next row gets in the identity column.
    pub next_identity: i64,
    /// The text of each column's DEFAULT, by index.
    pub defaults: BTreeMap<usize, String>,
    /// The text of each computed column's expression, by index.
    pub computed: BTreeMap<usize, String>,
    /// Keys, checks and references.
    pub constraints: Vec<Constraint>,
}

/// A constraint of a table, or a unique index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// As written, or made by the server.
    pub name: String,
    /// What it demands.
    pub rule: ConstraintRule,
}

/// What a constraint demands; columns by index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConstraintRule {
    /// No two rows are equal in these columns; NULL equals NULL.
    Key {
        /// Which.
        columns: Vec<usize>,
        /// What it was declared as.
        kind: KeyKind,
    },
    /// The condition is not false.
    Check {
        /// Its text.
        condition: String,
        /// The column it was declared at.
        column: Option<String>,
    },
    /// A row of another table has these values, unless one of them is NULL.
    ForeignKey {
        /// Own columns.
        columns: Vec<usize>,
        /// Schema of the other table, which is in the same database.
        schema: String,
        /// Name of the other table.
        table: String,
        /// Its columns, by name.
        referenced: Vec<String>,
    },
}

/// What a key was declared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    /// PRIMARY KEY.
    Primary,
    /// UNIQUE.
    Unique,
    /// CREATE UNIQUE INDEX.
    Index,
    /// CREATE INDEX: it demands nothing.
    Plain,
}

/// A procedure, function or view as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredModule {
    /// The database it is in: names in it that leave theirs out are of this one.
    pub database: String,
    /// Schema.
    pub schema: String,
    /// Name, as created.
    pub name: String,
    /// `sys.objects.type`: P, FN, IF or V.
    pub object_type: String,
    /// The batch that created it.
    pub text: String,
}

/// A parameter of a procedure.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcedureParameter {
    /// With its `@`.
    pub name: String,
    /// Declared type.
    pub ty: SqlType,
    /// `None`: required (error 201 when missing).
    pub default: Option<Value>,
    /// Whether the caller may pass it with OUTPUT.
    pub output: bool,
}

/// An argument bound to a parameter, converted to its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// With its `@`.
    pub name: String,
    /// The value on entry.
    pub value: Value,
    /// Whether the caller passed it at all.
    pub given: bool,
}

/// What a procedure gave back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CallResult {
    /// RETURN value.
    pub status: i32,
    /// Final values of parameters declared with `output`, by name.
    pub outputs: Vec<(String, Value)>,
}

/// Rows and messages that a procedure or an administrative statement produces on its way.
///
/// The interpreter decides where result sets go: to the client, or into the table of an
/// `INSERT … EXEC`.
#[async_trait]
pub trait Sink: Send {
    /// A complete result set.
    async fn result(&mut self, relation: Relation, command: u16);
    /// An informational message (severity ≤ 10), to be sent at once.
    async fn message(&mut self, message: crate::message::SqlMessage);
}

/// One session's view of the server.
#[async_trait]
pub trait Host: Send {
    /// The session id (`@@SPID`).
    fn session_id(&self) -> u16;

    /// The current database.
    fn database(&self) -> String;

    /// Changes the current database. The interpreter sends the ENVCHANGE.
    ///
    /// # Errors
    ///
    /// 911, 927, 954 and the other reasons why a database cannot be used.
    fn use_database(&mut self, name: &str) -> Result<(), SqlFailure>;

    /// The rows of a table or view, or of a table-valued function when `arguments` are given.
    /// Temporary tables (`#t`) and table variables never arrive here: the interpreter keeps them.
    ///
    /// # Errors
    ///
    /// 208 when there is no such object, 229 without permission, 927 when its database is restoring …
    fn relation(
        &self,
        name: &ObjectName,
        arguments: Option<&[Value]>,
    ) -> Result<Relation, SqlFailure>;

    /// The columns of a table or view, without its rows.
    ///
    /// # Errors
    ///
    /// As for [`Host::relation`].
    fn columns(&self, name: &ObjectName) -> Result<Vec<Column>, SqlFailure> {
        self.relation(name, None).map(|relation| relation.columns)
    }

    /// Appends rows to a user table, in the order of its columns.
    ///
    /// # Errors
    ///
    /// 208, 229, 515 (NULL into NOT NULL), 3906 (read-only) …
    fn insert(&mut self, table: &ObjectName, rows: Vec<Row>) -> Result<u64, SqlFailure>;

    /// As [`Host::insert`], for a statement that a bulk-logged database logs as page numbers only.
    ///
    /// # Errors
    ///
    /// As [`Host::insert`].
    fn insert_minimally(&mut self, table: &ObjectName, rows: Vec<Row>) -> Result<u64, SqlFailure> {
        self.insert(table, rows)
    }

    /// The rules of a user table; `None` when there is no such table, or none with rules.
    fn table_rules(&self, _table: &ObjectName) -> Option<TableRules> {
        None
    }

    /// Notes what the next row of a user table gets in its identity column, after rows that were
    /// numbered and not stored.
    fn skip_identities(&mut self, _table: &ObjectName, _next: i64) {}

    /// The foreign keys of other tables, and of its own, that refer to a user table.
    fn references_to(&self, _table: &ObjectName) -> Vec<(ObjectName, Constraint)> {
        Vec::new()
    }

    /// Gives a user table other columns and rules; `rows` are its rows in their new shape, in
    /// their order.
    ///
    /// # Errors
    ///
    /// 4902 when there is no such table.
    fn alter_table(
        &mut self,
        table: &ObjectName,
        _columns: Vec<Column>,
        _rules: TableRules,
        _rows: Vec<Row>,
    ) -> Result<(), SqlFailure> {
        Err(crate::tsql::failures::no_table_to_alter(&table.name))
    }

    /// A procedure, function or view of a user.
    fn module(&self, _name: &ObjectName) -> Option<StoredModule> {
        None
    }

    /// Stores a procedure, function or view, in place of the one of that name if there is one.
    ///
    /// # Errors
    ///
    /// 262 without permission, 2714 when the name is a table's, 3906 …
    fn store_module(
        &mut self,
        name: &ObjectName,
        _object_type: &str,
        _text: &str,
    ) -> Result<(), SqlFailure> {
        Err(crate::tsql::failures::invalid_object(&name.name))
    }

    /// Removes a procedure, function or view.
    ///
    /// # Errors
    ///
    /// 3701 when there is none.
    fn drop_module(&mut self, name: &ObjectName) -> Result<(), SqlFailure> {
        Err(crate::tsql::failures::invalid_object(&name.name))
    }

    /// Replaces rows: each pair is (row before, row after); `None` after deletes it.
    ///
    /// # Errors
    ///
    /// As for [`Host::insert`].
    fn change(
        &mut self,
        table: &ObjectName,
        changes: Vec<(Row, Option<Row>)>,
    ) -> Result<u64, SqlFailure>;

    /// Creates a user table.
    ///
    /// # Errors
    ///
    /// 2714 when the name is taken.
    fn create_table(
        &mut self,
        name: &ObjectName,
        columns: Vec<Column>,
        rules: TableRules,
    ) -> Result<(), SqlFailure>;

    /// Drops a user table.
    ///
    /// # Errors
    ///
    /// 3701 when there is none.
    fn drop_table(&mut self, name: &ObjectName) -> Result<(), SqlFailure>;

    /// The parameters of a procedure that the server has; `None` when there is no such procedure
    /// (the interpreter raises 2812).
    fn procedure(&self, name: &ObjectName) -> Option<Vec<ProcedureParameter>>;

    /// Runs a procedure. `arguments` holds every declared parameter, defaults filled in.
    ///
    /// # Errors
    ///
    /// What the procedure raises.
    async fn call(
        &mut self,
        name: &ObjectName,
        arguments: Vec<Argument>,
        sink: &mut dyn Sink,
    ) -> Result<CallResult, SqlFailure>;

    /// Carries out an administrative statement and returns the statement's code for DONE (CurCmd).
    ///
    /// # Errors
    ///
    /// What the statement raises, the cause first and the generic closing error last.
    async fn admin(&mut self, statement: Admin, sink: &mut dyn Sink) -> Result<u16, SqlFailure>;

    /// A scalar function that needs the server (`SERVERPROPERTY`, `DB_ID`, `DATABASEPROPERTYEX`,
    /// `IS_SRVROLEMEMBER`, `HAS_PERMS_BY_NAME`, `SUSER_SNAME`, `OBJECT_ID`, the clock functions …).
    /// `None`: no such function here.
    fn function(
        &self,
        name: &str,
        arguments: &[Value],
    ) -> Option<Result<(SqlType, Value), SqlFailure>>;

    /// A global such as `@@SERVERNAME`, name in upper case with its `@@`. `None`: no such global here.
    /// The interpreter keeps `@@ERROR`, `@@ROWCOUNT`, `@@TRANCOUNT` and `@@NESTLEVEL` itself.
    fn global(&self, name: &str) -> Option<(SqlType, Value)>;

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// None in ordinary states.
    fn begin(&mut self) -> Result<u64, SqlFailure>;

    /// Commits the open transaction.
    ///
    /// # Errors
    ///
    /// What the storage raises.
    fn commit(&mut self) -> Result<(), SqlFailure>;

    /// Undoes everything since [`Host::begin`].
    fn rollback(&mut self);

    /// Sets a savepoint in the open transaction; a name may be used again, and the last one counts.
    ///
    /// # Errors
    ///
    /// 596 when the session is gone.
    fn save(&mut self, name: &str) -> Result<(), SqlFailure>;

    /// Undoes everything since a savepoint, which stays; `false` when there is none of that name.
    ///
    /// # Errors
    ///
    /// 596 when the session is gone.
    fn rollback_to(&mut self, name: &str) -> Result<bool, SqlFailure>;

    /// Waits, in the server's time, and ends early when the request is cancelled.
    async fn wait(&mut self, duration: std::time::Duration);

    /// Where the running request was cancelled or the session killed: the interpreter stops at the
    /// next statement.
    fn is_cancelled(&self) -> bool;

    /// Notes the statement that runs now, for `sys.dm_exec_requests` (`SELECT`, `BACKUP LOG` …).
    fn running(&mut self, command: &str);
}

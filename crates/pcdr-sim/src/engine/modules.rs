//! Procedures, functions and views of users.
//!
//! Their definitions are rows of a system table of their database, as they are on the server: so they
//! are logged, mirrored, backed up and rolled back like any row.

use super::access;
use super::errors;
use super::log::LogOp;
use super::security::Action;
use super::session::SessionHost;
use super::state::Database;
use super::storage::{Table, TableDefinition, TransactionId, table_key};
use crate::message::SqlFailure;
use crate::tsql::ast::ObjectName;
use crate::tsql::host::StoredModule;
use crate::value::{Column, Length, Row, SqlType, Value};

/// Schema and name of the system table, which no query reaches.
const SCHEMA: &str = "sys";
const NAME: &str = "sysobjvalues";
/// Its key in [`super::storage::Storage::tables`].
pub(crate) const KEY: &str = "sys.sysobjvalues";
/// Where a row holds the object's id.
pub(crate) const OBJECT_ID: usize = 3;

/// A procedure, function or view as the catalogue shows it.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// Schema.
    pub(crate) schema: String,
    /// Name.
    pub(crate) name: String,
    /// `sys.objects.type`.
    pub(crate) object_type: String,
    /// `object_id`.
    pub(crate) object_id: i32,
    /// The batch that created it.
    pub(crate) text: String,
    /// When it was created or altered.
    pub(crate) modified: jiff::civil::DateTime,
}

fn columns() -> Vec<Column> {
    let column = |name: &'static str, ty| Column { name: name.into(), ty, nullable: false };
    vec![
        column("schema", SqlType::SYSNAME),
        column("name", SqlType::SYSNAME),
        column("type", SqlType::Char(2)),
        column("object_id", SqlType::Int),
        column("text", SqlType::NVarChar(Length::Max)),
        column("modify_date", SqlType::DateTime2(7)),
    ]
}

fn shown(row: &Row) -> Option<Shown> {
    let text = |i: usize| match row.get(i) {
        Some(Value::String(s)) => Some(s.to_string()),
        _ => None,
    };
    let (Some(Value::Int(object_id)), Some(Value::DateTime(modified))) =
        (row.get(OBJECT_ID), row.get(5))
    else {
        return None;
    };
    Some(Shown {
        schema: text(0)?,
        name: text(1)?,
        object_type: text(2)?,
        object_id: *object_id,
        text: text(4)?,
        modified: *modified,
    })
}

/// Every module of a database that a reader in `reader`'s transaction sees.
pub(crate) fn all(database: &Database, reader: Option<TransactionId>) -> Vec<Shown> {
    let table = database.storage.tables.get(KEY).filter(|table| table.visible_to(reader));
    table.map_or_else(Vec::new, |table| {
        table.rows_for(reader).filter_map(|(_, row)| shown(row)).collect()
    })
}

fn schema_of(name: &ObjectName) -> &str {
    if name.schema.is_empty() { "dbo" } else { &name.schema }
}

fn is(module: &Shown, schema: &str, name: &str) -> bool {
    module.name.to_lowercase() == name.to_lowercase() && module.schema.eq_ignore_ascii_case(schema)
}

/// Finds a module of a database by schema and name.
pub(crate) fn named(
    database: &Database,
    reader: Option<TransactionId>,
    schema: &str,
    name: &str,
) -> Option<Shown> {
    all(database, reader).into_iter().find(|module| is(module, schema, name))
}

fn row_id(table: &Table, transaction: TransactionId, name: &ObjectName) -> Option<u64> {
    let found =
        |row: &Row| shown(row).is_some_and(|module| is(&module, schema_of(name), &name.name));
    table.rows_for(Some(transaction)).find(|(_, row)| found(row)).map(|(id, _)| id)
}

/// The system table as the target of a change in the database of `name`.
fn system_table(name: &ObjectName) -> ObjectName {
    ObjectName {
        server: String::new(),
        database: name.database.clone(),
        schema: SCHEMA.to_owned(),
        name: NAME.to_owned(),
    }
}

impl SessionHost {
    pub(super) fn find_module(&self, name: &ObjectName) -> Option<StoredModule> {
        if !name.server.is_empty() || name.schema.eq_ignore_ascii_case(SCHEMA) {
            return None;
        }
        let wanted = self.database_of(name);
        let me = self.me.session_id;
        self.me
            .view(|view| {
                let own = access::check(view.instance, &wanted, me, &self.login).ok()?;
                let reader = view.session.transactions.get(&own.name.to_lowercase()).copied();
                let found = named(own, reader, schema_of(name), &name.name)?;
                Some(StoredModule {
                    database: own.name.clone(),
                    schema: found.schema,
                    name: found.name,
                    object_type: found.object_type.trim_end().to_owned(),
                    text: found.text,
                })
            })
            .flatten()
    }

    pub(super) fn put_module(
        &mut self,
        name: &ObjectName,
        object_type: &str,
        text: &str,
    ) -> Result<(), SqlFailure> {
        let wanted = self.database_of(name);
        let (schema, object) = (schema_of(name).to_owned(), name.name.clone());
        self.write(
            &system_table(name),
            Action::Schema(&wanted),
            |database, key, transaction, now| {
                if database.storage.tables.contains_key(&table_key(&schema, &object)) {
                    return Err(errors::object_exists(&object));
                }
                if !database.storage.tables.contains_key(key) {
                    let definition = TableDefinition {
                        schema: SCHEMA.to_owned(),
                        name: NAME.to_owned(),
                        object_id: 60,
                        columns: columns(),
                        created: now,
                        ..TableDefinition::default()
                    };
                    database.append(
                        now,
                        transaction,
                        LogOp::CreateTable { definition: Box::new(definition) },
                    );
                }
                let next_id = database.storage.next_object_id;
                let table = database
                    .storage
                    .tables
                    .get(key)
                    .filter(|table| table.visible_to(Some(transaction)))
                    .ok_or_else(errors::lock_timeout)?;
                let found = row_id(table, transaction, name);
                let object_id = found
                    .and_then(|id| table.rows_for(Some(transaction)).find(|(i, _)| *i == id))
                    .and_then(|(_, row)| row.get(OBJECT_ID).cloned())
                    .unwrap_or(Value::Int(next_id));
                let row = vec![
                    Value::string(&schema),
                    Value::string(&object),
                    Value::string(format!("{object_type:<2}")),
                    object_id,
                    Value::string(text),
                    Value::DateTime(jiff::tz::TimeZone::UTC.to_datetime(now)),
                ];
                let table_key = key.to_owned();
                let op = match found {
                    Some(row_id) if super::host::locked(table, row_id, transaction) => {
                        return Err(errors::lock_timeout());
                    }
                    Some(row_id) => LogOp::Update { table: table_key, row_id, after: row },
                    None => LogOp::Insert { table: table_key, row_id: table.next_row, row },
                };
                database.append(now, transaction, op);
                Ok(())
            },
        )
    }

    pub(super) fn remove_module(&mut self, name: &ObjectName) -> Result<(), SqlFailure> {
        let wanted = self.database_of(name);
        self.write(
            &system_table(name),
            Action::Schema(&wanted),
            |database, key, transaction, now| {
                let missing = || errors::cannot_drop("procedure", &name.name).with_state(5);
                let table = database.storage.tables.get(key).ok_or_else(missing)?;
                let row_id = row_id(table, transaction, name).ok_or_else(missing)?;
                if super::host::locked(table, row_id, transaction) {
                    return Err(errors::lock_timeout());
                }
                let table = key.to_owned();
                database.append(now, transaction, LogOp::Delete { table, row_id });
                Ok(())
            },
        )
    }
}

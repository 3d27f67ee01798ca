//! A server of a few tables, one procedure and a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::{Admin, ObjectName};
use crate::tsql::host::{Argument, CallResult, Host, ProcedureParameter, Sink, TableRules};
use crate::value::{Column, Length, Relation, Row, SqlType, Value};

pub(super) struct Memory {
    pub(super) tables: BTreeMap<String, Relation>,
    pub(super) database: String,
    pub(super) admin: Vec<Admin>,
    pub(super) waited: Duration,
    transactions: u64,
}

fn column(name: &'static str, ty: SqlType) -> Column {
    Column::new(name, ty)
}

impl Memory {
    pub(super) fn new() -> Memory {
        let mut tables = BTreeMap::new();
        let lsn = |n: u128| Value::lsn(4_500_000_001_234_500_001_000_000 + n);
        let backup = |id: i32, name: &str, kind: &str, first: u128, last: u128| {
            vec![Value::Int(id), Value::string(name), Value::string(kind), lsn(first), lsn(last)]
        };
        tables.insert(
            "backupset".to_string(),
            Relation {
                columns: vec![
                    column("backup_set_id", SqlType::Int),
                    column("database_name", SqlType::SYSNAME),
                    column("type", SqlType::Char(1)),
                    column("first_lsn", SqlType::LSN),
                    column("last_lsn", SqlType::LSN),
                ],
                rows: vec![
                    backup(1, "mgc", "D", 1, 5),
                    backup(2, "mgc", "L", 5, 9),
                    backup(3, "mgc", "L", 9, 12),
                    backup(4, "mgccomp", "D", 2, 3),
                ],
            },
        );
        tables.insert(
            "backupmediafamily".to_string(),
            Relation {
                columns: vec![
                    column("backup_set_id", SqlType::Int),
                    column("physical_device_name", SqlType::nvarchar(260)),
                ],
                rows: vec![
                    vec![Value::Int(1), Value::string("a.bak")],
                    vec![Value::Int(2), Value::string("b.trn")],
                    vec![Value::Int(2), Value::string("b2.trn")],
                ],
            },
        );
        Memory {
            tables,
            database: "master".to_string(),
            admin: Vec::new(),
            waited: Duration::ZERO,
            transactions: 0,
        }
    }
}

fn missing(name: &ObjectName) -> SqlFailure {
    SqlMessage::new(208, 16, format!("Invalid object name '{}'.", name.name)).into()
}

#[async_trait]
impl Host for Memory {
    fn session_id(&self) -> u16 {
        51
    }

    fn database(&self) -> String {
        self.database.clone()
    }

    fn use_database(&mut self, name: &str) -> Result<(), SqlFailure> {
        if name.starts_with("no") {
            return Err(
                SqlMessage::new(911, 16, format!("Database '{name}' does not exist.")).into()
            );
        }
        self.database = name.to_string();
        Ok(())
    }

    fn relation(
        &self,
        name: &ObjectName,
        arguments: Option<&[Value]>,
    ) -> Result<Relation, SqlFailure> {
        if let Some(arguments) = arguments {
            if name.name != "dm_os_enumerate_filesystem" {
                return Err(missing(name));
            }
            let rows = match &arguments[0] {
                Value::String(path) => vec![vec![Value::string(format!("{path}\\x.trn"))]],
                _ => Vec::new(),
            };
            return Ok(Relation {
                columns: vec![column("full_filesystem_path", SqlType::nvarchar(512))],
                rows,
            });
        }
        self.tables.get(&name.name.to_lowercase()).cloned().ok_or_else(|| missing(name))
    }

    fn insert(&mut self, table: &ObjectName, rows: Vec<Row>) -> Result<u64, SqlFailure> {
        let found =
            self.tables.get_mut(&table.name.to_lowercase()).ok_or_else(|| missing(table))?;
        let count = rows.len() as u64;
        found.rows.extend(rows);
        Ok(count)
    }

    fn change(
        &mut self,
        table: &ObjectName,
        changes: Vec<(Row, Option<Row>)>,
    ) -> Result<u64, SqlFailure> {
        let found =
            self.tables.get_mut(&table.name.to_lowercase()).ok_or_else(|| missing(table))?;
        let count = changes.len() as u64;
        for (before, after) in changes {
            if let Some(at) = found.rows.iter().position(|row| *row == before) {
                match after {
                    Some(after) => found.rows[at] = after,
                    None => {
                        found.rows.remove(at);
                    }
                }
            }
        }
        Ok(count)
    }

    fn create_table(
        &mut self,
        name: &ObjectName,
        columns: Vec<Column>,
        _rules: TableRules,
    ) -> Result<(), SqlFailure> {
        let rows = Vec::new();
        self.tables.insert(name.name.to_lowercase(), Relation { columns, rows });
        Ok(())
    }

    fn drop_table(&mut self, name: &ObjectName) -> Result<(), SqlFailure> {
        self.tables
            .remove(&name.name.to_lowercase())
            .map(|_| ())
            .ok_or_else(|| SqlMessage::new(3701, 11, "Cannot drop the table.").into())
    }

    fn procedure(&self, name: &ObjectName) -> Option<Vec<ProcedureParameter>> {
        let parameter = |name: &str, ty, default, output| ProcedureParameter {
            name: name.to_string(),
            ty,
            default,
            output,
        };
        match name.name.as_str() {
            "sp_double" => Some(vec![
                parameter("@value", SqlType::Int, None, false),
                parameter("@doubled", SqlType::Int, Some(Value::Null), true),
                parameter(
                    "@label",
                    SqlType::NVarChar(Length::Up(10)),
                    Some(Value::string("none")),
                    false,
                ),
            ]),
            "sp_fail" => Some(Vec::new()),
            _ => None,
        }
    }

    async fn call(
        &mut self,
        name: &ObjectName,
        arguments: Vec<Argument>,
        sink: &mut dyn Sink,
    ) -> Result<CallResult, SqlFailure> {
        if name.name == "sp_fail" {
            return Err(
                SqlMessage::new(14262, 16, "The specified @job_name does not exist.").into()
            );
        }
        let Value::Int(value) = arguments[0].value else {
            return Ok(CallResult::default());
        };
        sink.result(
            Relation {
                columns: vec![
                    column("doubled", SqlType::Int),
                    column("label", SqlType::nvarchar(10)),
                ],
                rows: vec![vec![Value::Int(value * 2), arguments[2].value.clone()]],
            },
            193,
        )
        .await;
        Ok(CallResult { status: 7, outputs: vec![("@doubled".to_string(), Value::Int(value * 2))] })
    }

    async fn admin(&mut self, statement: Admin, sink: &mut dyn Sink) -> Result<u16, SqlFailure> {
        let backup = matches!(statement, Admin::Backup(_));
        if let Admin::Backup(b) = &statement
            && b.database.starts_with("no")
        {
            return Err(SqlFailure(vec![
                SqlMessage::new(911, 16, "Database does not exist."),
                SqlMessage::new(3013, 16, "BACKUP DATABASE is terminating abnormally."),
            ]));
        }
        self.admin.push(statement);
        if backup {
            sink.message(SqlMessage::new(4035, 0, "Processed 8 pages.")).await;
            sink.message(SqlMessage::new(
                3014,
                0,
                "BACKUP DATABASE successfully processed 8 pages.",
            ))
            .await;
            return Ok(228);
        }
        Ok(215)
    }

    fn function(
        &self,
        name: &str,
        arguments: &[Value],
    ) -> Option<Result<(SqlType, Value), SqlFailure>> {
        let now = jiff::civil::DateTime::constant(2026, 11, 20, 19, 30, 0, 0);
        Some(Ok(match name {
            "GETDATE" => (SqlType::DateTime, Value::DateTime(now)),
            "SERVERPROPERTY" => (
                SqlType::Variant,
                match arguments.first() {
                    Some(Value::String(s)) if s.eq_ignore_ascii_case("ProductVersion") => {
                        Value::Variant(
                            SqlType::nvarchar(128),
                            Box::new(Value::string("11.0.2100.60")),
                        )
                    }
                    _ => Value::Null,
                },
            ),
            "DB_NAME" => (SqlType::SYSNAME, Value::string(&self.database)),
            _ => return None,
        }))
    }

    fn global(&self, name: &str) -> Option<(SqlType, Value)> {
        (name == "@@SERVERNAME").then(|| (SqlType::SYSNAME, Value::string("SQL1")))
    }

    fn begin(&mut self) -> Result<u64, SqlFailure> {
        self.transactions += 1;
        Ok(self.transactions)
    }

    fn commit(&mut self) -> Result<(), SqlFailure> {
        Ok(())
    }

    fn save(&mut self, _name: &str) -> Result<(), SqlFailure> {
        Ok(())
    }

    fn rollback_to(&mut self, _name: &str) -> Result<bool, SqlFailure> {
        Ok(false)
    }

    fn rollback(&mut self) {}

    async fn wait(&mut self, duration: Duration) {
        self.waited += duration;
    }

    fn is_cancelled(&self) -> bool {
        false
    }

    fn running(&mut self, _command: &str) {}
}

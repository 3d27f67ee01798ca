//! The engine as the language sees it: one session's tables, statements, functions and transactions.

use std::time::Duration;

use async_trait::async_trait;

use super::access;
use super::catalog;
use super::errors;
use super::log::LogOp;
use super::lsn::Lsn;
use super::mirroring;
use super::msdb;
use super::security::{self, Action};
use super::session::{Savepoint, SessionHost, session_mut, take_single_user_slot};
use super::state::{Database, WorldState};
use super::storage::{Table, TableDefinition, TransactionId, table_key};
use super::{alter, backup, information, paths, restore};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::{Admin, ObjectName};
use crate::tsql::host::{
    Argument, CallResult, Constraint, ConstraintRule, Host, ProcedureParameter, Sink, StoredModule,
    TableRules,
};
use crate::value::{Column, Relation, Row, SqlType, Value};

/// The `user_name` that history and headers record for a login.
pub(crate) fn sql_user(login: &str) -> String {
    login.to_owned()
}

impl SessionHost {
    fn view<T>(&self, f: impl FnOnce(catalog::View<'_>) -> T) -> Option<T> {
        self.me.view(f)
    }

    pub(super) fn own_database(&self) -> String {
        let me = self.me.session_id;
        self.update(|state, key, _| {
            session_mut(state, key, me).map(|session| session.database.clone())
        })
        .flatten()
        .unwrap_or_else(|| "master".to_owned())
    }

    /// The database of an object; a global temporary table is in tempdb wherever it is named.
    pub(super) fn database_of(&self, name: &ObjectName) -> String {
        if name.name.starts_with("##") {
            "tempdb".to_owned()
        } else if name.database.is_empty() {
            self.own_database()
        } else {
            name.database.clone()
        }
    }

    /// The rows of a system object; `None` when the name is no system object's.
    fn system_relation(
        &self,
        name: &ObjectName,
        arguments: Option<&[Value]>,
    ) -> Result<Option<Relation>, SqlFailure> {
        self.view(|view| catalog::relation(view, name, arguments))
            .ok_or_else(errors::killed)?
            .transpose()
    }

    /// Reads a user table as the session may; `f` is told the session's transaction in its database.
    fn read<T>(
        &self,
        name: &ObjectName,
        f: impl FnOnce(&Table, Option<TransactionId>) -> T,
    ) -> Result<T, SqlFailure> {
        if !name.server.is_empty() {
            return Err(SqlMessage::new(
                7202,
                11,
                format!("Could not find server '{}' in sys.servers. Verify that the correct server name was specified. If necessary, execute the stored procedure sp_addlinkedserver to add the server to sys.servers.", name.server),
            )
            .with_state(2)
            .into());
        }
        if name.schema.eq_ignore_ascii_case("sys") {
            return Err(errors::no_object(&full_name(name)).into());
        }
        let me = self.me.session_id;
        let database = self.database_of(name);
        self.view(|view| {
            let own = access::check(view.instance, &database, me, &self.login)?;
            security::may(view.instance, &self.login, Action::Data(&own.name, &name.name, false))?;
            let file = own.files.first().map_or("", |file| file.physical.as_str());
            if let Some(os) = own.condition.unreadable {
                return Err(errors::io_failed(file, os).into());
            }
            if own.condition.page_damaged {
                return Err(errors::page_failed(file).into());
            }
            let transaction = view.session.transactions.get(&database.to_lowercase()).copied();
            let table = own
                .storage
                .tables
                .get(&table_key(&name.schema, &name.name))
                .filter(|table| table.visible_to(transaction))
                .ok_or_else(|| errors::no_object(&full_name(name)))?;
            Ok(f(table, transaction))
        })
        .unwrap_or_else(|| Err(errors::killed().into()))
    }

    /// Runs `f` on a table's database inside the session's transaction, or inside one of its own.
    pub(super) fn write<T>(
        &mut self,
        name: &ObjectName,
        action: Action<'_>,
        f: impl FnOnce(&mut Database, &str, TransactionId, jiff::Timestamp) -> Result<T, SqlMessage>,
    ) -> Result<T, SqlFailure> {
        let database_name = self.database_of(name);
        let me = self.me.session_id;
        let login = self.login.clone();
        let root = self.me.world.root().to_owned();
        let table = table_key(&name.schema, &name.name);
        let result = self.try_change(|state, key, now| {
            let commit_cost = state.costs.commit;
            let instance = state.instances.get(key).ok_or_else(errors::killed)?;
            let database = access::check(instance, &database_name, me, &login)?;
            let exact = database.name.clone();
            security::may(instance, &login, action)?;
            if database.status == super::state::Status::Emergency {
                return Err(errors::no_begin_in_emergency(&exact).into());
            }
            if database.condition.log_unavailable {
                return Err(errors::log_unavailable(&exact).into());
            }
            if database.read_only || database.standby.is_some() {
                return Err(errors::read_only(&exact).into());
            }
            let full =
                database.files.iter().filter(|file| file.is_log).any(|file| {
                    paths::write_error(state, &root, instance, &file.physical).is_some()
                });
            if full {
                return Err(errors::log_full(&exact, "LOG_BACKUP").into());
            }
            let session = instance.sessions.get(&me).ok_or_else(errors::killed)?;
            let explicit = session.transaction_count > 0;
            let lower = exact.to_lowercase();
            let known = session.transactions.get(&lower).copied();
            let database = super::session::database_mut(state, key, &lower)
                .ok_or_else(|| errors::no_database(&exact))?;
            let transaction = known.unwrap_or_else(|| database.begin(now));
            let outcome = f(database, &table, transaction, now);
            match (&outcome, explicit) {
                (Ok(_), false) => {
                    mirroring::before_commit(state, key, &lower, now)?;
                    if let Some(database) = super::session::database_mut(state, key, &lower) {
                        database.commit(now, transaction);
                    }
                    mirroring::ship(state, key, &lower);
                }
                (Err(_), false) => database.rollback(now, transaction),
                (_, true) => {
                    if let Some(session) = session_mut(state, key, me) {
                        session.transactions.insert(lower, transaction);
                    }
                }
            }
            Ok(outcome.map(|value| (value, if explicit { Duration::ZERO } else { commit_cost }))?)
        });
        mirroring::look_if_dirty(&self.me.world);
        let (value, cost) = result?;
        self.owed += cost;
        Ok(value)
    }

    fn finish_transaction(&mut self, commit: bool) -> Result<(), SqlFailure> {
        self.savepoints.clear();
        let me = self.me.session_id;
        let result = self.try_change(|state, key, now| {
            let cost = state.costs.commit;
            let Some(session) = session_mut(state, key, me) else {
                return Err(errors::killed().into());
            };
            session.transaction_count = 0;
            let transactions = std::mem::take(&mut session.transactions);
            let touched = !transactions.is_empty();
            let mut failure = None;
            for (database, transaction) in &transactions {
                let allowed = if commit {
                    mirroring::before_commit(state, key, database, now)
                } else {
                    Ok(())
                };
                if let Some(own) = super::session::database_mut(state, key, database) {
                    if commit && allowed.is_ok() {
                        own.commit(now, *transaction);
                    } else {
                        own.rollback(now, *transaction);
                    }
                }
                mirroring::ship(state, key, database);
                failure = failure.or(allowed.err());
            }
            match failure {
                Some(failure) => Err(failure),
                None => Ok(if touched { cost } else { Duration::ZERO }),
            }
        });
        mirroring::look_if_dirty(&self.me.world);
        self.me.world.notify();
        self.owed += result?;
        Ok(())
    }

    /// Why a KILL of something else than a session fails: the permission comes first.
    fn kill_other(&self, cause: SqlMessage) -> SqlFailure {
        let allowed = self.try_change(|state, key, _| {
            let instance = state.instances.get(key).ok_or_else(errors::killed)?;
            security::may(instance, &self.login, Action::Kill)
        });
        allowed.err().unwrap_or_else(|| cause.into())
    }

    /// Room for new rows: the data files are on drives with space.
    fn check_room(&self, database: &str, object: &str) -> Result<(), SqlFailure> {
        let root = self.me.world.root().to_owned();
        self.try_change(|state, key, _| {
            let instance = state.instances.get(key).ok_or_else(errors::killed)?;
            let Some(own) = instance.database(database) else {
                return Ok(());
            };
            let full = |file: &super::state::DatabaseFile| {
                paths::resolve(state, &root, instance, &file.physical)
                    .is_ok_and(|place| place.write_error.is_some())
            };
            let (logs, data): (Vec<_>, Vec<_>) = own.files.iter().partition(|file| file.is_log);
            // A full log is found first, when the change is logged.
            if data.into_iter().any(full) && !logs.into_iter().any(full) {
                return Err(errors::filegroup_full(object, &own.name).into());
            }
            Ok(())
        })
    }

    fn kill(&self, session_id: i64, status_only: bool) -> Result<Option<SqlMessage>, SqlFailure> {
        let me = self.me.session_id;
        let outcome = self.try_change(|state, key, now| {
            let instance = state.instances.get_mut(key).ok_or_else(errors::killed)?;
            security::may(instance, &self.login, Action::Kill)?;
            if instance.sessions.get(&me).is_some_and(|session| session.transaction_count > 0) {
                return Err(errors::kill_in_transaction().into());
            }
            let Ok(id) = u16::try_from(session_id) else {
                return Err(errors::invalid_process(session_id).into());
            };
            if id == 0 || id > 32_767 {
                return Err(errors::invalid_process(session_id).into());
            }
            if id == me {
                return Err(errors::kill_self().into());
            }
            if id <= 50 {
                return Err(errors::kill_system().into());
            }
            let Some(victim) = instance.sessions.get(&id) else {
                return Err(errors::no_process(session_id).into());
            };
            if !victim.is_user {
                return Err(errors::kill_system().into());
            }
            if status_only {
                return if victim.killed {
                    Ok(Some(errors::kill_progress(session_id)))
                } else {
                    Err(errors::no_status_report(session_id).into())
                };
            }
            instance.log_error(now, format!("Process ID {id} was killed by process ID {me}."));
            access::kill_session(instance, id, now);
            Ok(None)
        });
        self.me.world.notify();
        outcome
    }
}

fn table_of<'a>(
    database: &'a mut Database,
    key: &str,
    name: &str,
    transaction: Option<TransactionId>,
) -> Result<&'a mut Table, SqlMessage> {
    database
        .storage
        .tables
        .get_mut(key)
        .filter(|table| table.visible_to(transaction))
        .ok_or_else(|| errors::no_object(name))
}

fn full_name(name: &ObjectName) -> String {
    [&name.server, &name.database, &name.schema, &name.name]
        .into_iter()
        .filter(|part| !part.is_empty())
        .cloned()
        .collect::<Vec<_>>()
        .join(".")
}

fn integer(ty: SqlType, number: i64) -> Value {
    match ty {
        SqlType::TinyInt => Value::TinyInt(u8::try_from(number).unwrap_or(u8::MAX)),
        SqlType::SmallInt => Value::SmallInt(i16::try_from(number).unwrap_or(i16::MAX)),
        SqlType::BigInt => Value::BigInt(number),
        SqlType::Numeric { scale, .. } => Value::Numeric {
            unscaled: i128::from(number) * 10_i128.pow(u32::from(scale.min(30))),
            scale,
        },
        _ => Value::Int(i32::try_from(number).unwrap_or(i32::MAX)),
    }
}

fn check_nulls(table: &Table, row: &Row) -> Result<(), SqlMessage> {
    let definition = &table.definition;
    if row.len() != definition.columns.len() {
        return Err(SqlMessage::new(
            213,
            16,
            "Column name or number of supplied values does not match table definition.",
        ));
    }
    for (column, value) in definition.columns.iter().zip(row) {
        if !column.nullable && value.is_null() {
            return Err(errors::null_not_allowed(
                &column.name,
                &format!("{}.{}", definition.schema, definition.name),
            ));
        }
    }
    Ok(())
}

/// Whether another transaction has changed the row and is still open.
pub(super) fn locked(table: &Table, row: u64, transaction: TransactionId) -> bool {
    table
        .rows
        .get(&row)
        .and_then(|row| row.open.as_ref())
        .is_some_and(|(owner, _)| *owner != transaction)
}

#[async_trait]
impl Host for SessionHost {
    fn session_id(&self) -> u16 {
        self.me.session_id
    }

    fn database(&self) -> String {
        self.own_database()
    }

    fn use_database(&mut self, name: &str) -> Result<(), SqlFailure> {
        let me = self.me.session_id;
        let login = self.login.clone();
        self.try_change(|state, key, _| {
            let instance = state.instances.get_mut(key).ok_or_else(errors::killed)?;
            let exact = access::check(instance, name, me, &login)?.name.clone();
            take_single_user_slot(instance, &exact, me);
            if let Some(session) = instance.sessions.get_mut(&me) {
                session.database = exact;
            }
            Ok(())
        })?;
        self.me.world.notify();
        Ok(())
    }

    fn relation(
        &self,
        name: &ObjectName,
        arguments: Option<&[Value]>,
    ) -> Result<Relation, SqlFailure> {
        if let Some(result) = self.system_relation(name, arguments)? {
            return Ok(result);
        }
        if arguments.is_some() {
            return Err(errors::no_object(&full_name(name)).into());
        }
        self.read(name, |table, transaction| {
            let columns = table.definition.columns.clone();
            // A row that was written before a column was added has nothing in it.
            let padded = |row: &Row| {
                let mut row = row.clone();
                row.resize(columns.len(), Value::Null);
                row
            };
            let rows = table.rows_for(transaction).map(|(_, row)| padded(row)).collect();
            Relation { columns, rows }
        })
    }

    fn columns(&self, name: &ObjectName) -> Result<Vec<Column>, SqlFailure> {
        match self.system_relation(name, None)? {
            Some(relation) => Ok(relation.columns),
            None => self.read(name, |table, _| table.definition.columns.clone()),
        }
    }

    fn insert(&mut self, table: &ObjectName, rows: Vec<Row>) -> Result<u64, SqlFailure> {
        if let Some(change) = msdb::named_by(&self.own_database(), table) {
            return msdb::append(&self.me, change, rows);
        }
        let database = self.database_of(table);
        let named = full_name(table);
        self.check_room(&database, &named)?;
        self.write(
            table,
            Action::Data(&database, &table.name, true),
            |database, key, transaction, now| {
                let target = table_of(database, key, &named, Some(transaction))?;
                let mut identity = target.next_identity;
                let mut records = Vec::with_capacity(rows.len());
                for (row_id, mut row) in (target.next_row..).zip(rows) {
                    if let Some((column, _, increment)) = target.definition.identity
                        && row.get(column).is_some_and(Value::is_null)
                        && let Some(ty) = target.definition.columns.get(column).map(|c| c.ty)
                    {
                        row[column] = integer(ty, identity);
                        identity = identity.saturating_add(increment);
                    }
                    check_nulls(target, &row)?;
                    records.push(LogOp::Insert { table: key.to_owned(), row_id, row });
                }
                let count = records.len() as u64;
                for op in records {
                    database.append(now, transaction, op);
                }
                Ok(count)
            },
        )
    }

    fn insert_minimally(&mut self, table: &ObjectName, rows: Vec<Row>) -> Result<u64, SqlFailure> {
        let count = self.insert(table, rows)?;
        let database = self.database_of(table);
        self.update(|state, key, _| {
            if let Some(own) = super::session::database_mut(state, key, &database)
                && own.recovery_model == super::state::RecoveryModel::BulkLogged
            {
                own.condition.bulk_logged = true;
            }
        });
        Ok(count)
    }

    fn table_rules(&self, table: &ObjectName) -> Option<TableRules> {
        let database = self.database_of(table).to_lowercase();
        self.view(|view| {
            let own = view.instance.databases.get(&database)?;
            let found = own.storage.tables.get(&table_key(&table.schema, &table.name))?;
            let definition = &found.definition;
            Some(TableRules {
                identity: definition.identity,
                next_identity: found.next_identity,
                defaults: definition.defaults.clone(),
                computed: definition.computed.clone(),
                constraints: definition.constraints.clone(),
            })
        })
        .flatten()
    }

    fn skip_identities(&mut self, table: &ObjectName, next: i64) {
        let database = self.database_of(table).to_lowercase();
        let name = table_key(&table.schema, &table.name);
        // Not logged: a restored copy may use the numbers.
        self.update(|state, key, _| {
            if let Some(table) = super::session::database_mut(state, key, &database)
                .and_then(|own| own.storage.tables.get_mut(&name))
            {
                table.next_identity = next;
            }
        });
    }

    fn references_to(&self, table: &ObjectName) -> Vec<(ObjectName, Constraint)> {
        let database = self.database_of(table).to_lowercase();
        let key = table_key(&table.schema, &table.name);
        let found = self.view(|view| {
            let own = view.instance.databases.get(&database)?;
            let mut found = Vec::new();
            for other in own.storage.tables.values() {
                let definition = &other.definition;
                for constraint in &definition.constraints {
                    if let ConstraintRule::ForeignKey { schema, table: parent, .. } =
                        &constraint.rule
                        && table_key(schema, parent) == key
                    {
                        let child = ObjectName {
                            server: String::new(),
                            database: table.database.clone(),
                            schema: definition.schema.clone(),
                            name: definition.name.clone(),
                        };
                        found.push((child, constraint.clone()));
                    }
                }
            }
            Some(found)
        });
        found.flatten().unwrap_or_default()
    }

    fn alter_table(
        &mut self,
        name: &ObjectName,
        columns: Vec<Column>,
        rules: TableRules,
        rows: Vec<Row>,
    ) -> Result<(), SqlFailure> {
        let database = self.database_of(name);
        let named = full_name(name);
        self.write(name, Action::Schema(&database), |database, key, transaction, now| {
            let target = table_of(database, key, &named, Some(transaction))?;
            let before = target.definition.clone();
            let ids: Vec<u64> = target.rows_for(Some(transaction)).map(|(id, _)| id).collect();
            if target.rows.keys().any(|id| locked(target, *id, transaction)) {
                return Err(errors::lock_timeout());
            }
            let rewritten = before.columns != columns;
            let after = TableDefinition {
                columns,
                identity: rules.identity,
                defaults: rules.defaults,
                computed: rules.computed,
                constraints: rules.constraints,
                ..before.clone()
            };
            let table = key.to_owned();
            let (before, after) = (Box::new(before), Box::new(after));
            database.append(now, transaction, LogOp::AlterTable { table, before, after });
            if rewritten {
                for (row_id, after) in ids.into_iter().zip(rows) {
                    let table = key.to_owned();
                    database.append(now, transaction, LogOp::Update { table, row_id, after });
                }
            }
            Ok(())
        })
    }

    fn module(&self, name: &ObjectName) -> Option<StoredModule> {
        self.find_module(name)
    }

    fn store_module(
        &mut self,
        name: &ObjectName,
        object_type: &str,
        text: &str,
    ) -> Result<(), SqlFailure> {
        self.put_module(name, object_type, text)
    }

    fn drop_module(&mut self, name: &ObjectName) -> Result<(), SqlFailure> {
        self.remove_module(name)
    }

    fn change(
        &mut self,
        table: &ObjectName,
        changes: Vec<(Row, Option<Row>)>,
    ) -> Result<u64, SqlFailure> {
        if let Some(changed) = msdb::named_by(&self.own_database(), table) {
            return msdb::change(&self.me, changed, changes);
        }
        let database = self.database_of(table);
        let named = full_name(table);
        self.write(
            table,
            Action::Data(&database, &table.name, true),
            |database, key, transaction, now| {
                let target = table_of(database, key, &named, Some(transaction))?;
                let mut used = std::collections::BTreeSet::new();
                let mut records = Vec::with_capacity(changes.len());
                for (before, after) in changes {
                    let found = target
                        .rows_for(Some(transaction))
                        .find(|(id, row)| !used.contains(id) && **row == before)
                        .map(|(id, _)| id);
                    // A row that is gone was changed by someone else since it was read.
                    let Some(row_id) = found else {
                        continue;
                    };
                    if locked(target, row_id, transaction) {
                        return Err(errors::lock_timeout());
                    }
                    used.insert(row_id);
                    records.push(match after {
                        Some(after) => {
                            check_nulls(target, &after)?;
                            LogOp::Update { table: key.to_owned(), row_id, after }
                        }
                        None => LogOp::Delete { table: key.to_owned(), row_id },
                    });
                }
                let count = records.len() as u64;
                for op in records {
                    database.append(now, transaction, op);
                }
                Ok(count)
            },
        )
    }

    fn create_table(
        &mut self,
        name: &ObjectName,
        columns: Vec<Column>,
        rules: TableRules,
    ) -> Result<(), SqlFailure> {
        let database = self.database_of(name);
        let schema = if name.schema.is_empty() { "dbo".to_owned() } else { name.schema.clone() };
        let is_global = name.name.starts_with("##");
        // Everybody may make temporary tables.
        let action = if is_global {
            Action::Data("tempdb", &name.name, false)
        } else {
            Action::Schema(&database)
        };
        self.write(name, action, |database, key, transaction, now| {
            let taken = super::modules::named(database, Some(transaction), &schema, &name.name);
            if database.storage.tables.contains_key(key) || taken.is_some() {
                return Err(errors::object_exists(&name.name));
            }
            let object_id = database.storage.next_object_id;
            database.append(
                now,
                transaction,
                LogOp::CreateTable {
                    definition: Box::new(TableDefinition {
                        schema,
                        name: name.name.clone(),
                        object_id,
                        columns,
                        identity: rules.identity,
                        defaults: rules.defaults,
                        computed: rules.computed,
                        constraints: rules.constraints,
                        created: now,
                    }),
                },
            );
            Ok(())
        })?;
        if is_global {
            // It goes with the session that made it.
            let me = self.me.session_id;
            let made = name.name.to_lowercase();
            self.update(|state, key, _| {
                if let Some(session) = session_mut(state, key, me) {
                    session.global_tables.push(made);
                }
            });
        }
        Ok(())
    }

    fn drop_table(&mut self, name: &ObjectName) -> Result<(), SqlFailure> {
        let database = self.database_of(name);
        self.write(name, Action::Schema(&database), |database, key, transaction, now| {
            table_of(database, key, &name.name, Some(transaction))
                .map_err(|_| errors::cannot_drop("table", &name.name).with_state(5))?;
            database.append(now, transaction, LogOp::DropTable { table: key.to_owned() });
            Ok(())
        })
    }

    fn procedure(&self, name: &ObjectName) -> Option<Vec<ProcedureParameter>> {
        msdb::procedure_for(&self.me, name)
    }

    async fn call(
        &mut self,
        name: &ObjectName,
        arguments: Vec<Argument>,
        sink: &mut dyn Sink,
    ) -> Result<CallResult, SqlFailure> {
        self.settle().await;
        msdb::call(&self.me, name, arguments, sink).await
    }

    async fn admin(&mut self, statement: Admin, sink: &mut dyn Sink) -> Result<u16, SqlFailure> {
        self.settle().await;
        match statement {
            Admin::Backup(statement) => backup::run(self, statement, sink).await,
            Admin::Restore(statement) => restore::run(self, statement, sink).await,
            Admin::RestoreInformation(statement) => information::run(self, statement, sink).await,
            Admin::CreateDatabase { name, files } => alter::create(self, &name, &files).await,
            Admin::DropDatabase { names, if_exists } => alter::drop(self, &names, if_exists),
            Admin::AlterDatabase(statement) => alter::run(self, statement, sink).await,
            Admin::CreateEndpoint(endpoint) => mirroring::create_endpoint(self, endpoint),
            Admin::AlterEndpoint { name, state } => mirroring::alter_endpoint(self, &name, &state),
            Admin::DropEndpoint { name } => mirroring::drop_endpoint(self, &name),
            Admin::Kill { session_id, status_only } => {
                if let Some(message) = self.kill(session_id, status_only)? {
                    sink.message(message).await;
                }
                Ok(0)
            }
            Admin::KillOutcome => Err(self.kill_other(errors::no_outcome())),
            Admin::KillTransaction { unit_of_work } => {
                Err(self.kill_other(errors::no_unit_of_work(&unit_of_work)))
            }
            Admin::Checkpoint => {
                let database = self.own_database();
                self.try_change(|state, key, now| {
                    let instance = state.instances.get(key).ok_or_else(errors::killed)?;
                    security::may(instance, &self.login, Action::Checkpoint(&database))?;
                    checkpoint(state, key, &database, now);
                    Ok(())
                })?;
                Ok(0)
            }
            Admin::Dbcc { command, arguments, options } => {
                alter::dbcc(self, &command, &arguments, &options, sink).await
            }
            Admin::Reconfigure => {
                self.try_change(|state, key, _| {
                    let instance = state.instances.get_mut(key).ok_or_else(errors::killed)?;
                    security::may(instance, &self.login, Action::Maintenance)?;
                    super::system_procedures::reconfigure(instance);
                    Ok(())
                })?;
                Ok(0)
            }
            other => {
                let database = self.own_database();
                let login = self.login.clone();
                self.try_change(|state, key, now| {
                    if let Some(done) =
                        security::certificate(state, key, now, &login, &database, &other)
                    {
                        return done;
                    }
                    security::admin(state, key, &login, &database, &other).unwrap_or_else(|| {
                        Err(SqlMessage::new(
                            40510,
                            16,
                            "This statement is not supported in this version of SQL Server.",
                        )
                        .into())
                    })
                })
            }
        }
    }

    fn function(
        &self,
        name: &str,
        arguments: &[Value],
    ) -> Option<Result<(SqlType, Value), SqlFailure>> {
        // What is drawn anew each time comes from the world's seed.
        if arguments.is_empty() && (name == "NEWID" || name == "RAND") {
            return self.update(|state, _, _| {
                Ok(if name == "NEWID" {
                    (SqlType::UniqueIdentifier, Value::Uuid(state.random.guid()))
                } else {
                    let number = (state.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                    (SqlType::Float, Value::Float(number))
                })
            });
        }
        if let ("CRYPT_GEN_RANDOM", [length]) = (name, arguments) {
            let length = match length {
                Value::Int(length) => i64::from(*length),
                Value::BigInt(length) => *length,
                _ => 0,
            };
            let length = usize::try_from(length).ok().filter(|n| *n <= 8000).unwrap_or_default();
            return self.update(|state, _, _| {
                let mut bytes = Vec::with_capacity(length);
                while bytes.len() < length {
                    bytes.extend_from_slice(&state.random.next_u64().to_le_bytes());
                }
                bytes.truncate(length);
                let value = if length == 0 { Value::Null } else { Value::Binary(bytes.into()) };
                Ok((SqlType::VarBinary(crate::value::Length::Up(8000)), value))
            });
        }
        self.view(|view| catalog::function(view, name, arguments)).flatten()
    }

    fn global(&self, name: &str) -> Option<(SqlType, Value)> {
        self.view(|view| catalog::global(view, name)).flatten()
    }

    fn begin(&mut self) -> Result<u64, SqlFailure> {
        let me = self.me.session_id;
        self.try_change(|state, key, _| {
            let descriptor = state.random.next_u64();
            if let Some(session) = session_mut(state, key, me) {
                session.transaction_count = 1;
            }
            Ok(descriptor)
        })
    }

    fn commit(&mut self) -> Result<(), SqlFailure> {
        self.finish_transaction(true)
    }

    fn save(&mut self, name: &str) -> Result<(), SqlFailure> {
        let me = self.me.session_id;
        let ends = self.try_change(|state, key, _| {
            let instance = state.instances.get(key).ok_or_else(errors::killed)?;
            let session = instance.sessions.get(&me).ok_or_else(errors::killed)?;
            let end = |database: &String| {
                instance.databases.get(database).map(|own| (database.clone(), own.log.next))
            };
            Ok(session.transactions.keys().filter_map(end).collect())
        })?;
        self.savepoints.push(Savepoint { name: name.to_owned(), ends });
        Ok(())
    }

    fn rollback_to(&mut self, name: &str) -> Result<bool, SqlFailure> {
        let Some(at) = self.savepoints.iter().rposition(|point| point.name == name) else {
            return Ok(false);
        };
        self.savepoints.truncate(at + 1);
        let ends = self.savepoints.last().map(|point| point.ends.clone()).unwrap_or_default();
        let me = self.me.session_id;
        self.try_change(|state, key, now| {
            let session = session_mut(state, key, me).ok_or_else(errors::killed)?;
            for (database, transaction) in session.transactions.clone() {
                let to = ends.get(&database).copied().unwrap_or(transaction);
                if let Some(own) = super::session::database_mut(state, key, &database) {
                    own.undo_since(now, transaction, to);
                }
                mirroring::ship(state, key, &database);
            }
            Ok(())
        })?;
        self.me.world.notify();
        Ok(true)
    }

    fn rollback(&mut self) {
        let _gone = self.finish_transaction(false);
    }

    async fn wait(&mut self, duration: Duration) {
        let _stopped = self.pause(duration).await;
    }

    fn is_cancelled(&self) -> bool {
        self.stopped()
    }

    fn running(&mut self, command: &str) {
        let me = self.me.session_id;
        let ended = self.ended.clone();
        self.update(|state, key, now| {
            if state.kill_inside.remove(&(key.to_owned(), me)) {
                ended.cancel();
                if let Some(instance) = state.instances.get_mut(key) {
                    access::kill_session(instance, me, now);
                }
                return;
            }
            if let Some(request) =
                session_mut(state, key, me).and_then(|session| session.request.as_mut())
            {
                request.command = command.to_owned();
                request.percent_complete = 0.0;
                request.database = None;
            }
        });
    }
}

fn checkpoint(state: &mut WorldState, key: &str, database: &str, now: jiff::Timestamp) -> Lsn {
    let lsn = super::session::database_mut(state, key, database)
        .filter(|database| {
            database.status == super::state::Status::Online && database.standby.is_none()
        })
        .map_or(Lsn::ZERO, |database| database.checkpoint(now));
    mirroring::ship(state, key, database);
    lsn
}

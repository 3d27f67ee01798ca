//! Catalogue views, dynamic management views and functions, server functions and globals.
//!
//! Every view is computed from the state when it is read. A view shows all the columns that its
//! release documents; what the stand-in has no state for holds the documented default.

mod certificates;
pub mod columns;
mod databases;
mod files;
mod functions;
mod links;
mod mirroring;
mod objects;
mod principals;
mod server;
mod sessions;

use jiff::Timestamp;

use self::columns::{ColumnDef, of_release};
use super::msdb::store::shaped;
use super::msdb::{MsdbTable, backup_history};
use super::security;
use super::state::{InstanceState, SessionState, WorldState};
use super::world::World;
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::ObjectName;
use crate::value::{Relation, Row, SqlType, Value};

pub use files::{FileEntry, entries};
pub(crate) use files::{drives, existence, matches};
pub(crate) use server::{OPTIONS, configured};
pub(crate) use sessions::status_and_command;

/// What a view or function is evaluated over. The world's mutex is held: nothing here may lock it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// For paths and other facts that need no lock.
    pub world: &'a World,
    /// Everything.
    pub state: &'a WorldState,
    /// The instance that is asked.
    pub instance: &'a InstanceState,
    /// The session that asks.
    pub session: &'a SessionState,
    /// Now, UTC.
    pub now: Timestamp,
}

impl<'a> View<'a> {
    /// Major version of the release.
    pub fn major(&self) -> u8 {
        self.instance.config.version.0
    }

    /// Whether the asking login is a sysadmin.
    pub fn is_sysadmin(&self) -> bool {
        self.instance.security.in_role(&self.session.login, "sysadmin")
    }

    /// Whether the asking login has a server permission.
    pub fn has(&self, permission: &str) -> bool {
        security::has_server_permission(self.instance, &self.session.login, permission)
    }

    /// A time as this server's `datetime`.
    pub fn local(&self, at: Timestamp) -> Value {
        let minutes = self.instance.config.utc_offset_minutes;
        Value::DateTime(super::msdb::around::local(at, minutes))
    }

    /// The database that a name means: its own, else the current one.
    pub fn database_of(&self, name: &'a ObjectName) -> &'a str {
        if name.database.is_empty() { &self.session.database } else { &name.database }
    }

    /// # Errors
    ///
    /// 300 and 297 without VIEW SERVER STATE, or what this release calls the part that is needed.
    pub fn must_see_state(&self, part: &str) -> Result<(), SqlFailure> {
        let needed = if self.major() >= 16 { part } else { "VIEW SERVER STATE" };
        if self.has(needed) {
            return Ok(());
        }
        Err(SqlFailure(vec![
            SqlMessage::new(
                300,
                14,
                format!("{needed} permission was denied on object 'server', database 'master'."),
            ),
            SqlMessage::new(297, 16, "The user does not have permission to perform this action."),
        ]))
    }
}

/// Values of a row by column name.
pub type Named = Vec<(&'static str, Value)>;

/// Rows under a release's columns. A column that a row does not name holds NULL where it may, else
/// the type's zero, empty or false.
pub fn rows(defs: &[ColumnDef], major: u8, rows: Vec<Named>) -> Relation {
    let kept: Vec<&ColumnDef> = defs.iter().filter(|c| c.since <= major).collect();
    debug_assert!(
        rows.iter().flatten().all(|(name, _)| defs.iter().any(|d| d.name == *name)),
        "a row names a column that its view does not have"
    );
    let empty: Row = kept.iter().map(|column| nothing(column)).collect();
    // Rows of one view name the same columns in the same order: where a value belongs is where one of
    // that name belonged in the row before, and the names are even the same bytes.
    let mut places: Vec<(&'static str, Option<usize>)> = Vec::new();
    let rows = rows.into_iter().map(|row| {
        let mut filled = empty.clone();
        places.resize(places.len().max(row.len()), ("", None));
        // Backwards, because the first of two values of one column counts.
        for (place, (name, value)) in places.iter_mut().zip(row).rev() {
            if !std::ptr::eq(place.0, name) {
                *place = (name, kept.iter().position(|column| column.name == name));
            }
            if let Some(at) = place.1 {
                filled[at] = shaped(kept[at].ty, value);
            }
        }
        filled
    });
    let rows = rows.collect();
    Relation { columns: of_release(defs, major), rows }
}

/// What a column holds when nobody gave it a value: NULL where it may, else the type's zero.
pub(crate) fn nothing(column: &ColumnDef) -> Value {
    if column.nullable {
        return Value::Null;
    }
    match column.ty {
        SqlType::Bit
        | SqlType::TinyInt
        | SqlType::SmallInt
        | SqlType::Int
        | SqlType::BigInt
        | SqlType::Numeric { .. } => shaped(column.ty, Value::Int(0)),
        SqlType::Real => Value::Real(0.0),
        SqlType::UniqueIdentifier => Value::Uuid(uuid::Uuid::nil()),
        SqlType::VarBinary(_) | SqlType::Binary(_) => Value::Binary(std::sync::Arc::from([])),
        SqlType::DateTime | SqlType::DateTime2(_) => {
            Value::DateTime(jiff::civil::date(1900, 1, 1).at(0, 0, 0, 0))
        }
        _ => Value::string(""),
    }
}

/// The rows of a system object (schema `sys`, `INFORMATION_SCHEMA`, the tables of msdb, table-valued
/// system functions); `None` when the name is no system object.
///
/// # Errors
///
/// 229, 297, 300 and their like.
pub fn relation(
    view: View<'_>,
    name: &ObjectName,
    arguments: Option<&[Value]>,
) -> Option<Result<Relation, SqlFailure>> {
    if !name.server.is_empty() {
        return None;
    }
    let schema = name.schema.to_lowercase();
    let object = name.name.to_lowercase();
    let database = view.database_of(name);
    if let Some(arguments) = arguments {
        return (schema == "sys").then(|| function_table(view, &object, arguments)).flatten();
    }
    // The compatibility views are found without a schema, and in master under dbo.
    let compatibility = matches!(object.as_str(), "sysprocesses" | "sysdatabases")
        && (schema.is_empty() || schema == "dbo");
    if schema == "sys" || compatibility {
        view.instance.database(database)?;
        return system_view(view, database, &object);
    }
    if schema == "information_schema" {
        return objects::information_schema(view, database, &object);
    }
    if matches!(schema.as_str(), "" | "dbo") && database.eq_ignore_ascii_case("msdb") {
        return msdb_table(view, &object);
    }
    None
}

fn system_view(
    view: View<'_>,
    database: &str,
    object: &str,
) -> Option<Result<Relation, SqlFailure>> {
    Some(match object {
        "databases" => Ok(databases::databases(view)),
        "master_files" => Ok(databases::master_files(view)),
        "database_files" => Ok(databases::database_files(view, database)),
        "database_recovery_status" => Ok(databases::recovery_status(view)),
        "sysdatabases" => Ok(databases::sysdatabases(view)),
        "dm_db_log_space_usage" if view.major() >= 11 => databases::log_space_usage(view, database),
        "database_mirroring" => Ok(mirroring::mirroring(view)),
        "database_mirroring_witnesses" => Ok(mirroring::witnesses(view)),
        "database_mirroring_endpoints" => Ok(mirroring::mirroring_endpoints(view)),
        "endpoints" => Ok(mirroring::endpoints(view)),
        "tcp_endpoints" => Ok(mirroring::tcp_endpoints(view)),
        "dm_db_mirroring_connections" => mirroring::connections(view),
        "dm_exec_sessions" => Ok(sessions::sessions(view)),
        "dm_exec_requests" => Ok(sessions::requests(view)),
        "dm_exec_connections" => sessions::connections(view),
        "dm_tran_locks" => sessions::locks(view),
        "sysprocesses" => Ok(sessions::processes(view)),
        "server_principals" => Ok(principals::server_principals(view)),
        "sql_logins" => Ok(principals::sql_logins(view)),
        "server_role_members" => Ok(principals::server_role_members(view)),
        "certificates" => Ok(certificates::certificates(view, database)),
        "symmetric_keys" => Ok(certificates::symmetric_keys(view, database)),
        "servers" => Ok(links::servers(view)),
        "linked_logins" => Ok(links::linked_logins(view)),
        "server_permissions" => Ok(principals::server_permissions(view)),
        "database_principals" => Ok(principals::database_principals(view, database)),
        "database_role_members" => Ok(principals::database_role_members(view, database)),
        "database_permissions" => Ok(principals::database_permissions(view, database)),
        "configurations" => Ok(server::configurations(view)),
        "dm_server_services" => server::services(view),
        "dm_os_sys_info" => server::sys_info(view),
        "dm_os_host_info" if view.major() >= 14 => server::host_info(view),
        "dm_os_enumerate_fixed_drives" if view.major() >= 15 => Ok(files::fixed_drives(view)),
        "messages" => Ok(server::messages(view)),
        "schemas" => Ok(objects::schemas(view, database)),
        "objects" | "all_objects" => Ok(objects::objects(view, database)),
        "tables" => Ok(objects::tables(view, database)),
        "columns" | "all_columns" => Ok(objects::columns(view, database)),
        "types" => Ok(objects::types(view)),
        _ => return None,
    })
}

fn function_table(
    view: View<'_>,
    object: &str,
    arguments: &[Value],
) -> Option<Result<Relation, SqlFailure>> {
    let from_14 = view.major() >= 14;
    Some(match object {
        "dm_os_enumerate_filesystem" if from_14 => files::enumerate(view, arguments),
        "dm_os_file_exists" if from_14 => files::file_exists(view, arguments),
        "dm_os_volume_stats" => files::volume_stats(view, arguments),
        "dm_exec_sql_text" => sessions::sql_text(view, arguments),
        _ => return None,
    })
}

/// The error of a missing permission on an object.
pub fn denied(permission: &str, object: &str, database: &str, schema: &str) -> SqlFailure {
    SqlMessage::new(
        229,
        14,
        format!("The {permission} permission was denied on the object '{object}', database '{database}', schema '{schema}'."),
    )
    .with_state(5)
    .into()
}

/// # Errors
///
/// 229 unless the login may read that table of `msdb`.
fn must_read_msdb(view: View<'_>, object: &str) -> Result<(), SqlFailure> {
    let login = &view.session.login;
    let role = |r: &str| security::is_database_role_member(view.instance, login, "msdb", r);
    let allowed = role("db_datareader")
        || security::has_database_permission(view.instance, login, "msdb", "SELECT", Some(object));
    if allowed { Ok(()) } else { Err(denied("SELECT", object, "msdb", "dbo")) }
}

fn msdb_table(view: View<'_>, object: &str) -> Option<Result<Relation, SqlFailure>> {
    let msdb = &view.instance.msdb;
    let major = view.major();
    if object == "sysjobs_view" {
        return Some(Ok(jobs_view(view)));
    }
    let found = match MsdbTable::named(object) {
        Some(table) => msdb[table].relation(major),
        None => backup_history::table(&msdb.history, object, major)?,
    };
    Some(must_read_msdb(view, object).map(|()| found))
}

/// `sysjobs_view`: open to the Agent roles, who see their own jobs, or all of them.
fn jobs_view(view: View<'_>) -> Relation {
    let caller = super::msdb::around::caller(view.instance, &view.session.login);
    let all = caller.is_sysadmin || caller.agent_role >= super::msdb::AgentRole::Reader;
    let mut relation = view.instance.msdb[MsdbTable::Jobs].relation(view.major());
    let owner = relation.columns.iter().position(|c| c.name == "owner_sid");
    relation.rows.retain(|row| {
        all || owner.is_some_and(|i| matches!(&row[i], Value::Binary(sid) if **sid == *caller.sid))
    });
    for (at, name, ty) in [(2, "originating_server", SqlType::SYSNAME)] {
        relation.columns.insert(at, crate::value::Column::new(name, ty));
        for row in &mut relation.rows {
            row.insert(at, Value::string(&view.instance.config.name));
        }
    }
    relation
}

/// A scalar function; `None` when there is no such function.
pub fn function(
    view: View<'_>,
    name: &str,
    arguments: &[Value],
) -> Option<Result<(SqlType, Value), SqlFailure>> {
    functions::call(view, name, arguments)
}

/// A global, name in upper case with its `@@`; `None` when there is no such global.
pub fn global(view: View<'_>, name: &str) -> Option<(SqlType, Value)> {
    functions::global(view, name)
}

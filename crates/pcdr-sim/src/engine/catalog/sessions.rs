//! Sessions, requests, connections and locks.
//!
//! Source: the vendor's pages of the views; order of `sys.dm_exec_sessions` as observed on release 17.

use std::sync::Arc;

use super::columns::objects::{DM_EXEC_CONNECTIONS, DM_EXEC_SQL_TEXT, DM_TRAN_LOCKS, SYSPROCESSES};
use super::columns::server::{DM_EXEC_REQUESTS, DM_EXEC_SESSIONS};
use super::{Named, View, rows};
use crate::engine::state::{InstanceState, SessionState};
use crate::message::SqlFailure;
use crate::value::{Relation, Value};

/// Whether the login sees the sessions of others.
fn sees_all(view: View<'_>) -> bool {
    let needed =
        if view.major() >= 16 { "VIEW SERVER PERFORMANCE STATE" } else { "VIEW SERVER STATE" };
    view.has(needed)
}

fn seen<'a>(view: View<'a>) -> impl Iterator<Item = &'a SessionState> {
    let all = sees_all(view);
    let me = view.session.id;
    view.instance.sessions.values().filter(move |s| all || s.id == me)
}

fn database_id(instance: &InstanceState, name: &str) -> Value {
    Value::Int(instance.database(name).map_or(0, |d| d.id))
}

fn sid(instance: &InstanceState, login: &str) -> Value {
    let logins = &instance.security.logins;
    let sid = logins.get(&login.to_lowercase()).map(|l| l.sid.clone());
    Value::Binary(sid.unwrap_or_default().into())
}

fn milliseconds(view: View<'_>, since: jiff::Timestamp) -> Value {
    let ms = view.now.duration_since(since).as_millis().max(0);
    Value::Int(i32::try_from(ms).unwrap_or(i32::MAX))
}

/// The SET options that a session has by default, as both views show them.
fn options() -> [(&'static str, Value); 11] {
    let on = Value::Bit(true);
    [
        ("text_size", Value::Int(i32::MAX)),
        ("language", Value::string("us_english")),
        ("date_format", Value::string("mdy")),
        ("date_first", Value::SmallInt(7)),
        ("quoted_identifier", on.clone()),
        ("ansi_null_dflt_on", on.clone()),
        ("ansi_warnings", on.clone()),
        ("ansi_padding", on.clone()),
        ("ansi_nulls", on.clone()),
        ("concat_null_yields_null", on),
        ("transaction_isolation_level", Value::SmallInt(2)),
    ]
}

/// `sys.dm_exec_sessions`.
pub(super) fn sessions(view: View<'_>) -> Relation {
    let named = seen(view)
        .map(|s| {
            let running = s.request.is_some();
            let mut row: Named = vec![
                ("session_id", Value::Int(i32::from(s.id))),
                ("login_time", view.local(s.login_time)),
                ("host_name", Value::string(&s.host_name)),
                ("program_name", Value::string(&s.program_name)),
                ("host_process_id", Value::BigInt(i64::from(s.process_id))),
                ("client_version", Value::Int(7)),
                ("client_interface_name", Value::string(&s.interface_name)),
                ("security_id", sid(view.instance, &s.login)),
                ("login_name", Value::string(&s.login)),
                ("status", Value::string(if running { "running" } else { "sleeping" })),
                ("memory_usage", Value::Int(4)),
                ("endpoint_id", Value::Int(4)),
                ("last_request_start_time", view.local(s.last_request_start)),
                ("last_request_end_time", view.local(s.last_request_end)),
                ("is_user_process", Value::Bit(s.is_user)),
                ("lock_timeout", Value::Int(-1)),
                ("original_security_id", sid(view.instance, &s.login)),
                ("original_login_name", Value::string(&s.login)),
                ("group_id", Value::Int(2)),
                ("database_id", database_id(view.instance, &s.database)),
                ("authenticating_database_id", Value::Int(1)),
                ("open_transaction_count", Value::BigInt(i64::from(s.transaction_count))),
            ];
            row.extend(options());
            row
        })
        .collect();
    rows(DM_EXEC_SESSIONS, view.major(), named)
}

/// `sys.dm_exec_requests`.
pub(super) fn requests(view: View<'_>) -> Relation {
    let named = seen(view)
        .filter_map(|s| Some((s, s.request.as_ref()?)))
        .map(|(s, r)| {
            let status = if s.killed {
                "rollback"
            } else if r.wait_type.is_some() || r.blocked_by.is_some() {
                "suspended"
            } else {
                "running"
            };
            let wait = r.wait_type.as_deref();
            let mut row: Named = vec![
                ("session_id", Value::Int(i32::from(s.id))),
                ("start_time", view.local(r.start)),
                ("status", Value::string(status)),
                ("command", Value::string(&r.command)),
                ("sql_handle", handle(s.id)),
                ("database_id", database_id(view.instance, &s.database)),
                ("user_id", Value::Int(1)),
                ("blocking_session_id", Value::Int(r.blocked_by.map_or(0, i32::from))),
                ("wait_type", wait.map_or(Value::Null, Value::string)),
                ("last_wait_type", Value::string(wait.unwrap_or("MISCELLANEOUS"))),
                ("open_transaction_count", Value::BigInt(i64::from(s.transaction_count))),
                ("open_resultset_count", Value::Int(1)),
                ("percent_complete", Value::Real(r.percent_complete)),
                ("estimated_completion_time", Value::BigInt(r.estimated_completion_ms)),
                ("total_elapsed_time", milliseconds(view, r.start)),
                ("lock_timeout", Value::Int(-1)),
                ("group_id", Value::Int(2)),
            ];
            row.extend(options());
            row
        })
        .collect();
    rows(DM_EXEC_REQUESTS, view.major(), named)
}

/// The handle of what a session runs: its own id, since nothing else is cached.
fn handle(session: u16) -> Value {
    let mut bytes = vec![2_u8, 0, 0, 0];
    bytes.extend(session.to_be_bytes());
    bytes.resize(20, 0);
    Value::Binary(bytes.into())
}

/// `sys.dm_exec_sql_text(handle)`: the text of a request that runs; none is kept after its end.
///
/// # Errors
///
/// 300 and 297.
pub(super) fn sql_text(view: View<'_>, arguments: &[Value]) -> Result<Relation, SqlFailure> {
    view.must_see_state("VIEW SERVER PERFORMANCE STATE")?;
    let session = match arguments.first() {
        Some(Value::Binary(bytes)) if bytes.len() >= 6 => {
            Some(u16::from_be_bytes([bytes[4], bytes[5]]))
        }
        _ => None,
    };
    let running =
        session.and_then(|id| view.instance.sessions.get(&id)).and_then(|s| s.request.as_ref());
    let named = running.map(|r| vec![("text", Value::string(&*r.text))]).into_iter().collect();
    Ok(rows(DM_EXEC_SQL_TEXT, view.major(), named))
}

/// `sys.dm_exec_connections`.
///
/// # Errors
///
/// 300 and 297.
pub(super) fn connections(view: View<'_>) -> Result<Relation, SqlFailure> {
    view.must_see_state("VIEW SERVER SECURITY STATE")?;
    let named = view
        .instance
        .sessions
        .values()
        .map(|s| {
            let id = uuid::Uuid::from_u64_pair(s.serial, u64::from(s.id));
            let encrypted = if s.connection.encrypted { "TRUE" } else { "FALSE" };
            vec![
                ("session_id", Value::Int(i32::from(s.id))),
                ("most_recent_session_id", Value::Int(i32::from(s.id))),
                ("connect_time", view.local(s.login_time)),
                ("net_transport", Value::string("TCP")),
                ("protocol_type", Value::string("TSQL")),
                ("protocol_version", Value::Int(s.connection.tds_version as i32)),
                ("endpoint_id", Value::Int(4)),
                ("encrypt_option", Value::string(encrypted)),
                ("auth_scheme", Value::string("SQL")),
                ("last_read", view.local(s.last_request_start)),
                ("last_write", view.local(s.last_request_end)),
                ("net_packet_size", Value::Int(s.connection.packet_size_bytes.into())),
                ("client_net_address", Value::string("127.0.0.1")),
                ("local_tcp_port", Value::Int(1433)),
                ("connection_id", Value::Uuid(id)),
            ]
        })
        .collect();
    Ok(rows(DM_EXEC_CONNECTIONS, view.major(), named))
}

/// `sys.dm_tran_locks`: the locks on databases, which decide who keeps whom out.
///
/// # Errors
///
/// 300 and 297.
pub(super) fn locks(view: View<'_>) -> Result<Relation, SqlFailure> {
    view.must_see_state("VIEW SERVER PERFORMANCE STATE")?;
    let lock = |database: i32, mode: &str, status: &str, session: u16| -> Named {
        vec![
            ("resource_type", Value::string("DATABASE")),
            ("resource_database_id", Value::Int(database)),
            ("request_mode", Value::string(mode)),
            ("request_type", Value::string("LOCK")),
            ("request_status", Value::string(status)),
            ("request_reference_count", Value::SmallInt(1)),
            ("request_session_id", Value::Int(i32::from(session))),
            ("request_owner_type", Value::string("SHARED_TRANSACTION_WORKSPACE")),
        ]
    };
    let mut named = Vec::new();
    for database in view.instance.databases.values() {
        let key = database.name.to_lowercase();
        for s in view.instance.sessions.values() {
            let here = s.database.to_lowercase() == key;
            let works = s.transactions.contains_key(&key)
                || s.request.as_ref().is_some_and(|r| r.database.as_deref() == Some(key.as_str()));
            // The holder of a single-user database keeps its lock even from master. Nobody needs a
            // lock to be in master or tempdb.
            let holds = database.single_user_holder == Some(s.id);
            if database.exclusive == Some(s.id) {
                named.push(lock(database.id, "X", "GRANT", s.id));
            } else if holds || works || (here && !matches!(key.as_str(), "master" | "tempdb")) {
                named.push(lock(database.id, "S", "GRANT", s.id));
            }
            let waits = s.request.as_ref().filter(|r| r.blocked_by.is_some());
            if waits.is_some_and(|r| r.database.as_deref() == Some(key.as_str())) {
                named.push(lock(database.id, "X", "WAIT", s.id));
            }
        }
    }
    Ok(rows(DM_TRAN_LOCKS, view.major(), named))
}

/// What the old views say of a session: status and command.
pub(crate) fn status_and_command(s: &SessionState) -> (&'static str, String) {
    match &s.request {
        Some(r) if r.wait_type.is_some() || r.blocked_by.is_some() => {
            ("suspended", r.command.clone())
        }
        Some(r) => ("runnable", r.command.clone()),
        None => ("sleeping", "AWAITING COMMAND".to_owned()),
    }
}

/// Text padded to the width of its column.
fn padded(text: &str, width: usize) -> Value {
    let cut: String = text.chars().take(width).collect();
    Value::string(format!("{cut:<width$}"))
}

/// `sys.sysprocesses`.
pub(super) fn processes(view: View<'_>) -> Relation {
    let zero = |n: usize| Value::Binary(Arc::from(vec![0_u8; n]));
    let named = seen(view)
        .map(|s| {
            let (status, command) = status_and_command(s);
            let blocked = s.request.as_ref().and_then(|r| r.blocked_by);
            vec![
                ("spid", Value::Int(i32::from(s.id))),
                ("blocked", Value::Int(blocked.map_or(0, i32::from))),
                ("waittype", zero(2)),
                ("lastwaittype", padded("MISCELLANEOUS", 32)),
                ("dbid", database_id(view.instance, &s.database)),
                ("login_time", view.local(s.login_time)),
                ("last_batch", view.local(s.last_request_start)),
                ("open_tran", Value::BigInt(i64::from(s.transaction_count))),
                ("status", padded(status, 30)),
                ("sid", sid(view.instance, &s.login)),
                ("hostname", padded(&s.host_name, 128)),
                ("program_name", padded(&s.program_name, 128)),
                ("hostprocess", padded(&s.process_id.to_string(), 10)),
                ("cmd", padded(&command, 16)),
                ("loginame", padded(&s.login, 128)),
                ("context_info", zero(128)),
                ("sql_handle", zero(20)),
            ]
        })
        .collect();
    rows(SYSPROCESSES, view.major(), named)
}

//! Databases and their files.
//!
//! Source: the vendor's pages of `sys.databases`, `sys.master_files`,
//! `sys.database_recovery_status` and `sys.dm_db_log_space_usage`.

use super::columns::objects::SYSDATABASES;
use super::columns::server::{
    DATABASE_RECOVERY_STATUS, DATABASES, DM_DB_LOG_SPACE_USAGE, MASTER_FILES,
};
use super::{Named, View, rows};
use crate::engine::log::LogRecord;
use crate::engine::lsn::Lsn;
use crate::engine::state::{Database, Status};
use crate::message::SqlFailure;
use crate::value::{Relation, Value};

/// The databases that the login sees, by id. A closed one is hidden from logins without rights.
pub(super) fn visible<'a>(view: View<'a>) -> Vec<&'a Database> {
    let login = &view.session.login;
    let creates = view.has("CREATE ANY DATABASE");
    let all = view.has("VIEW ANY DATABASE");
    let mut found: Vec<&Database> = view
        .instance
        .databases
        .values()
        .filter(|d| {
            let own = d.owner.eq_ignore_ascii_case(login);
            let system = matches!(d.name.as_str(), "master" | "tempdb");
            own || creates || system || (all && d.status != Status::Offline)
        })
        .collect();
    found.sort_by_key(|d| d.id);
    found
}

fn bit(column: &'static str, on: bool) -> (&'static str, Value) {
    (column, Value::Bit(on))
}

/// Whether the database is open, so that what is kept inside it can be read.
fn is_open(d: &Database) -> bool {
    matches!(d.status, Status::Online | Status::Emergency)
}

/// `log_reuse_wait`: why the log cannot be cut shorter.
fn log_reuse_wait(d: &Database) -> (u8, &'static str) {
    if d.backup_running.is_some() {
        (3, "ACTIVE_BACKUP_OR_RESTORE")
    } else if d.storage.oldest_open().is_some() {
        (4, "ACTIVE_TRANSACTION")
    } else if d.mirroring.as_ref().is_some_and(|m| m.suspended) {
        (5, "DATABASE_MIRRORING")
    } else if d.keeps_log() && d.last_log_backup_lsn.is_some_and(|l| l < d.log.next) {
        (2, "LOG_BACKUP")
    } else {
        (0, "NOTHING")
    }
}

fn owner_sid(view: View<'_>, d: &Database) -> Value {
    let logins = &view.instance.security.logins;
    let sid = logins.get(&d.owner.to_lowercase()).map(|l| l.sid.clone());
    Value::Binary(sid.unwrap_or_else(|| vec![1]).into())
}

fn database(view: View<'_>, d: &Database) -> Named {
    let (state, state_desc) = d.status.code();
    let (access, access_desc) = d.user_access.code();
    let (model, model_desc) = d.recovery_model.code();
    let (wait, wait_desc) = log_reuse_wait(d);
    let collation = if is_open(d) { Value::string(&d.collation) } else { Value::Null };
    vec![
        ("name", Value::string(&d.name)),
        ("database_id", Value::Int(d.id)),
        ("owner_sid", owner_sid(view, d)),
        ("create_date", view.local(d.created)),
        ("compatibility_level", Value::TinyInt(d.compatibility_level)),
        ("collation_name", collation),
        ("user_access", Value::TinyInt(access)),
        ("user_access_desc", Value::string(access_desc)),
        bit("is_read_only", d.read_only || d.standby.is_some()),
        ("state", Value::TinyInt(state)),
        ("state_desc", Value::string(state_desc)),
        bit("is_in_standby", d.standby.is_some()),
        bit("is_cleanly_shutdown", d.status == Status::Offline),
        ("snapshot_isolation_state_desc", Value::string("OFF")),
        ("recovery_model", Value::TinyInt(model)),
        ("recovery_model_desc", Value::string(model_desc)),
        ("page_verify_option", Value::TinyInt(2)),
        ("page_verify_option_desc", Value::string("CHECKSUM")),
        bit("is_auto_create_stats_on", true),
        bit("is_auto_update_stats_on", true),
        bit("is_fulltext_enabled", true),
        bit("is_db_chaining_on", d.is_system && d.name != "model"),
        bit("is_master_key_encrypted_by_server", d.name == "master"),
        ("service_broker_guid", Value::Uuid(d.broker_guid)),
        bit("is_broker_enabled", matches!(d.name.as_str(), "msdb" | "tempdb")),
        ("log_reuse_wait", Value::TinyInt(wait)),
        ("log_reuse_wait_desc", Value::string(wait_desc)),
        ("containment_desc", Value::string("NONE")),
        ("target_recovery_time_in_seconds", Value::Int(60)),
        ("delayed_durability", Value::Int(0)),
        ("delayed_durability_desc", Value::string("DISABLED")),
        bit("is_temporal_history_retention_enabled", true),
        ("catalog_collation_type", Value::Int(0)),
        ("catalog_collation_type_desc", Value::string("DATABASE_DEFAULT")),
    ]
}

/// `sys.databases`.
pub(super) fn databases(view: View<'_>) -> Relation {
    let all = visible(view);
    let named = all.into_iter().map(|d| database(view, d)).collect();
    rows(DATABASES, view.major(), named)
}

/// `sys.sysdatabases`.
pub(super) fn sysdatabases(view: View<'_>) -> Relation {
    let named = visible(view)
        .into_iter()
        .map(|d| {
            // Source: the bits of `sysdatabases.status`; 65536 online marks are left out.
            let state = match d.status {
                Status::Restoring => 32,
                Status::Recovering => 128,
                Status::RecoveryPending => 64,
                Status::Suspect => 256,
                Status::Offline => 512,
                Status::Emergency => 32_768,
                Status::Online => 65_536,
            };
            let standby = if d.standby.is_some() { 2_097_152 } else { 0 };
            let first = d.files.first().map(|f| f.physical.clone());
            vec![
                ("name", Value::string(&d.name)),
                ("dbid", Value::Int(d.id)),
                ("sid", owner_sid(view, d)),
                ("status", Value::Int(state | standby)),
                ("crdate", view.local(d.created)),
                ("cmptlevel", Value::TinyInt(d.compatibility_level)),
                ("filename", first.map_or(Value::Null, Value::string)),
                ("version", Value::Int(d.version)),
            ]
        })
        .collect();
    rows(SYSDATABASES, view.major(), named)
}

fn lsn(lsn: Option<Lsn>) -> Value {
    lsn.map_or(Value::Null, |l| Value::lsn(l.0))
}

fn files(view: View<'_>, d: &Database) -> Vec<Named> {
    let (state, state_desc) = d.status.code();
    // Files of an offline or emergency database show ONLINE or OFFLINE, never EMERGENCY.
    let (state, state_desc) =
        if d.status == Status::Emergency { (0, "ONLINE") } else { (state, state_desc) };
    let waits = !matches!(d.status, Status::Online | Status::Emergency | Status::Offline);
    let redo = d.redo.as_ref().filter(|_| waits);
    d.files
        .iter()
        .map(|f| {
            let pages = i32::try_from(f.size / 8192).unwrap_or(i32::MAX);
            let base = d.differential_base.filter(|_| !f.is_log);
            vec![
                ("database_id", Value::Int(d.id)),
                ("file_id", Value::Int(f.id)),
                ("file_guid", if d.name == "master" { Value::Null } else { Value::Uuid(f.guid) }),
                ("type", Value::TinyInt(u8::from(f.is_log))),
                ("type_desc", Value::string(if f.is_log { "LOG" } else { "ROWS" })),
                ("data_space_id", Value::Int(i32::from(!f.is_log))),
                ("name", Value::string(&f.logical)),
                ("physical_name", Value::string(&f.physical)),
                ("state", Value::TinyInt(state)),
                ("state_desc", Value::string(state_desc)),
                ("size", Value::Int(pages)),
                ("max_size", Value::Int(if f.is_log { 268_435_456 } else { -1 })),
                ("growth", Value::Int(8192)),
                ("create_lsn", if f.is_log { Value::Null } else { Value::lsn(f.create_lsn.0) }),
                ("differential_base_lsn", lsn(base.map(|b| b.first_lsn))),
                ("differential_base_guid", base.map_or(Value::Null, |b| Value::Uuid(b.guid))),
                ("differential_base_time", base.map_or(Value::Null, |b| view.local(b.at))),
                ("redo_start_lsn", lsn(redo.map(|r| r.lsn))),
                ("redo_start_fork_guid", redo.map_or(Value::Null, |r| Value::Uuid(r.fork))),
                ("redo_target_lsn", lsn(redo.map(|r| r.lsn))),
                ("redo_target_fork_guid", redo.map_or(Value::Null, |r| Value::Uuid(r.fork))),
                ("backup_lsn", lsn(redo.and(base).map(|b| b.checkpoint_lsn))),
            ]
        })
        .collect()
}

/// `sys.master_files`.
pub(super) fn master_files(view: View<'_>) -> Relation {
    let all = view.has("CREATE ANY DATABASE") || view.has("VIEW ANY DEFINITION");
    let login = &view.session.login;
    let named = visible(view)
        .into_iter()
        .filter(|d| all || d.owner.eq_ignore_ascii_case(login))
        .flat_map(|d| files(view, d))
        .collect();
    rows(MASTER_FILES, view.major(), named)
}

/// `sys.database_files`: the same columns without `database_id`.
pub(super) fn database_files(view: View<'_>, database: &str) -> Relation {
    let own = view.instance.database(database);
    let named = own.map(|d| files(view, d)).unwrap_or_default();
    let mut relation = rows(MASTER_FILES, view.major(), named);
    relation.columns.remove(0);
    for row in &mut relation.rows {
        row.remove(0);
    }
    relation
}

/// `sys.database_recovery_status`.
pub(super) fn recovery_status(view: View<'_>) -> Relation {
    let named = visible(view)
        .into_iter()
        .map(|d| {
            let newest = d.path.last();
            let before = d.path.0.len().checked_sub(2).and_then(|i| d.path.0.get(i));
            let logged = d.keeps_log().then_some(d.last_log_backup_lsn).flatten();
            vec![
                ("database_id", Value::Int(d.id)),
                ("database_guid", Value::Uuid(d.database_guid)),
                ("family_guid", Value::Uuid(d.family_guid)),
                ("last_log_backup_lsn", lsn(logged)),
                ("recovery_fork_guid", Value::Uuid(newest.guid)),
                ("first_recovery_fork_guid", Value::Uuid(before.map_or(newest.guid, |f| f.guid))),
                ("fork_point_lsn", lsn(before.map(|_| newest.start))),
            ]
        })
        .collect();
    rows(DATABASE_RECOVERY_STATUS, view.major(), named)
}

/// `sys.dm_db_log_space_usage`: the log of the current database.
///
/// # Errors
///
/// 300 and 297.
pub(super) fn log_space_usage(view: View<'_>, database: &str) -> Result<Relation, SqlFailure> {
    view.must_see_state("VIEW SERVER PERFORMANCE STATE")?;
    let bytes = |bytes: u64| Value::BigInt(i64::try_from(bytes).unwrap_or(i64::MAX));
    let own = view.instance.database(database).filter(|d| is_open(d));
    let named = own
        .map(|d| {
            let total: u64 = d.files.iter().filter(|f| f.is_log).map(|f| f.size).sum();
            let used = d.log.bytes() + d.extra_log_bytes;
            let from = d.last_log_backup_lsn.unwrap_or(Lsn::ZERO);
            let since = d.log.range(from, d.log.next).iter().map(LogRecord::bytes).sum::<u64>();
            // A log file grows with what is in it.
            let total = total.max(used);
            #[allow(clippy::cast_precision_loss, reason = "a percentage")]
            let percent = used as f32 / total.max(1) as f32 * 100.0;
            vec![
                ("database_id", Value::SmallInt(i16::try_from(d.id).unwrap_or(i16::MAX))),
                ("total_log_size_in_bytes", bytes(total)),
                ("used_log_space_in_bytes", bytes(used)),
                ("used_log_space_in_percent", Value::Real(percent)),
                ("log_space_in_bytes_since_last_backup", bytes(since + d.extra_log_bytes)),
            ]
        })
        .into_iter()
        .collect();
    Ok(rows(DM_DB_LOG_SPACE_USAGE, view.major(), named))
}

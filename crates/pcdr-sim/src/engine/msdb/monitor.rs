//! The monitor of log shipping: its rows, history, alert job and alerts; and the monitor of mirroring.
//!
//! Source: the vendor's pages of the monitor tables and procedures; the two procedures that write
//! the monitor's rows as Management Studio's scripts call them.

use jiff::ToSpan;
use jiff::civil::DateTime as Time;
use uuid::Uuid;

use crate::engine::catalog::columns::{ColumnDef, not_null, null, text};
use crate::message::{SqlFailure, SqlMessage};
use crate::value::{
    SqlType,
    SqlType::{Bit, DateTime, Int, UniqueIdentifier},
    Value,
};

use super::arguments::{error, relation};
use super::calendar::seconds_between;
use super::jobs::{self, NewJob};
use super::primary::{check_alert_number, joined};
use super::store::{LOG_SHIPPING_CATEGORY, Record, same_name};
use super::{Arguments, MonitorChange, Msdb, MsdbTable, Outcome, Signal, Surroundings};

/// What an agent run has come to. Source: `log_shipping_monitor_history_detail.session_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SessionStatus {
    /// 0.
    Starting = 0,
    /// 1.
    Running = 1,
    /// 2.
    Success = 2,
    /// 3.
    Error = 3,
    /// 4.
    Warning = 4,
}

/// Whether a server's name is this server's own.
pub fn is_here(around: &dyn Surroundings, server: &str) -> bool {
    same_name(server, &around.server_name())
}

/// The monitor of a primary's or secondary's row, if it is another server.
pub fn remote_of(row: Record<'_>, around: &dyn Surroundings) -> Option<String> {
    let name = row.text("monitor_server");
    (!name.trim().is_empty() && !is_here(around, name)).then(|| name.to_owned())
}

/// With which login and password a call says that the monitor is logged in to; `None`: Windows
/// authentication.
///
/// # Errors
///
/// 32052 without a login in security mode 0.
pub fn login(a: Arguments<'_>) -> Result<Option<(String, String)>, SqlFailure> {
    if a.int("@monitor_server_security_mode") != Some(0) {
        return Ok(None);
    }
    let login = a.needed("@monitor_server_login")?;
    Ok(Some((login, a.text("@monitor_server_password").unwrap_or_default())))
}

/// The remote monitor of an agent: type 0 by primary id, 1 and 2 by secondary id.
pub fn remote_of_agent(
    msdb: &Msdb,
    around: &dyn Surroundings,
    agent: Uuid,
    agent_type: i64,
) -> Option<String> {
    let row = if agent_type == 0 {
        msdb[MsdbTable::PrimaryDatabases].find(&[("primary_id", Value::Uuid(agent))])
    } else {
        msdb[MsdbTable::Secondary].find(&[("secondary_id", Value::Uuid(agent))])
    };
    row.and_then(|r| remote_of(r, around))
}

/// Makes a change of monitor rows on the instance whose `msdb` this is.
pub fn apply(msdb: &mut Msdb, around: &mut dyn Surroundings, change: MonitorChange) {
    match change {
        MonitorChange::Primary(values) => {
            put(msdb, MsdbTable::MonitorPrimary, &["primary_id"], &values);
            let _exists = add_alert_job(msdb, around);
        }
        MonitorChange::Secondary(values) => {
            let keys = ["secondary_id", "secondary_database"];
            put(msdb, MsdbTable::MonitorSecondary, &keys, &values);
            let _exists = add_alert_job(msdb, around);
        }
        MonitorChange::UpdatePrimary(id, values) => {
            msdb[MsdbTable::MonitorPrimary].update(&[("primary_id", Value::Uuid(id))], &values);
        }
        MonitorChange::UpdateSecondary(id, database, values) => {
            msdb[MsdbTable::MonitorSecondary].update(
                &[
                    ("secondary_id", Value::Uuid(id)),
                    ("secondary_database", Value::string(database)),
                ],
                &values,
            );
        }
        MonitorChange::UpdateSecondaries(id, values) => {
            msdb[MsdbTable::MonitorSecondary].update(&[("secondary_id", Value::Uuid(id))], &values);
        }
        MonitorChange::DeletePrimary(id) => {
            msdb[MsdbTable::MonitorPrimary].delete(&[("primary_id", Value::Uuid(id))]);
            delete_details(msdb, id, None);
        }
        MonitorChange::DeleteSecondary(id, database) => {
            msdb[MsdbTable::MonitorSecondary].delete(&[
                ("secondary_id", Value::Uuid(id)),
                ("secondary_database", Value::string(&database)),
            ]);
            let last = !msdb[MsdbTable::MonitorSecondary].has(&[("secondary_id", Value::Uuid(id))]);
            delete_details(msdb, id, (!last).then_some(database));
        }
        MonitorChange::History(rows) => {
            for row in rows {
                msdb[MsdbTable::HistoryDetail].insert(&row);
            }
        }
        MonitorChange::Errors(rows) => {
            for row in rows {
                msdb[MsdbTable::ErrorDetail].insert(&row);
            }
        }
        MonitorChange::DeleteAlertJob => {
            let _gone = delete_alert_job(msdb);
        }
        MonitorChange::Cleanup(agent, agent_type, before) => {
            cleanup(msdb, agent, agent_type, before);
        }
    }
}

fn put(msdb: &mut Msdb, table: MsdbTable, keys: &[&str], values: &[(&'static str, Value)]) {
    let key: Vec<(&str, Value)> =
        values.iter().filter(|(c, _)| keys.contains(c)).cloned().collect();
    if msdb[table].update(&key, values) == 0 {
        msdb[table].insert(values);
    }
}

fn delete_details(msdb: &mut Msdb, agent: Uuid, database: Option<String>) {
    for table in [MsdbTable::HistoryDetail, MsdbTable::ErrorDetail] {
        msdb[table].delete_where(|r| {
            r.id("agent_id") == Some(agent)
                && database.as_ref().is_none_or(|d| same_name(r.text("database_name"), d))
        });
    }
}

/// `sp_add_log_shipping_alert_job`: does nothing when there is one.
///
/// # Errors
///
/// 32022 when a job outside the category has its name.
pub fn add_alert_job(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
) -> Result<Outcome, SqlFailure> {
    let existing =
        msdb[MsdbTable::MonitorAlert].records().next().and_then(|r| r.id("alert_job_id"));
    if let Some(id) = existing {
        return Ok(Outcome::ok().giving("@alert_job_id", Value::Uuid(id)));
    }
    let server = around.server_name();
    let name = format!("LSAlert_{server}");
    super::primary::free_job_name(msdb, &name, None, true)?;
    let category = jobs::category_id(msdb, LOG_SHIPPING_CATEGORY).unwrap_or(6);
    let job = jobs::create(
        msdb,
        around,
        &NewJob {
            name: &name,
            is_enabled: true,
            description: &format!("Log shipping alert job for {server}."),
            category_id: category,
            step: Some((
                "Log shipping alert job step.",
                "TSQL",
                "exec sys.sp_check_log_shipping_monitor_alert",
                "master",
            )),
        },
    );
    every_minutes(msdb, around, job, "Log shipping alert job schedule.", 2);
    msdb[MsdbTable::MonitorAlert].insert(&[("alert_job_id", Value::Uuid(job))]);
    Ok(Outcome::ok().giving("@alert_job_id", Value::Uuid(job)).telling(Signal::Schedules))
}

fn every_minutes(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    job: Uuid,
    name: &str,
    minutes: i64,
) {
    let now = around.moment();
    let uid = around.new_id();
    let schedule = msdb[MsdbTable::Schedules].insert(&[
        ("schedule_uid", Value::Uuid(uid)),
        ("name", Value::string(name)),
        ("owner_sid", Value::Binary(around.caller().sid.into())),
        ("enabled", Value::Int(1)),
        ("freq_type", Value::Int(4)),
        ("freq_interval", Value::Int(1)),
        ("freq_subday_type", Value::Int(4)),
        ("freq_subday_interval", Value::BigInt(minutes)),
        ("active_start_date", Value::Int(super::calendar::date_number(now.local.date()))),
        ("active_end_date", Value::Int(99_991_231)),
        ("active_start_time", Value::Int(0)),
        ("active_end_time", Value::Int(235_959)),
        ("date_created", Value::DateTime(now.local)),
        ("date_modified", Value::DateTime(now.local)),
        ("version_number", Value::Int(1)),
    ]);
    super::schedules::link(msdb, job, i64::from(schedule), now);
}

/// `sp_delete_log_shipping_alert_job`: only when nothing is monitored here any more.
///
/// # Errors
///
/// None.
pub fn delete_alert_job(msdb: &mut Msdb) -> Result<Outcome, SqlFailure> {
    let monitored = msdb[MsdbTable::MonitorPrimary].records().next().is_some()
        || msdb[MsdbTable::MonitorSecondary].records().next().is_some();
    let job = msdb[MsdbTable::MonitorAlert].records().next().and_then(|r| r.id("alert_job_id"));
    match job {
        Some(job) if !monitored => {
            jobs::remove(msdb, job, true, true);
            msdb[MsdbTable::MonitorAlert].delete_where(|_| true);
            Ok(Outcome::ok().telling(Signal::Stop(job)).telling(Signal::Schedules))
        }
        _ => Ok(Outcome::ok()),
    }
}

const PRIMARY: &[ColumnDef] = &[
    not_null("primary_id", UniqueIdentifier),
    not_null("primary_server", SqlType::SYSNAME),
    not_null("primary_database", SqlType::SYSNAME),
    not_null("backup_threshold", Int),
    not_null("threshold_alert", Int),
    not_null("threshold_alert_enabled", Bit),
    null("last_backup_file", text(500)),
    null("last_backup_date", DateTime),
    null("last_backup_date_utc", DateTime),
    not_null("history_retention_period", Int),
];

/// `sp_help_log_shipping_monitor_primary`.
///
/// # Errors
///
/// 32052.
pub fn help_primary(msdb: &Msdb, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    let key = [
        ("primary_server", Value::string(a.needed("@primary_server")?)),
        ("primary_database", Value::string(a.needed("@primary_database")?)),
    ];
    let rows = msdb[MsdbTable::MonitorPrimary]
        .records()
        .filter(|r| r.matches(&key))
        .map(|r| joined(PRIMARY, &[r]))
        .collect();
    Ok(Outcome::rows(relation(PRIMARY, rows)))
}

const SECONDARY: &[ColumnDef] = &[
    not_null("secondary_server", SqlType::SYSNAME),
    not_null("secondary_database", SqlType::SYSNAME),
    not_null("secondary_id", UniqueIdentifier),
    not_null("primary_server", SqlType::SYSNAME),
    not_null("primary_database", SqlType::SYSNAME),
    not_null("restore_threshold", Int),
    not_null("threshold_alert", Int),
    not_null("threshold_alert_enabled", Bit),
    null("last_copied_file", text(500)),
    null("last_copied_date", DateTime),
    null("last_copied_date_utc", DateTime),
    null("last_restored_file", text(500)),
    null("last_restored_date", DateTime),
    null("last_restored_date_utc", DateTime),
    not_null("history_retention_period", Int),
];

/// `sp_help_log_shipping_monitor_secondary`.
///
/// # Errors
///
/// 32052.
pub fn help_secondary(msdb: &Msdb, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    let key = [
        ("secondary_server", Value::string(a.needed("@secondary_server")?)),
        ("secondary_database", Value::string(a.needed("@secondary_database")?)),
    ];
    let rows = msdb[MsdbTable::MonitorSecondary]
        .records()
        .filter(|r| r.matches(&key))
        .map(|r| joined(SECONDARY, &[r]))
        .collect();
    Ok(Outcome::rows(relation(SECONDARY, rows)))
}

const MONITOR: &[ColumnDef] = &[
    null("status", Bit),
    null("is_primary", Bit),
    null("server", SqlType::SYSNAME),
    null("database_name", SqlType::SYSNAME),
    null("time_since_last_backup", Int),
    null("last_backup_file", text(500)),
    null("backup_threshold", Int),
    null("is_backup_alert_enabled", Bit),
    null("time_since_last_copy", Int),
    null("last_copied_file", text(500)),
    null("time_since_last_restore", Int),
    null("last_restored_file", text(500)),
    null("last_restored_latency", Int),
    null("restore_threshold", Int),
    null("is_restore_alert_enabled", Bit),
];

/// Whole minutes since a UTC time in a row.
fn minutes_since(row: &Record<'_>, column: &str, utc: Time) -> Option<i64> {
    row.time(column).map(|at| seconds_between(at, utc).max(0) / 60)
}

fn number_or_null(n: Option<i64>) -> Value {
    n.map_or(Value::Null, Value::BigInt)
}

/// Whether the newest run of an agent ended with an error.
fn last_run_failed(msdb: &Msdb, agent: Option<Uuid>, agent_type: i64) -> bool {
    msdb[MsdbTable::HistoryDetail]
        .records()
        .rfind(|r| r.id("agent_id") == agent && r.int("agent_type") == agent_type)
        .is_some_and(|r| r.int("session_status") == SessionStatus::Error as i64)
}

/// `sp_help_log_shipping_monitor`: status 1 means a failed agent or an exceeded threshold.
pub fn help(msdb: &Msdb, around: &dyn Surroundings) -> Outcome {
    let utc = around.moment().utc;
    let mut rows = Vec::new();
    for r in msdb[MsdbTable::MonitorPrimary].records() {
        let since = minutes_since(&r, "last_backup_date_utc", utc);
        let late = since.is_some_and(|m| m > r.int("backup_threshold"));
        rows.push(vec![
            ("status", Value::Bit(late || last_run_failed(msdb, r.id("primary_id"), 0))),
            ("is_primary", Value::Bit(true)),
            ("server", r.value("primary_server").clone()),
            ("database_name", r.value("primary_database").clone()),
            ("time_since_last_backup", number_or_null(since)),
            ("last_backup_file", r.value("last_backup_file").clone()),
            ("backup_threshold", r.value("backup_threshold").clone()),
            ("is_backup_alert_enabled", r.value("threshold_alert_enabled").clone()),
        ]);
    }
    for r in msdb[MsdbTable::MonitorSecondary].records() {
        let copied = minutes_since(&r, "last_copied_date_utc", utc);
        let restored = minutes_since(&r, "last_restored_date_utc", utc);
        let limit = r.int("restore_threshold");
        let late = restored.is_some_and(|m| m > limit) || r.int("last_restored_latency") > limit;
        let failed = last_run_failed(msdb, r.id("secondary_id"), 1)
            || last_run_failed(msdb, r.id("secondary_id"), 2);
        rows.push(vec![
            ("status", Value::Bit(late || failed)),
            ("is_primary", Value::Bit(false)),
            ("server", r.value("secondary_server").clone()),
            ("database_name", r.value("secondary_database").clone()),
            ("time_since_last_copy", number_or_null(copied)),
            ("last_copied_file", r.value("last_copied_file").clone()),
            ("time_since_last_restore", number_or_null(restored)),
            ("last_restored_file", r.value("last_restored_file").clone()),
            ("last_restored_latency", r.value("last_restored_latency").clone()),
            ("restore_threshold", r.value("restore_threshold").clone()),
            ("is_restore_alert_enabled", r.value("threshold_alert_enabled").clone()),
        ]);
    }
    Outcome::rows(relation(MONITOR, rows))
}

/// `sp_check_log_shipping_monitor_alert`: raises the alert of every row that is late.
///
/// # Errors
///
/// 14420 and 14421, or the rows' own numbers.
pub fn check_alert(msdb: &Msdb, around: &dyn Surroundings) -> Result<Outcome, SqlFailure> {
    let utc = around.moment().utc;
    let mut raised = Vec::new();
    let number = |r: &Record<'_>| i32::try_from(r.int("threshold_alert")).unwrap_or(14_420);
    for r in msdb[MsdbTable::MonitorPrimary].records() {
        let limit = r.int("backup_threshold");
        let Some(since) = minutes_since(&r, "last_backup_date_utc", utc) else {
            continue;
        };
        if r.bit("threshold_alert_enabled") && since > limit {
            raised.push(SqlMessage::new(
                number(&r),
                16,
                format!(
                    "The log shipping primary database {}.{} has backup threshold of {limit} minutes and has not performed a backup log operation for {since} minutes. Check agent log and logshipping monitor information.",
                    r.text("primary_server"),
                    r.text("primary_database")
                ),
            ));
        }
    }
    for r in msdb[MsdbTable::MonitorSecondary].records() {
        let limit = r.int("restore_threshold");
        let Some(since) = minutes_since(&r, "last_restored_date_utc", utc) else {
            continue;
        };
        let latency = r.int("last_restored_latency");
        if r.bit("threshold_alert_enabled") && (since > limit || latency > limit) {
            raised.push(SqlMessage::new(
                number(&r),
                16,
                format!(
                    "The log shipping secondary database {}.{} has restore threshold of {limit} minutes and is out of sync. No restore was performed for {since} minutes. Restored latency is {latency} minutes. Check agent log and logshipping monitor information.",
                    r.text("secondary_server"),
                    r.text("secondary_database")
                ),
            ));
        }
    }
    if raised.is_empty() { Ok(Outcome::ok()) } else { Err(SqlFailure(raised)) }
}

fn agent(msdb: &Msdb, a: Arguments<'_>) -> Result<(Uuid, i64), SqlFailure> {
    let bad = || {
        error(
            32016,
            "The specified agent_id or agent_type do not form a valid pair for log shipping monitoring processing.",
        )
    };
    a.needed("@agent_id")?;
    a.needed("@agent_type")?;
    let id = a.id("@agent_id").ok_or_else(bad)?;
    let kind = a.int("@agent_type").ok_or_else(bad)?;
    let known = match kind {
        0 => {
            let key = [("primary_id", Value::Uuid(id))];
            msdb[MsdbTable::PrimaryDatabases].has(&key) || msdb[MsdbTable::MonitorPrimary].has(&key)
        }
        1 | 2 => {
            let key = [("secondary_id", Value::Uuid(id))];
            msdb[MsdbTable::Secondary].has(&key) || msdb[MsdbTable::MonitorSecondary].has(&key)
        }
        _ => false,
    };
    if known { Ok((id, kind)) } else { Err(bad()) }
}

/// A row as name and value pairs.
fn pairs(row: &Record<'_>, table: MsdbTable) -> Vec<(&'static str, Value)> {
    let columns = table.columns().iter();
    columns.map(|c| (c.name, row.value(c.name).clone())).collect()
}

/// `sp_refresh_log_shipping_monitor`: brings the remote monitor up to date, or cleans it (mode 2).
///
/// # Errors
///
/// 32052, 32016, 32054.
pub fn refresh(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let (id, kind) = agent(msdb, a)?;
    let Some(remote) = remote_of_agent(msdb, around, id, kind) else {
        return Ok(Outcome::ok());
    };
    let (table, key) = if kind == 0 {
        (MsdbTable::MonitorPrimary, "primary_id")
    } else {
        (MsdbTable::MonitorSecondary, "secondary_id")
    };
    let rows: Vec<Vec<(&'static str, Value)>> =
        msdb[table].records().filter(|r| r.id(key) == Some(id)).map(|r| pairs(&r, table)).collect();
    let delete = a.int("@mode") == Some(2);
    for row in rows {
        let name = |column: &str| match row.iter().find(|(c, _)| *c == column) {
            Some((_, Value::String(text))) => text.to_string(),
            _ => String::new(),
        };
        let change = match (kind, delete) {
            (0, true) => MonitorChange::DeletePrimary(id),
            (0, false) => MonitorChange::Primary(row),
            (_, true) => MonitorChange::DeleteSecondary(id, name("secondary_database")),
            (_, false) => MonitorChange::Secondary(row),
        };
        around.on_monitor(&remote, change)?;
    }
    Ok(Outcome::ok())
}

/// Deletes history of an agent from before a UTC time.
pub fn cleanup(msdb: &mut Msdb, agent: Uuid, agent_type: i64, before: Time) {
    for table in [MsdbTable::HistoryDetail, MsdbTable::ErrorDetail] {
        msdb[table].delete_where(|r| {
            r.id("agent_id") == Some(agent)
                && r.int("agent_type") == agent_type
                && r.time("log_time_utc").is_some_and(|at| at < before)
        });
    }
}

/// `sp_cleanup_log_shipping_history`: also runs at the end of every backup and restore.
///
/// # Errors
///
/// 32052, 32016, 32054.
pub fn cleanup_history(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let (id, kind) = agent(msdb, a)?;
    cleanup_agent(msdb, around, id, kind)?;
    Ok(Outcome::ok())
}

/// Deletes history of an agent that is older than its retention period, here and on the monitor.
///
/// # Errors
///
/// 32054.
pub fn cleanup_agent(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    id: Uuid,
    kind: i64,
) -> Result<(), SqlFailure> {
    let row = if kind == 0 {
        msdb[MsdbTable::MonitorPrimary].find(&[("primary_id", Value::Uuid(id))])
    } else {
        msdb[MsdbTable::MonitorSecondary].find(&[("secondary_id", Value::Uuid(id))])
    };
    let Some(minutes) = row.map(|r| r.int("history_retention_period")) else {
        return Ok(());
    };
    let utc = around.moment().utc;
    let Ok(before) = utc.checked_sub(minutes.clamp(0, 100_000_000).minutes()) else {
        return Ok(());
    };
    cleanup(msdb, id, kind, before);
    if let Some(remote) = remote_of_agent(msdb, around, id, kind) {
        around.on_monitor(&remote, MonitorChange::Cleanup(id, kind, before))?;
    }
    Ok(())
}

/// `sp_processlogshippingmonitorprimary`: mode 1 creates, 2 deletes, 3 updates the monitor's row.
///
/// # Errors
///
/// 32052, 32028, 32010 when there is nothing to update.
pub fn process_primary(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    a.needed("@primary_id")?;
    let id = a.id("@primary_id").unwrap_or_default();
    let database = a.needed("@primary_database")?;
    let server = a.needed("@primary_server")?;
    check_alert_number(a.int("@threshold_alert"))?;
    let mut values = super::primary::given(
        a,
        &[
            "backup_threshold",
            "threshold_alert",
            "threshold_alert_enabled",
            "history_retention_period",
        ],
    );
    values.extend([
        ("primary_id", Value::Uuid(id)),
        ("primary_server", Value::string(server)),
        ("primary_database", Value::string(&database)),
    ]);
    let exists = msdb[MsdbTable::MonitorPrimary].has(&[("primary_id", Value::Uuid(id))]);
    match a.int("@mode") {
        Some(2) => {
            apply(msdb, around, MonitorChange::DeletePrimary(id));
            delete_alert_job(msdb)?;
        }
        Some(3) if !exists => {
            return Err(error(
                32010,
                format!(
                    "The specified database {database} does not exist as log shipping primary."
                ),
            ));
        }
        _ => apply(msdb, around, MonitorChange::Primary(values)),
    }
    Ok(Outcome::ok().telling(Signal::Schedules))
}

/// `sp_processlogshippingmonitorsecondary`: mode 1 creates, 2 deletes, 3 updates the monitor's row.
///
/// # Errors
///
/// 32052, 32028, 32014 when there is nothing to update.
pub fn process_secondary(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    a.needed("@secondary_id")?;
    let id = a.id("@secondary_id").unwrap_or_default();
    let database = a.needed("@secondary_database")?;
    let mut values = super::primary::given(
        a,
        &[
            "restore_threshold",
            "threshold_alert",
            "threshold_alert_enabled",
            "history_retention_period",
        ],
    );
    check_alert_number(a.int("@threshold_alert"))?;
    values.extend([
        ("secondary_id", Value::Uuid(id)),
        ("secondary_server", Value::string(a.needed("@secondary_server")?)),
        ("secondary_database", Value::string(&database)),
        ("primary_server", Value::string(a.needed("@primary_server")?)),
        ("primary_database", Value::string(a.needed("@primary_database")?)),
    ]);
    let exists = msdb[MsdbTable::MonitorSecondary].has(&[
        ("secondary_id", Value::Uuid(id)),
        ("secondary_database", Value::string(&database)),
    ]);
    match a.int("@mode") {
        Some(2) => {
            apply(msdb, around, MonitorChange::DeleteSecondary(id, database));
            delete_alert_job(msdb)?;
        }
        Some(3) if !exists => {
            return Err(error(
                32014,
                format!("Database {database} does not exist as log shipping secondary."),
            ));
        }
        _ => apply(msdb, around, MonitorChange::Secondary(values)),
    }
    Ok(Outcome::ok().telling(Signal::Schedules))
}

const MIRRORING_JOB: &str = "Database Mirroring Monitor Job";

fn must_be_sysadmin(around: &dyn Surroundings) -> Result<(), SqlFailure> {
    if around.caller().is_sysadmin {
        return Ok(());
    }
    Err(error(21089, "Only members of the sysadmin fixed server role can perform this operation."))
}

fn mirroring_job(msdb: &Msdb) -> Option<Uuid> {
    msdb[MsdbTable::Jobs]
        .find(&[("name", Value::string(MIRRORING_JOB))])
        .and_then(|r| r.id("job_id"))
}

fn period(a: Option<i64>) -> Result<i64, SqlFailure> {
    match a {
        Some(n @ 1..=120) => Ok(n),
        _ => Err(error(32036, "Parameter out of range: the update period is 1 to 120 minutes.")),
    }
}

/// `sp_dbmmonitoraddmonitoring`.
///
/// # Errors
///
/// 21089 unless sysadmin, 32036 for a period outside 1 to 120, 32049 when it is there already.
pub fn add_mirroring_monitor(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    must_be_sysadmin(around)?;
    let minutes = period(a.int("@update_period"))?;
    if mirroring_job(msdb).is_some() {
        return Err(error(32049, "The database mirroring monitoring job already exists."));
    }
    let category = jobs::category_id(msdb, "Database Mirroring").unwrap_or(1);
    let job = jobs::create(
        msdb,
        around,
        &NewJob {
            name: MIRRORING_JOB,
            is_enabled: true,
            description: "Updates the status of the mirrored databases of this instance.",
            category_id: category,
            step: Some(("Update", "TSQL", "exec sys.sp_dbmmonitorupdate", "msdb")),
        },
    );
    every_minutes(msdb, around, job, MIRRORING_JOB, minutes);
    Ok(Outcome::ok().telling(Signal::Schedules))
}

/// `sp_dbmmonitordropmonitoring`.
///
/// # Errors
///
/// 21089 unless sysadmin.
pub fn drop_mirroring_monitor(
    msdb: &mut Msdb,
    around: &dyn Surroundings,
) -> Result<Outcome, SqlFailure> {
    must_be_sysadmin(around)?;
    if let Some(job) = mirroring_job(msdb) {
        jobs::remove(msdb, job, true, true);
    }
    Ok(Outcome::ok().telling(Signal::Schedules))
}

/// `sp_dbmmonitorhelpmonitoring`: the update period in minutes.
///
/// # Errors
///
/// None; no row when there is no monitoring.
pub fn help_mirroring_monitor(msdb: &Msdb) -> Result<Outcome, SqlFailure> {
    const COLUMNS: &[ColumnDef] = &[not_null("update_period", Int)];
    let rows = mirroring_job(msdb)
        .map(|job| super::schedules::attached(msdb, job))
        .into_iter()
        .flatten()
        .filter_map(|id| msdb[MsdbTable::Schedules].find(&[("schedule_id", Value::BigInt(id))]))
        .map(|r| vec![("update_period", r.value("freq_subday_interval").clone())])
        .collect();
    Ok(Outcome::rows(relation(COLUMNS, rows)))
}

/// `sp_dbmmonitorchangemonitoring`: parameter 1 is the update period.
///
/// # Errors
///
/// 21089 unless sysadmin, 32036.
pub fn change_mirroring_monitor(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    must_be_sysadmin(around)?;
    if a.int("@parameter_id") != Some(1) {
        return Err(error(
            32036,
            "Parameter out of range: only parameter 1, the update period, can be changed.",
        ));
    }
    let minutes = period(a.int("@value"))?;
    let schedules = mirroring_job(msdb).map(|job| super::schedules::attached(msdb, job));
    for id in schedules.into_iter().flatten() {
        msdb[MsdbTable::Schedules].update(
            &[("schedule_id", Value::BigInt(id))],
            &[("freq_subday_interval", Value::BigInt(minutes))],
        );
    }
    Ok(Outcome::ok().telling(Signal::Schedules))
}

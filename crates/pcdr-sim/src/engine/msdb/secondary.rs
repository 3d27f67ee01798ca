//! Log shipping on the secondary.
//!
//! Source: the vendor's pages of `sp_add_log_shipping_secondary_primary`,
//! `sp_add_log_shipping_secondary_database` and their like.

use uuid::Uuid;

use crate::engine::catalog::columns::{ColumnDef, not_null, null, text};
use crate::message::SqlFailure;
use crate::value::{
    SqlType,
    SqlType::{Bit, DateTime, Int, UniqueIdentifier},
    Value,
};

use super::arguments::{error, relation};
use super::jobs::{self, NewJob};
use super::monitor;
use super::primary::{
    DEFAULT_HISTORY_MINUTES, blank_monitor, check_alert_number, free_job_name, given, joined,
    program,
};
use super::store::{LOG_SHIPPING_CATEGORY, Record};
use super::{Arguments, MonitorChange, Msdb, MsdbTable, Outcome, Signal, Surroundings};

/// Minutes that copied files are kept when the caller passes NULL.
const DEFAULT_FILE_MINUTES: i64 = 14_420;

fn pair(server: &str, database: &str) -> [(&'static str, Value); 2] {
    [("primary_server", Value::string(server)), ("primary_database", Value::string(database))]
}

fn find<'a>(msdb: &'a Msdb, server: &str, database: &str) -> Result<Record<'a>, SqlFailure> {
    msdb[MsdbTable::Secondary]
        .find(&pair(server, database))
        .ok_or_else(|| {
            error(
                32023,
                format!("An entry for primary server {server}, primary database {database} does not exist on this secondary. Register the primary first."),
            )
        })
}

fn find_database<'a>(msdb: &'a Msdb, database: &str) -> Result<Record<'a>, SqlFailure> {
    msdb[MsdbTable::SecondaryDatabases]
        .find(&[("secondary_database", Value::string(database))])
        .ok_or_else(|| {
            error(32014, format!("Database {database} does not exist as log shipping secondary."))
        })
}

/// `sp_add_log_shipping_secondary_primary`.
///
/// # Errors
///
/// 32052, 32024, 32022.
pub fn add_primary(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let primary_server = a.needed("@primary_server")?;
    let database = a.needed("@primary_database")?;
    let source = a.needed("@backup_source_directory")?;
    let destination = a.needed("@backup_destination_directory")?;
    let copy_name = a.needed("@copy_job_name")?;
    let restore_name = a.needed("@restore_job_name")?;
    let overwrite = a.int("@overwrite") == Some(1);
    let old = msdb[MsdbTable::Secondary]
        .find(&pair(&primary_server, &database))
        .map(|r| (r.id("secondary_id"), r.id("copy_job_id"), r.id("restore_job_id")));
    if old.is_some() && !overwrite {
        return Err(error(
            32024,
            format!(
                "An entry for primary server {primary_server}, primary database {database} already exists on this secondary."
            ),
        ));
    }
    let (old_id, old_copy, old_restore) = old.unwrap_or_default();
    free_job_name(msdb, &copy_name, old_copy, overwrite)?;
    free_job_name(msdb, &restore_name, old_restore, overwrite)?;
    // The other server first: when it cannot be reached, nothing has changed here.
    let monitor = a.text("@monitor_server").filter(|m| !m.trim().is_empty());
    if let Some(remote) = monitor.as_ref().filter(|m| !monitor::is_here(around, m)) {
        around.link(remote, monitor::login(a)?)?;
    }
    for job in [old_copy, old_restore].into_iter().flatten() {
        jobs::remove(msdb, job, true, true);
    }
    // The databases of an overwritten entry stay with it, so it keeps its id.
    let id = old_id.unwrap_or_else(|| around.new_id());
    let server = around.server_name();
    let category = jobs::category_id(msdb, LOG_SHIPPING_CATEGORY).unwrap_or(6);
    let mut job = |name: &str, what: &str, step: &str, option: &str| {
        let command =
            format!("{} -{option} {} -server {server}", program(around.major()), jobs::shown(id));
        jobs::create(
            msdb,
            around,
            &NewJob {
                name,
                is_enabled: false,
                description: &format!("Log shipping {what} job for {primary_server}:{database}."),
                category_id: category,
                step: Some((step, "CmdExec", &command, "")),
            },
        )
    };
    let copy = job(&copy_name, "copy", "Log shipping copy job step.", "Copy");
    let restore =
        job(&restore_name, "restore log", "Log shipping restore log job step.", "Restore");
    let values = [
        ("secondary_id", Value::Uuid(id)),
        ("primary_server", Value::string(&primary_server)),
        ("primary_database", Value::string(&database)),
        ("backup_source_directory", Value::string(source)),
        ("backup_destination_directory", Value::string(destination)),
        (
            "file_retention_period",
            Value::BigInt(a.int("@file_retention_period").unwrap_or(DEFAULT_FILE_MINUTES)),
        ),
        ("copy_job_id", Value::Uuid(copy)),
        ("restore_job_id", Value::Uuid(restore)),
        ("monitor_server", Value::string(monitor.as_deref().unwrap_or(&server))),
        (
            "monitor_server_security_mode",
            Value::BigInt(a.int("@monitor_server_security_mode").unwrap_or(1)),
        ),
        ("user_specified_monitor", Value::Bit(monitor.is_some())),
    ];
    if old_id.is_some() {
        msdb[MsdbTable::Secondary].update(&[("secondary_id", Value::Uuid(id))], &values);
    } else {
        msdb[MsdbTable::Secondary].insert(&values);
    }
    Ok(Outcome::ok()
        .giving("@copy_job_id", Value::Uuid(copy))
        .giving("@restore_job_id", Value::Uuid(restore))
        .giving("@secondary_id", Value::Uuid(id))
        .telling(Signal::Schedules))
}

/// `sp_change_log_shipping_secondary_primary`: parameters left out keep their value.
///
/// # Errors
///
/// 32052, 32023, 32054.
pub fn change_primary(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let server = a.needed("@primary_server")?;
    let database = a.needed("@primary_database")?;
    let row = find(msdb, &server, &database)?;
    let id = row.value("secondary_id").clone();
    let remote = monitor::remote_of(row, around);
    if let (Some(remote), true) = (&remote, a.has("@monitor_server_security_mode")) {
        around.link(remote, monitor::login(a)?)?;
    }
    msdb[MsdbTable::Secondary].update(
        &[("secondary_id", id)],
        &given(
            a,
            &[
                "backup_source_directory",
                "backup_destination_directory",
                "file_retention_period",
                "monitor_server_security_mode",
            ],
        ),
    );
    Ok(Outcome::ok())
}

/// Removes the entry of a primary with its jobs; returns the jobs.
fn remove_primary(msdb: &mut Msdb, id: Uuid) -> Vec<Uuid> {
    let key = [("secondary_id", Value::Uuid(id))];
    let found: Vec<Uuid> = msdb[MsdbTable::Secondary]
        .find(&key)
        .map(|r| {
            let both = [r.id("copy_job_id"), r.id("restore_job_id")];
            both.into_iter().flatten().collect()
        })
        .unwrap_or_default();
    for job in &found {
        jobs::remove(msdb, *job, true, true);
    }
    msdb[MsdbTable::Secondary].delete(&key);
    found
}

/// `sp_delete_log_shipping_secondary_primary`.
///
/// # Errors
///
/// 32052, 32023, 32025 while secondary databases are registered, 32054.
pub fn delete_primary(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let server = a.needed("@primary_server")?;
    let database = a.needed("@primary_database")?;
    let row = find(msdb, &server, &database)?;
    let id = row.id("secondary_id").unwrap_or_default();
    let remote = monitor::remote_of(row, around);
    if msdb[MsdbTable::SecondaryDatabases].has(&[("secondary_id", Value::Uuid(id))]) {
        return Err(error(
            32025,
            format!(
                "Primary Server {server}, Database {database} has active log shipping secondary database(s) on the secondary. Drop the secondary database(s) first."
            ),
        ));
    }
    if let Some(remote) = remote {
        around.on_monitor(&remote, MonitorChange::DeleteAlertJob)?;
    }
    let stopped = remove_primary(msdb, id);
    monitor::delete_alert_job(msdb)?;
    let mut outcome = Outcome::ok().telling(Signal::Schedules);
    outcome.signals.extend(stopped.into_iter().map(Signal::Stop));
    Ok(outcome)
}

const HELP_PRIMARY: &[ColumnDef] = &[
    not_null("secondary_id", UniqueIdentifier),
    not_null("primary_server", SqlType::SYSNAME),
    not_null("primary_database", SqlType::SYSNAME),
    not_null("backup_source_directory", text(500)),
    not_null("backup_destination_directory", text(500)),
    not_null("file_retention_period", Int),
    not_null("copy_job_id", UniqueIdentifier),
    not_null("restore_job_id", UniqueIdentifier),
    null("monitor_server", SqlType::SYSNAME),
    null("monitor_server_security_mode", Bit),
];

/// `sp_help_log_shipping_secondary_primary`.
///
/// # Errors
///
/// 32052, 32023.
pub fn help_primary(msdb: &Msdb, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    let row = find(msdb, &a.needed("@primary_server")?, &a.needed("@primary_database")?)?;
    let mut values = joined(HELP_PRIMARY, &[row]);
    if !row.bit("user_specified_monitor") {
        blank_monitor(&mut values);
    }
    Ok(Outcome::rows(relation(HELP_PRIMARY, vec![values])))
}

/// `sp_add_log_shipping_secondary_database`.
///
/// # Errors
///
/// 32052, 32023, 32013, 32028, 32054.
pub fn add_database(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let database = a.needed("@secondary_database")?;
    let primary_server = a.needed("@primary_server")?;
    let primary_database = a.needed("@primary_database")?;
    check_alert_number(a.int("@threshold_alert"))?;
    let parent = find(msdb, &primary_server, &primary_database)?;
    let id = parent.id("secondary_id").unwrap_or_default();
    let remote = monitor::remote_of(parent, around);
    let key = [("secondary_database", Value::string(&database))];
    let exists = msdb[MsdbTable::SecondaryDatabases].has(&key);
    if exists && a.int("@overwrite") != Some(1) {
        return Err(error(
            32013,
            format!("A log shipping entry already exists for secondary database {database}."),
        ));
    }
    let number = |name: &str, default: i64| Value::BigInt(a.int(name).unwrap_or(default));
    let monitor_row = vec![
        ("secondary_server", Value::string(around.server_name())),
        ("secondary_database", Value::string(&database)),
        ("secondary_id", Value::Uuid(id)),
        ("primary_server", Value::string(&primary_server)),
        ("primary_database", Value::string(&primary_database)),
        ("restore_threshold", number("@restore_threshold", 45)),
        ("threshold_alert", number("@threshold_alert", 14_420)),
        ("threshold_alert_enabled", number("@threshold_alert_enabled", 1)),
        ("history_retention_period", number("@history_retention_period", DEFAULT_HISTORY_MINUTES)),
    ];
    let ignored = a.int("@ignoreremotemonitor") == Some(1);
    if let Some(remote) = remote.as_ref().filter(|_| !ignored) {
        around.on_monitor(remote, MonitorChange::Secondary(monitor_row.clone()))?;
    }
    msdb[MsdbTable::SecondaryDatabases].delete(&key);
    msdb[MsdbTable::MonitorSecondary].delete(&key);
    msdb[MsdbTable::SecondaryDatabases].insert(&[
        ("secondary_database", Value::string(&database)),
        ("secondary_id", Value::Uuid(id)),
        ("restore_delay", number("@restore_delay", 0)),
        ("restore_all", number("@restore_all", 1)),
        ("restore_mode", number("@restore_mode", 0)),
        ("disconnect_users", number("@disconnect_users", 0)),
        ("block_size", number("@block_size", -1)),
        ("buffer_count", number("@buffer_count", -1)),
        ("max_transfer_size", a.value("@max_transfer_size")),
    ]);
    msdb[MsdbTable::MonitorSecondary].insert(&monitor_row);
    if remote.is_none() {
        // Observed: an alert job is there afterwards, though no script asks for it.
        monitor::add_alert_job(msdb, around)?;
    }
    Ok(Outcome::ok().telling(Signal::Schedules))
}

/// `sp_change_log_shipping_secondary_database`: parameters left out keep their value.
///
/// # Errors
///
/// 32052, 32014, 32028, 32054.
pub fn change_database(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let database = a.needed("@secondary_database")?;
    check_alert_number(a.int("@threshold_alert"))?;
    let id = find_database(msdb, &database)?.id("secondary_id").unwrap_or_default();
    let remote = msdb[MsdbTable::Secondary]
        .find(&[("secondary_id", Value::Uuid(id))])
        .and_then(|r| monitor::remote_of(r, around));
    let monitor_values = given(
        a,
        &[
            "restore_threshold",
            "threshold_alert",
            "threshold_alert_enabled",
            "history_retention_period",
        ],
    );
    if let Some(remote) = remote {
        let change = MonitorChange::UpdateSecondary(id, database.clone(), monitor_values.clone());
        around.on_monitor(&remote, change)?;
    }
    let key = [("secondary_database", Value::string(&database))];
    msdb[MsdbTable::SecondaryDatabases].update(
        &key,
        &given(
            a,
            &[
                "restore_delay",
                "restore_all",
                "restore_mode",
                "disconnect_users",
                "block_size",
                "buffer_count",
                "max_transfer_size",
            ],
        ),
    );
    msdb[MsdbTable::MonitorSecondary].update(&key, &monitor_values);
    Ok(Outcome::ok())
}

/// `sp_delete_log_shipping_secondary_database`; the last one takes the parent entry and its jobs
/// with it. The database itself stays as it is.
///
/// # Errors
///
/// 32052, 32014, 32054.
pub fn delete_database(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let database = a.needed("@secondary_database")?;
    let id = find_database(msdb, &database)?.id("secondary_id").unwrap_or_default();
    let remote = msdb[MsdbTable::Secondary]
        .find(&[("secondary_id", Value::Uuid(id))])
        .and_then(|r| monitor::remote_of(r, around));
    if let Some(remote) = &remote {
        around.on_monitor(remote, MonitorChange::DeleteSecondary(id, database.clone()))?;
    }
    msdb[MsdbTable::SecondaryDatabases].delete(&[("secondary_database", Value::string(&database))]);
    monitor::apply(msdb, around, MonitorChange::DeleteSecondary(id, database));
    let mut outcome = Outcome::ok().telling(Signal::Schedules);
    if !msdb[MsdbTable::SecondaryDatabases].has(&[("secondary_id", Value::Uuid(id))]) {
        let stopped = remove_primary(msdb, id);
        outcome.signals.extend(stopped.into_iter().map(Signal::Stop));
    }
    monitor::delete_alert_job(msdb)?;
    Ok(outcome)
}

const HELP_DATABASE: &[ColumnDef] = &[
    not_null("secondary_id", UniqueIdentifier),
    not_null("primary_server", SqlType::SYSNAME),
    not_null("primary_database", SqlType::SYSNAME),
    not_null("backup_source_directory", text(500)),
    not_null("backup_destination_directory", text(500)),
    not_null("file_retention_period", Int),
    not_null("copy_job_id", UniqueIdentifier),
    not_null("restore_job_id", UniqueIdentifier),
    null("monitor_server", SqlType::SYSNAME),
    null("monitor_server_security_mode", Bit),
    not_null("secondary_database", SqlType::SYSNAME),
    not_null("restore_delay", Int),
    not_null("restore_all", Bit),
    not_null("restore_mode", Bit),
    not_null("disconnect_users", Bit),
    null("block_size", Int),
    null("buffer_count", Int),
    null("max_transfer_size", Int),
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
    null("last_restored_latency", Int),
];

/// `sp_help_log_shipping_secondary_database`.
///
/// # Errors
///
/// 32052 without name and id, 32014.
pub fn help_database(msdb: &Msdb, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    let wanted = match (a.id("@secondary_id"), a.text("@secondary_database")) {
        (Some(id), _) => ("secondary_id", Value::Uuid(id)),
        (None, Some(name)) => {
            find_database(msdb, &name)?;
            ("secondary_database", Value::string(name))
        }
        (None, None) => {
            a.needed("@secondary_database")?;
            return Ok(Outcome::ok());
        }
    };
    let mut rows = Vec::new();
    for row in msdb[MsdbTable::SecondaryDatabases].records() {
        if !row.matches(std::slice::from_ref(&wanted)) {
            continue;
        }
        let id = ("secondary_id", row.value("secondary_id").clone());
        let name = ("secondary_database", row.value("secondary_database").clone());
        let parent = msdb[MsdbTable::Secondary].find(&[id]);
        let monitor = msdb[MsdbTable::MonitorSecondary].find(&[name]);
        let sources: Vec<Record<'_>> = [monitor, Some(row), parent].into_iter().flatten().collect();
        let mut values = joined(HELP_DATABASE, &sources);
        if !parent.is_some_and(|p| p.bit("user_specified_monitor")) {
            blank_monitor(&mut values);
        }
        rows.push(values);
    }
    Ok(Outcome::rows(relation(HELP_DATABASE, rows)))
}

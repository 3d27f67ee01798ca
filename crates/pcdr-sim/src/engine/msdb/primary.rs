//! Log shipping on the primary.
//!
//! Source: the vendor's pages of `sp_add_log_shipping_primary_database` and its like, and message
//! numbers 32007 to 32055.

use uuid::Uuid;

use crate::engine::catalog::columns::{ColumnDef, not_null, null, text};
use crate::message::SqlFailure;
use crate::value::{
    SqlType,
    SqlType::{Bit, DateTime, Int, TinyInt, UniqueIdentifier},
    Value,
};

use super::arguments::{error, relation};
use super::jobs::{self, NewJob};
use super::monitor::{self, is_here};
use super::store::{LOG_SHIPPING_CATEGORY, Record};
use super::{Arguments, MonitorChange, Msdb, MsdbTable, Outcome, Signal, Surroundings};

/// Minutes that history is kept when the caller passes NULL.
pub const DEFAULT_HISTORY_MINUTES: i64 = 14_420;

/// The folder of the log shipping program, by release.
pub fn program(major: u8) -> String {
    format!(
        "\"C:\\Program Files\\Microsoft SQL Server\\{}0\\Tools\\Binn\\sqllogship.exe\"",
        major.max(9)
    )
}

/// Makes room for a job's name.
///
/// # Errors
///
/// 32022 when a job outside the category has it, 14261 when another configuration's job has it.
pub fn free_job_name(
    msdb: &mut Msdb,
    name: &str,
    own: Option<Uuid>,
    overwrite: bool,
) -> Result<(), SqlFailure> {
    let Some(row) = msdb[MsdbTable::Jobs].find(&[("name", Value::string(name))]) else {
        return Ok(());
    };
    let id = row.id("job_id").unwrap_or_default();
    if Some(row.int("category_id")) != jobs::category_id(msdb, LOG_SHIPPING_CATEGORY) {
        return Err(error(
            32022,
            format!(
                "Cannot add a log shipping job with name {name}. A job with same name already exists in the system and this job does not belong to log shipping category."
            ),
        ));
    }
    if Some(id) != own && !overwrite {
        return Err(jobs::taken("@job_name", name));
    }
    jobs::remove(msdb, id, true, true);
    Ok(())
}

/// # Errors
///
/// 32028 for a number that is no message of log shipping and none of the user's.
pub fn check_alert_number(number: Option<i64>) -> Result<(), SqlFailure> {
    match number {
        None | Some(14_420 | 14_421) | Some(50_001..) => Ok(()),
        Some(n) => Err(error(
            32028,
            format!("Invalid value = {n} for parameter @threshold_alert was specified."),
        )),
    }
}

/// The row of a primary database.
///
/// # Errors
///
/// 32010.
fn find<'a>(msdb: &'a Msdb, database: &str) -> Result<Record<'a>, SqlFailure> {
    msdb[MsdbTable::PrimaryDatabases]
        .find(&[("primary_database", Value::string(database))])
        .ok_or_else(|| {
            error(
                32010,
                format!(
                    "The specified database {database} does not exist as log shipping primary."
                ),
            )
        })
}

/// `sp_add_log_shipping_primary_database`.
///
/// # Errors
///
/// 32052, 15010 for a database that there is not, 32007, 32015, 32009, 32022, 32028, 32054.
pub fn add(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let database = a.needed("@database")?;
    let directory = a.needed("@backup_directory")?;
    let share = a.needed("@backup_share")?;
    let overwrite = a.int("@overwrite") == Some(1);
    let facts = around.database(&database).ok_or_else(|| {
        error(
            15010,
            format!("The database '{database}' does not exist. Supply a valid database name. To see available databases, use sys.databases."),
        )
    })?;
    if !facts.is_online {
        return Err(error(32007, format!("Database {database} is not ONLINE.")));
    }
    if facts.is_simple {
        return Err(error(
            32015,
            format!(
                "The primary database {database} cannot have SIMPLE recovery for log shipping to work properly."
            ),
        ));
    }
    if a.has("@primary_server_with_port_override") {
        return Err(error(
            32057,
            "The parameter @primary_server_with_port_override can only be used for a database of a contained availability group.",
        ));
    }
    check_alert_number(a.int("@threshold_alert"))?;
    let old = msdb[MsdbTable::PrimaryDatabases]
        .find(&[("primary_database", Value::string(&database))])
        .map(|r| (r.id("primary_id").unwrap_or_default(), r.id("backup_job_id")));
    if old.is_some() && !overwrite {
        return Err(error(
            32009,
            format!("A log shipping primary entry already exists for database {database}."),
        ));
    }
    let job_name = a.text("@backup_job_name").unwrap_or_else(|| format!("LSBackup_{database}"));
    free_job_name(msdb, &job_name, old.and_then(|o| o.1), overwrite)?;

    let server = around.server_name();
    let id = around.new_id();
    let monitor = a.text("@monitor_server").filter(|m| !m.trim().is_empty());
    let history = a.int("@history_retention_period").unwrap_or(DEFAULT_HISTORY_MINUTES);
    let monitor_row = vec![
        ("primary_id", Value::Uuid(id)),
        ("primary_server", Value::string(&server)),
        ("primary_database", Value::string(&database)),
        ("backup_threshold", Value::BigInt(a.int("@backup_threshold").unwrap_or(45))),
        ("threshold_alert", Value::BigInt(a.int("@threshold_alert").unwrap_or(14_420))),
        ("threshold_alert_enabled", Value::BigInt(a.int("@threshold_alert_enabled").unwrap_or(0))),
        ("history_retention_period", Value::BigInt(history)),
    ];
    // The other server first: when it cannot be reached, nothing has changed here.
    let ignored = a.int("@ignoreremotemonitor") == Some(1);
    let remote = monitor.as_ref().filter(|m| !is_here(around, m));
    let login = monitor::login(a)?;
    if let Some(remote) = remote {
        around.link(remote, login)?;
    }
    if let Some(remote) = remote.filter(|_| !ignored) {
        around.on_monitor(remote, MonitorChange::Primary(monitor_row.clone()))?;
    }
    if let Some((old_id, old_job)) = old {
        if let Some(job) = old_job {
            jobs::remove(msdb, job, true, true);
        }
        msdb[MsdbTable::PrimaryDatabases].delete(&[("primary_id", Value::Uuid(old_id))]);
        msdb[MsdbTable::MonitorPrimary].delete(&[("primary_id", Value::Uuid(old_id))]);
        msdb[MsdbTable::PrimarySecondaries]
            .update(&[("primary_id", Value::Uuid(old_id))], &[("primary_id", Value::Uuid(id))]);
    }
    let category = jobs::category_id(msdb, LOG_SHIPPING_CATEGORY).unwrap_or(6);
    let program = program(around.major());
    let job = jobs::create(
        msdb,
        around,
        &NewJob {
            name: &job_name,
            is_enabled: false,
            description: &format!("Log shipping backup log job for {server}:{database}."),
            category_id: category,
            step: Some((
                "Log shipping backup log job step.",
                "CmdExec",
                &format!("{program} -Backup {} -server {server}", jobs::shown(id)),
                "",
            )),
        },
    );
    msdb[MsdbTable::PrimaryDatabases].insert(&[
        ("primary_id", Value::Uuid(id)),
        ("primary_database", Value::string(&database)),
        ("backup_directory", Value::string(directory)),
        ("backup_share", Value::string(share)),
        (
            "backup_retention_period",
            Value::BigInt(a.int("@backup_retention_period").unwrap_or(1440)),
        ),
        ("backup_job_id", Value::Uuid(job)),
        ("monitor_server", Value::string(monitor.as_deref().unwrap_or(&server))),
        (
            "monitor_server_security_mode",
            Value::BigInt(a.int("@monitor_server_security_mode").unwrap_or(1)),
        ),
        ("user_specified_monitor", Value::Bit(monitor.is_some())),
        ("backup_compression", Value::BigInt(a.int("@backup_compression").unwrap_or(2))),
    ]);
    msdb[MsdbTable::MonitorPrimary].insert(&monitor_row);
    Ok(Outcome::ok()
        .giving("@backup_job_id", Value::Uuid(job))
        .giving("@primary_id", Value::Uuid(id))
        .telling(Signal::Schedules))
}

/// Columns named by parameters that were given, with their values.
pub fn given(a: Arguments<'_>, columns: &[&'static str]) -> Vec<(&'static str, Value)> {
    columns.iter().map(|c| (*c, a.value(&format!("@{c}")))).filter(|(_, v)| !v.is_null()).collect()
}

/// `sp_change_log_shipping_primary_database`: parameters left out keep their value.
///
/// # Errors
///
/// 32052, 32010, 32028, 32054.
pub fn change(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let database = a.needed("@database")?;
    check_alert_number(a.int("@threshold_alert"))?;
    let row = find(msdb, &database)?;
    let id = row.id("primary_id").unwrap_or_default();
    let remote = monitor::remote_of(row, around);
    if let (Some(remote), true) = (&remote, a.has("@monitor_server_security_mode")) {
        around.link(remote, monitor::login(a)?)?;
    }
    let monitor_values = given(
        a,
        &[
            "backup_threshold",
            "threshold_alert",
            "threshold_alert_enabled",
            "history_retention_period",
        ],
    );
    if let Some(remote) = remote {
        around.on_monitor(&remote, MonitorChange::UpdatePrimary(id, monitor_values.clone()))?;
    }
    let key = [("primary_id", Value::Uuid(id))];
    msdb[MsdbTable::PrimaryDatabases].update(
        &key,
        &given(
            a,
            &[
                "backup_directory",
                "backup_share",
                "backup_retention_period",
                "monitor_server_security_mode",
                "backup_compression",
            ],
        ),
    );
    msdb[MsdbTable::MonitorPrimary].update(&key, &monitor_values);
    Ok(Outcome::ok())
}

/// `sp_delete_log_shipping_primary_database`.
///
/// # Errors
///
/// 32052, 32010, 32011 while secondaries are registered, 32054.
pub fn delete(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let database = a.needed("@database")?;
    let row = find(msdb, &database)?;
    let id = row.id("primary_id").unwrap_or_default();
    let job = row.id("backup_job_id");
    let remote = monitor::remote_of(row, around);
    if msdb[MsdbTable::PrimarySecondaries].has(&[("primary_id", Value::Uuid(id))]) {
        return Err(error(
            32011,
            format!(
                "Primary Database {database} has active log shipping secondary database(s). Drop the secondary database(s) first."
            ),
        ));
    }
    if let Some(remote) = &remote {
        around.on_monitor(remote, MonitorChange::DeletePrimary(id))?;
    }
    if let Some(job) = job {
        jobs::remove(msdb, job, true, true);
    }
    msdb[MsdbTable::PrimaryDatabases].delete(&[("primary_id", Value::Uuid(id))]);
    monitor::apply(msdb, around, MonitorChange::DeletePrimary(id));
    monitor::delete_alert_job(msdb)?;
    let mut outcome = Outcome::ok().telling(Signal::Schedules);
    outcome.signals.extend(job.map(Signal::Stop));
    Ok(outcome)
}

const HELP: &[ColumnDef] = &[
    not_null("primary_id", UniqueIdentifier),
    not_null("primary_database", SqlType::SYSNAME),
    not_null("backup_directory", text(500)),
    not_null("backup_share", text(500)),
    not_null("backup_retention_period", Int),
    not_null("backup_compression", TinyInt),
    not_null("backup_job_id", UniqueIdentifier),
    null("monitor_server", SqlType::SYSNAME),
    null("monitor_server_security_mode", Bit),
    not_null("backup_threshold", Int),
    not_null("threshold_alert", Int),
    not_null("threshold_alert_enabled", Bit),
    null("last_backup_file", text(500)),
    null("last_backup_date", DateTime),
    null("last_backup_date_utc", DateTime),
    not_null("history_retention_period", Int),
];

/// A row for a help procedure: columns from the first table that has them.
pub fn joined(columns: &[ColumnDef], rows: &[Record<'_>]) -> Vec<(&'static str, Value)> {
    columns
        .iter()
        .map(|c| {
            let found = rows.iter().find(|r| r.has_column(c.name));
            (c.name, found.map_or(Value::Null, |r| r.value(c.name).clone()))
        })
        .collect()
}

/// `sp_help_log_shipping_primary_database`.
///
/// # Errors
///
/// 32052 without name and id, 32010.
pub fn help(msdb: &Msdb, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    let row = match a.id("@primary_id") {
        Some(id) => msdb[MsdbTable::PrimaryDatabases].find(&[("primary_id", Value::Uuid(id))]),
        None => Some(find(msdb, &a.needed("@database")?)?),
    };
    let rows = row
        .into_iter()
        .map(|row| {
            let monitor = msdb[MsdbTable::MonitorPrimary]
                .find(&[("primary_id", row.value("primary_id").clone())]);
            // The monitor's row has the date in UTC too, and is the one that is kept current.
            let sources: Vec<Record<'_>> = [Some(row), monitor].into_iter().flatten().collect();
            let mut values = joined(HELP, &sources);
            if !row.bit("user_specified_monitor") {
                blank_monitor(&mut values);
            }
            values
        })
        .collect();
    Ok(Outcome::rows(relation(HELP, rows)))
}

/// Hides the monitor where the caller of the add procedure gave none.
pub fn blank_monitor(values: &mut [(&'static str, Value)]) {
    for (column, value) in values {
        if column.starts_with("monitor_server") {
            *value = Value::Null;
        }
    }
}

/// `sp_add_log_shipping_primary_secondary`.
///
/// # Errors
///
/// 32052, 32010, 32012.
pub fn add_secondary(msdb: &mut Msdb, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    let database = a.needed("@primary_database")?;
    let server = a.needed("@secondary_server")?;
    let secondary = a.needed("@secondary_database")?;
    let id = find(msdb, &database)?.value("primary_id").clone();
    let row = [
        ("primary_id", id),
        ("secondary_server", Value::string(&server)),
        ("secondary_database", Value::string(&secondary)),
    ];
    if msdb[MsdbTable::PrimarySecondaries].has(&row) {
        if a.int("@overwrite") == Some(1) {
            return Ok(Outcome::ok());
        }
        return Err(error(
            32012,
            format!("Secondary {server}.{secondary} already exists for primary {database}."),
        ));
    }
    msdb[MsdbTable::PrimarySecondaries].insert(&row);
    Ok(Outcome::ok())
}

/// `sp_delete_log_shipping_primary_secondary`: never contacts the secondary.
///
/// # Errors
///
/// 32052, 32010.
pub fn delete_secondary(msdb: &mut Msdb, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    let database = a.needed("@primary_database")?;
    let server = a.needed("@secondary_server")?;
    let secondary = a.needed("@secondary_database")?;
    let id = find(msdb, &database)?.value("primary_id").clone();
    msdb[MsdbTable::PrimarySecondaries].delete(&[
        ("primary_id", id),
        ("secondary_server", Value::string(server)),
        ("secondary_database", Value::string(secondary)),
    ]);
    Ok(Outcome::ok())
}

/// `sp_help_log_shipping_primary_secondary`.
///
/// # Errors
///
/// 32052, 32010.
pub fn help_secondary(msdb: &Msdb, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    const COLUMNS: &[ColumnDef] = &[
        not_null("secondary_server", SqlType::SYSNAME),
        not_null("secondary_database", SqlType::SYSNAME),
    ];
    let id = find(msdb, &a.needed("@primary_database")?)?.value("primary_id").clone();
    let rows = msdb[MsdbTable::PrimarySecondaries]
        .records()
        .filter(|r| r.matches(&[("primary_id", id.clone())]))
        .map(|r| joined(COLUMNS, &[r]))
        .collect();
    Ok(Outcome::rows(relation(COLUMNS, rows)))
}

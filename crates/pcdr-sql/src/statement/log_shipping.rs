//! The log shipping procedures, with every parameter given: documents and wizard disagree about
//! defaults.
//!
//! Source: "sp_add_log_shipping_primary_database" and its sisters.

use pcdr_core::step::{PrimarySettings, SecondarySettings};

use super::Statement;
use crate::quote::{self, QuoteError};

/// Message that a late primary raises.
const PRIMARY_ALERT: i32 = 14420;

/// Message that a late secondary raises; the documented default is the primary's.
const SECONDARY_ALERT: i32 = 14421;

/// The entry of a primary, if there is one.
///
/// # Errors
///
/// A name that cannot be quoted; so for every function here.
pub fn primary(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::name(database)?;
    Ok(Statement::query(format!(
        "SELECT p.primary_id, p.backup_directory, p.backup_share, p.backup_retention_period, p.backup_job_id, \
         j.name AS backup_job_name, CAST(j.enabled AS int) AS enabled, m.backup_threshold, m.history_retention_period \
         FROM msdb.dbo.log_shipping_primary_databases AS p \
         LEFT JOIN msdb.dbo.log_shipping_monitor_primary AS m ON m.primary_id = p.primary_id \
         LEFT JOIN msdb.dbo.sysjobs AS j ON j.job_id = p.backup_job_id WHERE p.primary_database = {database};"
    )))
}

/// Registers a primary; its backup job comes disabled and without schedule.
pub fn add_primary(database: &str, settings: &PrimarySettings) -> Result<Statement, QuoteError> {
    let database = quote::name(database)?;
    let directory = quote::path(&settings.backup_directory)?;
    let share = quote::path(&settings.backup_share)?;
    let job = quote::name(&settings.backup_job_name)?;
    let (retention, threshold, history) = (
        settings.backup_retention_minutes,
        settings.backup_threshold_minutes,
        settings.history_retention_minutes,
    );
    Ok(Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int, @job uniqueidentifier, @primary uniqueidentifier;\n\
         EXEC @rc = master.dbo.sp_add_log_shipping_primary_database @database = {database}, \
         @backup_directory = {directory}, @backup_share = {share}, @backup_job_name = {job}, \
         @backup_retention_period = {retention}, @backup_compression = 2, @backup_threshold = {threshold}, \
         @threshold_alert = {PRIMARY_ALERT}, @threshold_alert_enabled = 1, \
         @history_retention_period = {history}, @backup_job_id = @job OUTPUT, @primary_id = @primary OUTPUT;\n\
         SELECT @rc AS return_code, @job AS backup_job_id, @primary AS primary_id;"
    )))
}

/// Makes sure that the instance has its alert job, where no monitor has it.
pub fn add_alert_job() -> Statement {
    Statement::change(
        "SET NOCOUNT ON;\nDECLARE @rc int;\nEXEC @rc = master.dbo.sp_add_log_shipping_alert_job;\n\
         SELECT @rc AS return_code;",
    )
}

/// Removes a primary's entry and backup job.
pub fn delete_primary(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::name(database)?;
    Ok(Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = master.dbo.sp_delete_log_shipping_primary_database @database = {database};\n\
         SELECT @rc AS return_code;"
    )))
}

/// Whether a secondary is registered in a primary's entry; one row if so.
pub fn primary_secondary(
    database: &str,
    server: &str,
    secondary: &str,
) -> Result<Statement, QuoteError> {
    let (database, server) = (quote::name(database)?, quote::name(server)?);
    let secondary = quote::name(secondary)?;
    Ok(Statement::query(format!(
        "SELECT s.secondary_server FROM msdb.dbo.log_shipping_primary_databases AS p \
         JOIN msdb.dbo.log_shipping_primary_secondaries AS s ON s.primary_id = p.primary_id \
         WHERE p.primary_database = {database} AND s.secondary_server = {server} \
         AND s.secondary_database = {secondary};"
    )))
}

/// Registers a secondary in a primary's entry.
pub fn add_primary_secondary(
    database: &str,
    server: &str,
    secondary: &str,
) -> Result<Statement, QuoteError> {
    let (database, server) = (quote::name(database)?, quote::name(server)?);
    let secondary = quote::name(secondary)?;
    Ok(Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = master.dbo.sp_add_log_shipping_primary_secondary @primary_database = {database}, \
         @secondary_server = {server}, @secondary_database = {secondary};\n\
         SELECT @rc AS return_code;"
    )))
}

/// The entry of a secondary database, if there is one.
pub fn secondary(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::name(database)?;
    Ok(Statement::query(format!(
        "SELECT s.secondary_id, s.primary_server, s.primary_database, s.backup_source_directory, \
         s.backup_destination_directory, s.file_retention_period, s.copy_job_id, s.restore_job_id, \
         b.restore_delay, CAST(b.restore_mode AS int) AS restore_mode, m.restore_threshold, \
         m.history_retention_period, c.name AS copy_job_name, CAST(c.enabled AS int) AS copy_enabled, \
         r.name AS restore_job_name, CAST(r.enabled AS int) AS restore_enabled \
         FROM msdb.dbo.log_shipping_secondary_databases AS b \
         JOIN msdb.dbo.log_shipping_secondary AS s ON s.secondary_id = b.secondary_id \
         LEFT JOIN msdb.dbo.log_shipping_monitor_secondary AS m \
         ON m.secondary_id = b.secondary_id AND m.secondary_database = b.secondary_database \
         LEFT JOIN msdb.dbo.sysjobs AS c ON c.job_id = s.copy_job_id \
         LEFT JOIN msdb.dbo.sysjobs AS r ON r.job_id = s.restore_job_id WHERE b.secondary_database = {database};"
    )))
}

/// The entry of a primary on a secondary instance, with or without secondary databases.
pub fn secondary_primary(server: &str, database: &str) -> Result<Statement, QuoteError> {
    let (server, database) = (quote::name(server)?, quote::name(database)?);
    Ok(Statement::query(format!(
        "SELECT s.secondary_id, s.backup_source_directory, s.backup_destination_directory, \
         s.file_retention_period, s.copy_job_id, s.restore_job_id \
         FROM msdb.dbo.log_shipping_secondary AS s \
         WHERE s.primary_server = {server} AND s.primary_database = {database};"
    )))
}

/// Registers a primary on a secondary; its copy and restore jobs come disabled and without schedule.
pub fn add_secondary_primary(settings: &SecondarySettings) -> Result<Statement, QuoteError> {
    let server = quote::name(&settings.primary_server)?;
    let database = quote::name(settings.primary_database.as_str())?;
    let source = quote::path(&settings.backup_source_directory)?;
    let destination = quote::path(&settings.backup_destination_directory)?;
    let copy_job = quote::name(&settings.copy_job_name)?;
    let restore_job = quote::name(&settings.restore_job_name)?;
    let retention = settings.file_retention_minutes;
    Ok(Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int, @copy uniqueidentifier, @restore uniqueidentifier, \
         @secondary uniqueidentifier;\n\
         EXEC @rc = master.dbo.sp_add_log_shipping_secondary_primary @primary_server = {server}, \
         @primary_database = {database}, @backup_source_directory = {source}, \
         @backup_destination_directory = {destination}, @copy_job_name = {copy_job}, \
         @restore_job_name = {restore_job}, @file_retention_period = {retention}, \
         @copy_job_id = @copy OUTPUT, @restore_job_id = @restore OUTPUT, @secondary_id = @secondary OUTPUT;\n\
         SELECT @rc AS return_code, @copy AS copy_job_id, @restore AS restore_job_id, \
         @secondary AS secondary_id;"
    )))
}

/// Registers a secondary database of a primary that is registered.
pub fn add_secondary_database(
    database: &str,
    settings: &SecondarySettings,
) -> Result<Statement, QuoteError> {
    let secondary = quote::name(database)?;
    let server = quote::name(&settings.primary_server)?;
    let primary = quote::name(settings.primary_database.as_str())?;
    let (delay, threshold, history) = (
        settings.restore_delay_minutes,
        settings.restore_threshold_minutes,
        settings.history_retention_minutes,
    );
    Ok(Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = master.dbo.sp_add_log_shipping_secondary_database @secondary_database = {secondary}, \
         @primary_server = {server}, @primary_database = {primary}, @restore_delay = {delay}, @restore_all = 1, \
         @restore_mode = 0, @disconnect_users = 0, @block_size = -1, @buffer_count = -1, \
         @max_transfer_size = NULL, @restore_threshold = {threshold}, @threshold_alert = {SECONDARY_ALERT}, \
         @threshold_alert_enabled = 1, @history_retention_period = {history};\n\
         SELECT @rc AS return_code;"
    )))
}

/// Removes a secondary database's entry; copy and restore jobs go with the last one of its primary.
pub fn delete_secondary_database(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::name(database)?;
    Ok(Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = master.dbo.sp_delete_log_shipping_secondary_database @secondary_database = {database};\n\
         SELECT @rc AS return_code;"
    )))
}

/// Removes a primary's entry on a secondary that has no secondary databases of it.
pub fn delete_secondary_primary(server: &str, database: &str) -> Result<Statement, QuoteError> {
    let (server, database) = (quote::name(server)?, quote::name(database)?);
    Ok(Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = master.dbo.sp_delete_log_shipping_secondary_primary @primary_server = {server}, \
         @primary_database = {database};\nSELECT @rc AS return_code;"
    )))
}

pub(super) fn samples(
    database: &str,
    path: &str,
) -> Result<Vec<(&'static str, Statement)>, QuoteError> {
    let primary_settings = PrimarySettings {
        backup_directory: path.to_owned(),
        backup_share: path.to_owned(),
        backup_job_name: database.to_owned(),
        backup_retention_minutes: 4320,
        backup_threshold_minutes: 60,
        history_retention_minutes: 5760,
        schedule_name: database.to_owned(),
        every_seconds: 60,
    };
    let secondary_settings = SecondarySettings {
        primary_server: database.to_owned(),
        primary_database: database.into(),
        backup_source_directory: path.to_owned(),
        backup_destination_directory: path.to_owned(),
        copy_job_name: database.to_owned(),
        restore_job_name: database.to_owned(),
        file_retention_minutes: 4320,
        restore_delay_minutes: 0,
        restore_threshold_minutes: 45,
        history_retention_minutes: 5760,
        copy_schedule_name: database.to_owned(),
        restore_schedule_name: database.to_owned(),
        copy_every_seconds: 60,
        restore_every_seconds: 60,
    };
    Ok(vec![
        ("primary entry", primary(database)?),
        ("add primary", add_primary(database, &primary_settings)?),
        ("add alert job", add_alert_job()),
        ("delete primary", delete_primary(database)?),
        ("primary's secondary", primary_secondary(database, database, database)?),
        ("add primary's secondary", add_primary_secondary(database, database, database)?),
        ("secondary entry", secondary(database)?),
        ("secondary's primary", secondary_primary(database, database)?),
        ("add secondary's primary", add_secondary_primary(&secondary_settings)?),
        ("add secondary", add_secondary_database(database, &secondary_settings)?),
        ("delete secondary", delete_secondary_database(database)?),
        ("delete secondary's primary", delete_secondary_primary(database, database)?),
    ])
}

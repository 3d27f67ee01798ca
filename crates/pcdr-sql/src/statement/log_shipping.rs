//! The log shipping procedures, with every parameter given: documents and wizard disagree about
//! defaults.
//!
//! Source: "sp_add_log_shipping_primary_database" and its sisters.

use pcdr_core::settings::{Monitor, PrimarySettings, SecondarySettings};

use super::Statement;
use crate::connection::Password;
use crate::quote::{self, QuoteError};

/// Message that a late primary raises.
const PRIMARY_ALERT: i32 = 14420;

/// Message that a late secondary raises; the documented default is the primary's.
const SECONDARY_ALERT: i32 = 14421;

/// The backup job of a primary's entry, if there is one.
///
/// # Errors
///
/// A name that cannot be quoted; so for every function here.
pub fn primary(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::name(database)?;
    Ok(Statement::query(format!(
        "SELECT p.primary_id, p.backup_job_id FROM msdb.dbo.log_shipping_primary_databases AS p \
         WHERE p.primary_database = {database};"
    )))
}

/// `, @name = 'text'`, or nothing: an option that is not designed is not passed, because older servers
/// do not know it.
fn option(name: &str, text: Option<&str>) -> Result<String, QuoteError> {
    Ok(match text {
        Some(text) => format!(", {name} = {}", quote::literal(text)?),
        None => String::new(),
    })
}

/// The monitor and how it is reached; nothing where the instance watches itself, as the wizard does it.
fn monitor(monitor: Option<&Monitor>) -> Result<String, QuoteError> {
    let Some(monitor) = monitor else { return Ok(String::new()) };
    let server = quote::name(&monitor.server)?;
    Ok(format!(", @monitor_server = {server}{}", monitor_access(Some(monitor))?))
}

/// How the monitor is logged in to. The password of a login is `@P1`, which [`Statement::secrets`] has.
fn monitor_access(monitor: Option<&Monitor>) -> Result<String, QuoteError> {
    let Some(monitor) = monitor else { return Ok(String::new()) };
    let options = option("@monitor_connection_options", monitor.connection_options.as_deref())?;
    Ok(match &monitor.login {
        None => format!(", @monitor_server_security_mode = 1{options}"),
        Some(login) => format!(
            ", @monitor_server_security_mode = 0, @monitor_server_login = {}, \
             @monitor_server_password = @P1{options}",
            quote::name(login)?
        ),
    })
}

/// What `@P1` stands for in a batch with these settings.
fn with_password(
    statement: Statement,
    monitor: Option<&Monitor>,
    password: Option<&Password>,
) -> Statement {
    let has_login = monitor.is_some_and(|monitor| monitor.login.is_some());
    statement.with(password.filter(|_| has_login).cloned())
}

/// Registers a primary; its backup job comes disabled and without schedule. `password` is that of the
/// monitor's login; so for every function here that takes one.
pub fn add_primary(
    database: &str,
    settings: &PrimarySettings,
    password: Option<&Password>,
) -> Result<Statement, QuoteError> {
    let database = quote::name(database)?;
    let job = quote::name(&settings.backup_job_name)?;
    let common = primary_parameters(settings)?;
    let monitor = monitor(settings.monitor.as_ref())?;
    let options = option("@primary_connection_options", settings.connection_options.as_deref())?;
    let add = Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int, @job uniqueidentifier, @primary uniqueidentifier;\n\
         EXEC @rc = master.dbo.sp_add_log_shipping_primary_database @database = {database}, \
         @backup_job_name = {job}, {common}{monitor}{options}, \
         @backup_job_id = @job OUTPUT, @primary_id = @primary OUTPUT;\n\
         SELECT @rc AS return_code, @job AS backup_job_id, @primary AS primary_id;"
    ));
    Ok(with_password(add, settings.monitor.as_ref(), password))
}

/// Changes a primary's entry in place.
pub fn change_primary(
    database: &str,
    settings: &PrimarySettings,
    password: Option<&Password>,
) -> Result<Statement, QuoteError> {
    let database = quote::name(database)?;
    let common = primary_parameters(settings)?;
    let access = monitor_access(settings.monitor.as_ref())?;
    let change = Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = master.dbo.sp_change_log_shipping_primary_database @database = {database}, \
         {common}{access};\nSELECT @rc AS return_code;"
    ));
    Ok(with_password(change, settings.monitor.as_ref(), password))
}

/// What adding and changing a primary have in common.
fn primary_parameters(settings: &PrimarySettings) -> Result<String, QuoteError> {
    let directory = quote::path(&settings.backup_directory)?;
    let share = quote::path(&settings.backup_share)?;
    let compression = settings.backup_compression.as_number();
    let alert = i32::from(settings.raises_alert);
    let (retention, threshold, history) = (
        settings.backup_retention_minutes,
        settings.backup_threshold_minutes,
        settings.history_retention_minutes,
    );
    Ok(format!(
        "@backup_directory = {directory}, @backup_share = {share}, @backup_retention_period = {retention}, \
         @backup_compression = {compression}, @backup_threshold = {threshold}, \
         @threshold_alert = {PRIMARY_ALERT}, @threshold_alert_enabled = {alert}, \
         @history_retention_period = {history}"
    ))
}

/// Makes sure that the instance has its alert job, where no monitor has it.
pub fn add_alert_job() -> Statement {
    Statement::change(
        "SET NOCOUNT ON;\nDECLARE @rc int;\nEXEC @rc = master.dbo.sp_add_log_shipping_alert_job;\n\
         SELECT @rc AS return_code;",
    )
}

/// The alert job of the instance, if there is one.
pub fn alert_job() -> Statement {
    Statement::query("SELECT a.alert_job_id FROM msdb.dbo.log_shipping_monitor_alert AS a;")
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

/// The secondaries that are registered in a primary's entry.
pub fn primary_secondaries(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::name(database)?;
    Ok(Statement::query(format!(
        "SELECT s.secondary_server FROM msdb.dbo.log_shipping_primary_databases AS p \
         JOIN msdb.dbo.log_shipping_primary_secondaries AS s ON s.primary_id = p.primary_id \
         WHERE p.primary_database = {database};"
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

/// Takes a secondary off a primary's entry.
pub fn delete_primary_secondary(
    database: &str,
    server: &str,
    secondary: &str,
) -> Result<Statement, QuoteError> {
    let (database, server) = (quote::name(database)?, quote::name(server)?);
    let secondary = quote::name(secondary)?;
    Ok(Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = master.dbo.sp_delete_log_shipping_primary_secondary @primary_database = {database}, \
         @secondary_server = {server}, @secondary_database = {secondary};\n\
         SELECT @rc AS return_code;"
    )))
}

/// Removes the alert job, unless something is still monitored on the instance.
pub fn delete_alert_job() -> Statement {
    Statement::change(
        "SET NOCOUNT ON;\nDECLARE @rc int;\nEXEC @rc = master.dbo.sp_delete_log_shipping_alert_job;\n\
         SELECT @rc AS return_code;",
    )
}

/// The jobs of a secondary database's entry, if there is one.
pub fn secondary(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::name(database)?;
    Ok(Statement::query(format!(
        "SELECT s.secondary_id, s.copy_job_id, s.restore_job_id \
         FROM msdb.dbo.log_shipping_secondary_databases AS b \
         JOIN msdb.dbo.log_shipping_secondary AS s ON s.secondary_id = b.secondary_id \
         WHERE b.secondary_database = {database};"
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

/// The secondary databases of a primary on a secondary instance.
pub fn secondary_databases(server: &str, database: &str) -> Result<Statement, QuoteError> {
    let (server, database) = (quote::name(server)?, quote::name(database)?);
    Ok(Statement::query(format!(
        "SELECT b.secondary_database FROM msdb.dbo.log_shipping_secondary AS s \
         JOIN msdb.dbo.log_shipping_secondary_databases AS b ON b.secondary_id = s.secondary_id \
         WHERE s.primary_server = {server} AND s.primary_database = {database};"
    )))
}

/// Registers a primary on a secondary; its copy and restore jobs come disabled and without schedule.
pub fn add_secondary_primary(
    settings: &SecondarySettings,
    password: Option<&Password>,
) -> Result<Statement, QuoteError> {
    let common = secondary_primary_parameters(settings)?;
    let copy_job = quote::name(&settings.copy_job_name)?;
    let restore_job = quote::name(&settings.restore_job_name)?;
    let monitor = monitor(settings.monitor.as_ref())?;
    let options = option("@secondary_connection_options", settings.connection_options.as_deref())?;
    let add = Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int, @copy uniqueidentifier, @restore uniqueidentifier, \
         @secondary uniqueidentifier;\n\
         EXEC @rc = master.dbo.sp_add_log_shipping_secondary_primary {common}, \
         @copy_job_name = {copy_job}, @restore_job_name = {restore_job}{monitor}{options}, \
         @copy_job_id = @copy OUTPUT, @restore_job_id = @restore OUTPUT, @secondary_id = @secondary OUTPUT;\n\
         SELECT @rc AS return_code, @copy AS copy_job_id, @restore AS restore_job_id, \
         @secondary AS secondary_id;"
    ));
    Ok(with_password(add, settings.monitor.as_ref(), password))
}

/// Changes a primary's entry on a secondary in place, for all its secondary databases there.
pub fn change_secondary_primary(
    settings: &SecondarySettings,
    password: Option<&Password>,
) -> Result<Statement, QuoteError> {
    let common = secondary_primary_parameters(settings)?;
    let access = monitor_access(settings.monitor.as_ref())?;
    let change = Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = master.dbo.sp_change_log_shipping_secondary_primary {common}{access};\n\
         SELECT @rc AS return_code;"
    ));
    Ok(with_password(change, settings.monitor.as_ref(), password))
}

fn secondary_primary_parameters(settings: &SecondarySettings) -> Result<String, QuoteError> {
    let server = quote::name(&settings.primary_server)?;
    let database = quote::name(settings.primary_database.as_str())?;
    let source = quote::path(&settings.backup_source_directory)?;
    let destination = quote::path(&settings.backup_destination_directory)?;
    let retention = settings.file_retention_minutes;
    Ok(format!(
        "@primary_server = {server}, @primary_database = {database}, @backup_source_directory = {source}, \
         @backup_destination_directory = {destination}, @file_retention_period = {retention}"
    ))
}

/// Registers a secondary database of a primary that is registered.
pub fn add_secondary_database(
    database: &str,
    settings: &SecondarySettings,
) -> Result<Statement, QuoteError> {
    let secondary = quote::name(database)?;
    let server = quote::name(&settings.primary_server)?;
    let primary = quote::name(settings.primary_database.as_str())?;
    let common = secondary_database_parameters(settings);
    Ok(Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = master.dbo.sp_add_log_shipping_secondary_database @secondary_database = {secondary}, \
         @primary_server = {server}, @primary_database = {primary}, {common};\n\
         SELECT @rc AS return_code;"
    )))
}

/// Changes a secondary database's entry in place.
pub fn change_secondary_database(
    database: &str,
    settings: &SecondarySettings,
) -> Result<Statement, QuoteError> {
    let secondary = quote::name(database)?;
    let common = secondary_database_parameters(settings);
    Ok(Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = master.dbo.sp_change_log_shipping_secondary_database @secondary_database = {secondary}, \
         {common};\nSELECT @rc AS return_code;"
    )))
}

fn secondary_database_parameters(settings: &SecondarySettings) -> String {
    let (delay, threshold, history) = (
        settings.restore_delay_minutes,
        settings.restore_threshold_minutes,
        settings.history_retention_minutes,
    );
    let mode = settings.restore_mode.as_number();
    let disconnect = i32::from(settings.disconnect_users);
    let alert = i32::from(settings.raises_alert);
    format!(
        "@restore_delay = {delay}, @restore_all = 1, @restore_mode = {mode}, @disconnect_users = {disconnect}, \
         @block_size = -1, @buffer_count = -1, @max_transfer_size = NULL, @restore_threshold = {threshold}, \
         @threshold_alert = {SECONDARY_ALERT}, @threshold_alert_enabled = {alert}, \
         @history_retention_period = {history}"
    )
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
    use pcdr_core::schedule::Schedule;
    use pcdr_core::settings::{Compression, RestoreMode};

    let monitor = Monitor {
        server: database.to_owned(),
        login: None,
        connection_options: Some("Encrypt=strict;HostNameInCertificate=sql.example.net".to_owned()),
    };
    let primary_settings = PrimarySettings {
        backup_directory: path.to_owned(),
        backup_share: path.to_owned(),
        backup_job_name: database.to_owned(),
        backup_retention_minutes: 4320,
        backup_compression: Compression::Instance,
        backup_threshold_minutes: 60,
        raises_alert: true,
        history_retention_minutes: 5760,
        monitor: None,
        connection_options: None,
        schedule_name: database.to_owned(),
        schedule: Schedule::all_day(60),
    };
    let watched_primary = PrimarySettings {
        monitor: Some(monitor.clone()),
        connection_options: Some("Encrypt=mandatory".to_owned()),
        ..primary_settings.clone()
    };
    let with_login = Monitor {
        server: database.to_owned(),
        login: Some(database.to_owned()),
        connection_options: None,
    };
    let password = Password::new(database);
    let password = Some(&password);
    let reporting_primary =
        PrimarySettings { monitor: Some(with_login.clone()), ..primary_settings.clone() };
    let secondary_settings = SecondarySettings {
        primary_server: database.to_owned(),
        primary_database: database.into(),
        backup_source_directory: path.to_owned(),
        backup_destination_directory: path.to_owned(),
        copy_job_name: database.to_owned(),
        restore_job_name: database.to_owned(),
        file_retention_minutes: 4320,
        monitor: None,
        connection_options: None,
        restore_delay_minutes: 0,
        restore_mode: RestoreMode::Standby,
        disconnect_users: true,
        restore_threshold_minutes: 45,
        raises_alert: true,
        history_retention_minutes: 5760,
        copy_schedule_name: database.to_owned(),
        copy_schedule: Schedule::all_day(60),
        restore_schedule_name: database.to_owned(),
        restore_schedule: Schedule::all_day(60),
    };
    let watched_secondary = SecondarySettings {
        monitor: Some(monitor),
        connection_options: Some("TrustServerCertificate=no".to_owned()),
        ..secondary_settings.clone()
    };
    let reporting_secondary =
        SecondarySettings { monitor: Some(with_login), ..secondary_settings.clone() };
    Ok(vec![
        ("primary entry", primary(database)?),
        ("add primary", add_primary(database, &primary_settings, None)?),
        ("add watched primary", add_primary(database, &watched_primary, None)?),
        ("add reporting primary", add_primary(database, &reporting_primary, password)?),
        ("change primary", change_primary(database, &primary_settings, None)?),
        ("change watched primary", change_primary(database, &watched_primary, None)?),
        ("change reporting primary", change_primary(database, &reporting_primary, password)?),
        ("add alert job", add_alert_job()),
        ("alert job", alert_job()),
        ("delete primary", delete_primary(database)?),
        ("primary's secondary", primary_secondary(database, database, database)?),
        ("primary's secondaries", primary_secondaries(database)?),
        ("add primary's secondary", add_primary_secondary(database, database, database)?),
        ("delete primary's secondary", delete_primary_secondary(database, database, database)?),
        ("delete alert job", delete_alert_job()),
        ("secondary entry", secondary(database)?),
        ("secondary's primary", secondary_primary(database, database)?),
        ("secondary databases", secondary_databases(database, database)?),
        ("add secondary's primary", add_secondary_primary(&secondary_settings, None)?),
        ("add watched secondary's primary", add_secondary_primary(&watched_secondary, None)?),
        (
            "add reporting secondary's primary",
            add_secondary_primary(&reporting_secondary, password)?,
        ),
        ("change secondary's primary", change_secondary_primary(&secondary_settings, None)?),
        ("change watched secondary's primary", change_secondary_primary(&watched_secondary, None)?),
        (
            "change reporting secondary's primary",
            change_secondary_primary(&reporting_secondary, password)?,
        ),
        ("change secondary", change_secondary_database(database, &secondary_settings)?),
        ("add secondary", add_secondary_database(database, &secondary_settings)?),
        ("delete secondary", delete_secondary_database(database)?),
        ("delete secondary's primary", delete_secondary_primary(database, database)?),
    ])
}

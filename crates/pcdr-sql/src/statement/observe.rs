//! The observation of one instance: one batch of sections, each on its own.
//!
//! The name of the first column of a result set tells its section. A section that fails answers with
//! a second column `error` instead. Every section is dynamic SQL inside its own TRY, because a
//! missing object or permission that is found while a batch is compiled cannot be caught on the same
//! level.

use pcdr_core::drill::is_copy_name;
use pcdr_core::observation::ON_RECORD;

use super::jobs::FREQUENCY;
use super::{HIDDEN, REDO_START, SEES_DEFINITIONS, SEES_SESSIONS, Statement, unless_hidden};
use crate::quote::{self, QuoteError};

/// The column that a failed section has.
pub(crate) const ERROR: &str = "error";

/// Builds the observation of these databases.
///
/// # Errors
///
/// A name that cannot be quoted.
pub fn observe(databases: &[&str]) -> Result<Statement, QuoteError> {
    let names = if databases.is_empty() {
        "N''".to_owned() // IN () is no syntax; no database has an empty name
    } else {
        quote::names(databases.iter().copied())?
    };
    let mut batch = String::from(
        "SET NOCOUNT ON;\n\
         SELECT 1 AS pcdr_server, SYSDATETIMEOFFSET() AS now, CAST(@@SERVERNAME AS nvarchar(128)) AS server_name, \
         CAST(SERVERPROPERTY(N'ProductVersion') AS nvarchar(128)) AS version, \
         CAST(SERVERPROPERTY(N'Edition') AS nvarchar(128)) AS edition;\n",
    );
    for (section, query) in sections(Databases::Named(&names)).into_iter().chain(history(&names)) {
        batch.push_str(&guarded(section, &query, "")?);
    }
    // Nothing inside of a drill's copy is read: it may be damaged, and DBCC CHECKDB says so better.
    for database in databases.iter().filter(|database| !is_copy_name(database)) {
        batch.push_str(&pings(database)?);
        batch.push_str(&log_space(database)?);
    }
    Ok(Statement::query(batch))
}

/// Which databases a section tells of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Databases<'a> {
    /// Those of a list of literals.
    Named(&'a str),
    /// All of them.
    Every,
}

impl Databases<'_> {
    /// The condition that a column with a database's name fulfils.
    fn of(self, column: &str) -> String {
        match self {
            Databases::Named(names) => format!("{column} IN ({names})"),
            Databases::Every => format!("{column} IS NOT NULL"),
        }
    }
}

/// A section that answers with its rows or with its error.
pub(super) fn guarded(section: &str, query: &str, more: &str) -> Result<String, QuoteError> {
    let query = quote::literal(query)?;
    Ok(format!(
        "BEGIN TRY\n  EXEC sys.sp_executesql {query};\nEND TRY\nBEGIN CATCH\n  \
         SELECT ERROR_NUMBER() AS {section}, ERROR_MESSAGE() AS {ERROR}{more};\nEND CATCH;\n"
    ))
}

/// The sections that tell of databases, log shipping, jobs and the endpoint.
pub(super) fn sections(databases: Databases<'_>) -> Vec<(&'static str, String)> {
    let [d_name, destination, p_primary, b_secondary, s_primary] = [
        "d.name",
        "h.destination_database_name",
        "p.primary_database",
        "b.secondary_database",
        "s.primary_database",
    ]
    .map(|column| databases.of(column));
    vec![
        (
            "pcdr_agent",
            unless_hidden(
                &["VIEW SERVER STATE", "VIEW SERVER SECURITY STATE"],
                "the services are not shown.",
            ) + "SELECT 1 AS pcdr_agent, CAST(s.status AS int) AS status FROM sys.dm_server_services AS s \
                 WHERE s.servicename LIKE N'SQL Server Agent%';",
        ),
        (
            "pcdr_databases",
            format!(
                "{guard}SELECT 1 AS pcdr_databases, d.name, CAST(d.state AS int) AS state, d.is_in_standby, d.is_read_only, \
                 CAST(d.user_access AS int) AS user_access, CAST(d.recovery_model AS int) AS recovery_model \
                 FROM sys.databases AS d WHERE {d_name};",
                guard = unless_hidden(&["VIEW ANY DATABASE"], "a database that is not shown may exist.")
            ),
        ),
        (
            "pcdr_positions",
            format!(
                "SELECT 1 AS pcdr_positions, d.name, r.family_guid, r.recovery_fork_guid, r.last_log_backup_lsn, \
                 f.redo_start_lsn, f.redo_start_fork_guid FROM sys.databases AS d \
                 LEFT JOIN sys.database_recovery_status AS r ON r.database_id = d.database_id \
                 {REDO_START} \
                 WHERE {d_name};"
            ),
        ),
        (
            "pcdr_restores",
            format!(
                "SELECT 1 AS pcdr_restores, h.destination_database_name AS name, s.family_guid, \
                 s.last_recovery_fork_guid, s.last_lsn, h.restore_type FROM msdb.dbo.restorehistory AS h \
                 JOIN msdb.dbo.backupset AS s ON s.backup_set_id = h.backup_set_id \
                 WHERE {destination} AND h.restore_history_id = \
                 (SELECT MAX(x.restore_history_id) FROM msdb.dbo.restorehistory AS x \
                 WHERE x.destination_database_name = h.destination_database_name AND x.restore_type IN ('D', 'I', 'L'));"
            ),
        ),
        (
            "pcdr_mirroring",
            format!(
                "SELECT 1 AS pcdr_mirroring, d.name, CAST(m.mirroring_role AS int) AS role, \
                 CAST(m.mirroring_state AS int) AS state, CAST(m.mirroring_safety_level AS int) AS safety, \
                 m.mirroring_partner_name, m.mirroring_witness_name, \
                 CAST(m.mirroring_witness_state AS int) AS witness_state, m.mirroring_end_of_log_lsn, \
                 CAST(IS_SRVROLEMEMBER(N'sysadmin') AS int) AS is_sysadmin FROM sys.databases AS d \
                 LEFT JOIN sys.database_mirroring AS m ON m.database_id = d.database_id WHERE {d_name};"
            ),
        ),
        (
            "pcdr_sessions",
            format!(
                "{guard}SELECT 1 AS pcdr_sessions, d.name, CAST(s.session_id AS int) AS session_id, \
                 CONVERT(nvarchar(30), s.login_time, 121) AS login_time, s.login_name, s.program_name \
                 FROM sys.dm_exec_sessions AS s JOIN sys.databases AS d ON d.database_id = s.database_id \
                 WHERE s.is_user_process = 1 AND s.session_id <> @@SPID AND {d_name} \
                 ORDER BY s.session_id;",
                guard = unless_hidden(&SEES_SESSIONS, "sessions of others are not shown.")
            ),
        ),
        (
            "pcdr_primary",
            format!(
                "SELECT 1 AS pcdr_primary, p.primary_database, p.backup_directory, p.backup_share, \
                 p.backup_retention_period, CAST(p.backup_compression AS int) AS backup_compression, p.last_backup_file, \
                 p.backup_job_id, p.monitor_server, p.user_specified_monitor, \
                 CAST(p.monitor_server_security_mode AS int) AS security_mode, m.last_backup_date_utc, \
                 m.backup_threshold, m.threshold_alert_enabled, m.history_retention_period \
                 FROM msdb.dbo.log_shipping_primary_databases AS p \
                 LEFT JOIN msdb.dbo.log_shipping_monitor_primary AS m ON m.primary_id = p.primary_id \
                 WHERE {p_primary};"
            ),
        ),
        (
            "pcdr_secondaries",
            format!(
                "SELECT 1 AS pcdr_secondaries, p.primary_database, s.secondary_server, s.secondary_database \
                 FROM msdb.dbo.log_shipping_primary_databases AS p \
                 JOIN msdb.dbo.log_shipping_primary_secondaries AS s ON s.primary_id = p.primary_id \
                 WHERE {p_primary} ORDER BY s.secondary_server, s.secondary_database;"
            ),
        ),
        (
            "pcdr_secondary",
            format!(
                "SELECT 1 AS pcdr_secondary, b.secondary_database, s.primary_server, s.primary_database, \
                 s.backup_source_directory, s.backup_destination_directory, s.last_copied_file, s.copy_job_id, \
                 s.restore_job_id, s.file_retention_period, s.monitor_server, s.user_specified_monitor, \
                 CAST(s.monitor_server_security_mode AS int) AS security_mode, \
                 b.last_restored_file, b.restore_delay, b.restore_all, CAST(b.restore_mode AS int) AS restore_mode, \
                 b.disconnect_users, m.last_copied_date_utc, m.last_restored_date_utc, m.last_restored_latency, \
                 m.restore_threshold, m.threshold_alert_enabled, m.history_retention_period \
                 FROM msdb.dbo.log_shipping_secondary_databases AS b \
                 JOIN msdb.dbo.log_shipping_secondary AS s ON s.secondary_id = b.secondary_id \
                 LEFT JOIN msdb.dbo.log_shipping_monitor_secondary AS m \
                 ON m.secondary_id = b.secondary_id AND m.secondary_database = b.secondary_database \
                 WHERE {b_secondary};"
            ),
        ),
        // How the procedures log in to another server: by a linked server that is named after it.
        (
            "pcdr_links",
            "SELECT 1 AS pcdr_links, v.name, v.data_source, l.remote_name FROM sys.servers AS v \
             JOIN sys.linked_logins AS l ON l.server_id = v.server_id \
             WHERE v.is_linked = 1 AND v.name LIKE N'LOGSHIPLINK[_]%' AND l.remote_name IS NOT NULL;"
                .to_owned(),
        ),
        (
            "pcdr_unfinished",
            format!(
                "SELECT 1 AS pcdr_unfinished, s.primary_database, s.primary_server \
                 FROM msdb.dbo.log_shipping_secondary AS s WHERE {s_primary} \
                 AND NOT EXISTS (SELECT 1 FROM msdb.dbo.log_shipping_secondary_databases AS b \
                 WHERE b.secondary_id = s.secondary_id) ORDER BY s.primary_server;"
            ),
        ),
        (
            "pcdr_jobs",
            format!(
                "SELECT 1 AS pcdr_jobs, j.job_id, j.name, CAST(j.enabled AS int) AS enabled, \
                 (SELECT COUNT(*) FROM msdb.dbo.sysjobactivity AS a WHERE a.job_id = j.job_id \
                 AND a.session_id = (SELECT MAX(y.session_id) FROM msdb.dbo.syssessions AS y) \
                 AND a.start_execution_date IS NOT NULL AND a.stop_execution_date IS NULL) AS running, \
                 h.run_status AS last_run_status, h.run_date AS last_run_date, h.run_time AS last_run_time, \
                 h.message AS last_run_message, f.run_date AS failure_date, f.run_time AS failure_time, \
                 f.message AS failure_message \
                 FROM msdb.dbo.sysjobs AS j LEFT JOIN msdb.dbo.sysjobhistory AS h ON h.instance_id = \
                 (SELECT MAX(x.instance_id) FROM msdb.dbo.sysjobhistory AS x WHERE x.job_id = j.job_id \
                 AND x.step_id = 0) LEFT JOIN msdb.dbo.sysjobhistory AS f ON f.instance_id = \
                 (SELECT MAX(z.instance_id) FROM msdb.dbo.sysjobhistory AS z WHERE z.job_id = j.job_id \
                 AND z.step_id > 0 AND z.run_status = 0) WHERE {JOBS};"
            ),
        ),
        (
            "pcdr_schedules",
            format!(
                "SELECT 1 AS pcdr_schedules, j.job_id, x.schedule_id, x.name, CAST(x.enabled AS int) AS enabled, \
                 {FREQUENCY} FROM msdb.dbo.sysjobschedules AS j \
                 JOIN msdb.dbo.sysschedules AS x ON x.schedule_id = j.schedule_id WHERE {JOBS} \
                 ORDER BY x.schedule_id;"
            ),
        ),
        (
            "pcdr_monitored",
            "SELECT 1 AS pcdr_monitored, p.primary_server AS server, p.primary_database AS name, \
             p.backup_threshold AS threshold, p.threshold_alert_enabled, p.last_backup_date_utc AS last_at, \
             CAST(NULL AS int) AS latency FROM msdb.dbo.log_shipping_monitor_primary AS p;"
                .to_owned(),
        ),
        (
            "pcdr_monitored",
            "SELECT 2 AS pcdr_monitored, s.secondary_server AS server, s.secondary_database AS name, \
             s.restore_threshold AS threshold, s.threshold_alert_enabled, s.last_restored_date_utc AS last_at, \
             s.last_restored_latency AS latency FROM msdb.dbo.log_shipping_monitor_secondary AS s;"
                .to_owned(),
        ),
        (
            "pcdr_alert",
            "SELECT 1 AS pcdr_alert, a.alert_job_id FROM msdb.dbo.log_shipping_monitor_alert AS a;"
                .to_owned(),
        ),
        (
            "pcdr_endpoint",
            unless_hidden(&[SEES_DEFINITIONS], "an endpoint that is not shown may exist.")
                + "SELECT 1 AS pcdr_endpoint, e.name, t.port, CAST(e.state AS int) AS state, \
                   CAST(e.role AS int) AS role FROM sys.database_mirroring_endpoints AS e \
                   LEFT JOIN sys.tcp_endpoints AS t ON t.endpoint_id = e.endpoint_id;",
        ),
    ]
}

/// The sections that tell which log backups were taken and restored, of the newest on record.
fn history(names: &str) -> Vec<(&'static str, String)> {
    vec![
        (
            "pcdr_taken",
            format!(
                "SELECT 1 AS pcdr_taken, d.name, b.first_lsn, b.last_lsn, b.first_recovery_fork_guid, \
                 b.backup_start_date, b.backup_finish_date, b.time_zone, b.backup_size, b.compressed_backup_size, \
                 b.path FROM sys.databases AS d CROSS APPLY (SELECT TOP ({ON_RECORD}) x.backup_set_id, x.first_lsn, \
                 x.last_lsn, x.first_recovery_fork_guid, x.backup_start_date, x.backup_finish_date, \
                 CAST(x.time_zone AS int) AS time_zone, CAST(x.backup_size AS bigint) AS backup_size, \
                 CAST(x.compressed_backup_size AS bigint) AS compressed_backup_size, \
                 (SELECT MAX(f.physical_device_name) FROM msdb.dbo.backupmediafamily AS f \
                 WHERE f.media_set_id = x.media_set_id) AS path FROM msdb.dbo.backupset AS x \
                 WHERE x.database_name = d.name AND x.type = 'L' AND x.server_name = @@SERVERNAME \
                 ORDER BY x.backup_set_id DESC) AS b WHERE d.name IN ({names}) ORDER BY b.backup_set_id;"
            ),
        ),
        (
            "pcdr_restored",
            format!(
                "SELECT 1 AS pcdr_restored, d.name, r.restore_date, r.last_lsn, r.backup_finish_date, r.time_zone \
                 FROM sys.databases AS d CROSS APPLY (SELECT TOP ({ON_RECORD}) x.restore_history_id, \
                 x.restore_date, s.last_lsn, s.backup_finish_date, CAST(s.time_zone AS int) AS time_zone \
                 FROM msdb.dbo.restorehistory AS x JOIN msdb.dbo.backupset AS s ON s.backup_set_id = x.backup_set_id \
                 WHERE x.destination_database_name = d.name AND x.restore_type = 'L' \
                 ORDER BY x.restore_history_id DESC) AS r WHERE d.name IN ({names}) \
                 ORDER BY r.restore_history_id;"
            ),
        ),
    ]
}

/// The jobs of log shipping, of a table called `j` that has their ids.
const JOBS: &str = "(j.job_id IN \
     (SELECT p.backup_job_id FROM msdb.dbo.log_shipping_primary_databases AS p) \
     OR j.job_id IN (SELECT s.copy_job_id FROM msdb.dbo.log_shipping_secondary AS s) \
     OR j.job_id IN (SELECT s.restore_job_id FROM msdb.dbo.log_shipping_secondary AS s) \
     OR j.job_id IN (SELECT a.alert_job_id FROM msdb.dbo.log_shipping_monitor_alert AS a))";

/// The pings of the chat servers, where the database is open and has the table.
///
/// Source: `dbo.tblServerIdentity` of the published Persistent Chat schema.
pub(super) fn pings(database: &str) -> Result<String, QuoteError> {
    let name = quote::name(database)?;
    let identifier = quote::identifier(database)?;
    let table = quote::literal(&format!("{identifier}.dbo.tblServerIdentity"))?;
    let open =
        format!("EXISTS (SELECT 1 FROM sys.databases AS d WHERE d.name = {name} AND d.state = 0)");
    let query = format!(
        "IF {open} AND ISNULL(HAS_DBACCESS({name}), 0) = 0 \
         THROW {HIDDEN}, N'a user in the database is missing, or it takes no session now.', 1; \
         IF {open} AND OBJECT_ID({table}) IS NULL \
         AND ISNULL(HAS_PERMS_BY_NAME(NULL, NULL, N'{SEES_DEFINITIONS}'), 0) = 0 \
         THROW {HIDDEN}, N'SELECT on dbo.tblServerIdentity is missing: a table that is not shown may exist.', 1; \
         IF {open} AND OBJECT_ID({table}) IS NOT NULL \
         SELECT 1 AS pcdr_pings, {name} AS name, i.serverAddress AS address, i.serverLastPingTime AS pinged_at \
         FROM {identifier}.dbo.tblServerIdentity AS i;"
    );
    guarded("pcdr_pings", &query, &format!(", {name} AS name"))
}

/// What no log backup holds, of a database that is open for writes: its own view tells, so the section has to
/// stand in it. A USE in SQL of its own ends with that SQL.
fn log_space(database: &str) -> Result<String, QuoteError> {
    let name = quote::name(database)?;
    let identifier = quote::identifier(database)?;
    let inner = quote::literal(&format!(
        "USE {identifier}; SELECT 1 AS pcdr_log, {name} AS name, \
         u.log_space_in_bytes_since_last_backup AS bytes FROM sys.dm_db_log_space_usage AS u;"
    ))?;
    let query = format!(
        "IF EXISTS (SELECT 1 FROM sys.databases AS d WHERE d.name = {name} AND d.state = 0 \
         AND d.is_in_standby = 0) EXEC sys.sp_executesql {inner};"
    );
    guarded("pcdr_log", &query, &format!(", {name} AS name"))
}

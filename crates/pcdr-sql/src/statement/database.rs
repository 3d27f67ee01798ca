//! Statements on one database: state, backup, restore, recovery, sessions, mirroring.

use pcdr_core::Guid;
use pcdr_core::observation::RecoveryModel;

use super::{REDO_START, SEES_SESSIONS, Statement, unless_hidden};
use crate::quote::{self, QuoteError};

/// Where a database stands, in one row that is always there, and who asks.
///
/// # Errors
///
/// A name that cannot be quoted; so for every function here.
pub fn state(database: &str) -> Result<Statement, QuoteError> {
    let name = quote::name(database)?;
    Ok(Statement::query(format!(
        "SET NOCOUNT ON;\n\
         SELECT CAST(@@SPID AS int) AS session_id, \
         (SELECT CONVERT(nvarchar(30), s.login_time, 121) FROM sys.dm_exec_sessions AS s \
         WHERE s.session_id = @@SPID) AS login_time, \
         d.name, CAST(d.state AS int) AS state, d.is_in_standby, d.is_read_only, \
         CAST(d.recovery_model AS int) AS recovery_model, f.redo_start_lsn, f.redo_start_fork_guid, r.family_guid, \
         r.last_log_backup_lsn, \
         CAST(m.mirroring_role AS int) AS mirroring_role, CAST(m.mirroring_state AS int) AS mirroring_state, \
         CAST(m.mirroring_safety_level AS int) AS mirroring_safety, m.mirroring_partner_name, m.mirroring_witness_name \
         FROM (SELECT 1 AS one) AS pcdr_one \
         LEFT JOIN sys.databases AS d ON d.name = {name} \
         {REDO_START} \
         LEFT JOIN sys.database_recovery_status AS r ON r.database_id = d.database_id \
         LEFT JOIN sys.database_mirroring AS m ON m.database_id = d.database_id;"
    )))
}

/// The newest restore into a database: what it is made of, and how far its log reached.
pub fn last_restore(database: &str) -> Result<Statement, QuoteError> {
    let name = quote::name(database)?;
    Ok(Statement::query(format!(
        "SELECT TOP (1) s.family_guid, s.last_recovery_fork_guid, s.last_lsn, h.restore_type FROM msdb.dbo.restorehistory AS h \
         JOIN msdb.dbo.backupset AS s ON s.backup_set_id = h.backup_set_id \
         WHERE h.destination_database_name = {name} AND h.restore_type IN ('D', 'I', 'L') \
         ORDER BY h.restore_history_id DESC;"
    )))
}

/// Sets the recovery model to FULL.
pub fn set_recovery_full(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::identifier(database)?;
    Ok(Statement::long(format!("ALTER DATABASE {database} SET RECOVERY FULL;")))
}

/// A full backup into a new file. An existing file is never overwritten.
pub fn back_up_database(database: &str, path: &str) -> Result<Statement, QuoteError> {
    let (database, path) = (quote::identifier(database)?, quote::path(path)?);
    Ok(Statement::long(format!(
        "BACKUP DATABASE {database} TO DISK = {path} WITH NOFORMAT, NOINIT, CHECKSUM, STATS = 5;"
    )))
}

/// A log backup into a new file.
pub fn back_up_log(database: &str, path: &str) -> Result<Statement, QuoteError> {
    let (database, path) = (quote::identifier(database)?, quote::path(path)?);
    Ok(Statement::long(format!(
        "BACKUP LOG {database} TO DISK = {path} WITH NOFORMAT, NOINIT, CHECKSUM, STATS = 5;"
    )))
}

/// A full backup into a file of which an attempt before was cut off, and which holds no backup. What is in it
/// goes.
pub fn back_up_database_again(database: &str, path: &str) -> Result<Statement, QuoteError> {
    let (database, path) = (quote::identifier(database)?, quote::path(path)?);
    Ok(Statement::long(format!(
        "BACKUP DATABASE {database} TO DISK = {path} WITH FORMAT, INIT, CHECKSUM, STATS = 5;"
    )))
}

/// A log backup into a file of which an attempt before was cut off, and which holds no backup. What is in it
/// goes.
pub fn back_up_log_again(database: &str, path: &str) -> Result<Statement, QuoteError> {
    let (database, path) = (quote::identifier(database)?, quote::path(path)?);
    Ok(Statement::long(format!(
        "BACKUP LOG {database} TO DISK = {path} WITH FORMAT, INIT, CHECKSUM, STATS = 5;"
    )))
}

/// The tail of the log into a new file; the database is RESTORING after it.
pub fn back_up_tail(database: &str, path: &str) -> Result<Statement, QuoteError> {
    let (database, path) = (quote::identifier(database)?, quote::path(path)?);
    Ok(Statement::long(format!(
        "BACKUP LOG {database} TO DISK = {path} WITH NOFORMAT, NOINIT, CHECKSUM, NORECOVERY, STATS = 5;"
    )))
}

/// One file of a database that is restored to another place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Logical name in the backup.
    pub logical: String,
    /// New path.
    pub path: String,
}

/// Restores a full backup and waits for log. `replace` is for a database that exists.
pub fn restore_database(
    database: &str,
    path: &str,
    moves: &[Move],
    replace: bool,
) -> Result<Statement, QuoteError> {
    let (database, path) = (quote::identifier(database)?, quote::path(path)?);
    let mut batch = format!("RESTORE DATABASE {database} FROM DISK = {path} WITH NORECOVERY");
    for file in moves {
        let (logical, path) = (quote::name(&file.logical)?, quote::path(&file.path)?);
        batch.push_str(&format!(", MOVE {logical} TO {path}"));
    }
    if replace {
        batch.push_str(", REPLACE");
    }
    batch.push_str(", STATS = 5;");
    Ok(Statement::long(batch))
}

/// Restores a log backup and waits for more.
pub fn restore_log(database: &str, path: &str) -> Result<Statement, QuoteError> {
    let (database, path) = (quote::identifier(database)?, quote::path(path)?);
    Ok(Statement::long(format!(
        "RESTORE LOG {database} FROM DISK = {path} WITH NORECOVERY, STATS = 5;"
    )))
}

/// Where a database stands, as [`state`] answers it, and then, if it waits for log, the restore of a log
/// backup: one round trip for each backup of a chain.
pub fn restore_next_log(database: &str, path: &str) -> Result<Statement, QuoteError> {
    let (state, restore) = (state(database)?.batch, restore_log(database, path)?.batch);
    let name = quote::name(database)?;
    Ok(Statement::long(format!(
        "{state}\nIF EXISTS (SELECT 1 FROM sys.databases AS w WHERE w.name = {name} \
         AND (w.state = 1 OR w.is_in_standby = 1)) {restore}"
    )))
}

/// Recovers a database.
pub fn recover(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::identifier(database)?;
    Ok(Statement::long(format!("RESTORE DATABASE {database} WITH RECOVERY;")))
}

/// User sessions in a database, by current database; not the asking one, not pcdr's.
pub fn sessions(database: &str) -> Result<Statement, QuoteError> {
    let name = quote::name(database)?;
    let guard = unless_hidden(&SEES_SESSIONS, "sessions of others are not shown.");
    Ok(Statement::query(format!(
        "{guard}SELECT CAST(s.session_id AS int) AS session_id, CONVERT(nvarchar(30), s.login_time, 121) AS login_time, \
         s.login_name, s.program_name FROM sys.dm_exec_sessions AS s \
         JOIN sys.databases AS d ON d.database_id = s.database_id \
         WHERE s.is_user_process = 1 AND s.session_id <> @@SPID AND d.name = {name} ORDER BY s.session_id;"
    )))
}

/// Ends a session, if it still is the one of that login time: ids are reused.
pub fn kill(session_id: i32, login_time: &str) -> Result<Statement, QuoteError> {
    let login_time = quote::literal(login_time)?;
    Ok(Statement::change(format!(
        "IF EXISTS (SELECT 1 FROM sys.dm_exec_sessions AS s WHERE s.session_id = {session_id} \
         AND s.is_user_process = 1 AND s.session_id <> @@SPID \
         AND CONVERT(nvarchar(30), s.login_time, 121) = {login_time}) KILL {session_id};"
    )))
}

/// How far the request of a session is, and whether the session is still there.
pub fn progress(session_id: i32) -> Statement {
    Statement::query(format!(
        "SELECT s.session_id, CONVERT(nvarchar(30), s.login_time, 121) AS login_time, \
         CAST(r.percent_complete AS float) AS percent_complete, r.command, \
         CAST(r.estimated_completion_time AS bigint) AS remaining_ms FROM sys.dm_exec_sessions AS s \
         LEFT JOIN sys.dm_exec_requests AS r ON r.session_id = s.session_id WHERE s.session_id = {session_id};"
    ))
}

/// The mirroring endpoint and who may be what.
pub fn endpoint() -> Statement {
    Statement::query(
        "SELECT CAST(SERVERPROPERTY(N'EngineEdition') AS int) AS engine_edition, e.name, t.port, \
         CAST(e.state AS int) AS state, CAST(e.role AS int) AS role FROM (SELECT 1 AS one) AS pcdr_one \
         LEFT JOIN sys.database_mirroring_endpoints AS e ON 1 = 1 \
         LEFT JOIN sys.tcp_endpoints AS t ON t.endpoint_id = e.endpoint_id;",
    )
}

/// Creates and starts the mirroring endpoint. `witness_only` is for Express edition, which can be
/// nothing else.
pub fn create_endpoint(
    endpoint: &str,
    port: u16,
    witness_only: bool,
) -> Result<Statement, QuoteError> {
    let endpoint = quote::identifier(endpoint)?;
    let role = if witness_only { "WITNESS" } else { "ALL" };
    Ok(Statement::change(format!(
        "CREATE ENDPOINT {endpoint} STATE = STARTED AS TCP (LISTENER_PORT = {port}, LISTENER_IP = ALL) \
         FOR DATABASE_MIRRORING (AUTHENTICATION = WINDOWS NEGOTIATE, ENCRYPTION = REQUIRED ALGORITHM AES, \
         ROLE = {role});"
    )))
}

/// Starts the mirroring endpoint.
pub fn start_endpoint(endpoint: &str) -> Result<Statement, QuoteError> {
    let endpoint = quote::identifier(endpoint)?;
    Ok(Statement::change(format!("ALTER ENDPOINT {endpoint} STATE = STARTED;")))
}

/// Creates the login of a Windows account, if there is none.
pub fn create_login(account: &str) -> Result<Statement, QuoteError> {
    let (name, account) = (quote::name(account)?, quote::identifier(account)?);
    Ok(Statement::change(format!(
        "IF NOT EXISTS (SELECT 1 FROM sys.server_principals AS p WHERE p.name = {name}) \
         CREATE LOGIN {account} FROM WINDOWS;"
    )))
}

/// Lets an account connect to the mirroring endpoint. Nobody can grant to himself.
pub fn grant_connect(endpoint: &str, account: &str) -> Result<Statement, QuoteError> {
    let endpoint = quote::identifier(endpoint)?;
    let (name, account) = (quote::name(account)?, quote::identifier(account)?);
    Ok(Statement::change(format!(
        "IF SUSER_SNAME() <> {name} GRANT CONNECT ON ENDPOINT::{endpoint} TO {account};"
    )))
}

/// Sets the mirroring partner.
pub fn set_partner(database: &str, address: &str) -> Result<Statement, QuoteError> {
    let (database, address) = (quote::identifier(database)?, quote::server_address(address)?);
    Ok(Statement::long(format!("ALTER DATABASE {database} SET PARTNER = {address};")))
}

/// Sets the mirroring witness.
pub fn set_witness(database: &str, address: &str) -> Result<Statement, QuoteError> {
    let (database, address) = (quote::identifier(database)?, quote::server_address(address)?);
    Ok(Statement::long(format!("ALTER DATABASE {database} SET WITNESS = {address};")))
}

/// Swaps principal and mirror.
pub fn fail_over_mirror(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::identifier(database)?;
    Ok(Statement::long(format!("ALTER DATABASE {database} SET PARTNER FAILOVER;")))
}

/// Makes the mirror serve although its principal cannot be reached.
pub fn force_service(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::identifier(database)?;
    Ok(Statement::long(format!(
        "ALTER DATABASE {database} SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS;"
    )))
}

/// Takes the witness out of the session.
pub fn remove_witness(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::identifier(database)?;
    Ok(Statement::long(format!("ALTER DATABASE {database} SET WITNESS OFF;")))
}

/// Ends mirroring.
pub fn remove_mirroring(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::identifier(database)?;
    Ok(Statement::long(format!("ALTER DATABASE {database} SET PARTNER OFF;")))
}

/// How many sessions go through the mirroring endpoint: as partner, and as witness.
pub fn endpoint_uses() -> Statement {
    Statement::query(
        "SELECT (SELECT COUNT(*) FROM sys.database_mirroring AS m WHERE m.mirroring_guid IS NOT NULL) AS partners, \
         (SELECT COUNT(*) FROM sys.database_mirroring_witnesses AS w) AS witnesses;",
    )
}

/// Drops the mirroring endpoint.
pub fn drop_endpoint(endpoint: &str) -> Result<Statement, QuoteError> {
    let endpoint = quote::identifier(endpoint)?;
    Ok(Statement::change(format!("DROP ENDPOINT {endpoint};")))
}

/// Stops the mirroring endpoint.
pub fn stop_endpoint(endpoint: &str) -> Result<Statement, QuoteError> {
    let endpoint = quote::identifier(endpoint)?;
    Ok(Statement::change(format!("ALTER ENDPOINT {endpoint} STATE = STOPPED;")))
}

/// Sets a recovery model.
pub fn set_recovery(database: &str, model: RecoveryModel) -> Result<Statement, QuoteError> {
    let database = quote::identifier(database)?;
    Ok(Statement::long(format!("ALTER DATABASE {database} SET RECOVERY {model};")))
}

/// Drops a database with its files.
pub fn drop_database(database: &str) -> Result<Statement, QuoteError> {
    let database = quote::identifier(database)?;
    Ok(Statement::long(format!("DROP DATABASE {database};")))
}

/// Checks every page and structure of a database: what is found comes as errors, all of it.
pub fn check_database(database: &str) -> Result<Statement, QuoteError> {
    let name = quote::name(database)?;
    Ok(Statement::long(format!("DBCC CHECKDB ({name}) WITH NO_INFOMSGS, ALL_ERRORMSGS;")))
}

/// A GUID as a literal.
pub(crate) fn guid(value: Guid) -> String {
    format!("'{value}'")
}

pub(super) fn samples(
    database: &str,
    path: &str,
) -> Result<Vec<(&'static str, Statement)>, QuoteError> {
    let address = "TCP://sql1.example.com:5022";
    let moves = [Move { logical: database.to_owned(), path: path.to_owned() }];
    Ok(vec![
        ("state", state(database)?),
        ("last restore", last_restore(database)?),
        ("set recovery full", set_recovery_full(database)?),
        ("back up database", back_up_database(database, path)?),
        ("back up log", back_up_log(database, path)?),
        ("back up database again", back_up_database_again(database, path)?),
        ("back up log again", back_up_log_again(database, path)?),
        ("back up tail", back_up_tail(database, path)?),
        ("restore database", restore_database(database, path, &[], false)?),
        ("restore database elsewhere", restore_database(database, path, &moves, true)?),
        ("restore log", restore_log(database, path)?),
        ("restore next log", restore_next_log(database, path)?),
        ("recover", recover(database)?),
        ("sessions", sessions(database)?),
        ("kill", kill(57, "2026-03-01 10:45:00.123")?),
        ("progress", progress(57)),
        ("endpoint", endpoint()),
        ("create endpoint", create_endpoint(database, 5022, false)?),
        ("create witness endpoint", create_endpoint(database, 7022, true)?),
        ("start endpoint", start_endpoint(database)?),
        ("create login", create_login(database)?),
        ("grant connect", grant_connect("Mirroring", database)?),
        ("set partner", set_partner(database, address)?),
        ("set witness", set_witness(database, address)?),
        ("fail over mirror", fail_over_mirror(database)?),
        ("force service", force_service(database)?),
        ("remove witness", remove_witness(database)?),
        ("remove mirroring", remove_mirroring(database)?),
        ("endpoint uses", endpoint_uses()),
        ("drop endpoint", drop_endpoint(database)?),
        ("stop endpoint", stop_endpoint(database)?),
        ("set recovery bulk-logged", set_recovery(database, RecoveryModel::BulkLogged)?),
        ("set recovery simple", set_recovery(database, RecoveryModel::Simple)?),
        ("drop database", drop_database(database)?),
        ("check database", check_database(database)?),
    ])
}
